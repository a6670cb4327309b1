"""What can be searched: hyperparameters, the algorithm, the curriculum, the allocation of resources, and the pipeline itself."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from meta_kit import SPACE, base, meta, run, worth

from metta_sweep import (
    Budget,
    Choice,
    CurriculumExperiment,
    Experiment,
    Integer,
    LogUniform,
    MetaExperiment,
    Permutation,
    Pipeline,
    Resources,
    SweepExperiment,
    TrialContext,
    TrialState,
    Uniform,
    Variants,
)
from metta_sweep.errors import SearchSpaceError
from metta_sweep.optimizers import (
    EvolutionOptimizer,
    GridOptimizer,
    Phase,
    Phases,
    PortfolioOptimizer,
    RandomOptimizer,
    SuggestionQueue,
)
from metta_sweep.schedulers import (
    ASHAScheduler,
    DiscountedUCB,
    FIFOScheduler,
    IterationScheduler,
    SynchronousBatchScheduler,
)


def values(result: Any, name: str) -> list[Any]:
    """What was suggested for a parameter."""
    return [trial.params[name] for trial in result.trials]


# -- 1: hyperparameters ------------------------------------------------------------------------------------------------------------


class Training(Experiment):
    """Loads, scales, trains and evaluates."""

    def __init__(self, rate: float = 0.1, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate

    def pipeline(self) -> Pipeline:
        """Four stages."""
        return (
            Pipeline(size=int)
            .stage("load", self.load)
            .through(data=list[float])
            .stage("scale", self.scale)
            .through(data=list[float])
            .stage("train", self.slow)
            .through(model=float)
            .stage("evaluate", self.evaluate)
            .through(accuracy=float)
        )

    async def load(self, size: int) -> list[float]:
        """So much data."""
        return [1.0] * size

    async def scale(self, data: list[float]) -> list[float]:
        """Twice as large."""
        return [2 * value for value in data]

    async def slow(self, data: list[float]) -> float:
        """Depends on the rate."""
        return sum(data) * self.rate

    async def fast(self, data: list[float]) -> float:
        """Half of it."""
        return sum(data) * self.rate / 2

    async def evaluate(self, model: float) -> float:
        """As it is."""
        return model


def training(**settings: Any) -> MetaExperiment:
    """A meta-experiment of it."""
    given: dict[str, Any] = {"base": Training(), "score": "accuracy", "slots": 1, "seed": 0, "store": "memory", **settings}
    return MetaExperiment(**given)


def test_hyperparameters() -> None:
    """Settings of an experiment's constructor, and the declared inputs of its pipeline, by their names."""
    result = run(training(search_space={"rate": LogUniform(1e-3, 1.0), "size": Integer(1, 5)}), 3)
    assert [trial.score for trial in result.trials] == pytest.approx(
        [2 * rate * size for rate, size in zip(values(result, "rate"), values(result, "size"), strict=True)]
    )


def test_values_that_a_class_holds_can_be_searched_too() -> None:
    """They are set on the copy."""

    class Sized(Experiment):
        """Holds a size."""

        size = 3

        def pipeline(self) -> Pipeline:
            """One stage."""
            return Pipeline().stage("whole", lambda: float(self.size)).through(whole=float)

    result = run(training(base=Sized(), score="whole", search_space={"size": Integer(1, 9)}), 3)
    assert [trial.score for trial in result.trials] == values(result, "size")
    assert Sized.size == 3


# -- 2: the optimization algorithm itself ------------------------------------------------------------------------------------------


def test_the_algorithm_itself() -> None:
    """Which optimizer, and which scheduler, as named objects; a grid of all of them."""
    space = {
        "optimizer": Variants(random=RandomOptimizer(), evolution=EvolutionOptimizer(population_size=4)),
        "scheduler": Variants({"fifo": FIFOScheduler(), "ucb-1": IterationScheduler(branch_by="arm")}),
    }
    result = run(meta(search_space=space, optimizer=GridOptimizer()))
    assert sorted(tuple(trial.params.values()) for trial in result.trials) == [
        ("evolution", "fifo"),
        ("evolution", "ucb-1"),
        ("random", "fifo"),
        ("random", "ucb-1"),
    ]
    assert {trial.state for trial in result.trials} == {TrialState.COMPLETED}


