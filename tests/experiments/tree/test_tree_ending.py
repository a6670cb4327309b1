"""What ends an experiment inside another one: its parent's time and budget, verdicts, cancellation, failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from metta_sweep import Budget, Experiment, MemoryStore, Pipeline, SweepExperiment, TrialContext, Uniform
from metta_sweep.core.trial import Trial
from metta_sweep.errors import Interrupted, RunInUse
from metta_sweep.schedulers import FIFOScheduler
from metta_sweep.testing.virtual import run_virtual

SPACE = {"x": Uniform(0.0, 1.0)}


def sweep(objective: Any, **options: Any) -> SweepExperiment:
    """A sweep over one parameter."""
    return SweepExperiment(objective=objective, search_space=SPACE, **options)


async def second(x: float) -> float:
    """The parameter, after a second."""
    await asyncio.sleep(1.0)
    return x


async def costly(x: float) -> dict[str, float]:
    """The parameter, and a cost of 1."""
    await asyncio.sleep(1.0)
    return {"score": x, "cost": 1.0}


def stop_of(store: MemoryStore, name: str) -> tuple[str, str]:
    """Why a run stopped, as its journal says."""
    from metta_sweep.core.events import Stop
    from metta_sweep.experiments.codec import decode_events

    row = store.find_run(name)
    assert row is not None
    events = [event for record in store.records(row.run_id, kind="events") for event in decode_events(record)]
    stop = events[-1]
    assert isinstance(stop, Stop)
    return stop.reason, stop.detail


def why_left(store: MemoryStore, name: str) -> str:
    """Why a process left a run before its end."""
    row = store.find_run(name)
    assert row is not None
    ends = [json.loads(record.payload) for record in store.records(row.run_id, kind="end")]
    return str(ends[-1].get("why", ""))


class Two(Experiment):
    """Two sweeps, one after the other."""

    objective: Any = staticmethod(second)

    def pipeline(self) -> Pipeline:
        """The two stages."""
        return Pipeline().stage("first", self.search).through(first=int).stage("second", self.search).through(second=int)

    async def search(self) -> int:
        """How many trials there were."""
        results = await sweep(self.objective, metric="score", slots=1).run(budget=10)
        return len(results.trials)


def test_a_childs_trials_end_at_its_parents_deadline() -> None:
    """The child ends in order before its parent's trial is cut, and says whose time is over; that trial is not completed."""
    store = MemoryStore()
    partial: list[int] = []

    async def outer(trial: TrialContext) -> float:
        results = await sweep(second, name="inner", slots=1).run(budget=100)
        partial.append(len(results.trials))
        return results.best_score or 0.0

    async def main() -> tuple[Any, float]:
        results = await sweep(outer, name="root", store=store, slots=1).arun(budget=Budget(seconds=10.5))
        return results, asyncio.get_running_loop().time()

    results, seconds = run_virtual(main())
    assert str(results.stop_reason) == "budget_time"
    assert results.trials[0].state.value == "stopped"
    assert partial == [11]
    assert 10.5 <= seconds <= 12
    reason, detail = stop_of(store, "root/trial[0]>inner")
    assert reason == "interrupted"
    assert "the 10.5 s of root are over" in detail


def test_an_experiment_of_stages_is_over_with_its_seconds_and_goes_on_with_more() -> None:
    """A stage does not go on with half a result: the run ends by an error that says what to do, and a larger budget goes on."""
    store = MemoryStore()
    with pytest.raises(Interrupted, match=r"the 15 s of two are over before its end. A larger budget goes on there"):
        run_virtual(Two(name="two", store=store).arun(budget=Budget(seconds=15)))
    results = run_virtual(Two(name="two", store=store).arun(budget=Budget(seconds=60)))
    assert (results["first"], results["second"], results.spend.trials) == (10, 10, 20)


