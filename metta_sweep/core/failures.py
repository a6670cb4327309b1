"""What failed attempts lead to: further attempts, waiting in between, and the end of a run in which too much fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Never

from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.errors import BudgetError, refuse_unknown

__all__ = ["FailurePolicy"]

_OPTIONS: Final = ("retries", "backoff", "tolerated_rate", "min_failed")


@dataclass(frozen=True, slots=True, init=False)
class FailurePolicy:
    """What failed attempts lead to.

    Args:
        retries: attempts of a trial after its first failed one.
        backoff: seconds before a retry: a number, doubled with each further retry (``backoff * 2**(k - 1)`` before retry ``k``),
            or a sequence with one delay per retry, the last of which repeats.
        tolerated_rate: the share of failed among dispatched trials above which (strictly) the run stops; 1.0 never stops it.
        min_failed: the number of failed trials below which the rate is not looked at.

    Raises:
        BudgetError: for numbers outside those ranges.
    """

    retries: int
    backoff: float | Sequence[float]
    tolerated_rate: float
    min_failed: int

    def __init__(
        self,
        retries: int = 0,
        backoff: float | Sequence[float] = 0.0,
        tolerated_rate: float = 0.5,
        min_failed: int = 5,
        **unknown: Never,
    ) -> None:
        put, where = object.__setattr__, "FailurePolicy"
        refuse_unknown(where, unknown, _OPTIONS)
        remedy = "Write 0 for no retries"
        put(self, "retries", check_int(retries, f"{where}(retries=)", BudgetError, at_least=0, remedy=remedy))
        put(self, "backoff", _delays(backoff, f"{where}(backoff=)"))
        remedy = "Give a share, such as 0.5 for half of the trials"
        rate = check_number(tolerated_rate, f"{where}(tolerated_rate=)", BudgetError, at_least=0, at_most=1, remedy=remedy)
        put(self, "tolerated_rate", rate)
        remedy = "Write 1 to look at the rate from the first failure on"
        put(self, "min_failed", check_int(min_failed, f"{where}(min_failed=)", BudgetError, at_least=1, remedy=remedy))

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number ``attempt`` (from 1), before the next one."""
        if isinstance(self.backoff, Sequence):
            return self.backoff[min(attempt, len(self.backoff)) - 1] if self.backoff else 0.0
        if not self.backoff:
            return 0.0
        # a doubled delay leaves the range of floats after a thousand retries; it has been for ever long before
        return self.backoff * 2.0 ** min(attempt - 1, 64)

    def exceeded(self, failed: int, dispatched: int) -> bool:
        """Whether more of the dispatched trials failed than is tolerated."""
        return failed >= self.min_failed and dispatched > 0 and failed / dispatched > self.tolerated_rate

    def describe(self) -> dict[str, Any]:
        """The policy as JSON."""
        backoff = list(self.backoff) if isinstance(self.backoff, Sequence) else self.backoff
        return {"retries": self.retries, "backoff": backoff, "tolerated_rate": self.tolerated_rate, "min_failed": self.min_failed}


def _delays(backoff: object, where: str) -> float | tuple[float, ...]:
    remedy = "Give seconds, such as 1.0, or one delay per retry, such as (1.0, 10.0)"
    if isinstance(backoff, list | tuple):
        if not backoff:
            raise BudgetError(
                where, "there is no delay in it", found=backoff, expected="at least one delay in seconds", remedy=remedy
            )
        return tuple(
            check_number(delay, f"{where} at position {position}", BudgetError, at_least=0, remedy=remedy)
            for position, delay in enumerate(backoff)
        )
    return check_number(backoff, where, BudgetError, at_least=0, remedy=remedy)
