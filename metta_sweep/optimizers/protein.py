"""Protein: a search around the best trials for their cost, by a model of scores and one of costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Never, cast

from metta_sweep.core.distributions import Choice, Distribution, LogInteger, LogUniform
from metta_sweep.core.numbers import check_int, check_number
from metta_sweep.core.pareto import pareto_front
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.trial import Trial, metric_mean
from metta_sweep.errors import OptimizerError, SuggestionError, a_kind, did_you_mean, refuse_unknown
from metta_sweep.optimizers.acquisition import ExpectedImprovement, UpperConfidenceBound
from metta_sweep.optimizers.gaussian_process import GaussianProcess, most_telling
from metta_sweep.optimizers.liar import ModelLiar
from metta_sweep.optimizers.model_search import Search
from metta_sweep.optimizers.seen import SeenParams
from metta_sweep.optimizers.surrogate import SurrogateOptimizer, enough_to_fit

if TYPE_CHECKING:
    import numpy as np
    from pydantic import BaseModel

    from metta_sweep.optimizers.gaussian_process import Floats

__all__ = ["ProteinOptimizer"]

CostAware = Literal["naive", "EI", "UCB"]
_ACQUISITIONS: Final[tuple[CostAware, ...]] = ("naive", "EI", "UCB")
_OPTIONS: Final = (
    "search_space",
    "acquisition",
    "max_suggestion_cost",
    "cost_metric",
    "centre",
    "scale",
    "initial_trials",
    "resample_every",
    "seed",
    "liar",
    "duplicates",
)
_PER_POINT: Final = 256
_MOST_CENTRES: Final = 24
_EXPANSION: Final = 0.25
_DEVIATIONS: Final = 2.0
_SAME: Final = 1e-6
_APART: Final = 0.01
_LEAST_COST: Final = 1e-9
_MOST_POINTS: Final = 512


class ProteinOptimizer(SurrogateOptimizer):
    """Looks around the trials that no other beats in both score and cost, and weighs what is predicted of either.

    The first suggestion is the centre of the space, the next ones are random. Then 256 candidates are drawn around each trial
    of the Pareto front of score and cost, in a box of ``scale`` times half the range (in the logarithm for log distributions), and
    the best by the acquisition is suggested. The metric ``cost`` of a trial is what it cost; trials without it teach the score
    only, and without any the search is by score alone. Costs below 1e-9 count as that, since their logarithms are learnt. A failed
    trial counts as the worst score, and its cost is not learnt. The goal must name its metric where trials return costs, too.
    Needs scikit-learn and SciPy.

    SOURCE: the sweeps of PufferLib ("Protein"), whose models are Gaussian processes with a linear and a Matern 3/2 kernel; these
    here have Matern 5/2 with a length scale per coordinate, fitted to all results at each suggestion while they are few.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        acquisition: ``"naive"``: the predicted score times ``1 - |target - cost|``, both scaled to the range observed, the target
            drawn for each suggestion, up to a quarter beyond the dearest; ``"EI"``, the expected improvement; ``"UCB"``, the mean
            and two deviations.
        max_suggestion_cost: candidates that are predicted to cost more are left out, in the unit of the costs (default 10,800:
            seconds, three hours).
        cost_metric: the metric that holds the cost.
        centre: where the search begins, by parameter; others begin in the middle of their range, the geometric one for logarithms.
        scale: how far candidates are from where they are drawn around: 1 is half the range. A number, or one by parameter.
        initial_trials: how many trials before the models are asked (default 5).
        resample_every: suggest again a trial of the Pareto front, at each suggestion whose number is a multiple of it; None: never.
        seed: a whole number; None: derived from the sweep's seed.
        liar: the score that trials in flight are taken to have: the ``"worst"``, ``"mean"`` or ``"best"``, or the one
            ``"predicted"``. Their cost is the mean.
        duplicates: whether parameters may be suggested twice otherwise.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for an option that is none, and for a centre outside the search space.
        MissingExtra: scikit-learn or SciPy is not installed.
    """

    stays_inside = True
    needs_search_space = True
    origin = "protein"

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "acquisition": Choice(["naive", "EI", "UCB"]),
        "scale": LogUniform(0.05, 1.0),
        "initial_trials": LogInteger(3, 30),
        "resample_every": Choice([None, 5, 10, 20]),
        "liar": Choice(["predicted", "worst", "mean", "best"]),
    }

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        acquisition: CostAware = "naive",
        max_suggestion_cost: float = 10_800.0,
        cost_metric: str = "cost",
        centre: Mapping[str, Any] | None = None,
        scale: float | Mapping[str, float] = 0.5,
        initial_trials: int = 5,
        resample_every: int | None = None,
        seed: int | None = None,
        liar: ModelLiar = "worst",
        duplicates: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown("ProteinOptimizer", unknown, _OPTIONS)
        self.acquisition: CostAware = _check_acquisition(acquisition)
        where, remedy = "ProteinOptimizer(max_suggestion_cost=)", "Leave it out for three hours"
        self.max_suggestion_cost = float(check_number(max_suggestion_cost, where, OptimizerError, above=0, remedy=remedy))
        self.cost_metric = _check_name(cost_metric)
        self.centre = None if centre is None else dict(_check_mapping(centre, "centre"))
        self.scale = _check_scale(scale)
        if resample_every is not None:
            where, remedy = "ProteinOptimizer(resample_every=)", "Leave it out to suggest nothing twice"
            resample_every = check_int(resample_every, where, OptimizerError, at_least=2, remedy=remedy)
        self.resample_every = resample_every
        super().__init__(search_space, seed, initial_trials=initial_trials, liar=liar, duplicates=duplicates)

    def begin(self, space: SearchSpace, seed: int) -> None:
        """Forget everything; find the centre and how far candidates reach."""
        super().begin(space, seed)
        self._costs: list[float | None] = []
        self._centre = self._check_centre(space)
        scales = self.scale if isinstance(self.scale, dict) else {}
        for name in scales:
            if name not in space.names:
                guess = did_you_mean(name, space.names)
                raise OptimizerError(
                    "ProteinOptimizer(scale=)",
                    f"the search space has no parameter {name!r}",
                    found=name,
                    expected="one of " + ", ".join(space.names),
                    remedy=f"Did you mean {guess!r}?" if guess else "Name a parameter",
                )
        every = 0.5 if isinstance(self.scale, dict) else self.scale
        self._reach = {axis.start: 0.5 * scales.get(axis.name, every) for axis in self._encoding.all_axes() if axis.width}

    def first(self, number: int, search: Search) -> dict[str, Any]:
        """The centre, and then random points."""
        if number:
            return super().first(number, search)
        middle = [0.5] * len(search.space.names)
        try:
            return search.space.sample(middle, {**self._centre, **search.fixed})
        except SuggestionError:
            # what is fixed excludes a part of the centre
            return search.space.sample(middle, search.fixed)

    def learn(self, trial: Trial, score: float | None, error: float) -> int | None:
        """Remember a result and its cost; one within 1e-6 of another takes its place."""
        place = super().learn(trial, score, error)
        if place is None:
            return None
        cost = trial.metrics.get(self.cost_metric)
        self._costs.append(None if cost is None or score is None else max(metric_mean(cost), _LEAST_COST))
        vector = self._vectors[place]
        for other in range(place):
            if max(map(abs, map(float.__sub__, vector, self._vectors[other])), default=0.0) < _SAME:
                self.forget(other)
                del self._costs[other]
                return place - 1
        return place

    def propose(self, number: int, search: Search, flying: Sequence[list[float]], seen: SeenParams) -> dict[str, Any] | None:
        """The candidate that is worth most; now and then a trial of the front once more, where that was asked for."""
        import numpy as np

        rng = np.random.default_rng(derive_seed(self.seed or 0, "protein", number))
        front = self._front(search)
        if self.resample_every is not None and number % self.resample_every == 0 and front:
            again: dict[str, Any] = search.params(np.array(self._vectors[front[int(rng.integers(len(front)))]]))
            return again
        candidates = self._candidates(search, front, flying, rng)
        worth = self._worths(candidates, flying, rng)
        for position in np.argsort(-worth, kind="stable").tolist():
            params = search.params(candidates[position])
            if self.duplicates or params not in seen:
                return params
        return None

    def _front(self, search: Search) -> list[int]:
        """Which results no other beats in score and cost, of those that have what is fixed; the cheapest first."""
        costs = self._costs
        there = [place for place, score in enumerate(self._scores) if score is not None and self._has_fixed(search, place)]
        known = [cost for place in there if (cost := costs[place]) is not None]
        # of unknown cost: as dear as the dearest
        dearest = max(known, default=1.0)
        pairs = [(float(self._scores[place] or 0.0), dearest if (cost := costs[place]) is None else cost) for place in there]
        chosen = [there[position] for position in pareto_front(pairs, (self.goal.sign, -1))]
        chosen.sort(key=lambda place: (costs[place] or dearest, place))
        if len(chosen) > _MOST_CENTRES:
            step = (len(chosen) - 1) / (_MOST_CENTRES - 1)
            chosen = [chosen[round(step * number)] for number in range(_MOST_CENTRES)]
        return chosen

    def _has_fixed(self, search: Search, place: int) -> bool:
        """Whether a point has what is fixed: but for rounding, it is then the nearest of those that have it."""
        if not search.fixed:
            return True
        vector = self._vectors[place]
        nearest = self._encoding.encode(self._encoding.decode_within(vector, search.fixed))
        return all(abs(mine - other) < _SAME for mine, other in zip(vector, nearest, strict=True))

    def _candidates(self, search: Search, front: Sequence[int], flying: Sequence[list[float]], rng: np.random.Generator) -> Floats:
        """Points around those of the front, none of them beside one in flight."""
        import numpy as np

        centres = np.array([self._vectors[place] for place in front]) if front else search.random(1, rng)
        around = np.repeat(centres, _PER_POINT, axis=0)
        elsewhere = search.random(_PER_POINT, rng)[rng.integers(_PER_POINT, size=len(around))]
        for axis in self._encoding.all_axes():
            if not axis.width:
                continue
            columns, reach = slice(axis.start, axis.start + axis.width), self._reach[axis.start]
            if axis.is_choice:
                changed = rng.random(len(around)) < reach
                around[changed, columns] = elsewhere[changed, columns]
            else:
                around[:, columns] += reach * rng.uniform(-1.0, 1.0, (len(around), axis.width))
        found = search.nearest(np.clip(around, 0.0, 1.0))
        for vector in flying:
            apart = np.abs(found - np.array(vector)).max(axis=1) >= _APART
            found = found[apart] if apart.any() else found
        return found

    def _worths(self, candidates: Floats, flying: Sequence[list[float]], rng: np.random.Generator) -> Floats:
        """What each is worth, more being better; those that are too dear come last, the cheapest of them first."""
        import numpy as np

        process, values = self.process(flying)
        means, deviations = process.predict(candidates)
        target = (1.0 + _EXPANSION) * rng.random()
        logs = np.array([math.log(cost) for cost in self._costs if cost is not None])
        expected = self._expected_log_costs(candidates, flying, logs)
        if self.acquisition == "EI":
            worth = ExpectedImprovement(float(values.max())).of(means, deviations)
        elif self.acquisition == "UCB":
            worth = UpperConfidenceBound(_DEVIATIONS).of(means, deviations)
        else:
            worth = _scaled(means, float(values.min()), float(values.max()))
            if len(logs) and np.ptp(logs) > 0.0:
                relative = _scaled(expected, float(logs.min()), float(logs.max()))
                worth = np.maximum(worth, 0.0) * np.maximum(1.0 - np.abs(target - relative), 0.0)
        beyond = expected - math.log(self.max_suggestion_cost)
        # below everything that can be paid for, whatever its sign
        ranked: Floats = np.where(beyond > 0.0, float(worth.min()) - 1.0 - np.maximum(beyond, 0.0), worth)
        return ranked

    def _expected_log_costs(self, candidates: Floats, flying: Sequence[list[float]], logs: Floats) -> Floats:
        import numpy as np

        if not len(logs):
            return np.full(len(candidates), -np.inf)
        mean, deviation = float(logs.mean()), float(logs.std())
        if len(logs) < 2 or deviation < 1e-12:
            return np.full(len(candidates), mean)
        places = [place for place, cost in enumerate(self._costs) if cost is not None]
        points = [self._vectors[place] for place in places]
        count = enough_to_fit(len(points))
        first = logs[:count]
        fitted = self.fitted("cost", points, (first - first.mean()) / max(float(first.std()), 1e-12))
        values = (logs - mean) / deviation
        kept = most_telling(values, _MOST_POINTS)
        rows = np.concatenate([np.array(points)[kept], np.array(flying).reshape(len(flying), candidates.shape[1])])
        # a trial in flight is taken to cost the mean
        model = GaussianProcess(rows, np.concatenate([values[kept], np.zeros(len(flying))]), fitted)
        expected: Floats = mean + deviation * model.predict(candidates)[0]
        return expected

    def _check_centre(self, space: SearchSpace) -> dict[str, Any]:
        if self.centre is None:
            return {}
        try:
            middle = space.sample([0.5] * len(space.names), self.centre)
        except SuggestionError as error:
            raise OptimizerError(
                "ProteinOptimizer(centre=)", error.what, found=error.found, expected=error.expected, remedy=error.remedy
            ) from None
        return {name: middle[name] for name in self.centre}


def _scaled(values: Floats, low: float, high: float) -> Floats:
    return (values - low) / max(high - low, 1e-12)


def _check_acquisition(value: Any) -> CostAware:
    if value in _ACQUISITIONS:
        return cast("CostAware", value)
    guess = did_you_mean(value, _ACQUISITIONS) if isinstance(value, str) else None
    raise OptimizerError(
        "ProteinOptimizer(acquisition=)",
        "unknown acquisition function",
        found=value,
        expected=" or ".join(map(repr, _ACQUISITIONS)),
        remedy=f"Did you mean {guess!r}?" if guess else "Write 'naive'",
    )


def _check_name(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    where = "ProteinOptimizer(cost_metric=)"
    raise OptimizerError(where, "it is the name of a metric", found=value, expected="a name", remedy="Write 'cost'")


def _check_mapping(value: object, name: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise OptimizerError(
        f"ProteinOptimizer({name}=)",
        f"{a_kind(value)} is no mapping of parameters",
        found=value,
        expected="a mapping of names to values",
        remedy="Write {'lr': 1e-3}, say",
    )


def _check_scale(value: Any) -> float | dict[str, float]:
    where, remedy = "ProteinOptimizer(scale=)", "Write 0.5, say"
    if isinstance(value, Mapping):
        return {
            name: float(check_number(one, f"{where}[{name!r}]", OptimizerError, above=0, remedy=remedy))
            for name, one in value.items()
        }
    return float(check_number(value, where, OptimizerError, above=0, remedy=remedy))
