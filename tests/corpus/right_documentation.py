"""The documentation's examples, each mended as little as possible."""

# ruff: noqa: D102, D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from metta_sweep.core.distributions import Uniform
from metta_sweep.core.trial import Trial
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.pipeline import hooks, ref
from metta_sweep.schedulers import FIFOScheduler

from .cases import Pipeline, right
from .parts import Frozen, Task, TrainingOutput


class Kept(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str
    score: float


class SuggestionOutput(Frozen):
    trials: list[dict[str, float]]


class EvalOutput(Frozen):
    best: float


class MyExperiment:
    """Its ``before`` read what its own stage makes; its ``validate`` was no Python."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def generate_suggestions(self) -> SuggestionOutput:
        return SuggestionOutput(trials=[{"lr": 0.1}, {"lr": 0.2}])

    def train_models(self, trials: list[dict[str, float]]) -> TrainingOutput:
        return TrainingOutput(losses={str(n): trial["lr"] for n, trial in enumerate(trials)}, epochs=2)

    def evaluate_results(self, losses: dict[str, float]) -> EvalOutput:
        return EvalOutput(best=min(losses.values()))

    def handle_failure(self, error: Exception) -> None:
        self.log.append(str(error))

    def pipeline(self) -> Any:
        return (
            Pipeline()
            .stage("suggest", self.generate_suggestions)
            .through(
                SuggestionOutput,
                after=lambda d: self.log.append(f"Generated {len(d.trials)} trials"),
                validate=lambda d: len(d.trials) > 0,
                checkpoint=True,
                timeout=300,
            )
            .stage("train", self.train_models)
            .through(TrainingOutput, retry=3, on_error=lambda e: self.handle_failure(e))
            .stage("evaluate", self.evaluate_results)
            .through(EvalOutput)
        )


class CurriculumExperiment(Experiment):
    """Nothing provided or advanced ``task_idx``; the result of a sweep was no dict; its sweep had no objective."""

    def setup_curriculum(self) -> list[Task]:
        return [Task(name="easy", difficulty=0.1), Task(name="hard", difficulty=0.9)]

    def get_next_task(self, tasks: list[Task], task_idx: int) -> Task:
        return tasks[task_idx]

    async def run_task_sweep(self, input) -> dict[str, float]:  # type: ignore[no-untyped-def]  # noqa: A002
        difficulty = input.current_task.difficulty
        sweep = SweepExperiment(
            optimizer=RandomOptimizer({"lr": Uniform(0.0, 1.0)}),
            scheduler=FIFOScheduler(),
            objective=lambda trial: difficulty * trial.params["lr"],
            seed=1,
            name=f"task-{input.task_idx}",
        )
        results = await sweep.run(budget=3)
        return {"trials": float(len(results.trials)), "best": results.best_score or 0.0}

    def evaluate_progress(self, task_results: dict[str, float], task_idx: int) -> dict[str, Any]:
        return {"should_advance": True, "task_idx": task_idx + 1}

    def pipeline(self) -> Any:
        return (
            Pipeline()
            .stage("init", self.setup_curriculum)
            .through(tasks=list[Task])
            .loop_while(lambda ctx: ctx.task_idx < len(ctx.tasks), carry={"task_idx": 0})
            .stage("select_task", self.get_next_task)
            .through(current_task=Task)
            .stage("optimize_task", self.run_task_sweep)
            .through(task_results=dict[str, float])
            .stage("check_mastery", self.evaluate_progress)
            .through(should_advance=bool, task_idx=int)
            .end_loop()
        )


class OptimizerOptimizer(Experiment):
    """Its loop ran once, so that the update taught nothing."""

    def suggest_optimizer_params(self, tried: int) -> dict[str, Any]:
        return {"acquisition_fn": "EI", "exploration_rate": 0.5 / (tried + 1), "batch_size": 2}

    async def run_sweep_with_config(self, config) -> float:  # type: ignore[no-untyped-def]
        rate = config.exploration_rate
        sweep = SweepExperiment(
            optimizer=RandomOptimizer({"x": Uniform(0.0, 1.0)}),
            objective=lambda trial: rate + trial.params["x"],
            seed=2,
            name=f"config-{config.tried}",
        )
        return float((await sweep.run(budget=config.batch_size)).best_score or 0.0)

    def update_meta_model(self, performance: float, best: float, tried: int) -> dict[str, Any]:
        return {"best": max(best, performance), "tried": tried + 1}

    def pipeline(self) -> Any:
        return (
            Pipeline()
            .loop_while(lambda ctx: ctx.tried < 2, carry={"tried": 0, "best": 0.0})
            .stage("suggest_config", self.suggest_optimizer_params)
            .through(acquisition_fn=str, exploration_rate=float, batch_size=int)
            .stage("test_optimizer", self.run_sweep_with_config)
            .through(performance=float)
            .stage("update", self.update_meta_model)
            .through(best=float, tried=int)
            .end_loop()
        )


class HybridExperiment(Experiment):
    """``exploration_results`` was an undefined name, and the constants must be parameters."""

    def random_search(self, n_trials: int, max_time_per_trial: float) -> list[Kept]:
        return [Kept(name=str(n), score=float(n)) for n in range(n_trials)]

    def bayesian_optimization(self, n_trials: int, init_from: list[Kept]) -> list[Kept]:
        return [*init_from, *(Kept(name=f"b{n}", score=n / 2) for n in range(n_trials))]

    def population_evolution(self, modeled_results: list[Kept], population_size: int, generations: int) -> list[Kept]:
        return sorted(modeled_results, key=lambda trial: -trial.score)[:population_size]

    def intensive_evaluation(self, final_results: list[Kept], n_seeds: int, full_evaluation: bool) -> dict[str, float]:
        return {trial.name: trial.score * n_seeds for trial in final_results}

    def pipeline(self) -> Any:
        return (
            Pipeline()
            .stage("explore", self.random_search)
            .through(exploration_results=list[Kept], n_trials=5, max_time_per_trial=600)
            .stage("model", self.bayesian_optimization)
            .through(modeled_results=list[Kept], n_trials=10, init_from=ref("exploration_results"))
            .stage("refine", self.population_evolution)
            .through(final_results=list[Kept], population_size=2, generations=30)
            .stage("validate", self.intensive_evaluation)
            .through(validation_scores=dict[str, float], n_seeds=10, full_evaluation=True)
        )


async def get_suggestions() -> list[Kept]:
    return [Kept(name="a", score=0.5)]


async def run_training(trials: list[Kept]) -> dict[str, float]:
    return {trial.name: trial.score for trial in trials}


async def update_model(results: dict[str, float]) -> None: ...


@right(gives={"results": {"a": 0.5}})
def flow_with_contracts() -> Any:
    """The first flow of the documentation."""
    return (
        Pipeline()
        .stage("suggest", get_suggestions)
        .through(trials=list[Kept])
        .stage("train", run_training)
        .through(results=dict)
        .stage("update", update_model)
    )


@right(gives={"best": 0.1, "epochs": 2})
def contracts_and_hooks() -> Any:
    """Suggest, train, evaluate, with contracts and hooks."""
    return MyExperiment().pipeline()


@right(gives={"task_idx": 2, "should_advance": True, "current_task": Task(name="hard", difficulty=0.9)})
def curriculum() -> Any:
    """A sweep for each task."""
    return CurriculumExperiment().pipeline()


@right(gives={"tried": 2, "acquisition_fn": "EI", "batch_size": 2})
def optimizer_of_optimizers() -> Any:
    """A sweep for each configuration of its optimizer."""
    return OptimizerOptimizer().pipeline()


@right(gives={"validation_scores": {"b9": 45.0, "4": 40.0}})
def hybrid() -> Any:
    """Four phases, each starting from the results of the one before."""
    return HybridExperiment().pipeline()


def _with_hooks(chosen: dict[str, Any]) -> Any:
    async def train() -> TrainingOutput:
        return TrainingOutput(losses={"a": 0.5}, epochs=1)

    return Pipeline().stage("train", train).through(TrainingOutput, **chosen)


@right(gives={"epochs": 1}, unchecked=("train",))
def debug_hooks() -> Any:
    """A reusable set of hooks that look at everything."""
    seen: list[str] = []
    debug = {
        "before": lambda d: seen.append(f"Input: {d}"),
        "after": lambda d: seen.append(f"Output: {d}"),
        "validate": lambda d: d.epochs > 0,
    }
    return _with_hooks(debug)


@right(gives={"epochs": 1})
def production_hooks() -> Any:
    """Another set; its handler returns None, which replaces nothing."""
    told: list[Any] = []
    production = hooks(metrics=lambda d: told.append(d), checkpoint=True, retry=3, on_error=lambda e: told.append(e))
    return _with_hooks(production)


@right(gives={"epochs": 1})
def global_hooks() -> Any:
    """Hooks of all stages."""
    log: list[str] = []
    return _with_hooks({}).with_global_hooks(
        before=lambda stage, data: log.append(f"[{stage}] Starting"),
        after=lambda stage, data: log.append(f"{stage}.complete"),
        profile=True,
    )


@right(gives={"n": 2, "best": "t1"})
def results_of_a_sweep() -> Any:
    """A sweep in a stage gives results; a stage may hand on what it likes of them."""

    async def search() -> list[Trial]:
        sweep = SweepExperiment(
            optimizer=RandomOptimizer({"x": Uniform(0.0, 1.0)}), objective=lambda trial: trial.params["x"], seed=3
        )
        return list((await sweep.run(budget=2)).trials)

    def best(trials: list[Trial]) -> dict[str, Any]:
        return {"n": len(trials), "best": f"t{len(trials) - 1}"}

    return Pipeline().stage("search", search).through(trials=list[Trial]).stage("best", best).through(n=int, best=str)
