"""Distributions over given values: constants, and choices with or without sub-spaces."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Never

from metta_sweep.core.ranges import Distribution, Sampler
from metta_sweep.core.values import NotJson, plain_json
from metta_sweep.errors import SearchSpaceError, a_kind

__all__ = ["Choice", "Constant", "check_parameters", "plain_value", "value_key"]


@dataclass(frozen=True, slots=True, repr=False)
class Constant(Distribution):
    """Always the same value: any JSON value.

    Raises:
        SearchSpaceError: for a value that JSON cannot hold.
    """

    keywords = ("value",)
    value: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", plain_value(self.value, "Constant(value)"))

    def sampler(self) -> Sampler:
        """The value, whatever ``u``."""
        return _giver(self.value)

    def to_unit(self, value: Any) -> float:
        """0.5: every quantile gives the value."""
        return 0.5

    def contains(self, value: object) -> bool:
        """Whether it is that value."""
        return bool(value_key(value) == value_key(self.value))


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Choice(Distribution):
    """One of some options, all equally likely.

    Args:
        options: a sequence of different JSON values; or a mapping of names to sub-spaces, whose parameters are there only where
            that name was chosen: ``Choice({"svm": {"gamma": LogUniform(1e-6, 1e-1)}, "none": {}})``.

    Raises:
        SearchSpaceError: when there are no options, when two are equal, or when one is no JSON value.
    """

    keywords = ("options",)
    options: tuple[Any, ...]
    """The values, in the given order; with sub-spaces their names."""
    spaces: tuple[tuple[tuple[str, Distribution], ...], ...] | None
    """The parameters under each option, where there are sub-spaces."""
    _positions: dict[Any, int] = field(compare=False)

    def __init__(self, options: Sequence[Any] | Mapping[str, Mapping[str, Distribution]], *more: Never) -> None:
        if more:
            raise SearchSpaceError(
                "Choice(options)",
                "its options are one list",
                found=(options, *more),
                expected="a list of values, or a mapping of names to sub-spaces",
                remedy=f"Write Choice({[options, *more]!r})",
            )
        values, spaces = _options(options)
        positions: dict[Any, int] = {}
        for position, value in enumerate(values):
            first = positions.setdefault(value_key(value), position)
            if first != position:
                raise SearchSpaceError(
                    "Choice(options)",
                    f"options {first} and {position} are equal",
                    found=value,
                    expected="different options",
                    remedy="Leave one out",
                )
        put = object.__setattr__
        put(self, "options", values)
        put(self, "spaces", spaces)
        put(self, "_positions", positions)

    def sampler(self) -> Sampler:
        """Option number ``floor(u * len(options))``."""
        options, count, last = self.options, len(self.options), len(self.options) - 1
        if any(isinstance(option, list | dict) for option in options):

            def sample_copy(u: float) -> Any:
                return copy.deepcopy(options[min(int(u * count), last)])

            return sample_copy

        def sample(u: float) -> Any:
            return options[int(u * count) if u < 1.0 else last]

        return sample

    def to_unit(self, value: Any) -> float:
        """``(position + 0.5) / len(options)``.

        Raises:
            ValueError: when it is none of the options.
        """
        position = self.position(value)
        if position is None:
            raise ValueError(f"{value!r} is no option of {self!r}")
        return (position + 0.5) / len(self.options)

    def contains(self, value: object) -> bool:
        """Whether it is one of the options; True is not 1."""
        return self.position(value) is not None

    def position(self, value: object) -> int | None:
        """Which option it is, from 0; None when it is none of them."""
        return self._positions.get(value_key(value))

    def describe(self) -> dict[str, Any]:
        """The options, and the sub-spaces beside them."""
        described: dict[str, Any] = {"distribution": "Choice", "options": list(self.options)}
        if self.spaces is not None:
            described["spaces"] = [{name: inner.describe() for name, inner in space} for space in self.spaces]
        return described

    def __repr__(self) -> str:
        if self.spaces is None:
            return f"Choice({list(self.options)!r})"
        return f"Choice({dict(zip(self.options, map(dict, self.spaces), strict=True))!r})"


def check_parameters(where: str, space: Mapping[Any, Any]) -> tuple[tuple[str, Distribution], ...]:
    """The parameters of one level of a search space; raises ``SearchSpaceError`` for what is no name or no distribution."""
    for name, distribution in space.items():
        if not isinstance(name, str) or not name:
            raise SearchSpaceError(
                where,
                "the name of a parameter must be a non-empty string",
                found=name,
                expected="a name",
                remedy="Name it, such as 'lr'",
            )
        if not isinstance(distribution, Distribution):
            raise SearchSpaceError(
                f"{where}[{name!r}]",
                f"parameter {name!r} is no distribution",
                found=distribution,
                expected="Uniform, LogUniform, Integer, LogInteger, Choice, Permutation, Variants or Constant",
                remedy=_write_instead(distribution),
            )
    return tuple(space.items())


def _write_instead(found: Any) -> str:
    if isinstance(found, type) and issubclass(found, Distribution):
        return f"Give it its arguments, such as {found.__name__}({', '.join(found.keywords)})"
    if isinstance(found, Mapping):
        return "Parameters are flat; put a sub-space under a Choice, such as Choice({'svm': {...}})"
    if isinstance(found, tuple) and len(found) == 2:
        return f"Write Uniform{found!r} for a range, Choice({list(found)!r}) for two options"
    if isinstance(found, Iterable) and not isinstance(found, str | bytes):
        return f"Write Choice({list(found)!r})" if isinstance(found, Sequence) else "Write Choice([...])"
    if isinstance(found, str | int | float) or found is None:
        return f"Write Constant({found!r})"
    return "Write Uniform(lower, upper), say"


def _options(options: Any) -> tuple[tuple[Any, ...], tuple[tuple[tuple[str, Distribution], ...], ...] | None]:
    where = "Choice(options)"
    if isinstance(options, Mapping):
        _refuse_empty(options, where)
        return tuple(options), tuple(_sub_space(name, space) for name, space in options.items())
    if callable(getattr(options, "tolist", None)):
        options = options.tolist()
    if isinstance(options, str | bytes) or not isinstance(options, Sequence):
        raise SearchSpaceError(
            where,
            f"{a_kind(options)} is no sequence of options",
            found=options,
            expected="a list of values, or a mapping of names to sub-spaces",
            remedy=f"Write Choice([{options!r}])" if isinstance(options, str) else "Write Choice([...])",
        )
    _refuse_empty(options, where)
    return tuple(plain_value(option, f"Choice(options[{position}])") for position, option in enumerate(options)), None


def _refuse_empty(options: Sequence[Any] | Mapping[str, Any], where: str) -> None:
    if not options:
        raise SearchSpaceError(where, "there are no options", found=options, expected="at least one option", remedy="Add an option")


def _sub_space(name: object, space: object) -> tuple[tuple[str, Distribution], ...]:
    if not isinstance(name, str) or not name:
        raise SearchSpaceError(
            "Choice(options)",
            "the name of a sub-space must be a non-empty string",
            found=name,
            expected="a name",
            remedy=f"Write {str(name)!r}",
        )
    if not isinstance(space, Mapping):
        raise SearchSpaceError(
            f"Choice(options[{name!r}])",
            f"what stands under {name!r} is no sub-space",
            found=space,
            expected="a mapping of parameter names to distributions, {} for none",
            remedy="Write Choice([...]) for plain options",
        )
    return check_parameters(f"Choice(options[{name!r}])", space)


def plain_value(value: Any, where: str) -> Any:
    """A copy made of JSON values; raises ``SearchSpaceError`` for what JSON cannot hold."""
    try:
        return plain_json(value)
    except NotJson as fault:
        raise SearchSpaceError(
            f"{where}{fault.path}",
            f"it {fault.what}",
            found=fault.found,
            expected="a JSON value: text, a finite number, a bool, None, or lists and dicts of these",
            remedy="Give a name instead, and look the object up in the trial function",
        ) from None


def value_key(value: Any) -> Any:
    """What makes two values the same option: equal numbers are, True and 1 are not."""
    kind = type(value)
    if kind is str or kind is int or kind is float or value is None:
        return value
    if kind is bool:
        return (kind, value)
    try:
        plain = plain_json(value)
    except NotJson:
        return (object, id(value))
    return json.dumps((plain,), sort_keys=True).encode() if isinstance(plain, list | dict) else value_key(plain)


def _giver(value: Any) -> Sampler:
    if isinstance(value, list | dict):
        return lambda _u: copy.deepcopy(value)
    return lambda _u: value
