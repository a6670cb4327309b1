"""The documentation's recursive examples, with objective, search space and helpers filled in, and with the least that mends them.

Each runs; each dies after several of its records, runs again in the same store, and ends as if it had never died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dying import DieAt, Died
from pydantic import BaseModel, ConfigDict

from metta_sweep import Experiment, MemoryStore, Pipeline, SweepExperiment, TrialContext, Uniform, ref
from metta_sweep.clock import crash_points
from metta_sweep.core.trial import Trial
from metta_sweep.experiments.codec import decode_trial
from metta_sweep.experiments.result import SweepResult
from metta_sweep.optimizers import EvolutionOptimizer, Optimizer, OptunaOptimizer, RandomOptimizer, SuggestionQueue
from metta_sweep.schedulers import ASHAScheduler

SEARCH_SPACE = {"learning_rate": Uniform(0.0, 1.0)}


def trials_of(store: MemoryStore) -> dict[str, Any]:
    """The ended trials of all runs in a store, by the names of the runs."""
    return {
        str(row.name): [
            (trial.id, trial.state.value, trial.params, trial.score) for trial in map(decode_trial, store.trial_rows(row.run_id))
        ]
        for row in store.runs()
    }


def check_it_survives(make: Callable[[MemoryStore], Any], told: Callable[[Any], object], deaths: int = 6) -> Any:
    """Run it as it is; then let it die after some of its records, and run it again: the same trials, the same result.

    Args:
        make: an experiment that is kept in a store.
        told: what of its result must be the same.
        deaths: at so many places, evenly spread.
    """
    never, store = DieAt(0), MemoryStore()
    with crash_points(never):
        result = make(store).run()
    whole = told(result), trials_of(store)
    assert never.seen > deaths
    for place in range(1, deaths + 1):
        store = MemoryStore()
        with crash_points(DieAt(place * never.seen // (deaths + 1))), pytest.raises(Died):
            make(store).run()
        assert (told(make(store).run()), trials_of(store)) == whole
    return result


# -- Recursive Experiments (Curriculum Learning) ---------------------------------------------------------------------------------


class Task(BaseModel):
    """What is to be learned: how well ``best`` is met."""

    model_config = ConfigDict(frozen=True)
    name: str
    best: float
    mastered: float


class CurriculumExperiment(Experiment):
    """Curriculum that runs a sweep for each task.

    Mended: ``task_idx`` is carried, and advanced by the check of mastery; ``task_results`` is a result and no dict.
    """

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return (
            Pipeline()
            .stage("init", self.setup_curriculum)
            .through(tasks=list[Task])
            .loop_while(lambda ctx: ctx.task_idx < len(ctx.tasks), carry={"task_idx": 0}, max_iterations=9, name="tasks")
            .stage("select_task", self.get_next_task)
            .through(current_task=Task)
            .stage("optimize_task", self.run_task_sweep)
            .through(task_results=SweepResult)
            .stage("check_mastery", self.evaluate_progress)
            .through(should_advance=bool, task_idx=int)
            .end_loop()
        )

    def setup_curriculum(self) -> list[Task]:
        """An easy one and a hard one."""
        return [Task(name="easy", best=0.5, mastered=-0.6), Task(name="hard", best=0.9, mastered=-0.28)]

    def get_next_task(self, tasks: list[Task], task_idx: int) -> Task:
        """The one whose turn it is."""
        return tasks[task_idx]

    async def run_task_sweep(self, input):  # type: ignore[no-untyped-def]  # noqa: A002  # as it is documented
        """Each task gets its own optimization."""
        task = input.current_task

        def learn(trial: TrialContext) -> Iterator[float]:
            for step in range(1, 4):
                yield -abs(trial.params["learning_rate"] - task.best) - 0.1 / step

        sweep = SweepExperiment(
            objective=learn,
            search_space=SEARCH_SPACE,
            optimizer=self.create_optimizer_for_task(task),
            scheduler=ASHAScheduler(max_epochs=3, grace_period=1),
            slots=1,
        )
        return await sweep.run(budget=5)

    def create_optimizer_for_task(self, task: Task) -> Optimizer:
        """Random search."""
        return RandomOptimizer()

    def evaluate_progress(self, task_results: SweepResult, current_task: Task, task_idx: int) -> dict[str, Any]:
        """On to the next task when this one is mastered; else once more."""
        score = task_results.best_score
        mastered = score is not None and score >= current_task.mastered
        return {"should_advance": mastered, "task_idx": task_idx + mastered}


def test_the_curriculum_of_the_documentation() -> None:
    """A sweep for each task, again where it was not mastered; killed anywhere, it goes on in the middle of its task's sweep."""
    result = check_it_survives(
        lambda store: CurriculumExperiment(name="curriculum", store=store, seed=4), lambda result: result.task_idx
    )
    assert result.task_idx == 2
    rounds = list(result.children)
    assert rounds[:2] == ["tasks[0]/optimize_task>SweepExperiment", "tasks[1]/optimize_task>SweepExperiment"]
    assert result.spend.trials == 5 * len(rounds)
    assert len({child.seed for child in result.children.values()}) == len(rounds)


