"""A distribution over the orders of some items: of tasks in a curriculum, of steps, of layers."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Never

from metta_sweep.core.choices import plain_value, value_key
from metta_sweep.core.ranges import Distribution, Sampler
from metta_sweep.errors import SearchSpaceError, a_kind

__all__ = ["Permutation"]

_MOST: Final = 18
"""18! < 2**53: a uniform float reaches every order."""
_UNITS: Final = 2**53
_WHERE: Final = "Permutation(items)"


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Permutation(Distribution):
    """The orders of some items, all equally likely: ``Permutation(["add", "multiply", "divide"])``. A value is a list of them all.

    Orders are numbered as in a dictionary whose alphabet are the items as they are given: number 0 is that order itself, the last
    number is its reverse.

    SOURCE: Lehmer 1960, "Teaching combinatorial tricks to a computer": the digits of a number in the factorial number system say
    which of the items that are left comes next.

    Args:
        items: 2 to 18 different JSON values.

    Raises:
        SearchSpaceError: for other items.
    """

    keywords = ("items",)
    items: tuple[Any, ...]
    """The items, in the given order."""
    _positions: dict[Any, int] = field(compare=False)

    def __init__(self, items: Sequence[Any], *more: Never) -> None:
        checked = _checked(items, more)
        positions: dict[Any, int] = {}
        for position, item in enumerate(checked):
            first = positions.setdefault(value_key(item), position)
            if first != position:
                raise SearchSpaceError(
                    _WHERE,
                    f"items {first} and {position} are equal",
                    found=item,
                    expected="different items",
                    remedy="Leave one out, or number them: ['read', 'read again']",
                )
        object.__setattr__(self, "items", checked)
        object.__setattr__(self, "_positions", positions)

    @property
    def count(self) -> int:
        """How many orders there are."""
        return math.factorial(len(self.items))

    def order(self, number: int) -> list[Any]:
        """Order ``number``, from 0 to ``count - 1``.

        Raises:
            ValueError: there is no such order.
        """
        if not 0 <= number < self.count:
            raise ValueError(f"there is no order {number} of {len(self.items)} items: they have {self.count}")
        left = list(self.items)
        digits: list[int] = []
        for base in range(1, len(left) + 1):
            number, digit = divmod(number, base)
            digits.append(digit)
        return [_own(left.pop(digit)) for digit in reversed(digits)]

    def number(self, order: Sequence[Any]) -> int:
        """Which order it is.

        Raises:
            ValueError: when it is none of these items.
        """
        places = self.places(order)
        if places is None:
            raise ValueError(f"{order!r} is no order of {list(self.items)!r}")
        left = list(range(len(self.items)))
        number = 0
        for place in places:
            digit = left.index(place)
            number = number * len(left) + digit
            del left[digit]
        return number

    def places(self, order: object) -> list[int] | None:
        """For each item of an order, where it stands in ``items``; None for what is no order of them."""
        if not isinstance(order, list | tuple) or len(order) != len(self.items):
            return None
        places = [self._positions.get(value_key(item), -1) for item in order]
        return places if len(set(places)) == len(places) and -1 not in places else None

    def of_places(self, places: Sequence[int]) -> list[Any]:
        """The order whose items stand at these places of ``items``."""
        return [_own(self.items[place]) for place in places]

    def sampler(self) -> Sampler:
        """Order number ``floor(u * count)``, exactly."""
        order, count, last = self.order, self.count, self.count - 1

        def sample(u: float) -> list[Any]:
            return order((int(u * _UNITS) * count) >> 53 if u < 1.0 else last)

        return sample

    def to_unit(self, value: Any) -> float:
        """``(number + 0.5) / count``, as near as a float that gives this order again.

        Raises:
            ValueError: when it is no order of the items.
        """
        number, count = self.number(value), self.count
        unit = ((2 * number + 1) * _UNITS) // (2 * count)
        # of 18 items an order has one or two floats only: the next one, where this one is below them
        return (unit if unit * count >> 53 == number else unit + 1) / _UNITS

    def contains(self, value: object) -> bool:
        """Whether it is a list of all the items, each once."""
        return self.places(value) is not None

    def fault(self, value: object) -> str:
        """Which items are missing, unknown or there more than once."""
        if not isinstance(value, list | tuple):
            return f"is {a_kind(value)}, and no order of {list(self.items)!r}"
        keys = [value_key(item) for item in value]
        missing = [item for key, item in zip(self._positions, self.items, strict=True) if key not in keys]
        faults = [f"{item!r} is missing" for item in missing]
        faults += [f"{item!r} is unknown" for key, item in zip(keys, value, strict=True) if key not in self._positions]
        again = {key: item for place, (key, item) in enumerate(zip(keys, value, strict=True)) if key in keys[:place]}
        faults += [f"{item!r} is there {keys.count(key)} times" for key, item in again.items() if key in self._positions]
        return f"is no order of {list(self.items)!r}: " + ", ".join(faults)

    def describe(self) -> dict[str, Any]:
        """The items, in the given order."""
        return {"distribution": "Permutation", "items": list(self.items)}

    def __repr__(self) -> str:
        return f"Permutation({list(self.items)!r})"


def _checked(items: Any, more: tuple[Any, ...]) -> tuple[Any, ...]:
    if more:
        raise SearchSpaceError(
            _WHERE,
            "its items are one list",
            found=(items, *more),
            expected="a list of 2 to 18 items",
            remedy=f"Write Permutation({[items, *more]!r})",
        )
    if callable(getattr(items, "tolist", None)):
        items = items.tolist()
    if isinstance(items, str | bytes) or not isinstance(items, Sequence):
        raise SearchSpaceError(
            _WHERE,
            f"{a_kind(items)} is no sequence of items",
            found=items,
            expected="a list of 2 to 18 different JSON values",
            remedy="Write Permutation([...])",
        )
    if len(items) < 2:
        raise SearchSpaceError(
            _WHERE,
            "there is one order only" if items else "there are no items",
            found=items,
            expected="2 to 18 items",
            remedy=f"Write Constant({list(items)!r})" if items else "Add the items",
        )
    if len(items) > _MOST:
        raise SearchSpaceError(
            _WHERE,
            f"{len(items)} items have more orders than a uniform float can tell apart",
            found=f"{len(items)} items",
            expected="2 to 18 items",
            remedy="Order groups of them, or give each item a weight, Uniform(0, 1), and sort by it in the trial function",
        )
    return tuple(plain_value(item, f"Permutation(items[{position}])") for position, item in enumerate(items))


def _own(item: Any) -> Any:
    """The item; a copy where a trial could change it."""
    return copy.deepcopy(item) if isinstance(item, list | dict) else item
