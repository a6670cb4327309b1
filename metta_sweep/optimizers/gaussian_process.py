"""Gaussian process regression in the unit cube: scikit-learn fits it, and what a search asks of it has gradients here."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from metta_sweep.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["GaussianProcess", "Hyperparameters", "fit_hyperparameters", "import_models", "most_telling", "standardized"]

_ROOT_5: Final = math.sqrt(5.0)
_LOG_BOUNDS: Final = {"scale": (-7.0, 7.0), "length": (-5.3, 4.6), "noise": (-18.4, 0.0)}
"""Of the natural logarithms: what is fitted stays within them. The least noise is 1e-8 of the variance of the scores."""
_JITTER: Final = 1e-10
_STARTS: Final = (1.0, 0.3)
"""Length scales from which the fit starts, in widths of the cube; from the first one only, once there is more to go by."""
_FEW: Final = 50
_FIT: Final = {"maxiter": 60, "gtol": 1e-2, "ftol": 1e-6}
"""Of the fit by L-BFGS-B: hyperparameters matter to two digits at most."""


class Hyperparameters:
    """Of a Matern 5/2 kernel with a length scale per coordinate, and noise. Values, not logarithms."""

    __slots__ = ("lengths", "noise", "scale")

    def __init__(self, theta: Floats) -> None:
        import numpy as np

        self.scale = math.exp(theta[0])
        """The variance of the function."""
        self.lengths: Floats = np.exp(theta[1:-1])
        """How far one has to go for the function to change, by coordinate."""
        self.noise = math.exp(theta[-1])
        """The variance of an observation around it."""


class GaussianProcess:
    """What is known of a function after some observations.

    SOURCE: Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", algorithm 2.1 and equation 4.17.

    Args:
        points: where it was observed, one row each, in the unit cube.
        values: what was observed there, standardized.
        hyperparameters: what ``fit_hyperparameters`` found.
        noises: variances that are known, one per point, which add to the noise that was fitted; None: none are known.
    """

    def __init__(self, points: Floats, values: Floats, hyperparameters: Hyperparameters, noises: Floats | None = None) -> None:
        from scipy.linalg import cho_solve, cholesky

        self.points = points
        self.values = values
        self.hyperparameters = hyperparameters
        self._scaled = points / hyperparameters.lengths
        covariance = self._kernel(self._scaled)
        covariance[range(len(points)), range(len(points))] += hyperparameters.noise + (
            _JITTER if noises is None else noises + _JITTER
        )
        self._root: Floats = cholesky(covariance, lower=True, check_finite=False)
        self._weights: Floats = cho_solve((self._root, True), values, check_finite=False)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the function at these points, one row each."""
        import numpy as np
        from scipy.linalg import solve_triangular

        shared = self._kernel(points / self.hyperparameters.lengths)
        explained = solve_triangular(self._root, shared.T, lower=True, check_finite=False)
        variance = self.hyperparameters.scale - np.einsum("ij,ij->j", explained, explained)
        return shared @ self._weights, np.sqrt(np.maximum(variance, 1e-14))

    def predict_with_gradients(self, point: Floats) -> tuple[float, float, Floats, Floats]:
        """Mean and standard deviation at one point, and their gradients there."""
        import numpy as np
        from scipy.linalg import cho_solve

        parameters = self.hyperparameters
        apart = point / parameters.lengths - self._scaled
        distance = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        decay = parameters.scale * np.exp(-_ROOT_5 * distance)
        shared = decay * (1.0 + _ROOT_5 * distance + 5.0 / 3.0 * distance * distance)
        slopes = (-5.0 / 3.0 * decay * (1.0 + _ROOT_5 * distance))[:, None] * apart / parameters.lengths
        solved = cho_solve((self._root, True), shared, check_finite=False)
        deviation = math.sqrt(max(parameters.scale - float(shared @ solved), 1e-14))
        return float(shared @ self._weights), deviation, slopes.T @ self._weights, -(slopes.T @ solved) / deviation

    def _kernel(self, scaled: Floats) -> Floats:
        import numpy as np
        from scipy.spatial.distance import cdist

        distance = cdist(scaled, self._scaled)
        distance *= _ROOT_5
        covariance: Floats = self.hyperparameters.scale * (1.0 + distance + distance * distance / 3.0) * np.exp(-distance)
        return covariance


