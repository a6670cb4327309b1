"""How much a point is worth trying, by what a Gaussian process predicts there, and the point that is worth most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

    from metta_sweep.optimizers.gaussian_process import Floats, GaussianProcess

__all__ = ["ACQUISITIONS", "Acquisition", "ExpectedImprovement", "UpperConfidenceBound", "Worth", "climb"]

Acquisition = Literal["EI", "UCB"]
ACQUISITIONS: Final[tuple[Acquisition, ...]] = ("EI", "UCB")
_ROOT_2: Final = math.sqrt(2.0)
_LOG_ROOT_2_PI: Final = 0.5 * math.log(2.0 * math.pi)
_STEPS: Final = 60


class Worth(Protocol):
    """An acquisition function: what it gives is to be maximized."""

    def of(self, means: Floats, deviations: Floats) -> Floats:
        """The worth at points with these predictions."""
        ...

    def slopes(self, mean: float, deviation: float) -> tuple[float, float, float]:
        """The worth at one, and how it changes with the mean and with the deviation."""
        ...


class ExpectedImprovement:
    """The logarithm of the improvement over ``best + exploration`` that is expected.

    SOURCE: Jones, Schonlau and Welch 1998, equation 15; its logarithm: Ament et al. 2023, "Unexpected Improvements to Expected
    Improvement for Bayesian Optimization", equation 9.

    Args:
        best: the best score so far, standardized, more being better.
        exploration: what an improvement must exceed to count, in standard deviations of the scores.
    """

    def __init__(self, best: float, exploration: float = 0.0) -> None:
        self._level = best + exploration

    def of(self, means: Floats, deviations: Floats) -> Floats:
        """``log(deviation * h((mean - level) / deviation))``, ``h(z) = pdf(z) + z * cdf(z)``."""
        import numpy as np

        worth: Floats = np.log(deviations) + _log_h((means - self._level) / deviations)
        return worth

    def slopes(self, mean: float, deviation: float) -> tuple[float, float, float]:
        """With the derivatives ``cdf(z) / h / deviation`` and ``pdf(z) / h / deviation``."""
        import numpy as np
        from scipy.special import log_ndtr

        z = (mean - self._level) / deviation
        log_h = float(_log_h(np.array([z]))[0])
        by_mean = math.exp(min(float(log_ndtr(z)) - log_h, 500.0)) / deviation
        by_deviation = math.exp(min(-0.5 * z * z - _LOG_ROOT_2_PI - log_h, 500.0)) / deviation
        return math.log(deviation) + log_h, by_mean, by_deviation


class UpperConfidenceBound:
    """``mean + exploration * deviation``.

    SOURCE: Srinivas et al. 2010, "Gaussian process optimization in the bandit setting", with a constant for the root of beta.
    """

    def __init__(self, exploration: float) -> None:
        self._exploration = exploration

    def of(self, means: Floats, deviations: Floats) -> Floats:
        """The bound."""
        return means + self._exploration * deviations

    def slopes(self, mean: float, deviation: float) -> tuple[float, float, float]:
        """The bound, and its derivatives: 1 and ``exploration``."""
        return mean + self._exploration * deviation, 1.0, self._exploration


def climb(process: GaussianProcess, worth: Worth, start: Floats, free: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[Floats, float]:
    """Go uphill from a point, within the cube, along the ``free`` coordinates; the point reached, and its worth."""
    import numpy as np
    from scipy.optimize import minimize

    point = start.copy()

    def negative(moved: Floats) -> tuple[float, Floats]:
        point[free] = moved
        mean, deviation, mean_slope, deviation_slope = process.predict_with_gradients(point)
        value, by_mean, by_deviation = worth.slopes(mean, deviation)
        return -value, -(by_mean * mean_slope + by_deviation * deviation_slope)[free]

    if not free.any():
        return point, -negative(start[free])[0]
    bounds = [(0.0, 1.0)] * int(free.sum())
    found = minimize(negative, start[free], jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
    point[free] = np.clip(found.x, 0.0, 1.0)
    return point, -float(found.fun)


def _log_h(z: Floats) -> Floats:
    import numpy as np
    from scipy.special import erfcx, ndtr

    logs = np.empty_like(z)
    near = z > -1.0
    high = z[near]
    logs[near] = np.log(np.exp(-0.5 * high * high - _LOG_ROOT_2_PI) + high * ndtr(high))
    low = z[~near]
    # pdf(z) * (1 + z * cdf(z) / pdf(z)), of which the second factor tends to 1 / z**2 and cancels to nothing far out
    factor = np.maximum(1.0 + math.sqrt(math.pi / 2.0) * low * erfcx(-low / _ROOT_2), 1e-300)
    factor = np.where(low < -1e4, 1.0 / (low * low), factor)
    logs[~near] = -0.5 * low * low - _LOG_ROOT_2_PI + np.log(factor)
    return logs
