"""Populations of sweeps are killed with -9: forks are there or not, and the same members take the same places afterwards."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from recovery_population import MEMBERS, NAME, STEPS, TRIALS, run
from recovery_process import ended, killed_after, process_of

from metta_sweep import MemoryStore, SqliteStore, TrialState
from metta_sweep.experiments.codec import decode_trial
from metta_sweep.records import Store

POINTS = {
    "fork.copied": (1, 3, 6),
    "checkpoint.manifest": (1, 4),
    "checkpoint.kept": (1, 4),
    "checkpoint.restore": (1, 4),
    "epoch.after": (2, 5, 9),
    "fold.before": (2, 5, 9),
    "fold.after": (2, 5, 9),
    "end.before": (1, 4, 8),
    "record.after": (5, 40, 90),
    "append.before": (5, 30, 60),
    "commit.after": (5, 30, 60),
}
"""Named crash points, and at which of their passages to die."""
ALL = [f"{point}:{occurrence}" for point, occurrences in POINTS.items() for occurrence in occurrences]


def process(folder: Path, slots: int, place: str = "") -> subprocess.Popen[bytes]:
    """A process that runs the population, or goes on with it."""
    return process_of("recovery_population.py", folder / "population.db", slots, place)


def essence(store: Store) -> dict[str, Any]:
    """What a crash must not change: the trials of every run, by name."""
    found: dict[str, Any] = {}
    for row in store.runs():
        trials = [decode_trial(trial) for trial in store.trial_rows(row.run_id)]
        found[str(row.name)] = [(trial.id, trial.state, trial.params, trial.score) for trial in trials]
    return found


@cache
def uninterrupted() -> dict[str, Any]:
    """The runs of a population with one slot that nobody killed."""
    store = MemoryStore()
    run(store, 1)
    return essence(store)


def check_whole(folder: Path, slots: int) -> None:
    """All members are complete, each trial of each run is paid for once, and with one slot all is as if nothing had happened.

    With several slots a member may take the place of one that is behind, and come to a step again.
    """
    store = SqliteStore(folder / "population.db")
    found = essence(store)
    children = {name: len(trials) for name, trials in found.items() if name != NAME}
    steps = {name: int(name.partition(">SweepExperiment-")[2].partition("-")[0]) for name in children}
    assert children == {name: TRIALS * step for name, step in steps.items()}
    assert sorted(steps.values())[-MEMBERS:] == [STEPS] * MEMBERS
    if slots == 1:
        assert found == uninterrupted()
    result = run(store, slots)
    assert {trial.state for trial in result.trials} == {TrialState.COMPLETED}
    assert result.spend.cost == 1.5 * TRIALS * len(children)
    store.close()


def test_a_population_that_is_killed_on_its_way_goes_on(tmp_path: Path) -> None:
    """Within the copying of a journal, and when it has been copied."""
    for place in ("fork.copied:2", "epoch.after:4"):
        assert ended(process(tmp_path, 1, place))
    assert not ended(process(tmp_path, 1))
    check_whole(tmp_path, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ALL)
def test_a_population_that_is_killed_at_every_named_point_goes_on(tmp_path: Path, place: str) -> None:
    """With one slot and with three, twice at the same place."""
    slots = (1, 3)[ALL.index(place) % 2]
    assert ended(process(tmp_path, slots, place))
    ended(process(tmp_path, slots, place))
    assert not ended(process(tmp_path, slots))
    check_whole(tmp_path, slots)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_population_that_is_killed_at_random_moments_goes_on(tmp_path: Path) -> None:
    """40 kills, with one slot and with three."""
    killed = runs = 0
    while killed < 40:
        random = Random(runs)
        folder = tmp_path / str(runs)
        folder.mkdir()
        slots = (1, 3)[runs % 2]
        for _ in range(6):
            if not killed_after(process(folder, slots), 1 + random.randrange(8), random.random() * 0.01):
                break
            killed += 1
        assert not ended(process(folder, slots))
        check_whole(folder, slots)
        runs += 1
