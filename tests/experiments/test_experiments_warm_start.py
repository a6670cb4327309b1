"""Sweeps that begin with the trials of earlier runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep_kit import SPACE, essence, run, sweep

from metta_sweep import (
    Budget,
    Choice,
    FailurePolicy,
    MemoryStore,
    Optimizer,
    Pipeline,
    Scheduler,
    SqliteStore,
    Suggestion,
    SweepExperiment,
    SweepResult,
    Trial,
    TrialContext,
    TrialState,
    Uniform,
)
from metta_sweep.clock import crash_points
from metta_sweep.core.events import Event
from metta_sweep.core.trial import Report, TrialError
from metta_sweep.errors import GoalError, InvalidInput, OptimizerError, StoreError, UnknownOption
from metta_sweep.experiments.warm_start import WarmSource
from metta_sweep.optimizers import EvolutionOptimizer, RandomOptimizer
from metta_sweep.records import Record, RunRow, Store, TrialRow
from metta_sweep.schedulers import FIFOScheduler, IterationScheduler
from metta_sweep.testing.virtual import run_virtual

TWO = {"accuracy": "maximize", "latency": "minimize"}


class Listening(RandomOptimizer):
    """Notes what it is told, in a list that all its runs share."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, Trial, Any]] = []
        self.asked_after: list[int] = []

    def suggest(self, n: int, index: int = 0, fixed: Any = None) -> Any:
        """Note how much it had been told."""
        self.asked_after.append(len(self.told))
        return super().suggest(n, index, fixed)

    def observe(self, trial: Trial, result: Any) -> None:
        """Note it."""
        self.told.append(("observe", trial, result))

    def failed(self, trial: Trial) -> None:
        """Note it."""
        self.told.append(("failed", trial, None))

    def stopped(self, trial: Trial) -> None:
        """Note it."""
        self.told.append(("stopped", trial, None))


def trials(count: int = 4, **settings: Any) -> list[Trial]:
    """Completed trials of ``x``."""
    return [
        Trial(
            **{
                "id": f"old-{number}",
                "number": number,
                "params": {"x": number / 10},
                "state": TrialState.COMPLETED,
                "metrics": {"score": number / 10},
                "score": number / 10,
                **settings,
            }
        )
        for number in range(count)
    ]


def explored(store: Store | None = None, name: str | None = "explore", budget: int = 12) -> SweepResult:
    """A run that others begin with."""
    return run(sweep(name=name, store=store or MemoryStore(), seed=3), budget)


def refining(store: Store, **settings: Any) -> SweepExperiment:
    """A sweep whose suggestions depend on what it knows."""
    return sweep(
        **{
            "search_space": SPACE,
            "optimizer": EvolutionOptimizer(population_size=6, tournament_size=4),
            "name": "refine",
            "store": store,
            **settings,
        }
    )


# -- what is told ------------------------------------------------------------------------------------------------------------------


def test_the_optimizer_is_told_before_its_first_suggestion() -> None:
    """Of completed, failed and stopped trials, in their order; of those that have not ended, or were cut, nothing."""
    optimizer = Listening()
    given = [
        replace(trials()[0], metrics={"score": (0.5, 0.1)}, score=0.5, seconds=2.5, metadata={"log": "x" * 99}),
        replace(trials()[1], state=TrialState.FAILED, score=None, metrics={}, error=TrialError("ValueError", "no", "a long one")),
        replace(trials()[2], state=TrialState.RUNNING, score=None, metrics={}),
        replace(trials()[3], state=TrialState.STOPPED, score=None, metrics={}, reason="deadline"),
        replace(
            trials()[3], state=TrialState.STOPPED, score=None, metrics={}, reason="verdict", reports=(Report(3, {"score": 0.25}),)
        ),
    ]
    result = run(sweep(search_space=SPACE, optimizer=optimizer, warm_start=given), 2)
    told = result.optimizer.told  # type: ignore[attr-defined]
    assert [(call, trial.id) for call, trial, _ in told[:3]] == [("observe", "old-0"), ("failed", "old-1"), ("stopped", "old-3")]
    assert result.optimizer.asked_after[0] == 3  # type: ignore[attr-defined]
    assert told[0][1].metrics == {"score": (0.5, 0.1)}
    assert (told[0][1].seconds, told[0][1].metadata, told[0][2]) == (2.5, {}, 0.5)
    assert told[1][1].error == TrialError("ValueError", "no", "")
    assert told[2][1].last_report == Report(3, {"score": 0.25})
    assert [trial.id for _, trial, _ in told[3:]] == ["0", "1"]


