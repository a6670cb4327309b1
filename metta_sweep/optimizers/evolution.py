"""Regularized evolution: children of the better ones of the latest trials, changed a little."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Never

from metta_sweep.core.distributions import Distribution, LogInteger, LogUniform, Uniform
from metta_sweep.core.numbers import check_flag, check_int, check_number
from metta_sweep.core.pareto import pareto_ranks
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.trial import Suggestion, Trial, TrialState
from metta_sweep.errors import OptimizerError, SuggestionError, refuse_unknown
from metta_sweep.optimizers.mutation import crossed, mutated
from metta_sweep.optimizers.seeded import SeededOptimizer
from metta_sweep.optimizers.seen import SeenParams

if TYPE_CHECKING:
    from pydantic import BaseModel


__all__ = ["EvolutionOptimizer"]

_OPTIONS: Final = (
    "search_space",
    "population_size",
    "tournament_size",
    "mutation_scale",
    "crossover",
    "seed",
    "duplicates",
)
_CHILDREN: Final = 64
"""How many children are tried for one that is new, before random points are."""


class _Member(NamedTuple):
    """A trial that has ended."""

    params: dict[str, Any]
    scores: tuple[float, ...] | None
    """One per objective, in the user's units; None: it failed."""


class EvolutionOptimizer(SeededOptimizer):
    """Aging evolution with tournaments: it suits many cheap trials, any number of slots and spaces of every kind.

    The first ``population_size`` suggestions are random, less as many as it was given earlier trials. Then the best of
    ``tournament_size`` members of the population, drawn with replacement, is the parent of the next one, which differs from it in
    one parameter on average: a number moves by a normal step in the quantiles of its distribution, reflected at the bounds, whose
    scale is drawn between a tenth of ``mutation_scale`` and all of it; a whole number moves by one at least; a choice becomes
    another option, with new values below it; of an order two items are swapped, or one is moved, and orders of two parents are
    crossed (``orders.py`` names the sources). The population is the latest trials that ended, good or bad: the oldest leaves. A
    failed trial is worse than every other, and never a parent. Trials that were stopped teach nothing.

    With several objectives members are compared by the front that they are in, then by how lonely they are on it.

    SOURCE: Real et al. 2019, "Regularized evolution for image classifier architecture search", algorithm 1; fronts and crowding
    distance: Deb et al. 2002 (NSGA-II). Crossover and the drawn scale are ours.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        population_size: how many of the latest trials are the population, at least 2.
        tournament_size: how many of them compete to be a parent; more of them are greedier.
        mutation_scale: the largest standard deviation of a step, in quantiles: above 0, at most 1.
        crossover: how likely a child has two parents, each parameter being of one of them, before it is changed.
        seed: a whole number; None: derived from the sweep's seed.
        duplicates: whether parameters may be suggested that were suggested before.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for a setting that is none.
    """

    stays_inside = True
    needs_search_space = True

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "population_size": LogInteger(5, 100),
        "tournament_size": LogInteger(2, 25),
        "mutation_scale": LogUniform(0.03, 1.0),
        "crossover": Uniform(0.0, 1.0),
    }

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        population_size: int = 20,
        tournament_size: int = 10,
        mutation_scale: float = 0.3,
        crossover: float = 0.5,
        seed: int | None = None,
        duplicates: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown("EvolutionOptimizer", unknown, _OPTIONS)
        where = "EvolutionOptimizer({}=)".format
        self.population_size = check_int(
            population_size, where("population_size"), OptimizerError, at_least=2, remedy="Write 20, say"
        )
        self.tournament_size = check_int(
            tournament_size, where("tournament_size"), OptimizerError, at_least=1, remedy="Write 10, say"
        )
        self.mutation_scale = float(
            check_number(mutation_scale, where("mutation_scale"), OptimizerError, above=0, at_most=1, remedy="Write 0.3, say")
        )
        self.crossover = float(
            check_number(crossover, where("crossover"), OptimizerError, at_least=0, at_most=1, remedy="Write 0.5, say")
        )
        remedy = "Leave it out, and no point is suggested twice"
        self.duplicates = check_flag(duplicates, where("duplicates"), OptimizerError, remedy=remedy)
        super().__init__(search_space, seed)

    def begin(self, space: SearchSpace, seed: int) -> None:
        """An empty population."""
        self._population: deque[_Member] = deque(maxlen=self.population_size)
        self._fitness: list[tuple[float, ...]] | None = None
        self._made = 0
        self._from_earlier = 0
        self._seen = SeenParams(space)

    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """``n`` children, or random points while the population is young; with ``fixed``, children that have these parameters.

        Raises:
            OptimizerError: when it has no search space.
            SuggestionError: when something is fixed that the search space does not have.
        """
        space = self.space
        if fixed:
            fixed = space.check_fixed(fixed)
        found: list[Suggestion] = []
        while len(found) < n:
            draw = self._draw(space, fixed or {})
            params = draw(0) if self.duplicates else self._seen.draw_new(draw, fixed)
            if params is None:
                break
            self._made += 1
            found.append(Suggestion(params=params, origin="evolution"))
        return found

    def observe(self, trial: Trial, result: Any) -> None:
        """It joins the population, if it lies inside the search space."""
        if self.goal.has_several:
            self._join(trial, tuple([float(result[goal.metric]) for goal in self.goal.objectives]))
        else:
            self._join(trial, (float(result),))

    def failed(self, trial: Trial) -> None:
        """It joins the population as the worst."""
        self._join(trial, None)

    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """The best of them become the population, where the better ones stay the longer, and spare it as many random points."""
        signs = [goal.sign for goal in self.goal.objectives] if self.space else []
        for trial in trials:
            self._seen.add(trial.params)
        members = [_Member(trial.params, self._scores(trial)) for trial in trials if trial.state is not TrialState.STOPPED]
        fitness = _fitness(members, signs)
        ranked = [members[place] for place in sorted(range(len(members)), key=fitness.__getitem__)]
        self._population.extend(ranked)
        self._from_earlier += min(len(ranked), self.population_size)
        self._fitness = None

    def _scores(self, trial: Trial) -> tuple[float, ...] | None:
        if trial.score is None:
            return None
        return tuple(self.goal.scores(trial.metrics).values()) if self.goal.has_several else (trial.score,)

    def _join(self, trial: Trial, scores: tuple[float, ...] | None) -> None:
        try:
            self.space.check(trial.params, "trial")
        except SuggestionError:
            # a follow-up of a scheduler, or a trial of an earlier experiment
            return
        self._population.append(_Member(trial.params, scores))
        self._fitness = None

    def _draw(self, space: SearchSpace, fixed: Mapping[str, Any]) -> Callable[[int], dict[str, Any]]:
        """Draws of the next suggestion: a function of seed, number, population and number of the draw."""
        seed, number = self.seed or 0, self._made

        def at_random(attempt: int) -> dict[str, Any]:
            return space.sample_at(derive_seed(seed, "random", attempt), number, fixed)

        young = max(number + self._from_earlier, len(self._population)) < self.population_size
        if young or all(member.scores is None for member in self._population):
            return at_random
        rng = Random(derive_seed(seed, "child", number))  # noqa: S311  # a search is no secret

        def child(attempt: int) -> dict[str, Any]:
            if attempt >= _CHILDREN:
                return at_random(attempt)
            params = self._parent(rng)
            if rng.random() < self.crossover:
                params = crossed(space.top, params, self._parent(rng), rng)
            scale = self.mutation_scale * 10.0 ** -rng.random()
            return mutated(space.top, params, rng, scale=scale, fixed=fixed)

        return child

    def _parent(self, rng: Random) -> dict[str, Any]:
        if self._fitness is None:
            self._fitness = _fitness(self._population, [goal.sign for goal in self.goal.objectives])
        fitness = self._fitness
        places = [rng.randrange(len(fitness)) for _ in range(self.tournament_size)]
        place = max(places, key=fitness.__getitem__)
        if self._population[place].scores is None:
            place = max(range(len(fitness)), key=fitness.__getitem__)
        return self._population[place].params


