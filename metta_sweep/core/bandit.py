"""Bandit arithmetic, free of trials and queues: what an arm is, what it scores, and what something that chooses arms offers.

UCB1 (Auer, Cesa-Bianchi and Fischer 2002): ``score = mean + c * sqrt(ln(total) / n)``. Here ``n`` counts the pulls that are
pending as well, in both places (``total`` is the sum of ``n`` over all arms), so that parallel pulls see each other. With
nothing pending it is UCB1 itself.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager
from math import inf, log, sqrt
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

__all__ = ["ArmState", "Best", "PendingRule", "Picker", "scaled", "ucb_bonus", "ucb_score"]

A = TypeVar("A", bound=Hashable)

PendingRule = Literal["mean", "pessimistic"]
"""What a pending pull counts as: the arm's current mean, or the worst reward."""


class ArmState(NamedTuple):
    """All that an arm's score depends on."""

    runs: int
    """Pulls that have ended."""
    pending: int
    """Pulls that have not."""
    reward_sum: float
    order: int
    """Its place in the queue: of equal scores the smaller comes first."""
    open: bool
    """Whether it can be pulled now. Closed arms count in ``total`` all the same."""


class Best(NamedTuple, Generic[A]):
    """The arm to pull next, and why."""

    arm: A
    score: float | None
    """``mean + bonus``; ``inf`` for an arm without any pull, pending ones included; None where no single number was compared."""
    mean: float | None
    """What counted as its mean reward, after scaling; None without any pull."""
    bonus: float | None
    runs: int
    pending: int
    others: tuple[tuple[A, float], ...]
    """The scores of other open arms: of all, in queue order, when up to 32 are open, else of the best of each number of pulls."""
    compared: int
    """How many arms were open, this one among them."""
    why: str = ""
    """What there is to say beyond the numbers."""


class Picker(Protocol[A]):
    """Chooses among arms. Holds no history beyond the arms' states, so that a state set twice is the state set once."""

    def set(self, arm: A, runs: int, pending: int, reward_sum: float, order: int, open: bool = True) -> None:  # noqa: A002
        """Say what an arm is like now."""

    def best(self) -> Best[A] | None:
        """The open arm to pull next; None when none is open."""
        ...

    def overlay(self) -> AbstractContextManager[object]:
        """Whatever is set within this context is undone at its end."""
        ...

    def scale(self, low: float, high: float) -> None:
        """Count the reward ``low`` as 0 and ``high`` as 1."""


def ucb_bonus(n: int, log_total: float, c: float) -> float:
    """The exploration bonus ``c * sqrt(ln(total) / n)`` of an arm with ``n >= 1`` pulls."""
    return c * sqrt(log_total / n)


def ucb_score(mean: float, n: int, total: int, c: float) -> float:
    """``mean + c * sqrt(ln(total) / n)``; ``inf`` when ``n`` is 0."""
    return mean + ucb_bonus(n, log(total), c) if n else inf


def scaled(mean: float, low: float, high: float) -> float:
    """Where ``mean`` lies between the rewards ``low`` (0) and ``high`` (1); 0.5 where they do not differ."""
    width = high - low
    return (mean - low) / width if 0.0 < width < inf else 0.5
