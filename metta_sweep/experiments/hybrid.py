"""Several strategies one after the other: explore at random, model, refine a population, validate the best."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any, ClassVar, Final, Never

from metta_sweep.core.goal import Goal
from metta_sweep.core.numbers import check_int
from metta_sweep.core.resources import Resources
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import BudgetError, refuse_unknown
from metta_sweep.experiments.experiment import refuse_positional
from metta_sweep.experiments.one_objective import OneObjective
from metta_sweep.optimizers import BayesianOptimizer, EvolutionOptimizer, RandomOptimizer, SuggestionQueue
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.optimizers.seen import params_key
from metta_sweep.pipeline import Pipeline, ref
from metta_sweep.records import Store

__all__ = ["Candidate", "HybridExperiment"]

_OPTIONS: Final = (
    "name",
    "objective",
    "search_space",
    "goal",
    "metric",
    "explore",
    "model",
    "refine",
    "validate",
    "candidates",
    "max_time_per_trial",
    "explorer",
    "modeler",
    "refiner",
    "slots",
    "seed",
    "store",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the best parameters of the search, evaluated again with several seeds."""

    params: dict[str, Any]
    found_by: str
    """Phase and trial: ``model/17``."""
    found_score: float
    """What that trial scored. As the best of many it is, on noisy problems, better than can be expected."""
    scores: list[float]
    """One for each seed whose trial completed."""
    mean: float
    median: float
    sem: float | None
    """The standard error of the mean; None where there are fewer than two scores."""