def fit_hyperparameters(points: Floats, values: Floats, noises: Floats | None = None) -> Hyperparameters:
    """The most probable hyperparameters, a function of the arguments alone: the likelihood with a weak prior.

    The prior is that of Optuna's sampler, but for the least noise: it keeps length scales near that of the cube, where the
    observations do not say otherwise, and noise small.

    Args:
        points: one row each, in the unit cube.
        values: standardized.
        noises: known variances of the values, beside which noise is estimated.
    """
    import numpy as np
    from scipy.optimize import minimize
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    width = points.shape[1]
    bounds = {name: tuple(map(math.exp, pair)) for name, pair in _LOG_BOUNDS.items()}
    kernel: Any = ConstantKernel(1.0, bounds["scale"]) * Matern(cast("Any", np.ones(width)), bounds["length"], nu=2.5)
    kernel += WhiteKernel(1e-4, bounds["noise"])
    alpha: Any = _JITTER if noises is None else noises + _JITTER
    # its own optimizer warns of hyperparameters near their bounds, which is where noise-free functions and idle coordinates belong
    regressor: Any = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=cast("Any", None)).fit(points, values)

    def negative_posterior(theta: Floats) -> tuple[float, Floats]:
        likelihood, gradient = regressor.log_marginal_likelihood(theta, eval_gradient=True, clone_kernel=False)
        prior, slope = _log_prior(theta)
        return (-likelihood - prior, -gradient - slope) if math.isfinite(likelihood) else (1e10, np.zeros_like(theta))

    best: Any = None
    for length in _STARTS[: 1 if len(points) > _FEW else None]:
        start = kernel.theta.copy()
        start[1:-1] = math.log(length)
        found = minimize(negative_posterior, start, jac=True, method="L-BFGS-B", bounds=kernel.bounds, options=_FIT)
        if best is None or found.fun < best.fun:
            best = found
    return Hyperparameters(best.x)


def standardized(values: Floats) -> tuple[Floats, float, float]:
    """Values with mean 0 and deviation 1; and the mean and deviation that they had. Equal values become zeros.

    What lies very far off on the bad side (below) is drawn in first, so that one disaster does not flatten everything else.
    """
    import numpy as np

    # in a range that can be squared
    magnitude = max(float(np.max(np.abs(values))), 1e-300)
    small = values / magnitude
    low, middle, best = float(np.quantile(small, 0.25)), float(np.median(small)), float(np.max(small))
    reach = max(best - middle, middle - low)
    if reach > 0.0:
        small = np.maximum(small, middle - 10.0 * reach)
    mean, deviation = float(np.mean(small)), float(np.std(small))
    if deviation < 1e-13:
        return np.zeros_like(values), mean * magnitude, magnitude
    return (small - mean) / deviation, mean * magnitude, deviation * magnitude


def most_telling(values: Floats, most: int) -> Any:
    """Which observations to keep when there are more than ``most``: the better half of them, and an even sample of the others."""
    import numpy as np

    if len(values) <= most:
        return slice(None)
    order = np.argsort(-values, kind="stable")
    half = most // 2
    rest = np.sort(order[half:])
    even = rest[np.linspace(0, len(rest) - 1, most - half).astype(int)]
    return np.sort(np.concatenate([order[:half], even]))


def import_models(what: str) -> None:
    """Import what fits the models.

    Raises:
        MissingExtra: scikit-learn or SciPy is not installed.
    """
    try:
        for library in ("scipy.optimize", "sklearn.gaussian_process"):
            import_module(library)
    except ImportError as error:
        missing = "SciPy" if (error.name or "").startswith("scipy") else "scikit-learn"
        raise MissingExtra(what, extra="bayesian", library=missing) from None


def _log_prior(theta: Floats) -> tuple[float, Floats]:
    """The prior of the hyperparameters' logarithms, up to a constant, and its gradient.

    SOURCE: Optuna 5.0, ``optuna._gp.prior``: inverse squared lengths ``i`` as exp(-0.1 i - 0.1 / i), the variance as Gamma(2, 1),
    the noise as Gamma(1.1, 30).
    """
    import numpy as np

    gradient = np.empty_like(theta)
    inverse = np.exp(-2.0 * theta[1:-1])
    scale, noise = math.exp(theta[0]), math.exp(theta[-1])
    gradient[0] = 1.0 - scale
    gradient[1:-1] = 0.2 * (inverse - 1.0 / inverse)
    gradient[-1] = 0.1 - 30.0 * noise
    return float(-0.1 * np.sum(inverse + 1.0 / inverse) + theta[0] - scale + 0.1 * theta[-1] - 30.0 * noise), gradient
