"""A run that dies at any commit goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from sweep_kit import SPACE, essence, events, queue, queue_of

from metta_sweep import (
    Choice,
    FailurePolicy,
    MemoryStore,
    Optimizer,
    Suggestion,
    SweepExperiment,
    SweepResult,
    Trial,
    TrialContext,
    Uniform,
)
from metta_sweep.clock import crash_points
from metta_sweep.core.events import Event, Score
from metta_sweep.core.trial import TERMINAL_STATES
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.records import TrialRow
from metta_sweep.schedulers import FIFOScheduler, IterationScheduler
from metta_sweep.testing.virtual import run_virtual

MODELS = {"model": Choice({"a": {"x": Uniform(0, 1)}, "b": {"x": Uniform(0, 1)}, "c": {}})}
TRIALS = 9


class Crash(BaseException):
    """The death of the process."""


class CrashAt:
    """Raises at the given occurrence of one crash point, and at every one after it: a dead process does nothing more."""

    def __init__(self, name: str, occurrence: int) -> None:
        self.name = name
        self.occurrence = occurrence
        self.seen = 0
        self.dead = False

    def __call__(self, name: str) -> None:
        """A crash point was passed."""
        if name == self.name:
            self.seen += 1
            self.dead = self.dead or self.seen == self.occurrence
        if self.dead:
            raise Crash(f"{self.name}, occurrence {self.occurrence}")


async def objective(trial: TrialContext) -> float:
    """A function of the trial's parameters and seed alone; some trials fail."""
    await asyncio.sleep(1.0)
    if trial.seed % 7 == 0:
        raise ValueError("unlucky")
    return float(0.5 * trial.params.get("x", 0.4) + 0.5 * trial.rng.random())


def expander(trial: Trial) -> list[Suggestion]:
    """One follow-up."""
    return [Suggestion(params={"parent": trial.id})]


class Climber(Optimizer):
    """Draws from its own generator, near the best of what it was told."""

    def __init__(self) -> None:
        self.random = Random(5)
        self.best = (float("-inf"), 0.5)
        self.told = 0

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """Near the best, less and less."""
        width = 1.0 / (1 + self.told)
        return [{"x": min(1.0, max(0.0, self.best[1] + width * (self.random.random() - 0.5)))} for _ in range(n)]

    def observe(self, trial: Trial, result: float) -> None:
        """Remember the best."""
        self.told += 1
        self.best = max(self.best, (result, trial.params["x"]))

    def failed(self, trial: Trial) -> None:
        """A failure counts as well."""
        self.told += 1


class PendingAware(Climber):
    """Also reads what is in flight."""

    def suggest(self, n: int, pending: Any = ()) -> list[dict[str, Any]]:
        """Depends on the ids in flight."""
        return [{**params, "pending": len(pending)} for params in super().suggest(n)]


SETUPS: dict[str, Callable[[], dict[str, Any]]] = {
    "random, first in first out": lambda: {"search_space": SPACE, "optimizer": RandomOptimizer(), "scheduler": FIFOScheduler()},
    "random, UCB over a choice": lambda: {
        "search_space": MODELS,
        "optimizer": RandomOptimizer(),
        "scheduler": IterationScheduler(branch_by="model", paper_threshold=0.5, prune_floor=0.3),
    },
    "queue, UCB with follow-ups": lambda: {
        "optimizer": queue("a", "a", "a", "a", "b", "b", "b", "c"),
        "scheduler": IterationScheduler(expander=expander, paper_threshold=0.45, prune_floor=0.3, prune_after_runs=2),
    },
    "an optimizer that learns, first in first out": lambda: {"optimizer": Climber()},
    "an optimizer that reads what is pending": lambda: {"optimizer": PendingAware()},
    "an optimizer that learns, with retries": lambda: {
        "optimizer": Climber(),
        "failures": FailurePolicy(retries=1, backoff=2.0, tolerated_rate=1),
    },
}


def experiment(setup: str, store: MemoryStore) -> SweepExperiment:
    """The sweep, as a process makes it."""
    settings = {"failures": FailurePolicy(tolerated_rate=1), **SETUPS[setup]()}
    return SweepExperiment(name="it", objective=objective, slots=1, seed=3, store=store, **settings)


def run(setup: str, store: MemoryStore) -> SweepResult:
    """Run it, or go on with it."""
    return run_virtual(experiment(setup, store).arun(TRIALS))


def summary(result: SweepResult) -> tuple[Any, ...]:
    """What must be the same after a crash."""
    branches = {name: (stats.runs, stats.pruned, stats.triggered, stats.reward_sum) for name, stats in result.branches.items()}
    return essence(result), branches, result.triggers, result.stop_reason, result.best_score


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("point", ["record.before", "record.after", "append.before", "append.after"])
def test_one_slot_gives_the_same_trials_whenever_it_dies(setup: str, point: str) -> None:
    """Killed at every commit in turn, and run again by a new object: the trials and branches of an uninterrupted run."""
    never = CrashAt(point, 0)
    with crash_points(never):
        expected = summary(run(setup, MemoryStore()))
    assert never.seen > (3 * TRIALS if point.startswith("record") else TRIALS)
    for occurrence in range(1, never.seen + 1):
        store = MemoryStore()
        with crash_points(CrashAt(point, occurrence)), pytest.raises(Crash):
            run(setup, store)
        assert summary(run(setup, store)) == expected, f"died at {point} number {occurrence}"


