"""Ridge regression one observation at a time, with what it does not know: the arithmetic of LinUCB.

LinUCB (Li, Chu, Langford and Schapire 2010, "A contextual-bandit approach to personalized news article recommendation"):
``A = ridge * I + sum(x x')``, ``b = sum(r x)``, ``theta = inv(A) b``, and the score of features ``x`` is
``theta' x + alpha * sqrt(x' inv(A) x)``. Inverses are kept by the formula of Sherman and Morrison: ``d * d`` steps per observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from operator import mul

__all__ = ["RidgeModel"]

Vector = Sequence[float]


class RidgeModel:
    """A linear model of rewards over features.

    Pending pulls narrow the bonus and leave the prediction alone: that is what counting them with their predicted reward comes to.

    Args:
        width: how many features there are.
        ridge: weight of the prior that all coefficients are 0, above 0; 1 is that of the paper. Rounding tells below about 1e-6.
    """

    def __init__(self, width: int, ridge: float = 1.0) -> None:
        self._width = width
        self._ridge = ridge
        self._known = self._prior()
        """The inverse of A."""
        self._narrowed = self._prior()
        """The same with pending pulls in A."""
        self._pending: list[Vector] = []
        self._rewards = [0.0] * width
        """b."""
        self._features = [0.0] * width
        """The sum of all x that b stands for, to move rewards to another scale."""

    def pull(self, x: Vector) -> None:
        """A pull with these features has begun."""
        self._pending.append(x)
        _add(self._narrowed, x)

    def give_up(self, x: Vector) -> None:
        """A pull has ended, and there is nothing to learn of it."""
        self._pending.remove(x)
        self._narrowed = [list(row) for row in self._known]
        for other in self._pending:
            _add(self._narrowed, other)

    def learn(self, x: Vector, reward: float) -> None:
        """A pull that had begun has ended with this reward."""
        self._pending.remove(x)
        _add(self._known, x)
        for place, value in enumerate(x):
            self._rewards[place] += reward * value
            self._features[place] += value

    def coefficients(self, low: float = 0.0, width: float = 1.0) -> list[float]:
        """Theta, for rewards counted as ``(reward - low) / width``."""
        moved = [(reward - low * count) / width for reward, count in zip(self._rewards, self._features, strict=True)]
        return [sum(map(mul, row, moved)) for row in self._known]

    def narrowed(self) -> list[list[float]]:
        """A copy of the inverse with pending pulls, for ``bonus`` and ``narrow``."""
        return [list(row) for row in self._narrowed]

    def _prior(self) -> list[list[float]]:
        return [[1.0 / self._ridge if row == column else 0.0 for column in range(self._width)] for row in range(self._width)]

    @staticmethod
    def predict(theta: Vector, x: Vector) -> float:
        """``theta' x``."""
        return float(sum(map(mul, theta, x)))

    @staticmethod
    def bonus(inverse: Sequence[Vector], x: Vector) -> float:
        """``sqrt(x' inv(A) x)``."""
        return sqrt(max(0.0, sum(value * sum(map(mul, row, x)) for value, row in zip(x, inverse, strict=True))))

    @staticmethod
    def narrow(inverse: list[list[float]], x: Vector) -> None:
        """One more pull with these features, in place."""
        _add(inverse, x)


def _add(inverse: list[list[float]], x: Vector) -> None:
    """``inv(A + x x')`` from ``inv(A)``, in place."""
    moved = [sum(map(mul, row, x)) for row in inverse]
    share = 1.0 / (1.0 + sum(map(mul, moved, x)))
    for row, value in zip(inverse, moved, strict=True):
        if value:
            step = share * value
            for column, other in enumerate(moved):
                row[column] -= step * other
