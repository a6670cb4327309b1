"""Children of orders: of one parent with one item moved, or of two parents."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from metta_sweep.core.permutation import Permutation

__all__ = ["of_both", "reordered"]


def reordered(permutation: Permutation, order: Sequence[Any], rng: Random) -> list[Any]:
    """The order with two items swapped, or with one item moved to another place: each with equal chances.

    SOURCE: Fogel 1988, "An evolutionary approach to the traveling salesman problem" (one item moved); Banzhaf 1990, "The molecular
    traveling salesman" (two swapped).
    """
    places = _places(permutation, order)
    one, other = rng.sample(range(len(places)), 2)
    if rng.random() < 0.5:
        places[one], places[other] = places[other], places[one]
    else:
        places.insert(other, places.pop(one))
    return permutation.of_places(places)


def of_both(permutation: Permutation, one: Sequence[Any], other: Sequence[Any], rng: Random) -> list[Any]:
    """An order of two parents: a stretch stands where it does in ``one``, the other items as they follow each other in ``other``.

    They are taken from ``other`` from the end of the stretch on and round, and fill the places from there on and round.

    SOURCE: Davis 1985, "Applying adaptive algorithms to epistatic domains" (order crossover, OX1).
    """
    kept, filling = _places(permutation, one), _places(permutation, other)
    count = len(kept)
    start, end = sorted(rng.sample(range(count + 1), 2))
    stretch = set(kept[start:end])
    following = [place for place in filling[end:] + filling[:end] if place not in stretch]
    made = list(kept)
    for number, place in enumerate(following):
        made[(end + number) % count] = place
    return permutation.of_places(made)


def _places(permutation: Permutation, order: Sequence[Any]) -> list[int]:
    places = permutation.places(order)
    if places is None:
        raise ValueError(f"{order!r} is no order of {list(permutation.items)!r}")
    return places
