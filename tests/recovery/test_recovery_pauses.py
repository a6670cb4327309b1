"""Sweeps whose trials pause are killed with -9: what the journal names is there, and trials are trained as if nothing happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from recovery_pauses import run, step_of

from metta_sweep import SweepResult
from metta_sweep.core.trial import TrialState
from metta_sweep.schedulers import PBTScheduler

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("recovery_pauses.py")
PLACES = {
    ("pbt", 1): ["checkpoint.content:7", "commit.before:25", "checkpoint.manifest:6", "record.after:30", "checkpoint.kept:5"],
    ("pbt", 3): ["checkpoint.restore:4", "commit.after:30", "checkpoint.swap:4", "dispatch.after:12", "checkpoint.removed:4"],
    ("asha", 1): ["checkpoint.content:9", "commit.before:25", "checkpoint.manifest:7", "record.after:30", "checkpoint.kept:8"],
    ("asha", 3): ["checkpoint.restore:2", "commit.after:30", "checkpoint.swap:1", "dispatch.after:12", "checkpoint.removed:1"],
}
"""Where to die, one process after the other: far enough apart that no trial is lost three times in a row, and given up."""


def died(folder: Path, kind: str, slots: int, place: str) -> bool:
    """Run it in a process of its own, up to a place; whether it came there."""
    process = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), kind, str(slots), place],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert process.returncode in {0, -signal.SIGKILL}, process.stderr.decode()
    return process.returncode != 0


def essence(results: SweepResult) -> list[Any]:
    """What a crash must not change."""
    return [(trial.id, trial.state, trial.params, trial.score, trial.last_report) for trial in results.trials]


def state_of(results: SweepResult, trial_id: str, steps: int) -> float:
    """The state after so many steps, trained without a pause by the parameters that the trace tells."""
    state, schedule = 0.0, PBTScheduler.schedule(results, trial_id)
    for step in range(1, steps + 1):
        state = step_of(state, schedule.at(step))
    return state


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "slots"), sorted(PLACES))
def test_paused_trials_survive_kills(kind: str, slots: int, tmp_path: Path) -> None:
    """Five processes die, the sixth ends the run: every trial's state is exactly that of its steps; none has failed."""
    assert all(died(tmp_path, kind, slots, place) for place in PLACES[kind, slots])
    results = run(tmp_path, kind, slots)

    assert [trial.error for trial in results.trials if trial.error is not None] == []
    assert {trial.state for trial in results.trials} <= {TrialState.COMPLETED, TrialState.PAUSED}
    assert any(trial.state is TrialState.COMPLETED for trial in results.trials)
    for trial in results.trials:
        assert trial.last_report is not None
        assert trial.last_report.value("score") == state_of(results, trial.id, trial.last_report.step)
        assert trial.score in (None, trial.last_report.value("score"))
    if slots == 1:
        (tmp_path / "whole").mkdir()
        assert essence(results) == essence(run(tmp_path / "whole", kind, slots))
    manifests = tmp_path / "killed.db-checkpoints" / results.run_id / ".checkpoints" / "manifests"
    assert len(list(manifests.iterdir())) == sum(trial.state is TrialState.PAUSED for trial in results.trials)