def test_the_scheduler_and_the_branches_are_not_told() -> None:
    """They know of the trials of this run only, and so do results, budget and spend."""

    class Watching(FIFOScheduler):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Event] = []

        def apply(self, event: Event) -> None:
            self.seen.append(event)

    space = {"model": Choice(["a", "b"])}
    earlier = [replace(trial, params={"model": "a"}, branch="a") for trial in trials()]

    async def objective(model: str) -> float:
        return 0.5

    result = run(sweep(objective, search_space=space, scheduler=Watching(), warm_start=earlier), 3)
    assert isinstance(result.scheduler, Watching)
    assert not [event for event in result.scheduler.seen if str(getattr(event, "trial_id", "")).startswith("old")]
    result = run(sweep(objective, search_space=space, scheduler=IterationScheduler(branch_by="model"), warm_start=earlier), 3)
    assert sum(stats.runs for stats in result.branches.values()) == 3
    assert [trial.id for trial in result.trials] == ["0", "1", "2"]
    assert (result.spend.trials, result.added, result.best_score) == (3, 3, 0.5)


def test_a_run_tells_where_its_knowledge_comes_from() -> None:
    """The name of each run, its id where it has no name, and how many trials taught something."""
    named, unnamed = explored(), explored(name=None, budget=5)

    def sources(given: Any) -> tuple[WarmSource, ...]:
        result = run(sweep(search_space=SPACE, warm_start=given), 1)
        assert result.to_dict()["warm_start"] == [{"run": source.run, "trials": source.trials} for source in result.warm_start]
        return result.warm_start

    assert sources(named) == (("explore", 12),)
    assert sources(unnamed) == ((unnamed.run_id, 5),)
    assert sources(unnamed.trials) == ((unnamed.run_id, 5),)
    assert sources(unnamed.trials[:2]) == ((None, 2),)
    assert sources([named, *trials(2), trials(1)[0], unnamed]) == (("explore", 12), (None, 3), (unnamed.run_id, 5))
    assert sources([named, list(named.trials)[:2]]) == (("explore", 12), (None, 2))
    nothings: list[Any] = [None, [], [[]], trials(3, state=TrialState.RUNNING, score=None)]
    for nothing in nothings:
        assert sources(nothing) == ()
    assert [source.in_words() for source in sources([named, *trials(1)])] == ["12 trials of explore", "1 trial"]


def test_trials_of_a_run_that_failed_in_part_are_learned() -> None:
    """Its failures as failures."""

    async def objective(trial: TrialContext) -> float:
        if trial.params["x"] > 0.5:
            raise ValueError("too much")
        return float(trial.params["x"])

    earlier = run(sweep(objective, failures=FailurePolicy(tolerated_rate=1)), 8)
    result = run(sweep(search_space=SPACE, optimizer=Listening(), warm_start=earlier), 1)
    told = result.optimizer.told  # type: ignore[attr-defined]
    calls = ["observe" if trial.params["x"] <= 0.5 else "failed" for trial in earlier.trials]
    assert [call for call, _, _ in told[:8]] == calls
    assert {*calls} == {"observe", "failed"}


def test_scores_are_those_of_the_goal() -> None:
    """Of trials with several metrics, the one that this sweep's goal names; of several objectives, all of them."""
    several = [replace(trial, metrics={"loss": 7.0, "accuracy": 0.25}, score=7.0) for trial in trials(1)]
    result = run(sweep(_both, search_space=SPACE, optimizer=Listening(), goal={"accuracy": "maximize"}, warm_start=several), 1)
    assert result.optimizer.told[0][2] == 0.25  # type: ignore[attr-defined]
    both = [replace(trial, metrics={"latency": 3.0, "accuracy": 0.25}, score=3.0) for trial in trials(1)]
    result = run(sweep(_both, search_space=SPACE, optimizer=Listening(), goal=TWO, warm_start=both), 1)
    assert result.optimizer.told[0][2] == {"accuracy": 0.25, "latency": 3.0}  # type: ignore[attr-defined]


async def _both(x: float) -> dict[str, float]:
    return {"accuracy": x, "latency": 1.0, "loss": 2.0}


