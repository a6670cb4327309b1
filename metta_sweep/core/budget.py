"""Budgets: caps on a whole run, what is used of them, and why a run stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, Never

from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.core.values import plain_scalar
from metta_sweep.errors import BudgetError, a_kind, refuse_unknown

__all__ = ["Budget", "Spend", "StopReason"]

_OPTIONS: Final = ("trials", "seconds", "cost")


@dataclass(frozen=True, slots=True, init=False)
class Budget:
    """Caps on a whole run, over all its resumes. Zero runs nothing.

    Args:
        trials: how many trials may be picked; None: any number.
        seconds: how long the run may be active; None: any time.
        cost: how much of the cost metric may be spent, in its units; None: any amount.

    Raises:
        BudgetError: for what is negative, not finite or no number.
    """

    trials: int | None
    seconds: float | None
    cost: float | None

    def __init__(
        self, trials: int | None = None, seconds: float | None = None, cost: float | None = None, **unknown: Never
    ) -> None:
        refuse_unknown("Budget", unknown, _OPTIONS)
        remedy = "Leave it out for no cap"
        if trials is not None:
            trials = check_int(trials, "Budget(trials=)", BudgetError, at_least=0, remedy=remedy)
        if seconds is not None:
            seconds = check_number(seconds, "Budget(seconds=)", BudgetError, at_least=0, remedy=remedy)
        if cost is not None:
            cost = check_number(cost, "Budget(cost=)", BudgetError, at_least=0, remedy=remedy)
        put = object.__setattr__
        put(self, "trials", trials)
        put(self, "seconds", seconds)
        put(self, "cost", cost)

    @classmethod
    def of(cls, budget: int | Budget | None) -> Budget:
        """The budget that a user wrote: a number of trials, a ``Budget``, or None for one without caps."""
        if isinstance(budget, Budget):
            return budget
        if budget is None:
            return cls()
        number = plain_scalar(budget)
        if isinstance(number, bool) or not isinstance(number, int):
            raise BudgetError(
                "budget",
                f"{a_kind(budget)} is no budget",
                found=budget,
                expected="a number of trials, or Budget(trials=, seconds=, cost=)",
                remedy=f"Write Budget(seconds={number!r})" if isinstance(number, float) else "Write budget=100, say",
            )
        return cls(trials=check_int(number, "budget", BudgetError, at_least=0, remedy="Write budget=100, say"))

    def plus(self, trials: int) -> Budget:
        """This budget with more trials; without a cap on trials, it stays as it is."""
        more = check_int(trials, "Budget.plus(trials)", BudgetError, at_least=0, remedy="Give the number of trials to add")
        return self if self.trials is None else Budget(self.trials + more, self.seconds, self.cost)

    def describe(self) -> dict[str, Any]:
        """The budget as JSON."""
        return {"trials": self.trials, "seconds": self.seconds, "cost": self.cost}


class Spend(NamedTuple):
    """What a run has used of its budget."""

    trials: int = 0
    """Picked."""
    seconds: float = 0.0
    """Active: time between resumes is not counted."""
    cost: float = 0.0
    """Sum of the cost metric."""


class StopReason(StrEnum):
    """Why a run stopped. Where several apply, the first in this order."""

    INTERRUPTED = "interrupted"
    """It was interrupted, or cancelled, before its budget was spent."""
    FAILURE_RATE = "failure_rate"
    """More trials failed than the failure policy tolerates."""
    BUDGET_TIME = "budget_time"
    """Its seconds were spent: the deadline prevented a start, or cut a trial."""
    BUDGET_TRIALS = "budget_trials"
    """All trials of its budget were run."""
    BUDGET_COST = "budget_cost"
    """The cost of its trials reached the budget."""
    STOPPED_BY_SCHEDULER = "stopped_by_scheduler"
    """The scheduler wanted no more trials."""
    ALL_BRANCHES_PRUNED = "all_branches_pruned"
    """Every branch was given up."""
    QUEUE_EMPTY = "queue_empty"
    """The queue of suggestions ran out."""
    OPTIMIZER_EXHAUSTED = "optimizer_exhausted"
    """The optimizer had no more suggestions."""
    EXECUTOR_EXHAUSTED = "executor_exhausted"
    """The executor could start nothing more."""

    @property
    def meaning(self) -> str:
        """The reason in words, for reports."""
        return _MEANINGS[self]

    @property
    def is_bad(self) -> bool:
        """Whether the results should not be used without a look: ``results.raise_for_stop()`` raises."""
        return self in _BAD


_BAD: Final = frozenset({StopReason.INTERRUPTED, StopReason.FAILURE_RATE, StopReason.EXECUTOR_EXHAUSTED})

_MEANINGS: Final = {
    StopReason.INTERRUPTED: "interrupted before the budget was spent",
    StopReason.FAILURE_RATE: "more trials failed than the failure policy tolerates",
    StopReason.BUDGET_TIME: "the time of the budget was spent",
    StopReason.BUDGET_TRIALS: "all trials of the budget were run",
    StopReason.BUDGET_COST: "the cost of the trials reached the budget",
    StopReason.STOPPED_BY_SCHEDULER: "the scheduler wanted no more trials",
    StopReason.ALL_BRANCHES_PRUNED: "every branch was given up",
    StopReason.QUEUE_EMPTY: "the queue of suggestions ran out",
    StopReason.OPTIMIZER_EXHAUSTED: "the optimizer had no more suggestions",
    StopReason.EXECUTOR_EXHAUSTED: "the executor could start nothing more",
}