class HybridExperiment(OneObjective):
    """Explores at random, models the space, refines a population, and validates the best candidates with several seeds.

    Each phase is a sweep, and begins with what the phases before it have found: their trials flow through contracts, and the
    optimizer learns them by its warm start. Each phase is a method that a subclass may override: ``random_search``,
    ``bayesian_optimization``, ``population_evolution``, ``intensive_evaluation``.

    The result has the trials of each phase (``exploration_results``, ``modeled_results``, ``final_results``),
    ``validation_scores`` (candidates by name, the best first), ``best_params`` and ``best_score``: the candidate with the best
    median, and that median.

    Args:
        name: what the run is kept under.
        objective: the trial function, as for ``SweepExperiment``; or a method of that name. It gets another seed in each trial.
        search_space: what is searched.
        goal: as for ``SweepExperiment``, with one objective.
        metric: the metric that decides, where the goal does not name it.
        explore: trials of the exploration; 0 leaves the phase out.
        model: trials of the optimizer with a model; 0 leaves the phase out.
        refine: size of the population, and generations, which are so many times as many trials; 0 generations leave the phase out.
        validate: seeds with which each candidate is evaluated again, at least 1.
        candidates: how many of the best different parameters are validated.
        max_time_per_trial: seconds that a trial of the search may take; those of the validation may take any.
        explorer: what explores; by default ``RandomOptimizer()``.
        modeler: what models; by default ``BayesianOptimizer()``.
        refiner: what refines; by default ``EvolutionOptimizer(population_size=...)``.
        slots: how many trials run at once.
        seed: the seed of everything random; drawn once per run, and kept, when left out.
        store: where it is kept.

    Raises:
        InvalidInput: a subclass of it for each thing that cannot be.
    """

    explore: int = 50
    model: int = 100
    refine: Any = (20, 30)
    """Size of the population, and generations."""
    validate: int = 10
    candidates: int = 5
    max_time_per_trial: float | None = None
    explorer: Any = None
    modeler: Any = None
    refiner: Any = None
    _settings: ClassVar[tuple[str, ...]] = _OPTIONS

    def __init__(
        self,
        *positional: Never,
        name: str | None = None,
        objective: Callable[..., Any] | None = None,
        search_space: Mapping[str, Any] | type | SearchSpace | None = None,
        goal: str | Mapping[str, str] | Goal | None = None,
        metric: str | None = None,
        explore: int | None = None,
        model: int | None = None,
        refine: tuple[int, int] | None = None,
        validate: int | None = None,
        candidates: int | None = None,
        max_time_per_trial: float | None = None,
        explorer: Optimizer | None = None,
        modeler: Optimizer | None = None,
        refiner: Optimizer | None = None,
        slots: int | None = None,
        seed: int | None = None,
        store: Store | str | os.PathLike[str] | None = None,
        **unknown: Never,
    ) -> None:
        kind = type(self).__name__
        refuse_positional(kind, positional, "objective=train, search_space={...}")
        refuse_unknown(kind, unknown, _OPTIONS)
        self._set_identity(name, store, seed)
        self._set_problem(objective, search_space, goal, metric, slots)
        own = self._own
        self.explore = _count(own("explore", explore), f"{kind}(explore=)", 0)
        self.model = _count(own("model", model), f"{kind}(model=)", 0)
        self.refine = _generations(own("refine", refine), kind)
        self.validate = _count(own("validate", validate), f"{kind}(validate=)", 1)
        self.candidates = _count(own("candidates", candidates), f"{kind}(candidates=)", 1)
        self.max_time_per_trial = own("max_time_per_trial", max_time_per_trial)
        self.explorer, self.modeler, self.refiner = own("explorer", explorer), own("modeler", modeler), own("refiner", refiner)
        self._made = True
        population, generations = self.refine
        if not (self.explore or self.model or generations):
            remedy = "Write explore=50, say"
            raise BudgetError(kind, "all phases of the search are left out, so there is nothing to validate", remedy=remedy)
        self._check_phases(population)

    # -- what a subclass may override --------------------------------------------------------------------------------------------

    def pipeline(self) -> Pipeline:
        """The four phases, and the best of what they found."""
        population, generations = self.refine
        return (
            Pipeline()
            .stage("explore", self.random_search, max_time_per_trial=self.max_time_per_trial)  # None in through() is a type
            .through(exploration_results=list[Trial], n_trials=self.explore)
            .stage("model", self.bayesian_optimization)
            .through(modeled_results=list[Trial], n_trials=self.model, init_from=ref("exploration_results"))
            .stage("refine", self.population_evolution)
            .through(final_results=list[Trial], population_size=population, generations=generations)
            .stage("validate", self.intensive_evaluation)
            .through(validation_scores=dict[str, Candidate], n_seeds=self.validate, full_evaluation=True)
            .stage("conclude", self.conclude)
            .through(best_params=dict[str, Any] | None, best_score=float | None)
        )

    async def random_search(self, n_trials: int, max_time_per_trial: float | None) -> list[Trial]:
        """Phase 1: so many random trials, each bounded in time."""
        return await self._searched(self._explorer(), n_trials, (), max_time_per_trial)

    async def bayesian_optimization(self, n_trials: int, init_from: list[Trial]) -> list[Trial]:
        """Phase 2: so many trials of an optimizer with a model, which begins with what is known."""
        return await self._searched(self._modeler(), n_trials, init_from, self.max_time_per_trial)

    async def population_evolution(
        self, population_size: int, generations: int, exploration_results: list[Trial], modeled_results: list[Trial]
    ) -> list[Trial]:
        """Phase 3: so many generations of a population, which begins with the best of what is known."""
        known = [*exploration_results, *modeled_results]
        return await self._searched(self._refiner(population_size), population_size * generations, known, self.max_time_per_trial)

    async def intensive_evaluation(
        self,
        n_seeds: int,
        full_evaluation: bool,
        exploration_results: list[Trial],
        modeled_results: list[Trial],
        final_results: list[Trial],
    ) -> dict[str, Candidate]:
        """Phase 4: the best different parameters of all phases, each evaluated with so many seeds; the best median first."""
        phases = {"explore": exploration_results, "model": modeled_results, "refine": final_results}
        found = self.best_of(phases)
        queue = [
            Suggestion(params=dict(trial.params), branch=name, id=f"{name}.{number}")
            for number in range(n_seeds)
            for name, (_, trial) in found.items()
        ]
        sweep = self._sweep(SuggestionQueue(queue), (), None if full_evaluation else self.max_time_per_trial)
        result = (await sweep.run()).raise_for_stop()
        scores: dict[str, list[float]] = {name: [] for name in found}
        for trial in result.trials:
            if trial.branch is not None and trial.score is not None:
                scores[trial.branch].append(trial.score)
        judged = {name: _judged(*found[name], scores[name]) for name in found if scores[name]}
        return dict(sorted(judged.items(), key=lambda item: -self.goal.sign * item[1].median))

    def conclude(self, validation_scores: dict[str, Candidate]) -> dict[str, Any]:
        """The parameters with the best median, and that median; None where there is none."""
        best = next(iter(validation_scores.values()), None)
        return {"best_params": best and best.params, "best_score": best and best.median}

    def best_of(self, phases: Mapping[str, Sequence[Trial]]) -> dict[str, tuple[str, Trial]]:
        """The best completed trials with different parameters, the best first: by the name of a candidate, who found it."""
        scored = [(phase, trial) for phase, trials in phases.items() for trial in trials if trial.score is not None]
        scored.sort(key=lambda item: -self.goal.sign * (item[1].score or 0.0))
        found: dict[str, tuple[str, Trial]] = {}
        seen: set[str] = set()
        for phase, trial in scored:
            key = params_key(trial.params)
            if key not in seen and len(found) < self.candidates:
                seen.add(key)
                found[f"candidate-{len(found) + 1}"] = (phase, trial)
        return found

    def _members(self) -> dict[str, Any]:
        chosen = {"explorer": self.explorer, "modeler": self.modeler, "refiner": self.refiner}
        return {phase: None if optimizer is None else optimizer.describe() for phase, optimizer in chosen.items()}

    # -- pieces ------------------------------------------------------------------------------------------------------------------

    def _check_phases(self, population: int) -> None:
        """Refuse what cannot be searched before anything runs. Phases that are left out or overridden need no optimizer."""
        kind, own = type(self), HybridExperiment
        wanted: list[Callable[[], Optimizer]] = []
        if self.explore and kind.random_search is own.random_search:
            wanted.append(self._explorer)
        if self.model and kind.bayesian_optimization is own.bayesian_optimization:
            wanted.append(self._modeler)
        if self.refine[1] and kind.population_evolution is own.population_evolution:
            wanted.append(lambda: self._refiner(population))
        for make in wanted:
            self._sweep(make(), (), self.max_time_per_trial)

    def _explorer(self) -> Optimizer:
        return RandomOptimizer() if self.explorer is None else self.explorer

    def _modeler(self) -> Optimizer:
        return BayesianOptimizer() if self.modeler is None else self.modeler

    def _refiner(self, population_size: int) -> Optimizer:
        return EvolutionOptimizer(population_size=max(2, population_size)) if self.refiner is None else self.refiner

    def _sweep(self, optimizer: Optimizer, known: Sequence[Trial], time_limit: float | None) -> Any:
        settings: dict[str, Any] = {"optimizer": optimizer, "resources": Resources(time_limit=time_limit)}
        return self.create_sweep(**settings, **({"warm_start": list(known)} if known else {}))

    async def _searched(self, optimizer: Optimizer, n_trials: int, known: Sequence[Trial], time_limit: float | None) -> list[Trial]:
        if not n_trials:
            return []
        result = await self._sweep(optimizer, known, time_limit).run(budget=n_trials)
        return list(result.raise_for_stop().trials)


def _judged(phase: str, trial: Trial, scores: list[float]) -> Candidate:
    return Candidate(
        params=dict(trial.params),
        found_by=f"{phase}/{trial.id}",
        found_score=trial.score or 0.0,
        scores=scores,
        mean=fmean(scores),
        median=median(scores),
        sem=stdev(scores) / len(scores) ** 0.5 if len(scores) > 1 else None,
    )


def _count(value: object, where: str, at_least: int) -> int:
    remedy = "Write 0 to leave the phase out" if at_least == 0 else "Write 5, say"
    return check_int(value, where, BudgetError, at_least=at_least, remedy=remedy)


def _generations(value: Any, kind: str) -> tuple[int, int]:
    """Size of the population, and how many generations."""
    where = f"{kind}(refine=)"
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise BudgetError(
            where,
            "it is the size of the population, and the number of generations",
            found=value,
            expected="two whole numbers",
            remedy="Write refine=(20, 30), or refine=(20, 0) to leave the phase out",
        )
    remedy = "Write refine=(20, 30), say"
    population = check_int(value[0], f"{where}[0]", BudgetError, at_least=2, remedy=remedy)
    return population, check_int(value[1], f"{where}[1]", BudgetError, at_least=0, remedy=remedy)