def test_it_may_be_said_by_a_class() -> None:
    """As all options of a sweep."""

    class Refining(SweepExperiment):
        search_space = SPACE
        warm_start = trials()

        async def objective(self, x: float) -> float:
            return x

    first = Refining(store=MemoryStore(), seed=0, slots=1)
    assert run(first, 2).warm_start == ((None, 4),)
    again = Refining(store=MemoryStore(), seed=0, slots=1, warm_start=first.warm_start)
    assert run(again, 2).warm_start == ((None, 4),)


def test_a_stage_hands_its_trials_to_the_sweep_of_the_next() -> None:
    """Through the context of a pipeline."""

    async def explore() -> list[Trial]:
        return list((await sweep(store=MemoryStore(), seed=3).run(12)).trials)

    async def refine(found: list[Trial]) -> dict[str, Any]:
        result = await sweep(search_space=SPACE, store=MemoryStore(), optimizer=EvolutionOptimizer(), warm_start=found).run(3)
        return {"best": result.best_score, "known": [tuple(source) for source in result.warm_start]}

    pipeline = (
        Pipeline().stage("explore", explore).through(found=list[Trial]).stage("refine", refine).through(refined=dict[str, Any])
    )
    result = run_virtual(pipeline.build().run())
    assert result.refined["known"] == [(None, 12)]


# -- what is kept ------------------------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_knows_what_it_began_with() -> None:
    """Whatever is given then: nothing, or the same, without a word."""
    expected = essence(run(refining(MemoryStore(), warm_start=explored()), 12))
    assert expected != essence(run(refining(MemoryStore()), 12))
    for again in (lambda: None, explored, lambda: list(explored().trials)):
        store = MemoryStore()
        run(refining(store, warm_start=explored()), 3)
        result = run(refining(store, warm_start=again()), 12)
        assert essence(result) == expected
        assert result.warm_start == (("explore", 12),)


def test_another_warm_start_given_later_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    """A warning says what counts, and how to begin with the new one."""
    store = MemoryStore()
    earlier = explored()
    run(refining(store, warm_start=earlier), 3)
    with caplog.at_level(logging.WARNING, logger="metta_sweep"):
        run(refining(store, warm_start=earlier), 4)
        assert not caplog.records
        result = run(refining(store, warm_start=trials()), 12)
    (warning,) = caplog.records
    assert "12 trials of explore" in warning.message
    assert "fresh=True" in warning.message
    assert essence(result) == essence(run(refining(MemoryStore(), warm_start=explored()), 12))
    fresh = run(refining(store, warm_start=trials()), 12, fresh=True)
    assert fresh.warm_start == ((None, 4),)
    assert essence(fresh) == essence(run(refining(MemoryStore(), warm_start=trials()), 12))


def test_a_run_that_began_without_any_goes_on_without(caplog: pytest.LogCaptureFixture) -> None:
    """And says so."""
    store = MemoryStore()
    run(refining(store), 3)
    with caplog.at_level(logging.WARNING, logger="metta_sweep"):
        result = run(refining(store, warm_start=trials()), 12)
    assert "nothing" in caplog.text
    assert result.warm_start == ()
    assert essence(result) == essence(run(refining(MemoryStore()), 12))


def test_it_is_no_part_of_the_definition() -> None:
    """A kept run is the same experiment, with or without it."""
    store = MemoryStore()
    run(refining(store, warm_start=trials()), 3)
    assert run(refining(store), 3).added == 0


class Crash(BaseException):
    """The death of the process."""


def dies_at(occurrence: int, points: Iterable[str]) -> Callable[[str], None]:
    """Dies when one of these crash points is passed for the n-th time; a dead process does nothing more."""
    passed = 0

    def hook(point: str) -> None:
        nonlocal passed
        passed += point in points
        if passed >= occurrence:
            raise Crash(point)

    return hook


def test_a_run_that_dies_at_its_start_begins_with_all_or_nothing(tmp_path: Path) -> None:
    """Killed at any commit of a store in a file, it has the trials of one that was not, and knows where they come from."""
    points = ("commit.before", "commit.after", "epoch.after", "fold.before", "fold.after")
    earlier = explored()
    expected = essence(run(refining(MemoryStore(), warm_start=earlier), 5))
    reached = 0
    path = tmp_path / "kept.db"
    SqliteStore(path).close()
    for occurrence in range(1, 10):
        name = f"refine-{occurrence}"
        with SqliteStore(path) as store:
            try:
                with crash_points(dies_at(occurrence, points)):
                    run(refining(store, name=name, warm_start=earlier), 5)
            except Crash:
                reached += 1
        with SqliteStore(path) as store:
            result = run(refining(store, name=name, warm_start=earlier), 5)
            assert essence(result) == expected, f"died at {occurrence}"
            assert result.warm_start == (("explore", 12),)
            assert [record.kind for record in store.records(result.run_id)][:2] == ["start", "warm"]
    assert reached == 9


