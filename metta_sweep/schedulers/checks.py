"""Checks of schedulers' settings: each bad value gets one error with parameter, value, what is allowed and a remedy."""

from __future__ import annotations

import inspect
from math import isfinite
from numbers import Integral, Real
from typing import Any

from metta_sweep.errors import SchedulerError, a_kind, did_you_mean

__all__ = ["check_callable", "check_choice", "check_count", "check_number"]


def check_number(where: str, value: object, *, least: float | None = None, example: float) -> float:
    """A finite number, at least ``least``."""
    expected = "a finite number" if least is None else f"a finite number, at least {least:g}"
    remedy = f"Write {example:g}, say"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise SchedulerError(where, f"{a_kind(value)} is no number", found=value, expected=expected, remedy=remedy)
    if not isfinite(value):
        raise SchedulerError(where, "the number is not finite", found=value, expected=expected, remedy=remedy)
    if least is not None and value < least:
        raise SchedulerError(where, "the number is too small", found=value, expected=expected, remedy=remedy)
    return float(value)


def check_count(where: str, value: Any, *, least: int = 1, example: int) -> int:
    """A whole number, at least ``least``."""
    expected, remedy = f"a whole number, at least {least}", f"Write {example}, say"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise SchedulerError(where, f"{a_kind(value)} is no whole number", found=value, expected=expected, remedy=remedy)
    if value < least:
        raise SchedulerError(where, "the number is too small", found=value, expected=expected, remedy=remedy)
    return int(value)


def check_choice(where: str, value: Any, allowed: tuple[str, ...]) -> None:
    """One of the allowed words."""
    if value not in allowed:
        guess = did_you_mean(value, allowed) if isinstance(value, str) else None
        raise SchedulerError(
            where,
            "unknown option",
            found=value,
            expected=" or ".join(map(repr, allowed)),
            remedy=f"Did you mean {guess!r}?" if guess else f"Write {allowed[0]!r}",
        )


def check_callable(where: str, value: Any, shape: str) -> None:
    """Something that can be called without being awaited; ``shape`` shows how it is called."""
    if not callable(value):
        raise SchedulerError(
            where,
            f"{a_kind(value)} cannot be called",
            found=value,
            expected=shape,
            remedy="Pass the function itself, uncalled",
        )
    if inspect.iscoroutinefunction(value):
        raise SchedulerError(
            where,
            "it is a coroutine function, and decisions do not wait",
            found=value,
            expected=shape,
            remedy="Write it without 'async'",
        )
