"""Experiments as stages that die anywhere, are tried again, cached, timed out, replaced, or looked at before they run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from dying import DieAt, Died

from metta_sweep import Experiment, MemoryStore, Pipeline, SweepExperiment, Uniform
from metta_sweep.clock import crash_points
from metta_sweep.errors import BuildError
from metta_sweep.experiments.codec import decode_trial
from metta_sweep.experiments.result import SweepResult
from metta_sweep.optimizers import EvolutionOptimizer
from metta_sweep.store import SqliteStore

SPACE = {"x": Uniform(0.0, 1.0)}


class Tuned(SweepExperiment):
    """A sweep for one number."""

    search_space = SPACE
    slots = 1

    def __init__(self, best: float, **options: Any) -> None:
        super().__init__(**options)
        self.best = best

    def objective(self, x: float) -> float:
        """How near it is."""
        return -abs(x - self.best)


class Inside(Experiment):
    """An experiment with a sweep in it."""

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return Pipeline(best=float).stage("tune", Tuned, budget=2).through(found=SweepResult).stage("tell", tell)


def tell(found: SweepResult) -> float:
    """The best score."""
    return found.best_score or 0.0


class Whole(Experiment):
    """Sweeps and experiments as stages: an instance, a class for each item, an experiment with a sweep in it."""

    def pipeline(self) -> Pipeline:
        """Its stages."""
        return (
            Pipeline(tasks=list[float])
            .stage("explore", Tuned(0.5), budget=3)
            .map("each", Tuned, over="tasks", budget=2, limit=1)
            .through(best_score=float)
            .stage("inside", Inside(), best=0.1)
        )


def trials_of(store: MemoryStore) -> dict[str, Any]:
    """The ended trials of all runs in a store, by the names of the runs."""
    return {
        str(row.name): [(trial.id, trial.params, trial.score) for trial in map(decode_trial, store.trial_rows(row.run_id))]
        for row in store.runs()
    }


def run_in(store: MemoryStore) -> Any:
    """The whole, kept in a store."""
    return Whole(name="whole", store=store, seed=6).run(tasks=[0.2, 0.8])


def test_experiments_as_stages_go_on_wherever_they_died() -> None:
    """After a death at any record of any of them: the same runs, the same trials, the same values, each counted once."""
    never, store = DieAt(0), MemoryStore()
    with crash_points(never):
        result = run_in(store)
    whole = trials_of(store)
    assert list(whole) == [
        "whole",
        "whole/explore>Tuned",
        "whole/each[item=0]>Tuned",
        "whole/each[item=1]>Tuned",
        "whole/inside>Inside",
        "whole/inside>Inside/tune>Tuned",
    ]
    for place in range(2, never.seen, 7):
        store = MemoryStore()
        with crash_points(DieAt(place)), pytest.raises(Died):
            run_in(store)
        again = run_in(store)
        assert trials_of(store) == whole, place
        assert (again.best_score, again.tell, again.spend.trials) == (result.best_score, result.tell, result.spend.trials), place


def test_a_stage_that_is_tried_again_goes_on_with_its_experiment() -> None:
    """``retry=`` runs the same sweep on: what it had is not done twice, also where a class makes a new one each time."""
    calls: list[float] = []

    class Fragile(Tuned):
        def objective(self, x: float) -> float:
            calls.append(x)
            return x

        async def arun(self, budget: Any = None, **options: Any) -> SweepResult:  # type: ignore[override]
            result = await super().arun(budget, **options)
            if result.added:
                raise ConnectionError("lost")
            return result

    class Trying(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline(best=float).stage("tune", Fragile, budget=3).through(best_score=float, retry=1)

    result = Trying(name="trying", store=MemoryStore()).run(best=0.5)
    assert len(calls) == 3
    assert result.best_score == max(calls)
    assert list(result.children) == ["tune>Fragile"]


def test_an_experiment_that_takes_too_long_is_ended_with_its_stage() -> None:
    """``timeout=`` cancels the experiment inside; the next start goes on with it."""
    slow = [True]

    class Slow(Tuned):
        async def objective(self, x: float) -> float:  # type: ignore[override]
            if slow[0]:
                await asyncio.Event().wait()
            return x

    class Timed(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("tune", Slow(0.5), budget=2).through(best_score=float, timeout=0.05)

    store = MemoryStore()
    with pytest.raises(TimeoutError):
        Timed(name="timed", store=store).run()
    slow[0] = False
    result = Timed(name="timed", store=store).run()
    assert len(result.children["tune>Slow"].trials) == 2


def test_an_experiment_replaces_the_function_of_a_stage() -> None:
    """``override`` takes experiments, checked against the contract of the stage."""
    pipeline = Pipeline().stage("explore", lambda: 3.0).through(best_score=float, budget_of=int)
    with pytest.raises(BuildError, match="the field 'budget_of', which nothing in it provides"):
        pipeline.override("explore", Tuned(0.5)).build()
    plan = Pipeline().stage("explore", lambda: 3.0).through(best_score=float).override("explore", Tuned(0.5)).build()
    assert "explore (experiment)" in str(plan.describe())


def test_a_resume_is_told_before_it_happens() -> None:
    """``plan_resume`` knows the recorded outputs of experiments, and reads the results of sweeps back."""
    store = MemoryStore()
    run_in(store)
    resume = Whole(name="whole", store=store, seed=6).plan_resume(tasks=[0.2, 0.8])
    assert {row.verdict for row in resume.rows} == {"reuse"}
    other = Whole(name="whole", store=store, seed=6).plan_resume(tasks=[0.2, 0.9])
    assert [row.verdict for row in other.rows if row.address.startswith("each")] == ["reuse", "rerun"]


def test_another_sweep_in_a_stage_is_not_taken_for_the_one_before() -> None:
    """Where the definition of a sweep changed, its recorded output is not used: it begins anew, and the old run is kept aside."""
    store = MemoryStore()

    class Changing(Experiment):
        space: Any = SPACE

        def pipeline(self) -> Pipeline:
            sweep = SweepExperiment(objective=tell_x, search_space=self.space, slots=1)
            return Pipeline().stage("tune", sweep, budget=2).through(best_score=float)

    Changing(name="changing", store=store).run()
    changed = Changing(name="changing", store=store)
    changed.space = {"x": Uniform(2.0, 3.0)}
    children = changed.run().children
    assert {trial.params["x"] >= 2.0 for trial in children["tune>SweepExperiment"].trials} == {True}
    assert {trial.params["x"] <= 1.0 for trial in children["tune>SweepExperiment@1"].trials} == {True}


def tell_x(x: float) -> float:
    """It."""
    return x


def test_an_optimizer_for_a_class_is_compared_by_its_settings(caplog: pytest.LogCaptureFixture) -> None:
    """A stage whose class gets an optimizer is not run again when the run is resumed, unless the settings of that changed."""

    class Given(Experiment):
        population = 4

        def pipeline(self) -> Pipeline:
            optimizer = EvolutionOptimizer(population_size=self.population, tournament_size=2)
            return Pipeline().stage("tune", Tuned, best=0.5, optimizer=optimizer, budget=2).through(best_score=float)

    store = MemoryStore()
    Given(name="given", store=store).run()
    assert [type(event).__name__ for event in Given(name="given", store=store).run().trace] == ["StageReused"]
    assert not caplog.records
    other = Given(name="given", store=store)
    other.population = 5
    assert [row.reason for row in other.plan_resume().rows] == ["changed since: constant optimizer, experiment"]


async def test_results_are_kept_by_pipelines_that_are_run_by_hand(tmp_path: Path) -> None:
    """Without an experiment around: the sweep is kept in its own store, and its result is found there."""
    ran: list[int] = []

    def look(explore: SweepResult) -> float:
        ran.append(len(explore.trials))
        if len(ran) == 1:
            raise RuntimeError("killed")
        return explore.best_score or 0.0

    def plan(store: Any) -> Any:
        sweep = Tuned(0.5, name="own", store=tmp_path / "sweeps.db")
        return Pipeline().stage("explore", sweep, budget=3).stage("look", look).build().run(name="by-hand", store=store)

    kept = SqliteStore(tmp_path / "pipeline.db")
    with pytest.raises(RuntimeError, match="killed"):
        await plan(kept)
    result = await plan(kept)
    assert ran == [3, 3]
    assert result.look == result.explore.best_score
    kept.close()
