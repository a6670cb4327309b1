"""Half of an experiment inside another one is not taken for a whole one, and goes on when there is more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from metta_sweep import Budget, Experiment, FailurePolicy, MemoryStore, Pipeline, SweepExperiment, TrialContext, Uniform
from metta_sweep.core.trial import Trial
from metta_sweep.errors import Interrupted
from metta_sweep.pipeline import StageReused
from metta_sweep.schedulers import FIFOScheduler
from metta_sweep.testing.virtual import run_virtual

SPACE = {"x": Uniform(0.0, 1.0)}


def sweep(objective: Any, **options: Any) -> SweepExperiment:
    """A sweep over one parameter."""
    return SweepExperiment(objective=objective, search_space=SPACE, **options)


async def second(x: float) -> dict[str, float]:
    """The parameter, after a second, at a cost of 1."""
    await asyncio.sleep(1.0)
    return {"score": x, "cost": 1.0}


def inner() -> SweepExperiment:
    """What runs inside."""
    return sweep(second, name="inner", slots=1, metric="score")


class Staged(Experiment):
    """Runs it in a stage."""

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline().stage("search", self.search).through(found=int)

    async def search(self) -> int:
        """All or nothing."""
        results = await inner().run(budget=10)
        if len(results.trials) < 10:
            raise RuntimeError("too few")
        return len(results.trials)


async def awaited() -> float:
    """``await run()``."""
    return (await inner().run(budget=50)).best_score or 0.0


async def in_a_stage() -> float:
    """In a stage of an experiment without trials."""
    return float((await Staged().run())["found"])


async def by_hand() -> float:
    """``open()``, and a plan that is run on it."""
    experiment = inner()
    async with experiment.open(budget=50) as run:
        await experiment.build().run(sweep=run, recorder=run.recorder)
    return run.result().best_score or 0.0


class Stops(FIFOScheduler):
    """Stops what has reported."""

    def should_stop(self, trial: Trial) -> bool:
        """At the first report."""
        return trial.last_report is not None


@pytest.mark.parametrize("how", [awaited, in_a_stage, by_hand])
@pytest.mark.parametrize("through", ["a verdict", "the deadline"])
def test_a_trial_with_half_an_experiment_was_stopped(how: Callable[[], Awaitable[float]], through: str) -> None:
    """Whatever ends the trial, and however it runs what is inside it, it is neither completed nor failed."""

    async def outer(trial: TrialContext) -> float:
        asyncio.get_running_loop().call_later(3.5, trial.report, 1, 0.5)
        return await how()

    scheduler = Stops() if through == "a verdict" else FIFOScheduler()
    budget = Budget(trials=1, seconds=None if through == "a verdict" else 4.0)
    results = run_virtual(sweep(outer, scheduler=scheduler, store=MemoryStore(), slots=1, grace=3.0).arun(budget=budget))
    assert results.states == {"stopped": 1}
    assert results.trials[0].score is None


def test_a_stage_that_opens_a_run_by_hand_does_not_go_on_with_half_of_it() -> None:
    """What is interrupted from above is not returned as if it were whole."""

    class Opened(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("search", by_hand).through(found=float)

    with pytest.raises(Interrupted, match="the 5 s of"):
        run_virtual(Opened(store=MemoryStore()).arun(budget=Budget(seconds=5)))


def test_more_trials_around_an_experiment_let_it_go_on() -> None:
    """It was cut by the budget of the one around it, not by its own: with more there it does what is missing."""
    store = MemoryStore()
    for budget in (5, 7):
        with pytest.raises(RuntimeError, match="too few"):
            run_virtual(Staged(name="it", store=store).arun(budget=budget))
        row = store.find_run("it/search>inner")
        assert row is not None
        assert len(list(store.trial_rows(row.run_id))) == budget
    results = run_virtual(Staged(name="it", store=store).arun(budget=20))
    assert (results["found"], results.spend.trials) == (10, 10)


class Counted(Experiment):
    """Searches twice, the second time in a pipeline that is a stage, and tells how many trials there were."""

    def pipeline(self) -> Pipeline:
        """Three stages, each kept."""
        within = Pipeline().stage("again", self.search).through(second=int)
        return (
            Pipeline()
            .stage("search", self.search)
            .through(first=int)
            .stage("within", within)
            .through(second=int)
            .stage("add", lambda first, second: first + second)
            .through(both=int)
        )

    async def search(self) -> int:
        """What there is."""
        return len((await inner().run(budget=10)).trials)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("cap", ["trials", "cost"])
def test_stages_that_went_on_with_less_run_again_when_there_is_more(depth: int, cap: str) -> None:
    """They gave back what there was, and are not kept with that; nor are those around them."""
    store = MemoryStore()

    class Around(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("counted", Counted()).through(first=int, second=int, both=int)

    kind = Counted if depth == 1 else Around
    found = []
    for most in (4, 4, 13, 50, 50):
        results = run_virtual(
            kind(name="it", store=store, seed=0).arun(budget=Budget(trials=most) if cap == "trials" else Budget(cost=most))
        )
        found.append((results["first"], results["second"], results["both"], results.stop_reason is not None))
    assert found == [(4, 0, 4, True), (4, 0, 4, True), (10, 3, 13, True), (10, 10, 20, False), (10, 10, 20, False)]
    again = run_virtual(kind(name="it", store=store, seed=0).arun())
    assert {type(event) for event in again.trace} == {StageReused}


def test_stages_with_all_of_their_own_budget_are_kept() -> None:
    """A cap that is spent by then changes nothing."""
    store = MemoryStore()
    run_virtual(Counted(name="it", store=store, seed=0).arun(budget=20))
    again = run_virtual(Counted(name="it", store=store, seed=0).arun(budget=20))
    assert {type(event) for event in again.trace} == {StageReused}


def test_more_cost_around_an_experiment_lets_it_go_on() -> None:
    """The same with a cost, through a stage that failed for want of it in a trial that is tried again."""
    store = MemoryStore()

    async def outer(trial: TrialContext) -> float:
        return float((await Staged().run())["found"])

    def experiment() -> SweepExperiment:
        failures = FailurePolicy(retries=1, backoff=100.0)
        return sweep(outer, name="root", store=store, slots=1, failures=failures, grace=1.0)

    async def first() -> None:
        async with experiment().open(budget=Budget(trials=1, cost=4.0)) as opened:
            asyncio.get_running_loop().call_later(50.0, opened.interrupt)
            await experiment().build().run(sweep=opened, recorder=opened.recorder)

    run_virtual(first())
    results = run_virtual(experiment().arun(budget=Budget(trials=1, cost=20.0)))
    assert (results.best_score, results.spend.cost) == (10.0, 10.0)


class Guarded(Experiment):
    """Runs an experiment of stages in a stage that has an answer to every error."""

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline().stage("outer", self.outer).through(found=int, retry=2, on_error=lambda error: -1)

    async def outer(self) -> int:
        """What is found inside."""
        found: int = (await Staged().run())["found"]
        return found


def test_no_stage_around_it_replaces_what_was_interrupted() -> None:
    """Through any number of experiments of stages, ``retry`` and ``on_error`` make nothing of half a result."""
    store = MemoryStore()
    with pytest.raises(Interrupted, match=r"the 5 s of it are over"):
        run_virtual(Guarded(name="it", store=store).arun(budget=Budget(seconds=5)))
    assert run_virtual(Guarded(name="it", store=store).arun(budget=Budget(seconds=50)))["found"] == 10


def test_an_experiment_of_stages_says_that_its_own_seconds_are_over_inside_another_one() -> None:
    """Running the root again changes nothing there: a larger budget does."""

    async def outer(trial: TrialContext) -> float:
        return float((await Staged(name="staged").run(budget=Budget(seconds=5)))["found"])

    results = run_virtual(sweep(outer, store=MemoryStore(), slots=1).arun(budget=1))
    error = results.trials[0].error
    assert error is not None
    assert error.message == "the 5 s of trial[0]>staged are over before its end. A larger budget goes on there."
