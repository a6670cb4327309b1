"""What a distribution is, and those over ranges of numbers.

Each turns one uniform float into a value by its inverse cumulative distribution function, so that random, quasi-random and
replayed draws are the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Self

from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.core.values import plain_scalar
from metta_sweep.errors import SearchSpaceError, refuse_unknown

__all__ = ["Distribution", "Integer", "LogInteger", "LogUniform", "Sampler", "Uniform"]

Sampler = Callable[[float], Any]
"""A function of one uniform float in [0, 1)."""

MAX_INTEGER: Final = 2**63 - 1
_LARGEST_UNIT: Final = 1.0 - 2.0**-53


class Distribution:
    """What a parameter may be. Immutable; made of plain JSON values."""

    __slots__ = ()
    keywords: ClassVar[tuple[str, ...]] = ("lower", "upper")

    def __new__(cls, *_args: object, **named: object) -> Self:
        """Refuse keywords that people bring from elsewhere, with "did you mean"."""
        refuse_unknown(cls.__name__, [name for name in named if name not in cls.keywords], cls.keywords)
        return object.__new__(cls)

    def sampler(self) -> Sampler:
        """The inverse cumulative distribution function, with everything that can be computed before computed."""
        raise NotImplementedError

    def from_unit(self, u: float) -> Any:
        """The value at quantile ``u`` in [0, 1)."""
        return self.sampler()(u)

    def to_unit(self, value: Any) -> float:
        """A quantile in [0, 1) at which ``from_unit`` gives ``value`` again; the middle one, where many do."""
        raise NotImplementedError

    def contains(self, value: object) -> bool:
        """Whether ``value`` can be drawn. Bools are not numbers; numpy scalars are what they hold."""
        raise NotImplementedError

    def fault(self, value: object) -> str:
        """What is wrong with a value that cannot be drawn, in words that follow it."""
        return f"lies outside {self!r}"

    def describe(self) -> dict[str, Any]:
        """The distribution as JSON."""
        return {"distribution": type(self).__name__, **{item.name: getattr(self, item.name) for item in fields(self)}}  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([repr(getattr(self, name)) for name in self.keywords])})"


@dataclass(frozen=True, slots=True, repr=False)
class Uniform(Distribution):
    """Any float between ``lower`` and ``upper``, both finite, ``lower < upper``.

    Raises:
        SearchSpaceError: for other bounds.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        _set_float_bounds(self, self.lower, self.upper)

    def sampler(self) -> Sampler:
        """``lower + u * (upper - lower)``."""
        lower, upper, span = self.lower, self.upper, self.upper - self.lower

        def sample(u: float) -> float:
            value = lower + u * span
            return value if lower <= value <= upper else max(lower, min(upper, value))

        return sample

    def to_unit(self, value: Any) -> float:
        """``(value - lower) / (upper - lower)``."""
        return _below_one((value - self.lower) / (self.upper - self.lower))

    def contains(self, value: object) -> bool:
        """Whether it is a number within the bounds."""
        return _is_within(value, self.lower, self.upper)


