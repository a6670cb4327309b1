"""Whether the goal of a run fits what its trials return: told at the first of them, and not after many."""

from __future__ import annotations

from collections.abc import Mapping

from metta_sweep.core.goal import Goal
from metta_sweep.core.trial import Metric
from metta_sweep.errors import MetricError

__all__ = ["GoalFit"]


class GoalFit:
    """Remembers whether any trial had a score. While none had, one without ends the run: all others would be without, too.

    Args:
        goal: the goal of the run.
        known: whether a trial of the run has had a score.
    """

    __slots__ = ("_fault", "_goal", "_known")

    def __init__(self, goal: Goal, *, known: bool) -> None:
        self._goal = goal
        self._known = known
        self._fault: str | None = None

    def fault_of(self, metrics: Mapping[str, Metric], address: str) -> str | None:
        """Why the trial with these metrics has no score; None when it has one."""
        try:
            if self._goal.has_several:
                self._goal.scores(metrics)
            else:
                self._goal.score(metrics)
        except MetricError as wrong:
            fault = f"{address}: {wrong}"
            if not self._known and self._fault is None:
                self._fault = fault
            return fault
        self._known = True
        return None

    def check(self) -> None:
        """Raise ``MetricError`` when the first completed trial of the run had no score. The trial is in the journal by then."""
        if self._fault is not None:
            raise MetricError(f"{self._fault} No trial of this run has had it so far, so the run ends here; the trial is kept.")
