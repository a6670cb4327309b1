"""A sweep whose trials pause, take each other's places and go on from their files; it dies where it is told to.

Arguments: the folder, the kind, slots, where to die (``commit.after:3``: at its third passage; empty: nowhere).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recovery_process import dies_at

from metta_sweep import SweepExperiment, SweepResult, TrialContext, Uniform
from metta_sweep.clock import crash_points
from metta_sweep.schedulers import ASHAScheduler, PBTScheduler, Scheduler

SCHEDULERS: dict[str, Callable[[], Scheduler]] = {
    "pbt": lambda: PBTScheduler(5, 14, epochs_per_generation=2),
    "asha": lambda: ASHAScheduler(max_epochs=27, reduction_factor=3, grace_period=1),
}
BUDGETS = {"pbt": None, "asha": 60}


def step_of(state: float, params: dict[str, Any]) -> float:
    """One step of training: what comes out tells of all parameters before it, in their order."""
    return state * 0.9 + float(params["x"])


def train(trial: TrialContext) -> Iterator[dict[str, float]]:
    """Goes on from what it kept in two files; refuses any other state than that of its step."""
    files = [trial.checkpoint_dir / name for name in ("step", "state")]
    step, state = (json.loads(file.read_text()) for file in files) if trial.resume_step else (0, 0.0)
    if step != trial.resume_step:
        raise ValueError(f"the files are of step {step}, and not of step {trial.resume_step}")
    for number in range(step + 1, 100):
        state = step_of(state, trial.params)
        for file, value in zip(files, (number, state), strict=True):
            file.write_text(json.dumps(value))
        yield {"step": number, "score": state}


def run(folder: Path, kind: str, slots: int) -> SweepResult:
    """Run it, or go on with it, or read what has ended."""
    experiment = SweepExperiment(
        name=kind,
        objective=train,
        search_space={"x": Uniform(0, 1)},
        scheduler=SCHEDULERS[kind](),
        slots=slots,
        seed=4,
        store=str(folder / "killed.db"),
    )
    return experiment.run(budget=BUDGETS[kind])


if __name__ == "__main__":
    with crash_points(dies_at(sys.argv[4])):
        run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