# -- Meta-Optimization (Optimizing the Optimizer) --------------------------------------------------------------------------------


class Config(BaseModel):
    """A configuration of an optimizer."""

    acquisition_fn: str
    exploration_rate: float
    batch_size: int


CONFIGS = [
    Config(acquisition_fn="random", exploration_rate=1.0, batch_size=1),
    Config(acquisition_fn="evolution", exploration_rate=0.1, batch_size=1),
    Config(acquisition_fn="evolution", exploration_rate=0.5, batch_size=1),
]


def create_optimizer(acquisition: str, exploration: float) -> Optimizer:
    """The helper that the documentation leaves out."""
    if acquisition == "random":
        return RandomOptimizer()
    return EvolutionOptimizer(population_size=4, tournament_size=2, mutation_scale=exploration)


class OptimizerOptimizer(Experiment):
    """Find the best optimizer configuration.

    Mended: the stages run in a loop, so that what ``update`` learned is used; the sweep has an objective.
    """

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return (
            Pipeline()
            .loop_while(lambda ctx: ctx.tried < len(CONFIGS), carry={"tried": 0, "model": {}}, name="rounds")
            .stage("suggest_config", self.suggest_optimizer_params)
            .through(acquisition_fn=str, exploration_rate=float, batch_size=int)
            .stage("test_optimizer", self.run_sweep_with_config)
            .through(performance=float)
            .stage("update", self.update_meta_model)
            .through(model=dict[str, float], tried=int)
            .end_loop()
        )

    def suggest_optimizer_params(self, tried: int) -> Config:
        """One after another."""
        return CONFIGS[tried]

    async def run_sweep_with_config(self, config: Config) -> float | None:
        """How well the optimizer does."""
        optimizer = create_optimizer(acquisition=config.acquisition_fn, exploration=config.exploration_rate)
        sweep = SweepExperiment(
            optimizer=optimizer,
            objective=lambda learning_rate: -((learning_rate - 0.3) ** 2),
            search_space=SEARCH_SPACE,
            slots=config.batch_size,
        )
        result = await sweep.run(budget=8)
        return result.best_score

    def update_meta_model(self, model: dict[str, float], tried: int, config: Config, performance: float) -> dict[str, Any]:
        """What is known of each configuration."""
        key = f"{config.acquisition_fn} {config.exploration_rate}"
        return {"model": {**model, key: performance}, "tried": tried + 1}


def test_the_optimizer_of_optimizers_of_the_documentation() -> None:
    """It knows the performance of each configuration in the end; killed anywhere, the same performances."""
    result = check_it_survives(
        lambda store: OptimizerOptimizer(name="optimizers", store=store, seed=1), lambda result: dict(result.model)
    )
    assert list(result.model) == ["random 1.0", "evolution 0.1", "evolution 0.5"]
    assert all(child.best_score == score for child, score in zip(result.children.values(), result.model.values(), strict=True))


# -- Composing Complex Strategies ------------------------------------------------------------------------------------------------


def valley(learning_rate: float) -> float:
    """Best at 0.7."""
    return -abs(learning_rate - 0.7)


