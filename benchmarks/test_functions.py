"""Functions whose minimum is known, for measuring searches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["FUNCTIONS", "Problem"]

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14), (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14))
_P = (
    (1312, 1696, 5569, 124, 8283, 5886),
    (2329, 4135, 8307, 3736, 1004, 9991),
    (2348, 1451, 3522, 2883, 3047, 6650),
    (4047, 8828, 8732, 5743, 1091, 381),
)


class Problem(NamedTuple):
    """A function to be minimized over a box."""

    name: str
    bounds: tuple[tuple[float, float], ...]
    minimum: float
    trials: int
    """How many trials a search gets."""
    of: Callable[[Sequence[float]], float]

    def regret(self, best: float) -> float:
        """How far above the minimum a value is."""
        return best - self.minimum


def branin(x: Sequence[float]) -> float:
    """Three equal minima in two dimensions."""
    first, second = x
    bend = second - 5.1 / (4 * math.pi**2) * first**2 + 5 / math.pi * first - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(first) + 10


def hartmann6(x: Sequence[float]) -> float:
    """Six minima in six dimensions, of which a local one is nearly as low as the global one."""
    total = 0.0
    for weight, scales, centre in zip(_ALPHA, _A, _P, strict=True):
        total += weight * math.exp(-sum([a * (u - 1e-4 * p) ** 2 for a, u, p in zip(scales, x, centre, strict=True)]))
    return -total


def rosenbrock(x: Sequence[float]) -> float:
    """A long bent valley."""
    return sum([100 * (after - before**2) ** 2 + (1 - before) ** 2 for before, after in pairwise(x)])


def ackley(x: Sequence[float]) -> float:
    """Hundreds of local minima on the slopes of a funnel."""
    spread = math.sqrt(sum([u * u for u in x]) / len(x))
    waves = sum([math.cos(2 * math.pi * u) for u in x]) / len(x)
    return 20 + math.e - 20 * math.exp(-0.2 * spread) - math.exp(waves)


FUNCTIONS: dict[str, Problem] = {
    function.name: function
    for function in (
        Problem("branin", ((-5.0, 10.0), (0.0, 15.0)), 0.397887357729738, 50, branin),
        Problem("hartmann6", ((0.0, 1.0),) * 6, -3.322368011415515, 100, hartmann6),
        Problem("rosenbrock4", ((-5.0, 10.0),) * 4, 0.0, 100, rosenbrock),
        # not symmetric about the optimum: a search that tries the middle first would find it at once
        Problem("ackley10", ((-22.768, 42.768),) * 10, 0.0, 100, ackley),
    )
}
"""By name."""
