"""Checks of settings that are numbers or flags, so that every room refuses the same things in the same words."""

from __future__ import annotations

import math

from metta_sweep.core.values import plain_scalar
from metta_sweep.errors import InvalidInput, a_kind

__all__ = ["check_flag", "check_int", "check_number"]


def check_number(
    value: object,
    where: str,
    error: type[InvalidInput],
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    remedy: str | None = None,
) -> float:
    """The finite number as a plain int or float; raises ``error`` for bools, text, NaN, infinities and what lies outside."""
    expected = "a finite number" + _range(at_least, above, at_most)
    number = plain_scalar(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise error(where, f"{a_kind(value)} is not a number", found=value, expected=expected, remedy=remedy)
    if not _finite(number):
        raise error(where, "it is not finite", found=value, expected=expected, remedy=remedy)
    _check_range(number, where, error, (at_least, above, at_most), expected, remedy)
    return number


def check_int(
    value: object,
    where: str,
    error: type[InvalidInput],
    *,
    at_least: int | None = None,
    at_most: int | None = None,
    remedy: str | None = None,
) -> int:
    """The value as a plain int; raises ``error`` for bools, floats, text and what lies outside."""
    expected = "a whole number" + _range(at_least, None, at_most)
    number = plain_scalar(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise error(where, f"{a_kind(value)} is not a whole number", found=value, expected="a whole number", remedy=remedy)
    _check_range(number, where, error, (at_least, None, at_most), expected, remedy)
    return number


def check_flag(value: object, where: str, error: type[InvalidInput], *, remedy: str | None = None) -> bool:
    """The value, which is True or False; raises ``error`` for anything else, 0 and 1 included."""
    if isinstance(value, bool):
        return value
    raise error(where, f"{a_kind(value)} is neither True nor False", found=value, expected="True or False", remedy=remedy)


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _check_range(
    number: float,
    where: str,
    error: type[InvalidInput],
    bounds: tuple[float | None, float | None, float | None],
    expected: str,
    remedy: str | None,
) -> None:
    at_least, above, at_most = bounds
    if at_least is not None and number < at_least:
        raise error(where, f"it is below {at_least}", found=number, expected=expected, remedy=remedy)
    if above is not None and number <= above:
        raise error(where, f"it is not above {above}", found=number, expected=expected, remedy=remedy)
    if at_most is not None and number > at_most:
        raise error(where, f"it is above {at_most}", found=number, expected=expected, remedy=remedy)


def _range(at_least: float | None, above: float | None, at_most: float | None) -> str:
    parts = [f"{sign} {bound}" for sign, bound in ((">=", at_least), (">", above), ("<=", at_most)) if bound is not None]
    return " " + " and ".join(parts) if parts else ""
