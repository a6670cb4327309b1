"""Experiments as stages: sweeps, experiments with a pipeline, and classes of both; what they give, and what builds find wrong."""

from __future__ import annotations

from typing import Any

import pytest

from metta_sweep import Experiment, Pipeline, SweepExperiment
from metta_sweep.core.trial import Trial
from metta_sweep.errors import BuildError, ContractError, FailureRateExceeded, StoreError
from metta_sweep.experiments.result import SweepResult
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.pipeline.keeping.artifact import ArtifactLost
from metta_sweep.records import RunRow
from metta_sweep.store import MemoryStore


def points(*xs: float, objective: Any = None, **options: Any) -> SweepExperiment:
    """A sweep over these points, whose scores are the points."""
    queue = SuggestionQueue([{"x": x} for x in xs])
    return SweepExperiment(objective=objective or (lambda x: x), optimizer=queue, slots=1, **options)


class Halved(Experiment):
    """A pipeline with an input, which provides ``half``."""

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return Pipeline(n=int).stage("double", lambda n: n * 2).through(doubled=int).stage("halve", halve)


def halve(doubled: int) -> float:
    """A quarter of it."""
    return doubled / 4


class PerTask(SweepExperiment):
    """A sweep whose constructor asks for a task."""

    optimizer = SuggestionQueue([{"x": 0.0}, {"x": 1.0}, {"x": 2.0}])

    def __init__(self, task: int, **options: Any) -> None:
        super().__init__(slots=1, **options)
        self.task = task

    def objective(self, x: float) -> float:
        """Its task counts most."""
        return 10.0 * self.task + x


def faults(pipeline: Pipeline) -> str:
    """What its build finds wrong."""
    with pytest.raises(BuildError) as refused:
        pipeline.build()
    return str(refused.value)


# -- sweeps ----------------------------------------------------------------------------------------------------------------------


async def test_a_sweep_gives_its_result_in_a_field_named_after_the_stage() -> None:
    """Without a contract; ``budget=`` is a constant of the stage."""
    result = await Pipeline().stage("explore", points(1.0, 3.0, 2.0), budget=2).build().run()
    assert isinstance(result.explore, SweepResult)
    assert (result.explore.best_score, len(result.explore.trials)) == (3.0, 2)


async def test_a_contract_picks_attributes_of_the_result() -> None:
    """Fields called like attributes of a result are these; the trials are a list."""
    pipeline = Pipeline().stage("explore", points(1.0, 3.0)).through(best_params=dict, best_score=float, trials=list[Trial])
    result = await pipeline.build().run()
    assert (result.best_params, result.best_score) == ({"x": 3.0}, 3.0)
    assert [trial.score for trial in result.trials] == [1.0, 3.0]


async def test_the_only_field_of_a_contract_may_have_any_name() -> None:
    """A dict is all of the result, a list of trials its trials, a SweepResult the result itself."""
    pipeline = (
        Pipeline()
        .stage("first", points(1.0))
        .through(task_results=dict)
        .stage("second", points(2.0))
        .through(exploration_results=list[Trial])
        .stage("third", points(3.0))
        .through(found=SweepResult)
        .stage("fourth", points(4.0))
        .through(SweepResult)
    )
    result = await pipeline.build().run()
    assert result.task_results["best_score"] == 1.0
    assert [trial.score for trial in result.exploration_results] == [2.0]
    assert (result.found.best_score, result.fourth.best_score) == (3.0, 4.0)


async def test_the_budget_may_be_a_field_or_a_constant_given_to_through() -> None:
    """``budget`` is found like a parameter of a stage function."""
    sweep = points(1.0, 2.0, 3.0)
    by_field = await Pipeline(budget=int).stage("explore", sweep).build().run(budget=2)
    by_through = await Pipeline().stage("explore", sweep).through(best_score=float, budget=1).build().run()
    assert (len(by_field.explore.trials), by_through.best_score) == (2, 1.0)