class HybridExperiment(Experiment):
    """Combine multiple optimization strategies.

    Mended: ``init_from`` is a ``ref``; the constants are parameters of the stage functions; numbers are small here.
    """

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return (
            Pipeline()
            .stage("explore", self.random_search)
            .through(
                exploration_results=list[Trial],
                n_trials=6,
                max_time_per_trial=600,  # Quick eval
            )
            .stage("model", self.bayesian_optimization)
            .through(
                modeled_results=list[Trial],
                n_trials=5,
                init_from=ref("exploration_results"),  # Warm start
            )
            .stage("refine", self.population_evolution)
            .through(
                final_results=list[Trial],
                population_size=4,
                generations=2,
            )
            .stage("validate", self.intensive_evaluation)
            .through(
                validation_scores=dict,
                n_seeds=2,
                full_evaluation=True,
            )
        )

    async def random_search(self, n_trials: int, max_time_per_trial: int) -> list[Trial]:
        """Phase 1: broad exploration."""
        return await self.searched(RandomOptimizer(), n_trials, [])

    async def bayesian_optimization(self, n_trials: int, init_from: list[Trial]) -> list[Trial]:
        """Phase 2: a model of the space."""
        return await self.searched(OptunaOptimizer(sampler="TPE"), n_trials, init_from)

    async def population_evolution(
        self, exploration_results: list[Trial], modeled_results: list[Trial], population_size: int, generations: int
    ) -> list[Trial]:
        """Phase 3: refinement."""
        optimizer = EvolutionOptimizer(population_size=population_size, tournament_size=2)
        return await self.searched(optimizer, population_size * generations, [*exploration_results, *modeled_results])

    async def searched(self, optimizer: Optimizer, n_trials: int, earlier: list[Trial]) -> list[Trial]:
        """A sweep that begins with what is known."""
        sweep = SweepExperiment(objective=valley, search_space=SEARCH_SPACE, optimizer=optimizer, warm_start=earlier, slots=1)
        return list((await sweep.run(budget=n_trials)).trials)

    async def intensive_evaluation(self, final_results: list[Trial], n_seeds: int, full_evaluation: bool) -> dict[str, float]:
        """Phase 4: the best candidates, with several seeds."""
        best = sorted(final_results, key=lambda trial: trial.score or -1.0)[-2:] if full_evaluation else final_results[:1]

        async def seeded(learning_rate: float) -> float:
            return sum(valley(learning_rate) for _ in range(n_seeds)) / n_seeds

        candidates = SuggestionQueue([trial.params for trial in best])
        results = await SweepExperiment(objective=seeded, optimizer=candidates, slots=1).run()
        return {trial.id: trial.score or 0.0 for trial in results.trials}


def test_the_hybrid_of_the_documentation() -> None:
    """Four phases, each a sweep that begins with the trials of those before; killed anywhere, the same validation scores."""
    result = check_it_survives(
        lambda store: HybridExperiment(name="hybrid", store=store, seed=2), lambda result: dict(result.validation_scores), 3
    )
    assert [len(result[name]) for name in ("exploration_results", "modeled_results", "final_results")] == [6, 5, 8]
    assert list(result.children) == [f"{phase}>SweepExperiment" for phase in ("explore", "model", "refine", "validate")]
    assert len(result.validation_scores) == 2
    assert result.spend.trials == 6 + 5 + 8 + 2


# -- Advanced: Meta-Learning -----------------------------------------------------------------------------------------------------


class Level1(SweepExperiment):
    """Optimize hyperparameters."""

    search_space = SEARCH_SPACE
    slots = 1

    def __init__(self, mutation: float, **options: Any) -> None:
        super().__init__(optimizer=EvolutionOptimizer(population_size=2, tournament_size=1, mutation_scale=mutation), **options)

    objective = staticmethod(valley)


class Level2(SweepExperiment):
    """Optimize the optimizer: each trial makes and runs a ``Level1``."""

    slots = 1

    def __init__(self, widest: float, **options: Any) -> None:
        async def tune(mutation: float) -> SweepResult:
            return await Level1(mutation).run(budget=4)

        super().__init__(objective=tune, search_space={"mutation": Uniform(0.01, widest)}, **options)


def three_levels(store: MemoryStore) -> SweepExperiment:
    """Keep going as deep as you want."""

    async def search(widest: float) -> SweepResult:
        return await Level2(widest).run(budget=2)

    widths = SuggestionQueue([{"widest": 0.1}, {"widest": 1.0}])
    return SweepExperiment(name="deep", objective=search, optimizer=widths, slots=1, store=store, seed=3)


def test_the_levels_of_the_documentation() -> None:
    """Three levels of sweeps; killed anywhere, each level has exactly its trials, and the same ones."""
    result = check_it_survives(three_levels, lambda result: (result.best_score, result.spend.trials))
    assert result.spend.trials == 2
    for address, middle in result.children.items():
        assert address.endswith(">Level2")
        assert middle.spend.trials == 2
        assert [leaf.spend.trials for leaf in middle.children.values()] == [4, 4]
        assert middle.best_score == max(leaf.best_score for leaf in middle.children.values())
    assert result.best_score == max(middle.best_score for middle in result.children.values())
