"""Arms and their states, for pickers that look at every open arm."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from metta_sweep.core.bandit import ArmState, scaled
from metta_sweep.core.seeds import unit_floats

__all__ = ["ArmTable"]

A = TypeVar("A", bound=Hashable)


class ArmTable(Generic[A]):
    """The states of arms, with what ``Picker`` asks for besides the choice itself.

    Args:
        seed: fixes how ties are broken: the choice number *i* is a function of the seed and *i*.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._arms: dict[A, ArmState] = {}
        self._range: tuple[float, float] | None = None
        self._undo: dict[A, ArmState | None] | None = None

    def set(self, arm: A, runs: int, pending: int, reward_sum: float, order: int, open: bool = True) -> None:  # noqa: A002
        """Say what an arm is like now."""
        if self._undo is not None and arm not in self._undo:
            self._undo[arm] = self._arms.get(arm)
        self._arms[arm] = ArmState(runs, pending, reward_sum, order, open)

    @contextmanager
    def overlay(self) -> Iterator[None]:
        """Whatever is set within this context is undone at its end."""
        outer = self._undo
        undo: dict[A, ArmState | None] = {}
        self._undo = undo
        try:
            yield
        finally:
            for arm, state in undo.items():
                if state is None:
                    del self._arms[arm]
                else:
                    self._arms[arm] = state
            self._undo = outer

    def scale(self, low: float, high: float) -> None:
        """Count the reward ``low`` as 0 and ``high`` as 1."""
        self._range = (low, high)

    def state(self, arm: A) -> ArmState:
        """The state that was set for an arm. Raises ``KeyError`` for an unknown one."""
        return self._arms[arm]

    @property
    def pulls(self) -> int:
        """The pulls of all arms, closed ones and pending pulls included."""
        return sum(state.runs + state.pending for state in self._arms.values())

    def open_arms(self) -> list[tuple[A, ArmState]]:
        """The arms that can be pulled now, in queue order."""
        return sorted([item for item in self._arms.items() if item[1].open], key=_order)

    def scaled(self, mean: float) -> float:
        """A mean reward on the scale in use."""
        return mean if self._range is None else scaled(mean, *self._range)

    def draw(self, tied: list[A]) -> A:
        """One of these arms, each equally likely."""
        if len(tied) == 1:
            return tied[0]
        return tied[int(unit_floats(self._seed, self.pulls, 1)[0] * len(tied))]


def _order(item: tuple[A, ArmState]) -> int:
    return item[1].order
