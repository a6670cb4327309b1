"""Bayesian optimization: a Gaussian process of what was observed says where to look next."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Never, cast

from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed, seed_of_32_bits
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import OptimizerError, SuggestionError, did_you_mean, refuse_unknown
from metta_sweep.optimizers.acquisition import ACQUISITIONS, Acquisition, ExpectedImprovement, UpperConfidenceBound, Worth
from metta_sweep.optimizers.encoding import Encoding
from metta_sweep.optimizers.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    fit_hyperparameters,
    import_models,
    most_telling,
    standardized,
)
from metta_sweep.optimizers.liar import Liar, check_liar, pretend
from metta_sweep.optimizers.model_search import Search, best_points
from metta_sweep.optimizers.seeded import SeededOptimizer
from metta_sweep.optimizers.seen import SeenParams
from metta_sweep.optimizers.supports import Supports

if TYPE_CHECKING:
    import numpy as np
    from pydantic import BaseModel

    from metta_sweep.core.distributions import Distribution
    from metta_sweep.optimizers.gaussian_process import Floats

__all__ = ["BayesianOptimizer"]

_OPTIONS: Final = ("search_space", "acquisition", "exploration", "initial_trials", "seed", "liar", "duplicates")
_EXPLORATION: Final[Mapping[Acquisition, float]] = {"EI": 0.0, "UCB": 2.0}
_LEAST_OBSERVED: Final = 3
_MOST_POINTS: Final = 512
_MOST_FITTED: Final = 200
_CANDIDATES: Final = 1024


class BayesianOptimizer(SeededOptimizer):
    """Fits a Gaussian process to what was observed, and suggests the point where its acquisition function is highest.

    The first trials are quasi-random. Then scores are standardized, a Matern 5/2 kernel with a length scale per coordinate and the
    noise are fitted by scikit-learn, and the acquisition function is maximized from random points and from the best ones so far.
    Whole numbers and choices are searched exactly, parameters of sub-spaces have coordinates of their own. A failed trial counts
    as the worst seen; a trial in flight has a pretend value. Standard errors, in metrics ``(mean, sem)``, are known noise.

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
        liar: the value that trials in flight are taken to have: the ``"worst"``, ``"mean"`` or ``"best"`` score.
        duplicates: whether parameters may be suggested twice.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for an option that is none.
        MissingExtra: scikit-learn or SciPy is not installed.
    """

    stays_inside = True
    slow = True
    supports = Supports(several_objectives=False, most_parameters=21201)

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        acquisition: Acquisition = "EI",
        exploration: float | None = None,
        initial_trials: int = 10,
        seed: int | None = None,
        liar: Liar = "worst",
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
        where, remedy = "BayesianOptimizer(initial_trials=)", "Leave it out for 10"
        self.initial_trials = check_int(initial_trials, where, OptimizerError, at_least=1, remedy=remedy)
        self.liar: Liar = check_liar(liar, "BayesianOptimizer(liar=)")
        self.duplicates = bool(duplicates)
        import_models("BayesianOptimizer")
        super().__init__(search_space, seed)

    def begin(self, space: SearchSpace, seed: int) -> None:
        """Forget everything."""
        self._encoding = Encoding(space)
        self._seen = SeenParams(space)
        self._vectors: list[list[float]] = []
        self._scores: list[float | None] = []
        self._errors: list[float] = []
        self._fitted: tuple[int, Hyperparameters] | None = None

    def suggest(
        self, n: int, index: int = 0, pending: Sequence[Trial] = (), fixed: Mapping[str, Any] | None = None
    ) -> list[Suggestion]:
        """Suggestions number ``index`` to ``index + n - 1``: each counts as in flight for those after it.

        Raises:
            OptimizerError: when it has no search space.
            SuggestionError: when something is fixed that the search space does not have.
        """
        space = self.space
        seen, flying = copy.deepcopy(self._seen), []
        for trial in pending:
            seen.add(trial.params)
            vector = self._vector(trial.params)
            if vector is not None:
                flying.append(vector)
        if fixed:
            middle = space.sample([0.5] * len(space.names), fixed)
            fixed = {name: middle[name] for name in fixed}
        search = Search(self._encoding, fixed or {})
        found: list[Suggestion] = []
        for number in range(index, index + n):
            params, origin = self._next(number, search, flying, seen)
            if params is None:
                break
            seen.add(params)
            flying.append(self._encoding.encode(params))
            found.append(Suggestion(params=params, origin=origin))
        return found

    def observe(self, trial: Trial, result: float) -> None:
        """Learn a score, with its standard error where the trial told one."""
        self._learn(trial, float(result), _standard_error(trial, self.goal.metric))

    def failed(self, trial: Trial) -> None:
        """Learn that a point is as bad as the worst seen."""
        self._learn(trial, None, 0.0)

    def stopped(self, trial: Trial) -> None:
        """Remember the point, so that it is not suggested again. What it had reached says little of its score."""
        self._seen.add(trial.params)

    def _learn(self, trial: Trial, score: float | None, error: float) -> None:
        self._seen.add(trial.params)
        vector = self._vector(trial.params)
        if vector is not None:
            self._vectors.append(vector)
            self._scores.append(score)
            self._errors.append(error)

    def _vector(self, params: Mapping[str, Any]) -> list[float] | None:
        """The vector of parameters; None for a follow-up outside the search space."""
        try:
            self.space.check(params, "trial")
        except SuggestionError:
            return None
        return self._encoding.encode(params)

    def _next(
        self, number: int, search: Search, flying: Sequence[list[float]], seen: SeenParams
    ) -> tuple[dict[str, Any] | None, str]:
        if not self.duplicates and seen.used_up(search.fixed):
            return None, ""
        scored = len(self._scores) - self._scores.count(None)
        if len(self._scores) + len(flying) < self.initial_trials or scored < _LEAST_OBSERVED or not self._encoding.width:
            return self._unmodelled(number, search, seen), "bayesian/initial"
        import numpy as np

        process, values = self._process(flying)
        rng = np.random.default_rng(derive_seed(self.seed or 0, "bayesian", number))
        order = np.argsort(-values, kind="stable")
        incumbents = process.points[order[:3]]
        sizes = (_CANDIDATES, 8) if len(values) <= _MOST_FITTED else (_CANDIDATES // 2, 4)
        for vector in best_points(search, process, self._worth(process), incumbents, rng, sizes):
            params = search.params(vector)
            if self.duplicates or params not in seen:
                return params, "bayesian"
        return self._unmodelled(number, search, seen), "bayesian/random"

    def _unmodelled(self, number: int, search: Search, seen: SeenParams) -> dict[str, Any] | None:
        """The quasi-random point of that number; where it was seen already, random ones."""
        space, seed = search.space, self.seed or 0

        def draw(attempt: int) -> dict[str, Any]:
            if attempt == 0:
                return space.sample(_quasi_random(len(space.names), seed, number), search.fixed)
            return space.sample_at(derive_seed(seed, "bayesian", number), attempt, search.fixed)

        return draw(0) if self.duplicates else seen.draw_new(draw, search.fixed)

    def _worth(self, process: GaussianProcess) -> Worth:
        if self.acquisition == "UCB":
            return UpperConfidenceBound(self.exploration)
        # predictions at what was observed: with noise, the best score is a lucky one
        return ExpectedImprovement(float(process.predict(process.points)[0].max()), self.exploration)

    def _process(self, flying: Sequence[list[float]]) -> tuple[GaussianProcess, Floats]:
        """The model of what was observed and of what is in flight, and the values of the former."""
        import numpy as np

        count = len(self._scores)
        values, deviation = self._values(count)
        kept = most_telling(values, _MOST_POINTS)
        points, values = np.array(self._vectors)[kept], values[kept]
        noises = (np.minimum(np.array(self._errors)[kept] / deviation, 1e3)) ** 2 if any(self._errors) else None
        hyperparameters = self._hyperparameters(count)
        lies = np.full(len(flying), pretend(values.tolist(), 1, self.liar))
        if len(flying):
            points = np.concatenate([points, np.array(flying)])
            noises = None if noises is None else np.concatenate([noises, np.zeros(len(flying))])
        return GaussianProcess(points, np.concatenate([values, lies]), hyperparameters, noises), values

    def _values(self, count: int) -> tuple[Floats, float]:
        """The first ``count`` results, standardized, more being better; and the deviation of the scores."""
        import numpy as np

        sign = self.goal.sign
        known = np.array([sign * score for score in self._scores[:count] if score is not None], dtype=float)
        if not len(known):
            return np.zeros(count), 1.0
        standard, _, deviation = standardized(known)
        worst, following = float(standard.min()), iter(standard.tolist())
        return np.array([worst if score is None else next(following) for score in self._scores[:count]]), deviation

    def _hyperparameters(self, count: int) -> Hyperparameters:
        """Those fitted to the first results, all of them while they are few: a function of these results alone."""
        import numpy as np

        step = 1 if count <= 100 else 10 if count <= _MOST_FITTED else 50
        count -= count % step
        if self._fitted is None or self._fitted[0] != count:
            values, deviation = self._values(count)
            kept = most_telling(values, _MOST_FITTED)
            noises = (np.minimum(np.array(self._errors[:count])[kept] / deviation, 1e3)) ** 2 if any(self._errors[:count]) else None
            self._fitted = count, fit_hyperparameters(np.array(self._vectors[:count])[kept], values[kept], noises)
        return self._fitted[1]


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


def _standard_error(trial: Trial, metric: str | None) -> float:
    found = trial.metrics.get(metric) if metric is not None else next(iter(trial.metrics.values()), None)
    return float(found[1]) if isinstance(found, tuple) else 0.0


def _quasi_random(dimensions: int, seed: int, number: int) -> list[float]:
    """Point ``number`` of a scrambled Sobol sequence."""
    from scipy.stats import qmc

    rows = 1 << max(3, math.ceil(math.log2(number + 1)) if number else 0)
    keyword: dict[str, Any] = {"seed": seed_of_32_bits(seed, "bayesian")}
    points: np.ndarray[Any, Any] = qmc.Sobol(dimensions, scramble=True, **keyword).random(rows)
    row: list[float] = points[number].tolist()
    return row
