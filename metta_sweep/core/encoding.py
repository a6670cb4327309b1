"""Points of a search space as vectors in the unit cube, which models learn from, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, Permutation
from metta_sweep.core.levels import Level
from metta_sweep.core.ranges import Sampler
from metta_sweep.core.search_space import SearchSpace

__all__ = ["INACTIVE", "Axis", "Encoding"]

INACTIVE = 0.5
"""Where the coordinates of a parameter stand that is not there."""


class Axis(NamedTuple):
    """The coordinates of one parameter."""

    name: str
    distribution: Distribution
    start: int
    """Its first coordinate."""
    width: int
    """How many it has: one for numbers, one per option or item for choices and orders, none for what has a single value."""
    inner: tuple[tuple[Axis, ...], ...]
    """The axes of the sub-spaces under a choice, by option."""
    sample: Sampler

    @property
    def is_choice(self) -> bool:
        """Whether each option has a coordinate of its own."""
        return self.width > 1 and isinstance(self.distribution, Choice)

    @property
    def is_order(self) -> bool:
        """Whether each item has a coordinate of its own: its place."""
        return isinstance(self.distribution, Permutation)

    @property
    def steps(self) -> int | None:
        """How many values it can take; None for floats and orders."""
        return _size(self.distribution)


class Encoding:
    """Turns parameters into vectors of floats in [0, 1], and such vectors into parameters.

    Numbers stand at their quantile (``to_unit``), so that log scales are straight; a choice has one coordinate per option, 1.0 for
    the chosen one and 0.0 for the others; an order has one per item, from 0.0 for the first to 1.0 for the last; a parameter that
    is not there stands at 0.5, and the coordinates of its choice tell why. Parameters of one name under different alternatives have
    coordinates of their own. Constants have none.

    Args:
        space: the search space.
        ordered_choices: whether choices between ascending numbers are one coordinate: their position in equal steps.
    """

    def __init__(self, space: SearchSpace, *, ordered_choices: bool = False) -> None:
        self.space = space
        self._ordered = ordered_choices
        self._width = 0
        self.axes = self._lay_out(space.top)
        """Of the parameters that are always there; those of sub-spaces are inside."""
        self.width: int = self._width
        """How many coordinates a vector has."""

    def encode(self, params: Mapping[str, Any]) -> list[float]:
        """The vector of these parameters. Values that differ only by rounding of their quantile give the same one."""
        vector = [INACTIVE] * self.width
        _write(self.axes, params, vector)
        return vector

    def decode(self, vector: Sequence[float]) -> dict[str, Any]:
        """The parameters nearest to a vector: numbers at their quantile, whole ones rounded; the option that weighs most.

        The items of an order come by their coordinates, the smallest first (SOURCE: Bean 1994, random keys).
        """
        params: dict[str, Any] = {}
        _read(self.axes, vector, params)
        return params

    def decode_within(self, vector: Sequence[float], fixed: Mapping[str, Any]) -> dict[str, Any]:
        """The same with these parameters ``fixed``."""
        params: dict[str, Any] = {}
        _read(self.axes, vector, params, fixed)
        return params

    def active_axes(self, params: Mapping[str, Any]) -> Iterator[Axis]:
        """The axes of the parameters that are there, but for those with a single value."""
        return _active(self.axes, params)

    def all_axes(self) -> Iterator[Axis]:
        """All axes, depth first."""
        return _every(self.axes)

    def _lay_out(self, level: Level) -> tuple[Axis, ...]:
        axes: list[Axis] = []
        for name, distribution in level:
            start, width = self._width, self._width_of(distribution)
            self._width += width
            spaces = (distribution.spaces or ()) if isinstance(distribution, Choice) else ()
            inner = tuple([self._lay_out(space) for space in spaces])
            axes.append(Axis(name, distribution, start, width, inner, distribution.sampler()))
        return tuple(axes)

    def _width_of(self, distribution: Distribution) -> int:
        if isinstance(distribution, Permutation):
            return len(distribution.items)
        steps = _size(distribution)
        if steps == 1:
            return 0
        if isinstance(distribution, Choice) and not (self._ordered and _ascends(distribution)):
            return len(distribution.options)
        return 1


def _size(distribution: Distribution) -> int | None:
    if isinstance(distribution, Choice):
        return len(distribution.options)
    if isinstance(distribution, Integer | LogInteger):
        return distribution.upper - distribution.lower + 1
    return 1 if isinstance(distribution, Constant) else None


def _ascends(choice: Choice) -> bool:
    options = choice.options
    if choice.spaces is not None or any(isinstance(option, bool) or not isinstance(option, int | float) for option in options):
        return False
    return all(before < after for before, after in pairwise(options))


def _write(axes: tuple[Axis, ...], params: Mapping[str, Any], vector: list[float]) -> None:
    for name, distribution, start, width, inner, _ in axes:
        value = params[name]
        if width == 1:
            vector[start] = distribution.to_unit(value)
            continue
        if isinstance(distribution, Permutation):
            last = width - 1
            for number, place in enumerate(distribution.places(value) or ()):
                vector[start + place] = number / last
            continue
        if isinstance(distribution, Choice):
            position = distribution.position(value) or 0
            if width:
                vector[start : start + width] = [0.0] * width
                vector[start + position] = 1.0
            if inner:
                _write(inner[position], params, vector)


def _read(axes: tuple[Axis, ...], vector: Sequence[float], params: dict[str, Any], fixed: Mapping[str, Any] | None = None) -> None:
    # a level first and then what is inside, as the search space draws them
    for name, distribution, start, width, _, sample in axes:
        if fixed and name in fixed:
            params[name] = fixed[name]
        elif width > 1 and isinstance(distribution, Choice):
            weights = vector[start : start + width]
            params[name] = sample((max(range(width), key=weights.__getitem__) + 0.5) / width)
        elif isinstance(distribution, Permutation):
            params[name] = distribution.of_places(sorted(range(width), key=vector[start : start + width].__getitem__))
        else:
            params[name] = sample(min(max(float(vector[start]), 0.0), 1.0 - 2.0**-53) if width else INACTIVE)
    for name, distribution, _, _, inner, _ in axes:
        if inner and isinstance(distribution, Choice):
            _read(inner[distribution.position(params[name]) or 0], vector, params, fixed)


def _active(axes: tuple[Axis, ...], params: Mapping[str, Any]) -> Iterator[Axis]:
    for axis in axes:
        if axis.width:
            yield axis
        if axis.inner and isinstance(axis.distribution, Choice):
            yield from _active(axis.inner[axis.distribution.position(params[axis.name]) or 0], params)


def _every(axes: tuple[Axis, ...]) -> Iterator[Axis]:
    for axis in axes:
        yield axis
        for inner in axis.inner:
            yield from _every(inner)
