"""A sweep that is killed with -9 goes on as if nothing had happened: what was told is kept, and nothing is counted twice."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest
from recovery_kit import Case, check_ended, check_kept, die_at, finish, kill_until_done, left_by
from recovery_sweep import SETUPS

POINTS = {
    "migrate.before": (1,),
    "migrate.after": (1,),
    "checkpoint.before": (1,),
    "checkpoint.after": (1,),
    "epoch.after": (1,),
    "end.before": (1,),
    "fold.before": (1,),
    "fold.after": (1,),
    "dispatch.before": (1, 7, 23),
    "dispatch.after": (1, 7, 23),
    "result.before": (1, 7, 23),
    "record.before": (1, 2, 3, 4, 20),
    "record.after": (1, 2, 3, 4, 20),
    "append.before": (1, 2, 17),
    "append.after": (1, 2, 17),
    "commit.before": (1, 2, 3, 4, 5, 17),
    "commit.after": (1, 2, 3, 4, 5, 17),
}
"""Every named crash point, and at which of its passages to die."""
QUICK = ["epoch.after:1", "fold.after:1", "dispatch.after:7", "result.before:7", "commit.before:17", "commit.after:4"]
ALL = [f"{point}:{occurrence}" for point, occurrences in POINTS.items() for occurrence in occurrences]


def die_twice_at(case: Case, place: str) -> int:
    """Two processes die at the same place, the third one ends the run. How many of them came there."""
    deaths = 0
    for _ in range(2):
        deaths += die_at(case, place)
        check_kept(case, left_by(case))
    finish(case)
    check_ended(case)
    return deaths


@pytest.mark.parametrize("slots", [1, 8])
def test_killed_at_random_moments(tmp_path: Path, slots: int) -> None:
    """R1, R2, R4, R5: after three kills the budget is exact; with one slot, the trials are those of a run that nobody killed."""
    random, killed = Random(slots), 0
    for number in range(20):  # where the machine is busy elsewhere, a run may be over before its moment comes
        folder = tmp_path / str(number)
        folder.mkdir()
        killed, _ = kill_until_done(Case(folder, "queue", slots), random, 3)
        if killed:
            break
    assert killed


@pytest.mark.parametrize("place", QUICK)
def test_killed_at_a_named_point(tmp_path: Path, place: str) -> None:
    """R2, R5: before and after what matters, the next process goes on."""
    assert die_twice_at(Case(tmp_path, "queue", 1, trials=20), place)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("slots", [1, 8])
@pytest.mark.parametrize("place", ALL)
def test_killed_at_every_named_point(tmp_path: Path, place: str, slots: int) -> None:
    """R2, R5: at every crash point there is, with one slot and eight."""
    setup = sorted(SETUPS)[ALL.index(place) % len(SETUPS)]
    assert die_twice_at(Case(tmp_path, setup, slots), place)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_very_many_random_moments(tmp_path: Path) -> None:
    """R1, R2, R4, R5: 220 kills over four kinds of sweeps with one slot and eight, 100 of them in the middle of the work."""
    killed = between = runs = 0
    while killed < 220 or between < 100:
        random = Random(runs)
        folder = tmp_path / str(runs)
        folder.mkdir()
        case = Case(folder, sorted(SETUPS)[runs % len(SETUPS)], (1, 8)[runs // len(SETUPS) % 2], trials=40)
        more, in_between = kill_until_done(case, random, 6)
        killed += more
        between += in_between
        runs += 1
    sys.stdout.write(f"{killed} kills of {runs} runs, {between} of them between the first dispatch and the last commit\n")
