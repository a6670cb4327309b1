"""The policy that says how often a failed stage is tried again, and when."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from metta_sweep.errors import HookError, refuse_unknown

__all__ = ["Retry", "as_retry", "is_number"]


def is_number(value: object) -> bool:
    """Whether it is an int or float, no bool, not NaN, and no int beyond all floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return not math.isnan(value)
    except OverflowError:
        return False


@dataclass(frozen=True, slots=True)
class Retry:
    """Try a failed stage again.

    Args:
        retries: attempts after the first one.
        backoff: seconds before the first of them; doubled for each further one.
        jitter: the part of each delay that is drawn at random, between 0 and 1.
        on: the exceptions that are worth another attempt. Cancellation and contract errors never are.
        max_backoff: the longest delay in seconds.
    """

    retries: int
    backoff: float = 0.0
    jitter: float = 0.0
    on: type[Exception] | tuple[type[Exception], ...] = Exception
    max_backoff: float = 60.0

    if not TYPE_CHECKING:  # type checkers know what it takes

        def __new__(cls, *args: Any, **options: Any) -> Any:  # noqa: D102  # it only refuses what nothing takes
            refuse_unknown("Retry", [name for name in options if name not in cls.__dataclass_fields__], cls.__dataclass_fields__)
            return object.__new__(cls)

    def __post_init__(self) -> None:
        where = "Retry({})".format
        if isinstance(self.retries, bool) or not isinstance(cast("object", self.retries), int) or self.retries < 0:
            raise HookError(
                where("retries="),
                "this is no number of retries",
                found=self.retries,
                expected="an int of at least 0",
                remedy="Write Retry(3) for up to three more attempts",
            )
        for name, top in (("backoff", math.inf), ("max_backoff", math.inf), ("jitter", 1.0)):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= top or math.isinf(value):
                expected = "a number between 0 and 1" if top == 1.0 else "a finite number of seconds, at least 0"
                raise HookError(
                    where(f"{name}="), "the value cannot be used", found=value, expected=expected, remedy=f"Write {name}=0.5"
                )
        kinds = self.on if isinstance(self.on, tuple) else (self.on,)
        if not kinds or not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            raise HookError(
                where("on="),
                "these are no exceptions",
                found=self.on,
                expected="a subclass of Exception, or a tuple of some",
                remedy="Write on=(ConnectionError, TimeoutError)",
            )

    def delay(self, attempt: int, seed: int) -> float:
        """Seconds to wait after attempt ``attempt`` (from 1) failed: ``d = min(backoff * 2**(attempt-1), max_backoff)``, jittered.

        With jitter it is drawn uniformly from ``[d * (1 - jitter), d]``, by the seed and the attempt.
        """
        base = min(self.backoff * 2.0 ** min(attempt - 1, 64), self.max_backoff)
        if not base or not self.jitter:
            return base
        return base * (1.0 - self.jitter * random.Random(seed + attempt).random())  # noqa: S311


def as_retry(value: int | Retry | None) -> Retry | None:
    """The policy that ``retry=`` stands for; None when there is nothing to retry."""
    if value is None:
        return None
    policy = value if isinstance(value, Retry) else Retry(value)
    return policy if policy.retries else None
