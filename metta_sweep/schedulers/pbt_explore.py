"""How a member of a population changes the parameters that it has copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from metta_sweep.core.distributions import Choice, Constant, Distribution, Permutation
from metta_sweep.core.levels import Level
from metta_sweep.core.ranges import Integer, LogInteger, LogUniform, Uniform

__all__ = ["Explorer"]

Draw = Callable[[str], list[float]]
"""Three uniform floats for a parameter: whether it is resampled, as what, and which factor it gets."""


class Explorer(NamedTuple):
    """Changes parameters.

    SOURCE: Jaderberg et al. 2017, section 4.1.1 ("perturb" and "resample"); Ray Tune, for resampling within "perturb".
    Unlike there, what would leave its domain is set to its bound.
    """

    level: Level
    """What is explored; other parameters are copied."""
    resample_probability: float
    factors: tuple[float, ...]
    """One of these is chosen, each equally likely; none: what is not resampled is kept."""

    def explore(self, params: Mapping[str, Any], draw: Draw) -> tuple[dict[str, Any], list[str]]:
        """The parameters after a change, and what was done, in words."""
        names = _names(self.level)
        changed = {name: value for name, value in params.items() if name not in names}
        notes: list[str] = []
        for name, distribution in self.level:
            if name in params:
                self._change(name, distribution, params, changed, draw, notes)
        in_order = [name for name in params if name in changed] + [name for name in changed if name not in params]
        return {name: changed[name] for name in in_order}, notes

    def _change(
        self,
        name: str,
        distribution: Distribution,
        params: Mapping[str, Any],
        changed: dict[str, Any],
        draw: Draw,
        notes: list[str],
    ) -> None:
        value, note = self._changed(distribution, params, name, draw(name))
        changed[name] = value
        if note:
            notes.append(f"{name} {note}")
        if isinstance(distribution, Choice) and distribution.spaces is not None:
            position = distribution.position(value)
            for inner, below in distribution.spaces[position] if position is not None else ():
                self._change(inner, below, params, changed, draw, notes)

    def _changed(self, distribution: Distribution, params: Mapping[str, Any], name: str, units: list[float]) -> tuple[Any, str]:
        if isinstance(distribution, Constant):
            return distribution.value, ""
        resampled = distribution.from_unit(units[1])
        if name not in params or not distribution.contains(params[name]):
            return resampled, f"drawn: {resampled!r}"
        old = params[name]
        if units[0] < self.resample_probability:
            return resampled, f"resampled: {resampled!r}"
        if not self.factors:
            return old, ""
        factor = self.factors[min(int(units[2] * len(self.factors)), len(self.factors) - 1)]
        if isinstance(distribution, Choice):
            return _neighbour(distribution, old, resampled, factor)
        if isinstance(distribution, Permutation):
            return _swapped(old, units[2])
        new = _times(distribution, old, factor)
        lower, upper = _bounds(distribution)
        if lower <= new <= upper:
            return new, f"x {factor:g} = {_shown(new)}"
        new = min(max(new, lower), upper)
        return new, f"x {factor:g}, at its bound {_shown(new)}"


def _neighbour(choice: Choice, old: Any, resampled: Any, factor: float) -> tuple[Any, str]:
    """The next larger or smaller one of numbers; of other options the one that was drawn."""
    if choice.spaces is not None or not all(_is_number(option) for option in choice.options):
        return resampled, f"resampled: {resampled!r}"
    ordered = sorted(choice.options)
    position = ordered.index(old) + (1 if factor >= 1 else -1)
    new = ordered[min(max(position, 0), len(ordered) - 1)]
    return new, f"{old!r} to {new!r}" if new != old else f"stays {old!r}, the {'largest' if factor >= 1 else 'smallest'}"


def _swapped(order: list[Any], unit: float) -> tuple[list[Any], str]:
    """The order with two neighbours swapped."""
    place = min(int(unit * (len(order) - 1)), len(order) - 2)
    new = [*order[:place], order[place + 1], order[place], *order[place + 2 :]]
    return new, f"{order[place]!r} and {order[place + 1]!r} swapped: {new!r}"


def _times(distribution: Distribution, old: Any, factor: float) -> Any:
    """The product; a whole number moves at least by one."""
    if not isinstance(distribution, Integer | LogInteger):
        return float(old * factor)
    new = round(old * factor)
    if new != old or factor == 1:
        return new
    away = 1 if old >= 0 else -1
    return old + away if factor > 1 else old - away


def _bounds(distribution: Distribution) -> tuple[float, float]:
    if isinstance(distribution, Uniform | LogUniform | Integer | LogInteger):
        return distribution.lower, distribution.upper
    raise TypeError(f"{distribution!r} has no bounds")


def _names(level: Level) -> set[str]:
    """All parameters of a level, and below."""
    found: set[str] = set()
    for name, distribution in level:
        found.add(name)
        if isinstance(distribution, Choice):
            for space in distribution.spaces or ():
                found |= _names(space)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
