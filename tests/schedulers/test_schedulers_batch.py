"""Synchronous batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
from dying import DieAt, Died

from metta_sweep import (
    FailurePolicy,
    MemoryStore,
    Optimizer,
    Resources,
    StopReason,
    Suggestion,
    SweepExperiment,
    SweepResult,
    Trial,
    TrialContext,
    TrialState,
    Uniform,
)
from metta_sweep.clock import crash_points
from metta_sweep.core.events import Dispatch, Draw, Pick, Score, Wait
from metta_sweep.errors import SchedulerError, UnknownOption
from metta_sweep.optimizers import RandomOptimizer, SuggestionQueue
from metta_sweep.schedulers import BatchScheduler, SynchronousBatchScheduler
from metta_sweep.testing import run_virtual


class Counting(Optimizer):
    """Gives what it is asked for, or at most ``most``; remembers the calls and what it had been told at each."""

    def __init__(self, most: int | None = None, total: int | None = None) -> None:
        self.most = most
        self.total = total
        self.told = 0
        self.given = 0
        self.calls: list[tuple[int, int]] = []

    def suggest(self, n: int) -> list[Suggestion]:
        """Numbers from 0."""
        self.calls.append((n, self.told))
        left = n if self.total is None else min(n, self.total - self.given)
        count = left if self.most is None else min(left, self.most)
        self.given += count
        return [Suggestion(params={"i": self.given - count + number}) for number in range(count)]

    def observe(self, trial: Trial, result: float) -> None:
        """One more."""
        self.told += 1


async def slowly(trial: TrialContext) -> float:
    """As many seconds as its number within its batch, modulo 5."""
    await asyncio.sleep(1.0 + trial.number % 5)
    return float(trial.number)


def sweep(scheduler: SynchronousBatchScheduler, optimizer: Optimizer, **settings: Any) -> SweepExperiment:
    """A sweep in batches."""
    objective: Callable[..., Any] = settings.pop("objective", slowly)
    return SweepExperiment(objective=objective, scheduler=scheduler, optimizer=optimizer, seed=0, **settings)


def run(experiment: SweepExperiment, budget: int | None = None) -> SweepResult:
    """Run it on a virtual clock."""
    return run_virtual(experiment.arun(budget))


def batches(result: SweepResult) -> list[list[str]]:
    """Trials that were picked with nothing scored in between."""
    events = [event for event in result.trace if isinstance(event, Pick | Score)]
    groups = groupby(events, key=lambda event: isinstance(event, Pick))
    return [[str(event.trial_id) for event in group] for picked, group in groups if picked]


def waits(result: SweepResult) -> list[str]:
    """The reasons of idle slots, in order."""
    return [event.why for event in result.trace if isinstance(event, Wait)]


def test_batch_by_batch() -> None:
    """The optimizer is asked for ten at once, and for the next ten when it has been told of all ten."""
    result = run(sweep(SynchronousBatchScheduler(), Counting()), 30)
    assert isinstance(result.optimizer, Counting)
    assert result.optimizer.calls == [(10, 0), (10, 10), (10, 20)]
    assert [len(batch) for batch in batches(result)] == [10, 10, 10]


def test_the_two_names_are_one() -> None:
    """``BatchScheduler`` is the same class, and wants as many slots as a batch has trials."""
    assert BatchScheduler is SynchronousBatchScheduler
    assert sweep(BatchScheduler(batch_size=7), Counting()).slots == 7


def test_idle_slots_say_how_far_the_batch_is() -> None:
    """The trace tells which batch slots wait for, and how many of it have ended."""
    result = run(sweep(SynchronousBatchScheduler(5), Counting()), 20)
    assert "batch 2: 4 of 5 have ended" in waits(result)
    assert "batch 3: 1 of 5 have ended" in waits(result)


@pytest.mark.parametrize("slots", [1, 3, 10, 12])
def test_fewer_slots_run_the_batch_through(slots: int) -> None:
    """However many slots there are, the optimizer is asked for whole batches with the results of all before."""
    result = run(sweep(SynchronousBatchScheduler(10), Counting(), slots=slots), 20)
    assert isinstance(result.optimizer, Counting)
    assert result.optimizer.calls == [(10, 0), (10, 10)]
    assert len(result.trials) == 20


def test_the_last_batch_may_be_short() -> None:
    """The budget cuts the last batch, and its rest is not asked for."""
    result = run(sweep(SynchronousBatchScheduler(10), Counting()), 14)
    assert isinstance(result.optimizer, Counting)
    assert result.optimizer.calls == [(10, 0), (4, 10)]
    assert result.stop_reason is StopReason.BUDGET_TRIALS


def test_going_on_begins_a_whole_batch() -> None:
    """With a larger budget the run goes on with a batch of full size after the short one."""
    store = MemoryStore()
    run(sweep(SynchronousBatchScheduler(10), Counting(), name="it", store=store), 14)
    result = run(sweep(SynchronousBatchScheduler(10), Counting(), name="it", store=store), 24)
    assert [len(batch) for batch in batches(result)] == [10, 4, 10]


def test_a_queue_comes_in_batches() -> None:
    """A finite optimizer is drawn whole, and run batch by batch to its end."""
    queue = SuggestionQueue([{"i": number} for number in range(23)])
    result = run(sweep(SynchronousBatchScheduler(10), queue))
    assert [len(batch) for batch in batches(result)] == [10, 10, 3]
    assert result.stop_reason is StopReason.QUEUE_EMPTY


def test_an_optimizer_that_gives_fewer_is_asked_for_the_rest() -> None:
    """One that gives at most four per call is asked until the batch is full."""
    result = run(sweep(SynchronousBatchScheduler(10), Counting(most=4)), 20)
    assert isinstance(result.optimizer, Counting)
    assert [n for n, _ in result.optimizer.calls] == [10, 6, 2, 10, 6, 2]


def test_an_optimizer_that_has_no_more_ends_the_run() -> None:
    """What it gives last is a short batch; after it the run is over."""
    result = run(sweep(SynchronousBatchScheduler(10), Counting(total=13)), 100)
    assert [len(batch) for batch in batches(result)] == [10, 3]
    assert result.stop_reason is StopReason.OPTIMIZER_EXHAUSTED


def test_failures_end_a_batch_too() -> None:
    """Trials that fail have ended."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(1.0)
        if trial.number % 2:
            raise ValueError("odd")
        return 1.0

    experiment = sweep(SynchronousBatchScheduler(4), Counting(), objective=objective, failures=FailurePolicy(tolerated_rate=1))
    assert [len(batch) for batch in batches(run(experiment, 12))] == [4, 4, 4]