async def test_a_best_score_is_asked_for_where_none_is() -> None:
    """The error names the sweep, and what else the contract could take; with that, None is there."""

    def failing(x: float) -> float:
        raise ValueError("no")

    plan = Pipeline().stage("explore", points(1.0, objective=failing)).through(best_score=float).build()
    with pytest.raises(ContractError, match=r"in which no trial completed.*through\(best_score=float \| None\)"):
        await plan.run()
    result = await Pipeline().stage("explore", points(1.0, objective=failing)).through(best_score=float | None).build().run()
    assert result.best_score is None


async def test_a_sweep_that_stops_for_a_bad_reason_fails_its_stage() -> None:
    """The stage raises what ``raise_for_stop`` does."""

    def failing(x: float) -> float:
        raise ValueError("no")

    plan = Pipeline().stage("explore", points(*map(float, range(9)), objective=failing)).build()
    with pytest.raises(FailureRateExceeded):
        await plan.run()


def test_what_a_sweep_cannot_give_is_found_by_the_build() -> None:
    """Unknown attributes, wrong types, constants that it does not take, a missing objective, ``more=``: all at once."""
    pipeline = (
        Pipeline()
        .stage("a", points(1.0))
        .through(best_scores=float, trials=list[Trial])
        .stage("b", points(1.0))
        .through(best_params=int)
        .stage("c", points(1.0), budgets=3)
        .stage("d", SweepExperiment())
        .stage("e", points(1.0), more=3)
        .stage("f", points(1.0), budget=-1)
        .stage("g", points(1.0, objective=lambda x: {"a": x, "b": x}, goal={"a": "maximize", "b": "minimize"}))
        .through(best_score=float)
    )
    said = faults(pipeline)
    assert "the pipeline has 7 faults" in said
    assert "the field 'best_scores', which nothing in it provides" in said
    assert "Did you mean 'best_score'?" in said
    assert "b: the contract of the experiment 'SweepExperiment' needs int, but" in said
    assert "the constant 'budgets' is no input of the experiment 'SweepExperiment'; expected one of budget." in said
    assert "Did you mean 'budget'?" in said
    assert "d: the sweep has no objective" in said
    assert "e: more= adds trials whenever the stage runs" in said
    assert "f: its budget is below 0; found budget=-1" in said
    assert "g: the contract of the experiment 'SweepExperiment' has the field 'best_score', which nothing in it provides" in said


def test_what_reads_the_result_of_a_sweep_is_checked_against_it() -> None:
    """A stage that reads a best score as a text is a fault; its provider is named."""
    pipeline = Pipeline().stage("explore", points(1.0)).through(best_score=float).stage("show", shows)
    assert "parameter 'best_score' needs str, but 'explore' provides 'best_score' as float" in faults(pipeline)


def shows(best_score: str) -> str:
    """Wants a text."""
    return best_score


# -- experiments with a pipeline -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [Halved(), Halved, Halved(name="inner")])
async def test_an_experiment_gets_its_inputs_from_fields_and_gives_what_its_last_part_does(inner: Any) -> None:
    """Like a nested pipeline, and with a run of its own."""
    result = await Pipeline(n=int).stage("inner", inner).build().run(n=6)
    assert result.halve == 3.0
    assert "doubled" not in result.context