def test_settings_of_the_algorithm_at_any_depth() -> None:
    """Of members of a portfolio, of phases by number, of a picker; together with which object is there."""
    portfolio = PortfolioOptimizer({"tree": EvolutionOptimizer(population_size=4), "plain": RandomOptimizer()})
    space: dict[str, Any] = {"optimizer.optimizers.tree.mutation_scale": Uniform(0.1, 1.0)}
    assert run(meta(base=base(optimizer=portfolio, scheduler=None), search_space=space), 2).best is not None
    phases = Phases([Phase(RandomOptimizer(), trials=2), Phase(EvolutionOptimizer(population_size=4))])
    space = {"optimizer.phases.0.trials": Integer(1, 3), "optimizer.phases.1.optimizer.crossover": Uniform(0.0, 1.0)}
    assert run(meta(base=base(optimizer=phases, scheduler=None), search_space=space), 2).best is not None
    picker = IterationScheduler(branch_by="arm", picker=DiscountedUCB())
    assert run(meta(base=base(scheduler=picker), search_space={"scheduler.picker.discount": Uniform(0.5, 1.0)}), 2).best is not None
    space = {
        "optimizer": Variants(small=EvolutionOptimizer(population_size=4), large=EvolutionOptimizer(population_size=8)),
        "optimizer.mutation_scale": Uniform(0.1, 1.0),
    }
    assert run(meta(search_space=space), 2).best is not None


def test_what_strategies_declare_as_tunable() -> None:
    """By paths alone, or all of it; in portfolios too."""
    made = meta(search_space=["scheduler.c"])
    assert made.search_space.names == ("scheduler.c",)
    assert "scheduler.c" in meta(search_space=None).search_space.names
    evolving = meta(base=base(optimizer=PortfolioOptimizer({"e": EvolutionOptimizer()}), scheduler=None), search_space=None)
    assert "optimizer.optimizers.e.mutation_scale" in evolving.search_space.names
    with pytest.raises(SearchSpaceError, match=r"no range is declared for 'c'.*Did you mean 'scheduler\.c'\?"):
        meta(search_space=["c"])
    with pytest.raises(SearchSpaceError, match=r"nothing of SweepExperiment is declared as tunable.*found 'RandomOptimizer, FIFO"):
        meta(base=base(scheduler=None), search_space=None)


# -- 3: the curriculum sequence ----------------------------------------------------------------------------------------------------


def sweep_of_task(task: str) -> SweepExperiment:
    """The sweep of any task: one trial."""

    async def objective(trial: TrialContext) -> float:
        return 1.0

    return SweepExperiment(objective=objective, search_space={"x": Uniform(0, 1)}, slots=1)


def test_the_curriculum_sequence() -> None:
    """The order of the tasks is a setting as any other."""
    tasks = ["b", "a"]
    base_ = CurriculumExperiment(tasks=tasks, sweep=sweep_of_task, budget_per_task=1)

    def in_order(result: Any) -> float:
        order = [entry.task for entry in result.history]
        return float(sum(first < second for first, second in pairwise(order)))

    made = training(base=base_, search_space={"tasks": Permutation(tasks)}, score=in_order, optimizer=GridOptimizer())
    result = run(made)
    assert len(result.trials) == 2
    assert result.best_params == {"tasks": ["a", "b"]}
    assert result.best_score == 1.0


# -- 4: the allocation of resources ------------------------------------------------------------------------------------------------


async def epochs(trial: TrialContext) -> float:
    """Takes a second per epoch; the more slots there are, the sooner all have ended."""
    for epoch in range(1, 5):
        await asyncio.sleep(1.0)
        trial.report(epoch, score=float(epoch))
        if trial.should_stop:
            break
    return 1.0


def test_the_allocation_of_resources() -> None:
    """Slots, resources of trials, budgets, and the rungs at which trials are given up."""
    base_ = SweepExperiment(
        objective=epochs,
        search_space=SPACE,
        scheduler=ASHAScheduler(max_epochs=4, grace_period=1, reduction_factor=2, mode="stopping"),
        resources=Resources(time_limit=60.0),
        metric="score",
    )
    space = {
        "slots": Integer(1, 4),
        "resources.time_limit": Uniform(10.0, 60.0),
        "budget.trials": Choice([4, 8]),
        "scheduler.reduction_factor": Integer(2, 3),
        "failures.retries": Integer(0, 2),
    }
    made = meta(base=base_, search_space=space, base_budget=Budget(seconds=100), score="spend.seconds", goal="minimize", slots=4)
    result = run(made, 4)
    assert {trial.state for trial in result.trials} == {TrialState.COMPLETED}
    assert len({trial.score for trial in result.trials}) > 1


