"""Bayesian optimization: a Gaussian process of what was observed says where to look next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Never, cast

from metta_sweep.core.distributions import Choice, Distribution, LogInteger, Uniform
from metta_sweep.core.numbers import check_number
from metta_sweep.core.seeds import derive_seed
from metta_sweep.errors import OptimizerError, did_you_mean, refuse_unknown
from metta_sweep.optimizers.acquisition import ACQUISITIONS, Acquisition, ExpectedImprovement, UpperConfidenceBound, Worth
from metta_sweep.optimizers.gaussian_process import GaussianProcess
from metta_sweep.optimizers.liar import ModelLiar
from metta_sweep.optimizers.model_search import Search, best_points, peaks
from metta_sweep.optimizers.seen import SeenParams
from metta_sweep.optimizers.surrogate import SurrogateOptimizer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from metta_sweep.core.search_space import SearchSpace

__all__ = ["BayesianOptimizer"]

_OPTIONS: Final = ("search_space", "acquisition", "exploration", "initial_trials", "seed", "liar", "duplicates")
_EXPLORATION: Final[Mapping[Acquisition, float]] = {"EI": 0.0, "UCB": 2.0}
_CANDIDATES: Final = 1024
_MANY: Final = 200
"""With more observations than this, fewer candidates are looked at."""
_EVERY: Final = 2
"""Of so many suggestions one is for the best score, where trials are in flight."""
_NEAR: Final = 0.02
"""In length scales: a result so near tells nearly the same."""


class BayesianOptimizer(SurrogateOptimizer):
    """Fits a Gaussian process to what was observed, and suggests the point where its acquisition function is highest.

    The first trials are random. Then scores are standardized, a Matern 5/2 kernel with a length scale per coordinate and the noise
    are fitted by scikit-learn, and the acquisition function is maximized from random points and from the best ones so far. Whole
    numbers, choices and orders are searched exactly, parameters of sub-spaces have coordinates of their own. A failed trial counts
    as the worst seen; a trial in flight has a pretend value. Standard errors, in metrics ``(mean, sem)``, are known noise. While
    others are in flight, every other suggestion for EI is where the best score is predicted, unless one of them is near.

    Suggestion number ``index`` is a function of the seed, of it, of what was observed and of what is in flight; so nothing is asked
    again when a run is resumed. With more than 512 observations the model holds the best 256 and an even sample of the others.
    Needs scikit-learn and SciPy.

    SOURCE: Jones, Schonlau and Welch 1998; Snoek, Larochelle and Adams 2012; the acquisition functions name theirs.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        acquisition: ``"EI"``, the expected improvement (its logarithm), or ``"UCB"``, the upper confidence bound.
        exploration: for EI, by how many standard deviations of the scores a point must be better to count (default 0); for UCB, how
            many standard deviations of the prediction are added to its mean (default 2). More looks farther from what is known.
        initial_trials: how many trials before the model is asked (default 10); those in flight and failed ones count.
        seed: a whole number; None: derived from the sweep's seed.
        liar: the score that trials in flight are taken to have: the one ``"predicted"`` for them, or the ``"worst"``, ``"mean"`` or
            ``"best"`` so far.
        duplicates: whether parameters may be suggested twice.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for an option that is none.
        MissingExtra: scikit-learn or SciPy is not installed.
    """

    stays_inside = True
    needs_search_space = True
    origin = "bayesian"

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "acquisition": Choice(["EI", "UCB"]),
        "exploration": Uniform(0.0, 4.0),
        "initial_trials": LogInteger(3, 30),
        "liar": Choice(["predicted", "worst", "mean", "best"]),
    }

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        acquisition: Acquisition = "EI",
        exploration: float | None = None,
        initial_trials: int = 10,
        seed: int | None = None,
        liar: ModelLiar = "predicted",
        duplicates: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown("BayesianOptimizer", unknown, _OPTIONS)
        self.acquisition = _check_acquisition(acquisition)
        if exploration is None:
            exploration = _EXPLORATION[self.acquisition]
        where = "BayesianOptimizer(exploration=)"
        self.exploration = float(
            check_number(exploration, where, OptimizerError, at_least=0, remedy="Leave it out for the default")
        )
        super().__init__(search_space, seed, initial_trials=initial_trials, liar=liar, duplicates=duplicates)

    def propose(self, number: int, search: Search, flying: Sequence[list[float]], seen: SeenParams) -> dict[str, Any] | None:
        """The new point where the acquisition function is highest, or where the prediction is."""
        import numpy as np

        if flying and number % _EVERY == 0 and self.acquisition == "EI":
            best = self._best_predicted(search, flying, seen)
            if best is not None:
                return best

        process, values = self.process(flying)
        rng = np.random.default_rng(derive_seed(self.seed or 0, "bayesian", number))
        incumbents = process.points[np.argsort(-values, kind="stable")[:3]]
        sizes = (_CANDIDATES, 8) if len(values) <= _MANY else (_CANDIDATES // 2, 4)
        for vector in best_points(search, process, self._worth(process), incumbents, rng, sizes):
            params = search.params(vector)
            if self.duplicates or params not in seen:
                return params
        return None

    def _best_predicted(self, search: Search, flying: Sequence[list[float]], seen: SeenParams) -> dict[str, Any] | None:
        """The new point where the best score is predicted, among those that nothing in flight is near to.

        A trial in flight takes the improvement that is expected away from around the best place known, and the others go elsewhere
        until it ends: half of them are better spent there.
        """
        import numpy as np

        process, values = self.process([])
        incumbents = process.points[np.argsort(-values, kind="stable")[:3]]
        away = np.array(flying) / process.hyperparameters.lengths
        for vector in peaks(search, process, UpperConfidenceBound(0.0), incumbents):
            params = search.params(vector)
            distance = np.linalg.norm(away - vector / process.hyperparameters.lengths, axis=1).min()
            if distance > _NEAR and (self.duplicates or params not in seen):
                return params
        return None

    def _worth(self, process: GaussianProcess) -> Worth:
        if self.acquisition == "UCB":
            return UpperConfidenceBound(self.exploration)
        # predictions at what was observed: with noise, the best score is a lucky one
        return ExpectedImprovement(float(process.predict(process.points)[0].max()), self.exploration)


def _check_acquisition(value: Any) -> Acquisition:
    if value in ACQUISITIONS:
        return cast("Acquisition", value)
    guess = did_you_mean(value.upper(), ACQUISITIONS) if isinstance(value, str) else None
    raise OptimizerError(
        "BayesianOptimizer(acquisition=)",
        "unknown acquisition function",
        found=value,
        expected=" or ".join(map(repr, ACQUISITIONS)),
        remedy=f"Did you mean {guess!r}?" if guess else "Write 'EI'",
    )