@pytest.mark.parametrize("setup", SETUPS)
def test_dying_again_and_again_changes_nothing(setup: str) -> None:
    """A run that dies at every eighth commit of each process still ends with the same trials."""
    expected = summary(run(setup, MemoryStore()))
    store = MemoryStore()
    deaths = 0
    while deaths < 100:
        with crash_points(CrashAt("record.after", 8)):
            try:
                assert summary(run(setup, store)) == expected
                break
            except Crash:
                deaths += 1
    assert 2 < deaths < 100


@pytest.mark.parametrize("point", ["record.before", "record.after", "append.before", "append.after"])
def test_with_three_slots_nothing_is_lost_or_counted_twice(point: str) -> None:
    """Whenever it dies: the budget is exact, every trial has ended, each is scored once, and what had ended stays as it was."""

    def experiment(store: MemoryStore) -> SweepExperiment:
        settings = SETUPS["queue, UCB with follow-ups"]()
        return SweepExperiment(
            name="it", objective=objective, slots=3, seed=3, store=store, failures=FailurePolicy(tolerated_rate=1), **settings
        )

    def ended(store: MemoryStore) -> set[TrialRow]:
        return {row for run in store.runs() for row in store.trial_rows(run.run_id)}

    never = CrashAt(point, 0)
    with crash_points(never):
        run_virtual(experiment(MemoryStore()).arun(TRIALS))
    for occurrence in range(1, never.seen + 1):
        store = MemoryStore()
        with crash_points(CrashAt(point, occurrence)), pytest.raises(Crash):
            run_virtual(experiment(store).arun(TRIALS))
        before = ended(store)
        result = run_virtual(experiment(store).arun(TRIALS))
        assert before <= ended(store)
        assert len(result.trials) == TRIALS
        assert all(trial.state in TERMINAL_STATES for trial in result.trials)
        assert sorted(event.trial_id for event in events(result, Score)) == sorted(trial.id for trial in result.trials)
        assert sum(stats.runs for stats in result.branches.values()) == TRIALS


class Deadly:
    """A trial function whose trial 1 ends the process that runs it."""

    def __init__(self, deaths: int = 1000) -> None:
        self.running = False
        self.deaths = deaths

    async def objective(self, trial: TrialContext) -> float:
        """Dies, or one."""
        await asyncio.sleep(1.0)
        self.running = trial.number == 1 and trial.attempt <= self.deaths
        return 1.0

    def __call__(self, name: str) -> None:
        """A crash point was passed."""
        if self.running:
            raise Crash("trial 1 took the process with it")


def outlive(deadly: Deadly) -> tuple[SweepResult, int]:
    """Run again and again until it ends; the result, and how often it died."""
    store = MemoryStore()
    for deaths in range(10):
        experiment = SweepExperiment(
            name="it",
            objective=deadly.objective,
            optimizer=queue_of(4),
            slots=1,
            seed=0,
            store=store,
            failures=FailurePolicy(retries=0),
        )
        deadly.running = False
        with crash_points(deadly):
            try:
                return run_virtual(experiment.arun(4)), deaths
            except Crash:
                continue
    raise AssertionError("it never ended")


def test_a_trial_that_ends_its_process_three_times_in_a_row_is_given_up() -> None:
    """It is FAILED as lost, and the others go on."""
    result, deaths = outlive(Deadly())
    assert deaths == 3
    assert [trial.state.value for trial in result.trials] == ["completed", "failed", "completed", "completed"]
    error = result.trials[1].error
    assert error is not None
    assert error.type == "lost"
    assert "3 attempts in a row" in error.message


def test_an_attempt_that_was_lost_with_its_process_uses_no_retry() -> None:
    """Twice is bad luck: the third attempt completes, though there are no retries."""
    result, deaths = outlive(Deadly(deaths=2))
    assert (deaths, result.trials[1].attempt, result.trials[1].state.value) == (2, 3, "completed")


class Hears(FIFOScheduler):
    """Notes every event that it is told of."""

    heard: list[tuple[Any, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.heard = []

    def apply(self, event: Event) -> None:
        """Without number and address, which live events do not have."""
        self.heard.append((event.kind, *event[:-2]))


def test_a_scheduler_hears_the_same_events_live_and_from_the_journal() -> None:
    """Each event once, in the same order, with the same contents."""
    store = MemoryStore()

    def experiment() -> SweepExperiment:
        return SweepExperiment(
            name="it",
            objective=objective,
            search_space=SPACE,
            scheduler=Hears(),
            slots=3,
            seed=3,
            store=store,
            failures=FailurePolicy(retries=1, backoff=0.5, tolerated_rate=1),
        )

    live = run_virtual(experiment().arun(20)).scheduler
    read = run_virtual(experiment().arun(20)).scheduler
    assert isinstance(live, Hears)
    assert isinstance(read, Hears)
    assert read.heard == live.heard
    assert len(live.heard) > 100


def test_a_trigger_is_told_at_most_once() -> None:
    """A process that dies between the commit and the call has kept the trigger and told nobody; the next one does not tell."""
    told: list[str | None] = []
    store = MemoryStore()

    def process() -> SweepExperiment:
        scheduler = IterationScheduler(paper_threshold=0.5, on_trigger=lambda event: told.append(event.branch))
        three = queue("a", "a", "a")
        return SweepExperiment(name="it", objective=lambda trial: 1.0, optimizer=three, scheduler=scheduler, slots=1, store=store)

    def die_with_the_trigger(point: str) -> None:
        kept = [record.payload for row in store.runs() for record in store.records(row.run_id)]
        if point != "append.before" and any(b'["paper.trigger"' in payload for payload in kept):
            raise Crash(point)

    with crash_points(die_with_the_trigger), pytest.raises(Crash):
        run_virtual(process().arun())
    result = run_virtual(process().arun())
    assert (result.triggers, told, len(result.trials)) == (["a"], [], 3)
