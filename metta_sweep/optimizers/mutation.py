"""Children of points of a search space: of one parent and changed a little, or of two."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from operator import itemgetter
from random import Random
from typing import Any, Final

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, Permutation
from metta_sweep.core.levels import Level, active_parameters
from metta_sweep.optimizers.orders import of_both, reordered

__all__ = ["crossed", "mutated"]

_NONE: Final[Mapping[str, Any]] = {}
_LAST: Final = math.nextafter(1.0, 0.0)


def mutated(
    level: Level, params: Mapping[str, Any], rng: Random, *, scale: float, fixed: Mapping[str, Any] = _NONE
) -> dict[str, Any]:
    """A point that differs from its parent in one parameter on average, and in one at least where any can change.

    Parameters are looked at by name, so that the order in which a space is written does not matter.

    Args:
        level: the parameters at the top of the space.
        params: the parent, a point of the space.
        rng: where the randomness comes from.
        scale: the standard deviation of the step of a number, in quantiles.
        fixed: values that every child has.
    """
    able = sorted(
        name for name, distribution in active_parameters(level, params) if name not in fixed and _can_change(distribution)
    )
    changing = {name for name in able if rng.random() < 1.0 / len(able)}
    if able and not changing:
        changing = {rng.choice(able)}
    made = _child(level, params, changing, rng, scale, fixed)
    return {name: made[name] for name, _ in active_parameters(level, made)}


def crossed(level: Level, one: Mapping[str, Any], other: Mapping[str, Any], rng: Random) -> dict[str, Any]:
    """A point whose parameters are each that of one of its parents, with equal chances.

    Orders that differ are crossed themselves (``orders.of_both``).
    What stands under a choice comes from the parent whose option it is; from both, where they have the same.
    """
    made: dict[str, Any] = {}
    for name, distribution in _by_name(level):
        source = one if rng.random() < 0.5 else other
        made[name] = source[name]
        if isinstance(distribution, Permutation) and one[name] != other[name]:
            made[name] = of_both(distribution, source[name], other[name] if source is one else one[name], rng)
        if isinstance(distribution, Choice) and distribution.spaces is not None:
            space = _below(distribution, source[name])
            if one[name] == other[name]:
                made.update(crossed(space, one, other, rng))
            else:
                made.update((inner, source[inner]) for inner, _ in active_parameters(space, source))
    return made


def _child(
    level: Level, params: Mapping[str, Any], changing: set[str], rng: Random, scale: float, fixed: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters of the level and below; those that the parent does not have are drawn."""
    made: dict[str, Any] = {}
    for name, distribution in _by_name(level):
        if name in fixed:
            made[name] = _own(fixed[name])
        elif name not in params:
            made[name] = distribution.from_unit(rng.random())
        elif name in changing:
            made[name] = _changed(distribution, params[name], rng, scale)
        else:
            made[name] = _own(params[name])
    for name, distribution in _by_name(level):
        if isinstance(distribution, Choice) and distribution.spaces is not None:
            same = name in params and params[name] == made[name]
            made.update(_child(_below(distribution, made[name]), params if same else _NONE, changing, rng, scale, fixed))
    return made


def _by_name(level: Level) -> Level:
    return tuple(sorted(level, key=itemgetter(0)))


def _own(value: Any) -> Any:
    """The value; a copy where another trial could change it."""
    return copy.deepcopy(value) if isinstance(value, list | dict) else value


def _can_change(distribution: Distribution) -> bool:
    if isinstance(distribution, Choice):
        return len(distribution.options) > 1
    if isinstance(distribution, Integer | LogInteger):
        return distribution.upper > distribution.lower
    return not isinstance(distribution, Constant)


def _changed(distribution: Distribution, value: Any, rng: Random, scale: float) -> Any:
    if isinstance(distribution, Choice):
        other = rng.randrange(len(distribution.options) - 1)
        other += other >= (distribution.position(value) or 0)
        return _own(distribution.options[other])
    if isinstance(distribution, Permutation):
        return reordered(distribution, value, rng)
    moved = distribution.from_unit(_reflected(distribution.to_unit(value) + rng.gauss(0.0, scale)))
    if moved == value and isinstance(distribution, Integer | LogInteger):
        step = rng.choice((-1, 1))
        return value + step if distribution.lower <= value + step <= distribution.upper else value - step
    return moved


def _reflected(u: float) -> float:
    """The quantile on this side of the bounds that lies as far from them."""
    u = abs(u) % 2.0
    return min(2.0 - u if u > 1.0 else u, _LAST)


def _below(choice: Choice, option: Any) -> Level:
    position = choice.position(option)
    return () if choice.spaces is None or position is None else choice.spaces[position]