def test_a_stage_that_runs_no_experiment_ends_with_the_seconds_too() -> None:
    """What does not look at the time is cancelled after its grace."""

    class Sleeps(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("sleep", self.sleep).through(slept=int)

        async def sleep(self) -> int:
            await asyncio.sleep(1000.0)
            return 1

    with pytest.raises(Interrupted, match="Give it a name"):
        run_virtual(Sleeps().arun(budget=Budget(seconds=10)))


def test_trials_of_sweeps_in_stages_add_up() -> None:
    """The budget of an experiment without trials caps those of the sweeps in it; the result says that it is spent."""
    results = run_virtual(Two(store=MemoryStore()).arun(budget=15))
    assert (results["first"], results["second"]) == (10, 5)
    assert results.spend.trials == 15
    assert str(results.stop_reason) == "budget_trials"


def test_costs_add_up_over_the_levels() -> None:
    """What children spend counts for their parents, and the second child has what the first one left."""
    store = MemoryStore()

    async def outer(trial: TrialContext) -> float:
        return (await sweep(costly, name="inner", metric="score", slots=1).run(budget=6)).best_score or 0.0

    results = run_virtual(sweep(outer, name="root", store=store, slots=1).arun(budget=Budget(cost=10)))
    assert results.spend.cost == 10.0
    assert str(results.stop_reason) == "budget_cost"
    assert stop_of(store, "root/trial[1]>inner") == ("budget_cost", "a cost of 10 of the 10 of root is spent")
    again = run_virtual(sweep(outer, name="root", store=store, slots=1).arun(budget=Budget(cost=10)))
    assert (again.spend.cost, len(again.trials)) == (10.0, 2)


def test_costs_reach_through_experiments_without_trials() -> None:
    """Three levels, with stages in the middle: the sum is that of all leaves."""

    class Costly(Two):
        objective = staticmethod(costly)

    async def outer(trial: TrialContext) -> float:
        result = await Costly().run()
        return float(result["first"])

    results = run_virtual(sweep(outer, name="root", store=MemoryStore(), slots=2).arun(budget=2))
    assert results.spend == results.spend._replace(trials=2, cost=40.0)


def test_a_verdict_ends_what_runs_inside_the_trial() -> None:
    """A trial that its scheduler stops has its children ended in order, not cut off."""

    class Stops(FIFOScheduler):
        def should_stop(self, trial: Trial) -> bool:
            return trial.last_report is not None

    store = MemoryStore()

    async def outer(trial: TrialContext) -> AsyncIterator[float]:
        trial.report(1, 0.5)
        results = await sweep(second, name="inner", slots=1).run(budget=50)
        yield results.best_score or 0.0

    results = run_virtual(sweep(outer, name="root", store=store, scheduler=Stops(), slots=1, grace=3.0).arun(budget=1))
    assert results.trials[0].state.value == "stopped"
    reason, detail = stop_of(store, "root/trial[0]>inner")
    assert reason == "interrupted"
    assert detail.startswith("trial[0] of root is")


def test_cancelling_the_parent_ends_its_children_and_says_why() -> None:
    """On every level the journal tells that the run was left, and through whom; a later run goes on."""
    store = MemoryStore()

    async def middle(trial: TrialContext) -> float:
        return (await sweep(second, name="inner", slots=1).run(budget=5)).best_score or 0.0

    async def outer(trial: TrialContext) -> float:
        return (await sweep(middle, name="middle", slots=1).run(budget=2)).best_score or 0.0

    async def cancelled() -> None:
        task = asyncio.create_task(sweep(outer, name="root", store=store, seed=1, slots=1).arun(budget=2))
        await asyncio.sleep(7.5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run_virtual(cancelled())
    assert why_left(store, "root") == "cancelled"
    assert why_left(store, "root/trial[0]>middle") == "trial[0] of root was ended"
    assert why_left(store, "root/trial[0]>middle/trial[1]>inner") == "trial[1] of trial[0]>middle was ended"
    assert run_virtual(sweep(outer, name="root", store=store, slots=1).arun(budget=2)).states == {"completed": 2}


def test_a_child_that_fails_fails_its_parents_trial_with_the_address() -> None:
    """The error of a child's optimizer reaches the trial that ran it; its siblings run on."""
    from metta_sweep import Optimizer

    class Broken(Optimizer):
        def suggest(self, n: int) -> list[Any]:
            raise ValueError("the model is singular")

        def observe(self, trial: Trial, result: float) -> None:
            """Nothing."""

    store = MemoryStore()

    async def outer(trial: TrialContext) -> float:
        optimizer = Broken() if trial.number == 0 else None
        return (await sweep(second, name="inner", optimizer=optimizer).run(budget=1)).best_score or 0.0

    results = run_virtual(sweep(outer, name="root", store=store, slots=1).arun(budget=2))
    error = results.trials[0].error
    assert error is not None
    assert (error.type, error.message) == ("ValueError", "the model is singular")
    assert results.trials[1].score is not None
    assert why_left(store, "root/trial[0]>inner") == "ValueError: the model is singular"


def test_what_a_trial_leaves_running_ends_with_its_parent() -> None:
    """A child that nobody waits for does not outlive the experiment that it was started in."""
    store = MemoryStore()
    started: list[asyncio.Task[Any]] = []

    async def outer(trial: TrialContext) -> float:
        started.append(asyncio.create_task(sweep(second, name="inner", slots=1).arun(budget=1000)))
        await asyncio.sleep(2.0)
        return 1.0

    run_virtual(sweep(outer, name="root", store=store, slots=1).arun(budget=1))
    assert started[0].cancelled()
    assert why_left(store, "root/trial[0]>inner") == "trial[0] of root was ended"


def test_a_child_that_is_driven_elsewhere_is_refused() -> None:
    """Who runs a child of a tree by its whole name meets the lock of the one that drives it."""
    store = MemoryStore()

    async def outer(trial: TrialContext) -> float:
        inner = asyncio.create_task(sweep(second, name="inner", slots=1).arun(budget=3))
        await asyncio.sleep(0.5)
        with pytest.raises(RunInUse):
            store.acquire(store.find_run("root/trial[0]>inner").run_id)  # type: ignore[union-attr]
        return (await inner).best_score or 0.0

    assert run_virtual(sweep(outer, name="root", store=store).arun(budget=1)).best_score is not None


def test_a_store_of_its_own_is_not_used_inside_another_experiment(caplog: pytest.LogCaptureFixture) -> None:
    """One tree is one store, so that it is resumed as a whole; what was given besides is told."""
    store, other = MemoryStore(), MemoryStore()

    async def outer(trial: TrialContext) -> float:
        return (await sweep(second, name="inner", store=other).run(budget=1)).best_score or 0.0

    run_virtual(sweep(outer, name="root", store=store).arun(budget=1))
    assert [row.name for row in other.runs()] == []
    assert "its own store= is not used" in caplog.text