def _fitness(population: Sequence[_Member], signs: list[int]) -> list[tuple[float, ...]]:
    """What members are compared by, more of it being better; () for those that failed."""
    if len(signs) == 1:
        return [() if member.scores is None else (signs[0] * member.scores[0],) for member in population]
    alive = [place for place, member in enumerate(population) if member.scores is not None]
    points = [member.scores for member in population if member.scores is not None]
    ranks = pareto_ranks(points, signs)
    fitness: list[tuple[float, ...]] = [()] * len(population)
    for rank in set(ranks):
        front = [place for place, found in enumerate(ranks) if found == rank]
        for place, distance in zip(front, _crowding([points[place] for place in front]), strict=True):
            fitness[alive[place]] = (-float(rank), distance)
    return fitness


def _crowding(points: list[tuple[float, ...]]) -> list[float]:
    """The crowding distance of each point of a front: the more, the lonelier; infinite at its ends."""
    distances = [0.0] * len(points)
    for axis in range(len(points[0])):
        order = sorted(range(len(points)), key=lambda place: points[place][axis])
        # halved, since the difference of two floats may be none
        values = [points[place][axis] / 2 for place in order]
        span = values[-1] - values[0]
        distances[order[0]] = distances[order[-1]] = float("inf")
        if span > 0:
            for before, place in enumerate(order[1:-1]):
                distances[place] += (values[before + 2] - values[before]) / span
    return distances
