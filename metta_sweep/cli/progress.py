"""How far a run is: sums, rate and time left, from its state. Reads, and changes nothing."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Final, NamedTuple

from metta_sweep.core.branch import BranchStats
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.experiments.sweep_run import SweepRun

__all__ = ["Pace", "Progress", "best_branches", "progress_of"]

WINDOW: Final = 30.0
"""Seconds over which the rate is taken."""


class Progress(NamedTuple):
    """A run at one moment."""

    picked: int
    limit: int | None
    """The budget in trials."""
    ended: int
    """Trials that have ended, in all processes that drove the run."""
    states: dict[str, int]
    """Trials by state, those states that there are."""
    best: Trial | None
    """The best so far; None with several objectives."""
    seconds: float
    """Active seconds of the run."""
    front: int | None = None
    """How many trials no other dominates, with several objectives."""


def progress_of(run: SweepRun) -> Progress:
    """How far a run is now. Costs the same however many trials and branches there are."""
    state = run.state
    states = {
        TrialState.RUNNING.value: len(state.running),
        TrialState.PENDING.value: len(state.to_start),
        TrialState.PAUSED.value: len(state.paused),
        **{kind.value: count for kind, count in state.ended.items()},
    }
    return Progress(
        picked=state.picked,
        limit=run.budget.trials,
        ended=sum(state.ended.values()),
        states={kind: count for kind, count in states.items() if count},
        best=state.best,
        front=None if state.front is None else len(state.front),
        seconds=run.active_seconds(),
    )


class Pace:
    """The rate over the last half minute, and the time that is left at that rate."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, progress: Progress) -> None:
        """Take note of a moment."""
        seen = self._seen
        seen.append((progress.seconds, progress.ended))
        while len(seen) > 2 and seen[0][0] < progress.seconds - WINDOW:
            seen.popleft()

    @property
    def rate(self) -> float | None:
        """Trials that end per second; None before it can be told."""
        if len(self._seen) < 2:
            return None
        (before, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - before) if now > before and last > first else None

    def left(self, progress: Progress, seconds: float | None) -> float | None:
        """Seconds until the first of the caps on trials and seconds is reached; None where it cannot be told."""
        ends: list[float] = []
        rate = self.rate
        if progress.limit is not None and rate is not None:
            ends.append(max(0, progress.limit - progress.ended) / rate)
        if seconds is not None:
            ends.append(max(0.0, seconds - progress.seconds))
        return min(ends) if ends else None


def best_branches(run: SweepRun, count: int) -> tuple[list[BranchStats], int]:
    """The branches with the highest mean rewards, and how many more there are."""
    state = run.state
    named = [name for name in state.branches if name is not None]

    def mean(name: str) -> float:
        runs, unvalued, total = state.rewards.of(name)
        valued = runs - unvalued
        return total / valued if valued > 0 else float("-inf")

    best = heapq.nlargest(count, named, key=mean)
    shown = [state.branches[name].shown(name, *state.rewards.of(name)) for name in best]
    return shown, len(named) - len(shown)
