"""Rungs of successive halving: their levels, who is where, and who is among the best."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container
from typing import NamedTuple

__all__ = ["Place", "Rung", "bracket_shares", "rung_levels"]


def rung_levels(grace_period: int, reduction_factor: int, max_epochs: int) -> tuple[int, ...]:
    """``grace_period * reduction_factor**k`` for all ``k`` for which that is below ``max_epochs``, in epochs.

    In whole numbers: a logarithm of floats loses the last level of (243, 3) and of (1000, 10).
    """
    levels: list[int] = []
    level = grace_period
    while level < max_epochs:
        levels.append(level)
        level *= reduction_factor
    return tuple(levels)


def bracket_shares(lengths: list[int], reduction_factor: int) -> list[float]:
    """The share of trials for each bracket, such that each may spend about as many epochs as another.

    SOURCE: Li et al. 2018, "Hyperband", algorithm 1: a bracket with ``s`` halvings has about ``eta**s / (s + 1)`` trials.

    Args:
        lengths: how often each bracket halves.
        reduction_factor: what it divides by.
    """
    weights = [reduction_factor**length / (length + 1) for length in lengths]
    return [weight / sum(weights) for weight in weights]


class Place(NamedTuple):
    """What a trial reached at a rung. Places sort from the best to the worst, equal ones by their arrival."""

    worse: float
    """The value with its sign turned: less is better."""
    arrival: int
    trial_id: str


class Rung:
    """One level of a bracket: the places of all that came there, and of those that wait there.

    Args:
        level: its epochs.
    """

    __slots__ = ("level", "places", "waiting")

    def __init__(self, level: int) -> None:
        self.level = level
        self.places: list[Place] = []
        """Of all that ever came there, best first."""
        self.waiting: list[Place] = []
        """Of those that were not promoted and have not ended, best first."""

    def add(self, trial_id: str, value: float) -> Place:
        """A trial comes to the rung with this value, higher is better."""
        place = Place(-value, len(self.places), trial_id)
        insort(self.places, place)
        return place

    def wait(self, place: Place) -> None:
        """Its trial waits here to be promoted."""
        insort(self.waiting, place)

    def leave(self, place: Place) -> None:
        """Its trial waits here no more: it was promoted, or has ended."""
        index = bisect_left(self.waiting, place)
        if index < len(self.waiting) and self.waiting[index] == place:
            del self.waiting[index]

    def rank(self, place: Place) -> int:
        """How many places are before it."""
        return bisect_left(self.places, place)

    def quota(self, reduction_factor: int) -> int:
        """How many of those that came may go on: ``floor(n / reduction_factor)``."""
        return len(self.places) // reduction_factor

    def promotable(self, reduction_factor: int, among: Container[str] | None = None, without: Container[str] = ()) -> Place | None:
        """The best that waits and is within the quota; None when there is none.

        Args:
            reduction_factor: what the number of those that came is divided by.
            among: the trials that can go on now; None: all that wait.
            without: trials that are to be passed over.
        """
        quota = self.quota(reduction_factor)
        for place in self.waiting if quota else ():
            if self.rank(place) >= quota:
                return None
            if (among is None or place.trial_id in among) and place.trial_id not in without:
                return place
        return None
