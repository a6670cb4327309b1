"""What optimizers share that ask a model of what was observed: first trials, pretend values, failures, duplicates."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.core.encoding import Encoding
from metta_sweep.core.numbers import check_flag, check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import OptimizerError, SuggestionError
from metta_sweep.optimizers.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    fit_hyperparameters,
    import_models,
    most_telling,
    standardized,
)
from metta_sweep.optimizers.liar import ModelLiar, check_model_liar, pretend
from metta_sweep.optimizers.model_search import Search
from metta_sweep.optimizers.one_thread import one_thread
from metta_sweep.optimizers.seeded import SeededOptimizer
from metta_sweep.optimizers.seen import SeenParams
from metta_sweep.optimizers.supports import Supports

if TYPE_CHECKING:
    from pydantic import BaseModel

    from metta_sweep.core.distributions import Distribution
    from metta_sweep.optimizers.gaussian_process import Floats

__all__ = ["SurrogateOptimizer"]

_LEAST_OBSERVED: Final = 3
_MOST_POINTS: Final = 512
_MOST_FITTED: Final = 200
_MOST_NOISE: Final = 1e3


class SurrogateOptimizer(SeededOptimizer):
    """Remembers what was observed as vectors, and asks a subclass (``propose``) once there is enough of it.

    Suggestion number ``index`` is a function of the seed, of it, of what was observed and of what is in flight.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        seed: a whole number; None: derived from the sweep's seed.
        initial_trials: how many trials before a model is asked; those in flight and failed ones count.
        liar: the score that trials in flight are taken to have: the one ``"predicted"`` for them, or the ``"worst"``, ``"mean"`` or
            ``"best"`` so far.
        duplicates: whether parameters may be suggested twice.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for an option that is none.
        MissingExtra: scikit-learn or SciPy is not installed.
    """

    slow = True
    supports = Supports(several_objectives=False)
    origin: str
    """Of its suggestions."""

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None,
        seed: int | None,
        *,
        initial_trials: int,
        liar: ModelLiar,
        duplicates: bool,
    ) -> None:
        kind = type(self).__name__
        where, remedy = f"{kind}(initial_trials=)", "Leave it out for the default"
        self.initial_trials = check_int(initial_trials, where, OptimizerError, at_least=1, remedy=remedy)
        self.liar: ModelLiar = check_model_liar(liar, f"{kind}(liar=)")
        self.duplicates = check_flag(duplicates, f"{kind}(duplicates=)", OptimizerError, remedy="Leave it out for the default")
        import_models(kind)
        super().__init__(search_space, seed)

    def begin(self, space: SearchSpace, seed: int) -> None:
        """Forget everything."""
        self._encoding = Encoding(space)
        self._seen = SeenParams(space)
        self._vectors: list[list[float]] = []
        self._scores: list[float | None] = []
        self._errors: list[float] = []
        self._fitted: dict[tuple[str, int], Hyperparameters] = {}

    def propose(self, number: int, search: Search, flying: Sequence[list[float]], seen: SeenParams) -> dict[str, Any] | None:
        """Suggestion ``number``, by a model; None where it has none that is new.

        Args:
            number: of the suggestion.
            search: the points that may be suggested.
            flying: vectors of trials in flight.
            seen: what was suggested already.
        """
        raise NotImplementedError

    def first(self, number: int, search: Search) -> dict[str, Any]:
        """Suggestion ``number`` while there is no model: a random point.

        Random points lie at all distances from one another, which tells a model how far its function reaches; quasi-random ones
        keep apart, and models that began with them stayed in a local minimum about twice as often.
        """
        return search.space.sample_at(derive_seed(self.seed or 0, "initial"), number, search.fixed)

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
            suggestion = self._next(number, search, flying, seen)
            if suggestion is None:
                break
            seen.add(suggestion.params)
            flying.append(self._encoding.encode(suggestion.params))
            found.append(suggestion)
        return found

    def observe(self, trial: Trial, result: float) -> None:
        """Learn a score, with its standard error where the trial told one."""
        self.learn(trial, float(result), _standard_error(trial, self.goal.metric))

    def failed(self, trial: Trial) -> None:
        """Learn that a point is as bad as the worst seen."""
        self.learn(trial, None, 0.0)

    def stopped(self, trial: Trial) -> None:
        """Remember the point, so that it is not suggested again. What it had reached says little of its score."""
        self._seen.add(trial.params)

    def learn(self, trial: Trial, score: float | None, error: float) -> int | None:
        """Remember a result; its place, or None for a follow-up outside the search space."""
        self._seen.add(trial.params)
        vector = self._vector(trial.params)
        if vector is None:
            return None
        self._vectors.append(vector)
        self._scores.append(score)
        self._errors.append(error)
        return len(self._vectors) - 1

    def forget(self, place: int) -> None:
        """Drop a result that another one takes the place of."""
        del self._vectors[place], self._scores[place], self._errors[place]
        # of other results now than those that it was fitted to
        self._fitted.clear()

    def values(self, count: int) -> tuple[Floats, float]:
        """The first ``count`` results, standardized, more being better and failures worst; and the deviation of the scores."""
        import numpy as np

        known = np.array([self.goal.sign * score for score in self._scores[:count] if score is not None], dtype=float)
        if not len(known):
            return np.zeros(count), 1.0
        standard, _, deviation = standardized(known)
        worst, following = float(standard.min()), iter(standard.tolist())
        return np.array([worst if score is None else next(following) for score in self._scores[:count]]), deviation

    def process(self, flying: Sequence[list[float]]) -> tuple[GaussianProcess, Floats]:
        """The model of the scores observed and pretended, and the values of the former."""
        import numpy as np

        values, deviation = self.values(len(self._scores))
        kept = most_telling(values, _MOST_POINTS)
        points, values = np.array(self._vectors)[kept], values[kept]
        noises = self._noises(len(self._scores), deviation)
        noises = None if noises is None else noises[kept]
        model = GaussianProcess(points, values, self._hyperparameters(), noises)
        if not flying:
            return model, values
        vectors = np.array(flying)
        if self.liar == "predicted":
            lies = model.predict(vectors)[0]
        else:
            lies = np.full(len(flying), pretend(values.tolist(), 1, self.liar))
        noises = None if noises is None else np.concatenate([noises, np.zeros(len(flying))])
        points, both = np.concatenate([points, vectors]), np.concatenate([values, lies])
        return GaussianProcess(points, both, self._hyperparameters(), noises), values

    def fitted(self, what: str, points: Sequence[Sequence[float]], values: Floats, noises: Floats | None = None) -> Hyperparameters:
        """The hyperparameters for the first of these, all of them while they are few: a function of these alone, and kept."""
        import numpy as np

        key = what, len(values)
        if key not in self._fitted:
            kept = most_telling(values, _MOST_FITTED)
            self._fitted = {old: fit for old, fit in self._fitted.items() if old[0] != what}
            known = None if noises is None else noises[kept]
            self._fitted[key] = fit_hyperparameters(np.array(points[: len(values)])[kept], values[kept], known)
        return self._fitted[key]

    def _hyperparameters(self) -> Hyperparameters:
        count = enough_to_fit(len(self._scores))
        values, deviation = self.values(count)
        return self.fitted("score", self._vectors, values, self._noises(count, deviation))

    def _noises(self, count: int, deviation: float) -> Floats | None:
        import numpy as np

        errors = self._errors[:count]
        return np.minimum(np.array(errors) / deviation, _MOST_NOISE) ** 2 if any(errors) else None

    def _vector(self, params: Mapping[str, Any]) -> list[float] | None:
        """The vector of parameters; None for those outside the search space."""
        try:
            self.space.check(params, "trial")
        except SuggestionError:
            return None
        return self._encoding.encode(params)

    def _next(self, number: int, search: Search, flying: Sequence[list[float]], seen: SeenParams) -> Suggestion | None:
        if not self.duplicates and seen.used_up(search.fixed):
            return None
        scored = len(self._scores) - self._scores.count(None)
        params = None
        origin = f"{self.origin}/initial"
        if len(self._scores) + len(flying) >= self.initial_trials and scored >= _LEAST_OBSERVED and self._encoding.width:
            with one_thread():
                params = self.propose(number, search, flying, seen)
            origin = self.origin if params is not None else f"{self.origin}/random"
        if params is None:
            params = self._unmodelled(number, search, seen)
        return None if params is None else Suggestion(params=params, origin=origin)

    def _unmodelled(self, number: int, search: Search, seen: SeenParams) -> dict[str, Any] | None:
        """The first point of that number; where it was seen already, random ones."""
        seed = derive_seed(self.seed or 0, self.origin, number)

        def draw(attempt: int) -> dict[str, Any]:
            return search.space.sample_at(seed, attempt, search.fixed) if attempt else self.first(number, search)

        return draw(0) if self.duplicates else seen.draw_new(draw, search.fixed)


def enough_to_fit(count: int) -> int:
    """How many of ``count`` results hyperparameters are fitted to: all of a few, then again at every tenth and fiftieth."""
    step = 1 if count <= 100 else 10 if count <= _MOST_FITTED else 50
    return count - count % step


def _standard_error(trial: Trial, metric: str | None) -> float:
    found = trial.metrics.get(metric) if metric is not None else next(iter(trial.metrics.values()), None)
    return float(found[1]) if isinstance(found, tuple) else 0.0