async def test_an_experiment_may_have_a_budget_of_its_own() -> None:
    """``budget=`` caps what runs inside it, unless its pipeline has an input of that name; a field is not taken for it."""
    capped = await Pipeline(budget=int).stage("inner", Inner(), budget=1).build().run(budget=7)
    free = await Pipeline(budget=int).stage("inner", Inner()).build().run(budget=1)
    assert (len(capped.found.trials), len(free.found.trials)) == (1, 2)

    class Own(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline(budget=int).stage("give", lambda budget: budget).through(given=int)

    assert (await Pipeline(budget=int).stage("own", Own()).build().run(budget=7)).given == 7


async def test_a_contract_picks_any_field_of_an_experiment() -> None:
    """Also one that an earlier stage of it provides; inputs may be constants."""
    result = await Pipeline().stage("inner", Halved(), n=6).through(doubled=int, halve=float).build().run()
    assert (result.doubled, result.halve) == (12, 3.0)


def test_faults_within_an_experiment_stand_under_its_address() -> None:
    """Those of its own pipeline, missing inputs and wrong contracts, all in one error."""

    class Wrong(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("read", halve)

    said = faults(Pipeline().stage("one", Wrong()).stage("two", Halved()).stage("three", Halved(), n=1).through(halved=float))
    assert "one>Wrong/read: parameter 'doubled' needs the field 'doubled', which nothing provides" in said
    assert "two: the input 'n' of the experiment 'Halved' needs the field 'n'" in said
    assert "three: the contract of the experiment 'Halved' has the field 'halved', which nothing in it provides" in said


def test_an_experiment_that_is_a_stage_of_itself_is_a_fault() -> None:
    """Directly, or by making ever deeper ones: the build ends, and says what to do."""

    class Myself(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("again", self)

    class Deeper(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("deeper", Deeper())

    assert "the experiment Myself is a stage of itself, which would never end" in faults(Pipeline().stage("me", Myself()))
    assert "are stages of one another" in faults(Pipeline().stage("deep", Deeper()))


def test_tables_and_drawings_show_experiments() -> None:
    """An experiment is one row with its class, and its own stages under it with their addresses."""
    pipeline = Pipeline(n=int).stage("inner", Halved()).stage("explore", points(1.0), budget=5)
    table, drawing = str(pipeline.describe()), pipeline.to_mermaid()
    assert "inner (experiment)" in table
    assert "doubled: int <- inner>Halved/double" in table
    assert "budget=5" in table
    assert "SweepExperiment" in table
    assert "inner (experiment)" in drawing
    assert '"explore"' in drawing


# -- classes ---------------------------------------------------------------------------------------------------------------------


async def test_a_class_is_made_with_fields_and_constants_that_its_constructor_asks_for() -> None:
    """``task`` is a field, and ``budget`` a constant: of the run, since the constructor does not ask for it."""
    pipeline = Pipeline(task=int).stage("tune", PerTask, budget=2).through(best_score=float)
    assert (await pipeline.build().run(task=3)).best_score == 31.0
    by_constant = Pipeline().stage("tune", PerTask, task=4).through(best_score=float)
    assert (await by_constant.build().run()).best_score == 42.0


async def test_a_map_makes_one_of_a_class_for_each_item() -> None:
    """The item is what its constructor asks for first."""
    pipeline = Pipeline(tasks=list[int]).map("tune", PerTask, over="tasks", budget=1).through(best_score=float)
    assert (await pipeline.build().run(tasks=[1, 2])).best_score == [10.0, 20.0]


def test_what_the_constructor_of_a_class_needs_is_checked() -> None:
    """A field that is not there, one of another type, a constant that it does not take, a constant that it refuses."""
    said = faults(
        Pipeline(name=str)
        .stage("missing", PerTask)
        .stage("typed", PerTask, task="three")
        .stage("refused", PerTask, task=1, grace="long")
    )
    assert "missing: the input 'task' of the experiment 'PerTask' needs the field 'task'" in said
    assert "typed: " in said
    assert "refused: SweepExperiment(grace=)" in said or "grace must be seconds" in said


async def test_options_of_all_experiments_come_from_constants_only() -> None:
    """A field called ``seed`` or ``name`` is not taken for that of a class; a constant is."""
    pipeline = Pipeline(seed=int, task=int).stage("tune", PerTask, budget=1).stage("own", PerTask, budget=1, seed=5)
    result = await pipeline.build().run(inputs={"seed": 3}, task=1)
    assert result.tune.seed != 3
    assert result.own.seed == 5


def test_a_class_that_cannot_be_made_yet_needs_a_contract() -> None:
    """What an experiment provides is not known before it is made: the fault shows how to say it."""

    class Late(Experiment):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.n = n

        def pipeline(self) -> Pipeline:
            return Pipeline().stage("give", lambda: self.n).through(given=int)

    assert "is not known before it is made; found no contract" in faults(Pipeline(n=int).stage("late", Late))
    Pipeline(n=int).stage("late", Late).through(given=int).build()


# -- kept ------------------------------------------------------------------------------------------------------------------------


class Outer(Experiment):
    """A sweep, an experiment with a sweep, and a stage that breaks when it is told to."""

    broken = True

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return (
            Pipeline().stage("explore", points(1.0, 3.0, 2.0)).stage("inner", Inner()).stage("last", self.last).through(total=float)
        )

    def last(self, explore: SweepResult, found: SweepResult) -> float:
        """What both found."""
        if self.broken:
            raise RuntimeError("killed")
        return (explore.best_score or 0.0) + (found.best_score or 0.0)


class Inner(Experiment):
    """A sweep within an experiment within another one."""

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return Pipeline().stage("tune", points(5.0, 4.0)).through(found=SweepResult)


def test_results_of_sweeps_are_kept_and_read_back() -> None:
    """The outputs of stages that are sweeps are used again, as they were, and nothing runs twice."""
    store = MemoryStore()
    with pytest.raises(RuntimeError, match="killed"):
        Outer(name="outer", store=store).run()
    resumed = Outer(name="outer", store=store)
    resumed.broken = False
    result = resumed.run()
    assert result.total == 8.0
    assert [event.__class__.__name__ for event in result.trace].count("StageReused") == 2
    assert result.explore.added == 3
    assert [trial.score for trial in result.explore.trials] == [1.0, 3.0, 2.0]
    assert result.explore.address == "explore>SweepExperiment"
    assert result.spend.trials == 5


def test_children_are_the_results_of_what_ran_directly_inside() -> None:
    """By address, lazily, each with children of its own; what there is not is answered with a guess."""
    outer = Outer(name="outer", store=MemoryStore())
    outer.broken = False
    children = outer.run().children
    assert list(children) == ["explore>SweepExperiment", "inner>Inner"]
    assert children["explore>SweepExperiment"].best_score == 3.0
    inner = children["inner>Inner"]
    assert inner.output.best_score == 5.0
    assert inner.spend.trials == 2
    assert list(inner.children) == ["tune>SweepExperiment"]
    deep = inner.children["inner>Inner/tune>SweepExperiment"]
    assert deep.run_id == inner.children["tune>SweepExperiment"].run_id == inner.found.run_id
    assert repr(children) == "<2 children: explore>SweepExperiment, inner>Inner>"
    assert repr(deep.children) == "<no children>"
    with pytest.raises(KeyError, match="Did you mean 'inner>Inner'"):
        children["iner>Inner"]
    assert "inner>Inner" in children
    assert "nothing" not in children


def test_a_run_that_never_began_is_no_child() -> None:
    """What a process left that died before the first record is passed over; it begins when the parent runs again."""
    store = MemoryStore()
    outer = Outer(name="outer", store=store)
    outer.broken = False
    result = outer.run()
    store.create_run(RunRow("left-1", "outer/last>Left", 0.0))
    assert list(result.children) == ["explore>SweepExperiment", "inner>Inner"]


def test_a_sweep_knows_what_ran_inside_its_trials() -> None:
    """The children of a sweep are those of its trials, named or not."""

    async def tuned(x: float) -> float | None:
        return (await PerTask(int(x)).run(budget=1)).best_score

    results = points(1.0, 2.0, objective=tuned).run()
    assert [(address, child.best_score) for address, child in results.children.items()] == [
        ("trial[0]>PerTask", 10.0),
        ("trial[1]>PerTask", 20.0),
    ]


def test_a_result_whose_run_is_gone_is_made_again() -> None:
    """Where the run of a recorded result is not in the store any more, its stage runs again, and says why."""
    from pydantic import TypeAdapter

    with pytest.raises(ArtifactLost, match="the run 'gone', whose result was recorded, is not in the store any more"):
        TypeAdapter(SweepResult).validate_json(b'{"run": "gone-1", "name": "gone", "events": 3}')


def test_what_was_learned_is_not_kept_and_the_error_says_so() -> None:
    """Results that were read back have no optimizer."""
    outer = Outer(name="outer", store=MemoryStore())
    outer.broken = False
    with pytest.raises(StoreError, match="what the optimizer has learned is not kept"):
        _ = outer.run().explore.optimizer