def test_a_run_that_died_before_it_began_begins_with_what_is_given_now() -> None:
    """Its row is there, and nothing in its journal."""

    class Dying(MemoryStore):
        dead = False

        def append(self, run_id: str, records: Any, rows: Any = ()) -> None:
            if self.dead:
                raise Crash
            super().append(run_id, records, rows)

    store = Dying()
    store.dead = True
    with pytest.raises(Crash):
        run(refining(store, warm_start=trials()), 3)
    store.dead = False
    assert len(store.runs()) == 1
    assert run(refining(store, warm_start=explored()), 3).warm_start == (("explore", 12),)


def test_what_is_kept_and_damaged_is_an_error() -> None:
    """Never used."""

    class Damaged(MemoryStore):
        def __init__(self, payload: bytes) -> None:
            super().__init__()
            self.payload = payload

        def append(self, run_id: str, records: Sequence[Record], rows: Sequence[TrialRow] = ()) -> None:
            kept = [record._replace(payload=self.payload) if record.kind == "warm" else record for record in records]
            super().append(run_id, kept, rows)

    damaged = [
        b'{"version": 1, "sources": [{"run": 3, "trials": 1}], "trials": []}',
        b'{"version": 1, "sources": [], "trials": [[0, "old", 1]]}',
        b'{"version": 2, "sources": [], "trials": []}',
        b"[]",
        b"[",
    ]
    for payload in damaged:
        store = Damaged(payload)
        run(sweep(search_space=SPACE, name="refine", store=store, warm_start=trials()), 1)
        with pytest.raises(StoreError, match="warm start"):
            run(sweep(search_space=SPACE, name="refine", store=store, warm_start=trials()), 2)


# -- what is refused ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (lambda: "explore", OptimizerError, ["holds no trials", "warm_start=results"]),
        (lambda: [3], OptimizerError, ["holds no trials"]),
        (lambda: trials(params={"y": 1.0}), OptimizerError, ["'old-0'", "'x' is missing", "'y'"]),
        (lambda: [trials()[0], replace(trials()[1], params={"x": 7.0}, id="far")], OptimizerError, ["[1]", "'far'", "'x' = 7.0"]),
        (lambda: trials(score=None, metrics={}), OptimizerError, ["without a finite score"]),
        (
            lambda: [*trials(2, state=TrialState.RUNNING), *trials(1, params={"x": 7.0})],
            OptimizerError,
            ["warm_start=)[2] (trial 'old-0')"],
        ),
        (lambda: trials(score=float("inf"), metrics={}), OptimizerError, ["without a finite score"]),
        (lambda: trials(params={"x": object()}), InvalidInput, ["'old-0'", "JSON"]),
        (lambda: run(sweep(goal="minimize", store=MemoryStore(), name="down"), 2), GoalError, ["'down'", "it is to minimize"]),
    ],
)
def test_what_cannot_be_learned_is_refused(given: Callable[[], Any], error: type[Exception], words: list[str]) -> None:
    """When the sweep is made, before anything is written: one error that names the trial, what is wrong, and the remedy."""
    store, what = MemoryStore(), given()
    with pytest.raises(error) as refused:
        run(sweep(search_space=SPACE, store=store, warm_start=what), 1)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert store.runs() == []


def test_other_names_for_it_are_answered_with_its_own() -> None:
    """And where it belongs."""
    with pytest.raises(UnknownOption, match="Did you mean 'warm_start'"):
        sweep(init_from=trials())
    with pytest.raises(UnknownOption, match=r"Did you mean SweepExperiment\(warm_start=results\)"):
        run(sweep(), 3, warm_start=trials())
    with pytest.raises(UnknownOption, match=r"Did you mean SweepExperiment\(warm_start=results\)"):
        EvolutionOptimizer(warm_start=trials())  # type: ignore[arg-type]


