"""Discounted UCB as a picker of the iteration scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Never

from metta_sweep.core.discounted import DiscountedArms, DiscountedIndex
from metta_sweep.core.distributions import Distribution, Integer, Uniform
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.setup import Setup
from metta_sweep.errors import SchedulerError, refuse_unknown
from metta_sweep.schedulers.checks import check_count, check_number
from metta_sweep.schedulers.picking import BranchPicker

__all__ = ["DiscountedUCB", "checked_discount"]

_OPTIONS: Final = ("discount", "c", "warm_up")


class DiscountedUCB(BranchPicker):
    """Prefers the branch with the highest UCB score of discounted rewards: for branches that get better or worse with time.

    After each result all counts and sums are multiplied by ``discount``, and the result is added to its branch's; the score is
    ``S / N + c * sqrt(ln(sum(N) + 1) / N)``. Each branch is run ``warm_up`` times first. Equal scores (within 1e-12) are drawn by
    the run's seed. Pending trials count as runs with their branch's mean; with one slot this is pulseopt 0.3.

    Args:
        discount: what a result counts for after each later one, above 0 and at most 1. 0.95 remembers about 20 results.
        c: exploration weight, at least 0; 0 is greedy.
        warm_up: runs that each branch has before scores count.

    Raises:
        SchedulerError: a setting is out of its range.
    """

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "discount": Uniform(0.8, 1.0),
        "c": Uniform(0.0, 4.0),
        "warm_up": Integer(1, 3),
    }

    def __init__(self, discount: float = 0.95, c: float = 1.0, warm_up: int = 1, **unknown: Never) -> None:
        refuse_unknown("DiscountedUCB", unknown, _OPTIONS)
        self.discount = checked_discount("DiscountedUCB", discount)
        self.c = check_number("DiscountedUCB(c=)", c, least=0, example=1.0)
        self.warm_up = check_count("DiscountedUCB(warm_up=)", warm_up, least=0, example=1)

    def begin(self, setup: Setup) -> DiscountedIndex[str]:
        """The rule without history, for one run."""
        return DiscountedIndex(DiscountedArms(self.discount, self.c, self.warm_up), derive_seed(setup.seed, "picker"))


def checked_discount(kind: str, discount: object) -> float:
    """A discount above 0 and at most 1."""
    number = check_number(f"{kind}(discount=)", discount, example=0.95)
    if not 0 < number <= 1:
        raise SchedulerError(
            f"{kind}(discount=)",
            "it is no discount",
            found=discount,
            expected="above 0, at most 1",
            remedy="Write 0.95 to remember about 20 results, or 1 to forget nothing",
        )
    return number
