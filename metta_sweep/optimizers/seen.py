"""Which points of a space were suggested already, how many a finite space has, and its points by number."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, Permutation
from metta_sweep.core.levels import Level, active_parameters
from metta_sweep.core.search_space import SearchSpace

__all__ = ["SeenParams", "params_key", "point_at", "size_of"]

_EXACT: Final = 2.0**53
_NOTHING_FIXED: Final[Mapping[str, Any]] = {}


def params_key(params: Mapping[str, Any]) -> str:
    """Parameters as text that is equal for equal ones: their order does not matter, and 1.0 is 1, though True is not."""
    return json.dumps({name: _plain(value) for name, value in params.items()}, sort_keys=True)


def size_of(space: SearchSpace, fixed: Mapping[str, Any] | None = None) -> int | None:
    """How many points the space has, with sub-spaces counted under their options only; None where there is no end of them.

    Args:
        space: the search space.
        fixed: parameters that have one value. Their names and values are taken to fit the space.
    """
    return _level_size(space.top, fixed or _NOTHING_FIXED)


def point_at(space: SearchSpace, number: int, fixed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Point ``number`` of a finite space, from 0 to ``size_of(space, fixed) - 1``.

    They are counted as by nested loops over the parameters in the order of their names, the last one fastest, so that the order in
    which a space is written does not matter.

    Raises:
        ValueError: for a space without an end, and for a number that it does not have.
    """
    fixed = fixed or _NOTHING_FIXED
    size = _level_size(space.top, fixed)
    if size is None or not 0 <= number < size:
        raise ValueError(f"the space has no point {number}: its size is {size}")
    return _level_point(space.top, number, fixed)


class SeenParams:
    """Remembers parameters by their values, and tells when a finite space is used up.

    A function of the calls alone. About 200 bytes for each point.

    Args:
        space: the search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._keys: set[str] = set()
        self._parts: dict[str, _Part] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, params: Mapping[str, Any]) -> bool:
        return params_key(params) in self._keys

    def add(self, params: Mapping[str, Any]) -> bool:
        """Remember them. Whether they are new."""
        key = params_key(params)
        if key in self._keys:
            return False
        self._keys.add(key)
        for part in self._parts.values():
            part.count(params)
        return True

    def used_up(self, fixed: Mapping[str, Any] | None = None) -> bool:
        """Whether every point of the space, or of its part with these parameters ``fixed``, was seen."""
        part = self._part(fixed or _NOTHING_FIXED)
        return part.size is not None and part.seen >= part.size

    def first_new(self, start: int = 0, fixed: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """The first point not seen, from number ``start`` on and round the end; None when all were, or there is no end of them."""
        part = self._part(fixed or _NOTHING_FIXED)
        if part.size is None or part.seen >= part.size:
            return None
        for number in range(start, start + part.size):
            params = point_at(self._space, number % part.size, fixed)
            if params_key(params) not in self._keys:
                return params
        return None

    def draw_new(
        self, draw: Callable[[int], dict[str, Any]], fixed: Mapping[str, Any] | None = None, tries: int = 256
    ) -> dict[str, Any] | None:
        """The first of ``draw(0)``, ``draw(1)``, ... that was not seen, and remember it; None when the space is used up.

        Where ``tries`` draws were all seen, a finite space gives the next point that was not, by number from that of a hash of the
        last draw; a space without an end gives the last draw again.
        """
        if self.used_up(fixed):
            return None
        params: dict[str, Any] = {}
        for number in range(tries):
            params = draw(number)
            if self.add(params):
                return params
        new = self.first_new(_start(params), fixed)
        if new is None:
            return params
        self.add(new)
        return new

    def _part(self, fixed: Mapping[str, Any]) -> _Part:
        key = params_key(fixed) if fixed else ""
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = _Part(self._space, dict(fixed))
            if part.size is not None:
                for seen in self._keys:
                    part.count(json.loads(seen))
        return part


class _Part:
    """The points of a space that have some parameters fixed."""

    def __init__(self, space: SearchSpace, fixed: dict[str, Any]) -> None:
        self.size = size_of(space, fixed)
        """How many there are."""
        self.seen = 0
        self._level = space.top
        self._fixed = {name: _value_key(value) for name, value in fixed.items()}

    def count(self, params: Mapping[str, Any]) -> None:
        """Count a new point, if it is one of these."""
        if self.size is None:
            return
        if any(name not in params or _value_key(params[name]) != value for name, value in self._fixed.items()):
            return
        active = dict(active_parameters(self._level, params))
        if len(active) == len(params) and all(
            name in params and distribution.contains(params[name]) for name, distribution in active.items()
        ):
            self.seen += 1


def _plain(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() and abs(value) < _EXACT else value


def _value_key(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _start(params: Mapping[str, Any]) -> int:
    return int.from_bytes(params_key(params).encode()[-8:], "big")


def _level_size(level: Level, fixed: Mapping[str, Any]) -> int | None:
    total = 1
    for name, distribution in level:
        size = _size(name, distribution, fixed)
        if size is None:
            return None
        total *= size
    return total


def _size(name: str, distribution: Distribution, fixed: Mapping[str, Any]) -> int | None:
    if isinstance(distribution, Choice) and distribution.spaces is not None:
        total = 0
        for space in _spaces(name, distribution, fixed).values():
            size = _level_size(space, fixed)
            if size is None:
                return None
            total += size
        return total
    if name in fixed or isinstance(distribution, Constant):
        return 1
    if isinstance(distribution, Choice):
        return len(distribution.options)
    if isinstance(distribution, Integer | LogInteger):
        return distribution.upper - distribution.lower + 1
    return distribution.count if isinstance(distribution, Permutation) else None


def _spaces(name: str, choice: Choice, fixed: Mapping[str, Any]) -> dict[Any, Level]:
    """The sub-spaces by the options that are left."""
    spaces = dict(zip(choice.options, choice.spaces or (), strict=True))
    return {fixed[name]: spaces[fixed[name]]} if name in fixed else spaces


def _level_point(level: Level, number: int, fixed: Mapping[str, Any]) -> dict[str, Any]:
    digits: dict[str, int] = {}
    for name, distribution in sorted(level, key=lambda pair: pair[0], reverse=True):
        number, digits[name] = divmod(number, _size(name, distribution, fixed) or 1)
    params: dict[str, Any] = {}
    for name, distribution in level:
        params.update(_values(name, distribution, digits[name], fixed))
    return params


def _values(name: str, distribution: Distribution, digit: int, fixed: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(distribution, Choice) and distribution.spaces is not None:
        for option, space in _spaces(name, distribution, fixed).items():
            size = _level_size(space, fixed) or 1
            if digit < size:
                return {name: option, **_level_point(space, digit, fixed)}
            digit -= size
    if name in fixed:
        return {name: fixed[name]}
    if isinstance(distribution, Integer | LogInteger):
        return {name: distribution.lower + digit}
    if isinstance(distribution, Choice):
        option = distribution.options[digit]
        return {name: copy.deepcopy(option) if isinstance(option, list | dict) else option}
    if isinstance(distribution, Permutation):
        return {name: distribution.order(digit)}
    return {name: distribution.from_unit(0.5)}