def test_results_of_another_metric_are_refused() -> None:
    """By the goal of a result, and by the metrics of trials; a metric that both have may lead here."""

    def earlier(goal: dict[str, str]) -> SweepResult:
        return run(sweep(_both, goal=goal, store=MemoryStore(), name="earlier"), 2)

    def of(given: Any, goal: Any) -> SweepResult:
        return run(sweep(_both, search_space=SPACE, optimizer=Listening(), goal=goal, warm_start=given), 1)

    with pytest.raises(GoalError, match="its metric is 'loss'"):
        of(earlier({"loss": "minimize"}), {"accuracy": "maximize"})
    with pytest.raises(GoalError, match="it is to maximize"):
        of(earlier({"accuracy": "maximize"}), {"accuracy": "minimize"})
    with pytest.raises(OptimizerError, match=r"'old-0'.*no metric 'accuracy'"):
        of(trials(metrics={"loss": 1.0}), {"accuracy": "maximize"})
    with pytest.raises(OptimizerError, match="no metric 'latency'"):
        of(trials(metrics={"accuracy": 1.0}), TWO)
    assert of(list(earlier({"loss": "minimize"}).trials), {"accuracy": "maximize"}).warm_start == ((None, 2),)
    assert of(earlier(TWO), {"accuracy": "maximize"}).warm_start == (("earlier", 2),)
    assert of(earlier({"accuracy": "maximize"}), TWO).warm_start == (("earlier", 2),)


def test_an_optimizer_that_refuses_leaves_no_run_behind() -> None:
    """What it raises when it is told comes before anything is written."""

    class Refusing(Optimizer):
        def suggest(self, n: int) -> list[dict[str, Any]]:
            return [{"x": 0.5}] * n

        def observe(self, trial: Trial, result: Any) -> None:
            raise RuntimeError("it knows better")

    store = MemoryStore()
    with pytest.raises(RuntimeError, match="knows better"):
        run(sweep(search_space=SPACE, optimizer=Refusing(), store=store, warm_start=trials()), 1)
    assert store.runs() == []


def test_a_sweep_inside_another_one_begins_with_earlier_trials() -> None:
    """A child knows what it is given, as any sweep does, and goes on with it when its parent does."""
    store = MemoryStore()
    earlier = explored()

    async def objective(trial: TrialContext) -> float:
        inner = refining(None, name="inner", warm_start=earlier)  # type: ignore[arg-type]
        result = await inner.run(3)
        await asyncio.sleep(1.0)
        return float(result.warm_start[0].trials + (result.best_score or 0.0))

    outer = run(sweep(objective, search_space={"y": Uniform(0, 1)}, store=store, name="outer"), Budget(trials=2))
    assert all(trial.score is not None and trial.score > 12 for trial in outer.trials)
    assert isinstance(outer.scheduler, Scheduler)


# -- forks -------------------------------------------------------------------------------------------------------------------------


def _forked(store: MemoryStore, source: str) -> None:
    row = store.find_run(source)
    assert row is not None
    store.fork_run(row.run_id, RunRow("id-of-fork", "fork", 0.0))


def test_a_fork_knows_what_its_source_began_with() -> None:
    """With other settings, too, and it tells where that came from."""
    store = MemoryStore()
    run(refining(store, warm_start=explored()), 3)
    _forked(store, "refine")
    fork = run(refining(store, name="fork", optimizer=Listening()), 5)
    assert fork.warm_start == (("explore", 12),)
    told = fork.optimizer.told  # type: ignore[attr-defined]
    assert [trial.id for _, trial, _ in told] == [str(number) for number in [*range(12), *range(5)]]


def test_a_fork_with_other_settings_passes_over_follow_ups_outside_the_space() -> None:
    """They teach its optimizer nothing; the others do."""
    store = MemoryStore()

    def following(trial: Trial) -> list[Suggestion]:
        return [] if trial.parent else [Suggestion(params={"x": 0.5, "follows": trial.id}, parent=trial.id)]

    scheduler = IterationScheduler(expander=following, expand_threshold=0.0)
    first = run(sweep(lambda params: params["x"], name="first", search_space=SPACE, scheduler=scheduler, store=store), 6)
    outside = [trial for trial in first.trials if "follows" in trial.params]
    assert outside
    _forked(store, "first")
    scheduler = IterationScheduler(expander=following, expand_threshold=0.0)
    fork = sweep(
        lambda params: params["x"],
        name="fork",
        search_space=SPACE,
        scheduler=scheduler,
        store=store,
        optimizer=EvolutionOptimizer(),
    )
    assert len(run(fork, 9).trials) == 9