def test_more_slots_end_sooner() -> None:
    """Of a grid of allocations, one after the other, the one with a slot for each trial is found."""
    base_ = SweepExperiment(objective=epochs, search_space=SPACE, metric="score")
    made = meta(
        base=base_,
        search_space={"slots": Choice([1, 2, 4])},
        optimizer=GridOptimizer(),
        scheduler=SynchronousBatchScheduler(batch_size=1),
        base_budget=4,
        score="spend.seconds",
        goal="minimize",
        slots=4,
    )
    result = run(made)
    assert [(trial.params["slots"], trial.score) for trial in result.trials] == [(1, 16.0), (2, 8.0), (4, 4.0)]
    assert result.best_params == {"slots": 4}


def test_wishes_of_schedulers_come_back_when_they_are_changed() -> None:
    """What follows from a setting that is changed is derived anew: here the slots."""
    space = {"scheduler": Variants(two=SynchronousBatchScheduler(batch_size=2), four=SynchronousBatchScheduler(batch_size=4))}
    made = meta(base=base(slots=None, scheduler=None), search_space=space)
    slots = {name: made._template.copy({"scheduler": name}).experiment.slots for name in ("two", "four")}
    assert slots == {"two": 2, "four": 4}


# -- 5: the pipeline structure -----------------------------------------------------------------------------------------------------


async def other(data: list[float]) -> float:
    """A function that is no method."""
    return 100.0 * len(data)


TINY = Pipeline(data=list[float]).stage("count", lambda data: float(len(data))).through(model=float)


def test_the_pipeline_structure() -> None:
    """Functions, methods and pipelines of one contract may stand for a stage; None leaves it out."""
    original = Training(rate=1.0)
    space = {
        "size": Choice([3]),
        "pipeline.train": Variants(slow=Training.slow, fast=original.fast, other=other, tiny=TINY),
        "pipeline.scale": Variants(yes=Training.scale, no=None),
    }
    result = run(training(base=original, search_space=space, optimizer=GridOptimizer()))
    scores = {(trial.params["pipeline.train"], trial.params["pipeline.scale"]): trial.score for trial in result.trials}
    assert scores == {
        ("slow", "yes"): 6.0,
        ("slow", "no"): 3.0,
        ("fast", "yes"): 3.0,
        ("fast", "no"): 1.5,
        ("other", "yes"): 300.0,
        ("other", "no"): 300.0,
        ("tiny", "yes"): 3.0,
        ("tiny", "no"): 3.0,
    }
    assert "pipeline" not in vars(original)


def test_a_stage_without_which_there_is_no_score_cannot_be_left_out() -> None:
    """Told when it is made, and not by each trial that draws it."""
    with pytest.raises(SearchSpaceError, match=r"with 'no' there is no score.*have no 'accuracy'.*Leave that one out"):
        training(search_space={"size": Choice([1]), "pipeline.evaluate": Variants(yes=Training.evaluate, no=None)})


def test_methods_are_those_of_the_copy() -> None:
    """What is searched beside the stage counts in it."""
    space = {"size": Choice([1]), "pipeline.train": Variants(fast=Training().fast), "rate": Uniform(0.1, 1.0)}
    result = run(training(search_space=space), 3)
    assert [trial.score for trial in result.trials] == pytest.approx(values(result, "rate"))


def test_stages_of_sweeps_can_be_searched_as_any() -> None:
    """Their pipeline is one of four stages."""

    class Paused(SweepExperiment):
        """Holds another way to score."""

        async def later(self, sweep: Any) -> Any:
            """As the stage that it replaces."""
            from metta_sweep.experiments import score

            return await score(sweep)

    made = Paused(objective=worth, search_space=SPACE, slots=1)
    result = run(meta(base=made, search_space={"pipeline.sweep/score": Variants(later=Paused.later)}), 1)
    assert result.best is not None


def test_first_settings_may_be_given() -> None:
    """A queue of settings, as in any sweep."""
    made = training(
        optimizer=SuggestionQueue([{"rate": 0.5, "size": 2}]), search_space={"rate": Uniform(0, 1), "size": Integer(1, 3)}
    )
    assert [trial.score for trial in run(made).trials] == [2.0]
