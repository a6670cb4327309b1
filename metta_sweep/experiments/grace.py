"""How many seconds what runs gets when it is to end, and how often its journal is told that it goes on."""

from __future__ import annotations

from typing import Final

from metta_sweep.core.budget import Budget

__all__ = ["CHILDS_SHARE", "beat_for", "grace_for"]

MAX_GRACE: Final = 10.0
GRACE_SHARE: Final = 0.1
CHILDS_SHARE: Final = 0.8
"""Of the grace of a run, what experiments inside it get: they end before their parents' trials are cut."""

MIN_BEAT: Final = 1.0
MAX_BEAT: Final = 10.0
BEAT_SHARE: Final = 0.01


def grace_for(given: float | None, budget: Budget) -> float:
    """Seconds that what runs gets at the end: those given, else a tenth of those of the budget, at most 10."""
    if given is not None:
        return given
    return MAX_GRACE if budget.seconds is None else min(MAX_GRACE, GRACE_SHARE * budget.seconds)


def beat_for(seconds: float) -> float:
    """After how many seconds the journal is told that a run goes on which may take so many, so that a kill loses few of them."""
    return min(MAX_BEAT, max(MIN_BEAT, BEAT_SHARE * seconds))