def test_a_straggler_is_bounded_by_its_time_limit() -> None:
    """A trial that hangs fails at its limit, and the next batch starts then."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(1.0 if trial.number != 2 else 1e6)
        return 1.0

    experiment = sweep(SynchronousBatchScheduler(4), Counting(), objective=objective, resources=Resources(time_limit=60))
    result = run(experiment, 8)
    assert [trial.state for trial in result.trials].count(TrialState.FAILED) == 1
    assert result.spend.seconds == pytest.approx(61.0)


def test_min_finished_goes_on_beside_stragglers() -> None:
    """With three quarters enough, the next batch of four starts in the slots of the three that ended, beside the fourth."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(100.0 if trial.number == 1 else 1.0)
        return 1.0

    result = run(sweep(SynchronousBatchScheduler(4, min_finished=0.75), Counting(), objective=objective), 12)
    assert [trial.id for trial in result.trials if trial.seconds == 100.0] == ["1"]
    assert result.spend.seconds == pytest.approx(100.0)
    order = [event.trial_id for event in result.trace if isinstance(event, Score)]
    assert order[-1] == "1"
    assert isinstance(result.optimizer, Counting)
    assert result.optimizer.calls == [(4, 0), (4, 3), (4, 6)]


def test_some_trial_of_a_batch_must_end_before_the_next() -> None:
    """However small the share: the second batch has nothing to do with free slots alone."""
    result = run(sweep(SynchronousBatchScheduler(4, min_finished=1e-12), Counting(), slots=8), 8)
    assert [len(batch) for batch in batches(result)] == [4, 4]


def test_min_finished_counts_its_own_batch() -> None:
    """A straggler of the batch before counts for nothing in the next one."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep({0: 3.5, 4: 2.0}.get(trial.number, 1.0))
        return 1.0

    result = run(sweep(SynchronousBatchScheduler(2, min_finished=0.5), Counting(), objective=objective, slots=4), 6)
    assert "batch 2: 0 of 2 have ended" in waits(result)


def test_a_batch_that_was_cut_goes_on_exactly() -> None:
    """Killed after any record, the run goes on with the rest of the batch, and ends with the same batches."""

    def begin(store: MemoryStore) -> SweepResult:
        scheduler = SynchronousBatchScheduler(4)
        experiment = sweep(scheduler, RandomOptimizer({"x": Uniform(0, 1)}), slots=1, name="it", store=store)
        return run(experiment, 11)

    def essence(result: SweepResult) -> list[tuple[Any, ...]]:
        draws = [(event.asked, event.params) for event in result.trace if isinstance(event, Draw)]
        return [*draws, *((trial.id, trial.params, trial.score) for trial in result.trials)]

    never = DieAt(0)
    with crash_points(never):
        whole = begin(MemoryStore())
    for occurrence in range(1, never.seen + 1):
        store = MemoryStore()
        with crash_points(DieAt(occurrence)), pytest.raises(Died):
            begin(store)
        assert essence(begin(store)) == essence(whole)


def test_after_a_restart_running_trials_of_the_batch_start_again_before_the_next_batch() -> None:
    """Four in flight when the process dies: they run again, and the optimizer is asked for nothing before they have ended."""
    store = MemoryStore()

    def begin() -> SweepResult:
        return run(sweep(SynchronousBatchScheduler(4), Counting(), name="it", store=store), 8)

    with crash_points(DieAt(3)), pytest.raises(Died):
        begin()
    result = begin()
    starts = [(event.trial_id, event.attempt) for event in result.trace if isinstance(event, Dispatch)]
    assert {trial_id for trial_id, attempt in starts if attempt == 2} == {"0", "1", "2", "3"}
    assert [len(batch) for batch in batches(result)] == [4, 4]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "whole number"),
        ({"min_finished": 0.0}, "share"),
        ({"min_finished": 1.5}, "share"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], told: str) -> None:
    """Each is refused at once, with what is allowed."""
    with pytest.raises(SchedulerError, match=told):
        SynchronousBatchScheduler(**settings)


def test_unknown_settings_are_refused() -> None:
    """With a guess at what was meant."""
    with pytest.raises(UnknownOption, match="batch_size"):
        SynchronousBatchScheduler(batchsize=3)  # type: ignore[arg-type]


def test_settings_are_part_of_the_definition() -> None:
    """A kept run knows them."""
    found = SynchronousBatchScheduler(4, min_finished=0.5).describe()
    assert found == {"class": "SynchronousBatchScheduler", "batch_size": 4, "min_finished": 0.5}