@dataclass(frozen=True, slots=True, repr=False)
class LogUniform(Distribution):
    """Any float between ``lower`` and ``upper``, uniform in its logarithm; ``0 < lower < upper``, both finite.

    Raises:
        SearchSpaceError: for other bounds.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        _set_float_bounds(self, self.lower, self.upper, above=0)

    def sampler(self) -> Sampler:
        """``exp(log(lower) + u * (log(upper) - log(lower)))``, kept within the bounds."""
        lower, upper, start, exp = self.lower, self.upper, math.log(self.lower), math.exp
        span = math.log(upper) - start

        def sample(u: float) -> float:
            value = exp(start + u * span)
            return value if lower <= value <= upper else max(lower, min(upper, value))

        return sample

    def to_unit(self, value: Any) -> float:
        """``log(value / lower) / log(upper / lower)``."""
        start = math.log(self.lower)
        return _below_one((math.log(value) - start) / (math.log(self.upper) - start))

    def contains(self, value: object) -> bool:
        """Whether it is a number within the bounds."""
        return _is_within(value, self.lower, self.upper)


@dataclass(frozen=True, slots=True, repr=False)
class Integer(Distribution):
    """Any whole number from ``lower`` to ``upper``, both included, all equally likely.

    Raises:
        SearchSpaceError: for bounds that are not whole numbers, or in the wrong order.
    """

    lower: int
    upper: int

    def __post_init__(self) -> None:
        _set_int_bounds(self, self.lower, self.upper, at_least=-MAX_INTEGER)

    def sampler(self) -> Sampler:
        """``lower + floor(u * (upper - lower + 1))``, exactly."""
        lower, upper, count = self.lower, self.upper, self.upper - self.lower + 1

        def sample(u: float) -> int:
            # in whole numbers: u * count as a float would miss values of ranges beyond 2**53
            return lower + ((int(u * 0x20000000000000) * count) >> 53) if u < 1.0 else upper

        return sample

    def to_unit(self, value: Any) -> float:
        """``(value - lower + 0.5) / (upper - lower + 1)``."""
        return _below_one((value - self.lower + 0.5) / (self.upper - self.lower + 1))

    def contains(self, value: object) -> bool:
        """Whether it is a whole number within the bounds, and not a float."""
        return _is_whole_within(value, self.lower, self.upper)


@dataclass(frozen=True, slots=True, repr=False)
class LogInteger(Distribution):
    """Any whole number from ``lower`` to ``upper``, both included, about uniform in its logarithm; ``lower >= 1``.

    Drawn as a log-uniform float between ``lower - 0.5`` and ``upper + 0.5``, rounded.

    Raises:
        SearchSpaceError: for bounds that are not whole numbers, below 1, or in the wrong order.
    """

    lower: int
    upper: int

    def __post_init__(self) -> None:
        _set_int_bounds(self, self.lower, self.upper, at_least=1)

    def sampler(self) -> Sampler:
        """``round(exp(log(lower - 0.5) + u * (log(upper + 0.5) - log(lower - 0.5))))``, kept within the bounds."""
        lower, upper, start, exp = self.lower, self.upper, math.log(self.lower - 0.5), math.exp
        span = math.log(upper + 0.5) - start

        def sample(u: float) -> int:
            value = round(exp(start + u * span))
            return value if lower <= value <= upper else max(lower, min(upper, value))

        return sample

    def to_unit(self, value: Any) -> float:
        """Where ``log(value)`` lies between ``log(lower - 0.5)`` and ``log(upper + 0.5)``."""
        start = math.log(self.lower - 0.5)
        return _below_one((math.log(value) - start) / (math.log(self.upper + 0.5) - start))

    def contains(self, value: object) -> bool:
        """Whether it is a whole number within the bounds, and not a float."""
        return _is_whole_within(value, self.lower, self.upper)


def _below_one(u: float) -> float:
    return min(max(u, 0.0), _LARGEST_UNIT)


def _set_float_bounds(distribution: Uniform | LogUniform, lower: object, upper: object, above: float | None = None) -> None:
    kind = type(distribution).__name__
    low = float(check_number(lower, f"{kind}(lower)", SearchSpaceError, above=above, remedy=_bound_remedy(kind, above)))
    high = float(check_number(upper, f"{kind}(upper)", SearchSpaceError, above=above, remedy=_bound_remedy(kind, above)))
    if low >= high:
        equal = low == high
        raise SearchSpaceError(
            f"{kind}(lower, upper)",
            "lower and upper are equal" if equal else "lower lies above upper",
            found=(low, high),
            expected="lower < upper",
            remedy=f"Write Constant({low!r})" if equal else f"Write {kind}({high!r}, {low!r})",
        )
    if not math.isfinite(high - low):
        raise SearchSpaceError(
            f"{kind}(lower, upper)",
            "the range is too wide for floats",
            found=(low, high),
            expected="upper - lower < 1.8e308",
            remedy="Narrow it",
        )
    object.__setattr__(distribution, "lower", low)
    object.__setattr__(distribution, "upper", high)


def _bound_remedy(kind: str, above: float | None) -> str:
    if above is None:
        return f"Write {kind}(0.0, 1.0), say"
    return f"Write Uniform(lower, upper) for a range that touches zero; bounds are values, not exponents: {kind}(1e-4, 1e-1)"


def _set_int_bounds(distribution: Integer | LogInteger, lower: object, upper: object, at_least: int) -> None:
    kind = type(distribution).__name__
    remedy = f"Write {kind}(1, 10), say; Uniform(lower, upper) gives floats"
    low = check_int(lower, f"{kind}(lower)", SearchSpaceError, at_least=at_least, at_most=MAX_INTEGER, remedy=remedy)
    high = check_int(upper, f"{kind}(upper)", SearchSpaceError, at_least=at_least, at_most=MAX_INTEGER, remedy=remedy)
    if low > high:
        raise SearchSpaceError(
            f"{kind}(lower, upper)",
            "lower lies above upper",
            found=(low, high),
            expected="lower <= upper",
            remedy=f"Write {kind}({high!r}, {low!r})",
        )
    object.__setattr__(distribution, "lower", low)
    object.__setattr__(distribution, "upper", high)


def _is_within(value: object, lower: float, upper: float) -> bool:
    number = plain_scalar(value)
    return isinstance(number, int | float) and not isinstance(number, bool) and lower <= number <= upper


def _is_whole_within(value: object, lower: int, upper: int) -> bool:
    number = plain_scalar(value)
    return isinstance(number, int) and not isinstance(number, bool) and lower <= number <= upper
