"""Comparisons inside other experiments: called in a stage, as a stage, as what a trial returns."""

from __future__ import annotations

import asyncio

import pytest
from comparison_kit import SPACE, comparison, side, two

from metta_sweep import Experiment, MemoryStore, Pipeline, Plan, SweepExperiment, Uniform, compare
from metta_sweep.errors import BuildError, Interrupted, MetricError
from metta_sweep.experiments import Comparison, ComparisonExperiment
from metta_sweep.experiments.comparison import ComparedRun
from metta_sweep.optimizers import GridOptimizer, SuggestionQueue


def duel(**options: object) -> ComparisonExperiment:
    """A grid that holds the best point, against random search."""
    sides = {"grid": side(GridOptimizer(resolution=2)), "random": side()}
    return ComparisonExperiment(experiments=sides, repeats=6, budget=2, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class OwnDuel(ComparisonExperiment):
    """The same as a class."""

    experiments = {"grid": side(GridOptimizer(resolution=2)), "random": side()}  # noqa: RUF012
    repeats = 6
    budget = 2


def test_a_comparison_runs_inside_a_stage() -> None:
    """``await compare(...)`` in a stage is a child of its experiment; as a field it is kept, and comes back whole."""

    class Question(Experiment):
        async def ask(self) -> Comparison:
            return await compare(two(), repeats=6, budget=2)

        def tell(self, answer: Comparison) -> str:
            return f"{len(answer.runs)} runs, p = {answer.pairs[0].p_value:.3f}"

        def pipeline(self) -> Pipeline:
            return Pipeline().stage("ask", self.ask).through(answer=Comparison).stage("tell", self.tell).through(told=str)

    store = MemoryStore()
    first = Question(name="q", store=store, seed=0).run()
    again = Question(name="q", store=store, seed=0).run()
    assert first["told"] == again["told"]
    assert first["answer"] == again["answer"]
    assert again["answer"].results is None
    names = [row.name for row in store.runs()]
    assert "q/ask>ComparisonExperiment/trial[problem:0:a]>a" in names
    assert len(names) == 14


def test_a_comparison_is_a_stage() -> None:
    """An instance and a class are stages, whose output is the comparison, or what is picked of it."""

    def plan(pipeline: Pipeline) -> Plan:
        return pipeline.build()

    whole = asyncio.run(plan(Pipeline().stage("duel", duel())).run(seed=1))
    assert isinstance(whole["duel"], Comparison)
    assert whole["duel"].winner == "grid"
    picked = asyncio.run(
        plan(Pipeline().stage("duel", OwnDuel).through(winner=str | None, runs=tuple[ComparedRun, ...])).run(seed=1)
    )
    assert picked["winner"] == "grid"
    assert len(picked["runs"]) == 12
    as_dict = asyncio.run(plan(Pipeline().stage("duel", duel()).through(told=dict)).run(seed=1))
    assert as_dict["told"]["winner"] == "grid"
    with pytest.raises(BuildError, match="best_score"):
        plan(Pipeline().stage("duel", duel()).through(best_score=float))


def test_a_comparison_is_what_a_trial_returns() -> None:
    """A trial that returns a comparison of two sides is worth how much better the first one is."""

    def played(width: float) -> ComparisonExperiment:
        space = {"x": Uniform(0.0, width)}
        sides = {"grid": side(GridOptimizer(resolution=2), search_space=space), "random": side(search_space=space)}
        return ComparisonExperiment(experiments=sides, repeats=6, budget=2)

    sweep = SweepExperiment(
        objective=played,
        optimizer=SuggestionQueue([{"width": 1.0}, {"width": 100.0}]),
        goal={"difference": "maximize"},
        slots=1,
        seed=0,
    )
    results = sweep.run()
    assert results.best_params == {"width": 100.0}
    assert results.trials[0].metrics["wins"] == 1.0
    assert results.trials[0].metrics["p_value"] == pytest.approx(2**-5)


def test_more_sides_are_no_metric() -> None:
    """Of three sides a trial has to say which two it means."""
    found = comparison({name: side() for name in "abc"})
    with pytest.raises(MetricError, match=r"a comparison of 3 sides is no metric.*result.between"):
        found.__as_metrics__("trial[0]")


def test_a_comparison_that_was_interrupted_says_so() -> None:
    """raise_for_stop() lets nobody go on with half of the runs."""

    async def main() -> Comparison:
        sides = {name: side(objective=slow) for name in "ab"}
        experiment = ComparisonExperiment(experiments=sides, repeats=6, budget=2)
        async with experiment.open() as run:
            run.interrupt()
            await experiment.build().run(recorder=run.recorder, seed=run.seed, inputs={"sweep": run})
            return experiment.comparison_of(run.result())

    found = asyncio.run(main())
    assert found.runs == ()
    assert "a and b have not been run in a pair" in found.summary()
    with pytest.raises(Interrupted, match="stopped by interrupted"):
        found.raise_for_stop()
    assert comparison().raise_for_stop().sides == ("a", "b")


async def slow(x: float) -> float:
    """Long."""
    await asyncio.sleep(1)
    return x


def test_the_search_space_may_be_that_of_the_problem() -> None:
    """A template without a search space takes that of the problem, and one with the same keeps it."""
    sides = {"bare": SweepExperiment(slots=1), "same": SweepExperiment(search_space=SPACE, slots=1)}
    assert len(comparison(sides, problems={"one": (slow_less, SPACE)}).runs) == 12


async def slow_less(x: float) -> float:
    """Short."""
    return x
