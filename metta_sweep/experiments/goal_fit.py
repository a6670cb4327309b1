"""Whether the goal of a run fits what its trials return: told at the first of them, and not after many. And what fits a goal."""

from __future__ import annotations

from collections.abc import Mapping

from metta_sweep.core.goal import Goal
from metta_sweep.core.numbers import check_number
from metta_sweep.core.trial import Metric
from metta_sweep.errors import GoalError, MetricError, a_kind, did_you_mean

__all__ = ["GoalFit", "reference_of"]


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


def reference_of(goal: Goal, reference: object) -> list[float]:
    """The values of a reference point for a hypervolume, in the order of the goal's objectives.

    Raises:
        GoalError: the goal has one objective, or the reference has not exactly its metrics, as finite numbers.
    """
    where = "results.hypervolume(reference=)"
    if not goal.has_several:
        raise GoalError(
            where,
            "the goal has one objective, and the volume of one is a difference",
            found=goal.describe(),
            expected="a goal with several objectives",
            remedy="Use results.best_score",
        )
    metrics = [str(objective.metric) for objective in goal.objectives]
    expected = f"a mapping with a number for each of {', '.join(map(repr, metrics))}"
    worst = ", ".join(f"{goal.metric!r}: {0.0 if goal.sign > 0 else 100.0}" for goal in goal.objectives)
    example = f"Write {{{worst}}}, say: values worse than those of interest"
    if not isinstance(reference, Mapping):
        raise GoalError(where, f"{a_kind(reference)} is no reference point", found=reference, expected=expected, remedy=example)
    for name in reference:
        if name not in metrics:
            guess = did_you_mean(str(name), metrics)
            remedy = f"Did you mean {guess!r}?" if guess else example
            raise GoalError(where, f"the goal has no metric {name!r}", found=reference, expected=expected, remedy=remedy)
    missing = [metric for metric in metrics if metric not in reference]
    if missing:
        raise GoalError(where, f"it lacks {', '.join(map(repr, missing))}", found=reference, expected=expected, remedy=example)
    return [float(check_number(reference[name], f"{where}[{name!r}]", GoalError, remedy="Write 0.0, say")) for name in metrics]
