"""Why a run stopped: each reason is reached, is exact, and the first that applies is given."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sweep_kit import queue, queue_of, rewards, run, score_x, sweep

from metta_sweep import (
    Budget,
    Constant,
    FailurePolicy,
    LocalExecutor,
    MemoryStore,
    Optimizer,
    Scheduler,
    StopReason,
    SweepExperiment,
    SweepResult,
    Trial,
    TrialContext,
    TrialState,
    hooks,
)
from metta_sweep.core.events import Wait
from metta_sweep.core.resources import Resources
from metta_sweep.errors import ExecutorExhausted, FailureRateExceeded, Interrupted
from metta_sweep.experiments import Scored, SweepRun
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.schedulers.scheduler import Offer
from metta_sweep.testing.virtual import run_virtual


async def seconds_i(trial: TrialContext) -> float:
    """Takes as many seconds as the parameter i says."""
    await asyncio.sleep(trial.params["i"])
    return 1.0


async def hangs(trial: TrialContext) -> float:
    """Never ends by itself."""
    await asyncio.get_running_loop().create_future()
    return 0.0


async def always_fails(trial: TrialContext) -> float:
    """Fails after a second."""
    await asyncio.sleep(1.0)
    raise ValueError("no luck")


def slow_observer(seconds: float) -> dict[str, Any]:
    """Hooks that hold the run up after each result."""

    async def wait(scored: Scored) -> None:
        if scored.scores:
            await asyncio.sleep(seconds)

    return {"score": hooks(after=wait)}


def states(result: SweepResult) -> list[TrialState]:
    """The states of the picked trials."""
    return [trial.state for trial in result.trials]


# -- the ten reasons ---------------------------------------------------------------------------------------------------------------


def test_interrupted() -> None:
    """interrupt() of the open run: nothing new starts, running trials get their grace, then they wait to be taken up again."""
    store = MemoryStore()

    async def main() -> tuple[SweepResult, float]:
        experiment = sweep(seconds_i, optimizer=queue_of(10), grace=0.5, name="it", store=store)
        async with experiment.open(10) as opened:
            loop = asyncio.get_running_loop()
            loop.call_later(3.2, opened.interrupt)
            await experiment.build().run(sweep=opened, recorder=opened.recorder)
            return opened.result(), loop.time()

    result, ended_at = run_virtual(main())
    assert result.stop_reason is StopReason.INTERRUPTED
    assert states(result) == [*[TrialState.COMPLETED] * 3, TrialState.PENDING]
    assert ended_at == pytest.approx(3.7)
    again = run(sweep(seconds_i, optimizer=queue_of(10), grace=0.5, name="it", store=store), 4)
    assert states(again) == [TrialState.COMPLETED] * 4
    assert again.trials[3].attempt == 2
    with pytest.raises(Interrupted, match="interrupted"):
        result.raise_for_stop()


def test_interrupted_by_a_hook() -> None:
    """A hook of a stage may interrupt the run it looks at."""
    opened: list[SweepRun] = []

    async def main() -> SweepResult:
        experiment = sweep(hooks={"score": hooks(after=lambda scored: opened[0].interrupt())})
        async with experiment.open(10) as current:
            opened.append(current)
            await experiment.build().run(sweep=current, recorder=current.recorder)
            return current.result()

    result = run_virtual(main())
    assert (result.stop_reason, len(result.trials)) == (StopReason.INTERRUPTED, 1)


def test_failure_rate_stops_at_exactly_three_trials() -> None:
    """F, C, F with a tolerated rate of one half and at least two failures: two of three is more than a half."""

    async def objective(trial: TrialContext) -> float:
        if trial.number % 2 == 0:
            raise ValueError("no luck")
        return 1.0

    result = run(sweep(objective, failures=FailurePolicy(tolerated_rate=0.5, min_failed=2)), 10)
    assert states(result) == [TrialState.FAILED, TrialState.COMPLETED, TrialState.FAILED]
    assert result.stop_reason is StopReason.FAILURE_RATE
    assert "2 of 3" in result.stop_detail
    with pytest.raises(FailureRateExceeded):
        result.raise_for_stop()


def test_exactly_the_tolerated_rate_is_tolerated() -> None:
    """C, F, C, F: one half is not more than one half."""

    async def objective(trial: TrialContext) -> float:
        if trial.number % 2:
            raise ValueError("no luck")
        return 1.0

    result = run(sweep(objective, failures=FailurePolicy(tolerated_rate=0.5, min_failed=1)), 6)
    assert result.stop_reason is StopReason.BUDGET_TRIALS


def test_budget_time_when_the_deadline_prevented_a_start() -> None:
    """Time ran out between two trials: nothing was cut, and there was more to start."""
    result = run(sweep(hooks=slow_observer(2.0)), Budget(seconds=2.5))
    assert (result.stop_reason, states(result)) == (StopReason.BUDGET_TIME, [TrialState.COMPLETED])
    assert "more to start" in result.stop_detail


def test_budget_time_when_a_trial_was_cut() -> None:
    """The last trial of a queue is cut at the deadline, after its grace."""
    result = run(sweep(seconds_i, optimizer=queue_of(4), grace=0.25), Budget(seconds=5.0))
    assert result.stop_reason is StopReason.BUDGET_TIME
    assert states(result) == [*[TrialState.COMPLETED] * 3, TrialState.STOPPED]
    assert result.trials[-1].reason == "deadline"
    assert "cut" in result.stop_detail
    assert result.spend.seconds == pytest.approx(5.25)


def test_budget_trials() -> None:
    """All trials of the budget were run."""
    result = run(sweep(), 3)
    assert (result.stop_reason, len(result.trials), result.spend.trials) == (StopReason.BUDGET_TRIALS, 3, 3)


def test_budget_cost() -> None:
    """No trial starts once the sum of the metric `cost` has reached the budget."""

    async def objective(trial: TrialContext) -> dict[str, float]:
        return {"score": 1.0, "cost": 2.0}

    result = run(sweep(objective, metric="score"), Budget(cost=5.0))
    assert (result.stop_reason, len(result.trials), result.spend.cost) == (StopReason.BUDGET_COST, 3, 6.0)


class OnlyTwo(Scheduler):
    """Wants two trials."""

    def __init__(self) -> None:
        self.started = 0

    def finished(self) -> str | None:
        """After two."""
        return "two are enough" if self.started == 2 else None

    def apply(self, event: Any) -> None:
        """Count picks."""
        self.started += event.kind == "pick"


class PicksNothing(Scheduler):
    """Leaves slots idle for ever."""

    def pick(self, offer: Offer) -> None:
        """Look, and leave."""
        offer.next()
        offer.wait("I would rather not")


def test_stopped_by_a_scheduler_that_has_finished() -> None:
    """finished() of the scheduler ends the run, with its words."""
    result = run(sweep(scheduler=OnlyTwo()), 10)
    assert (result.stop_reason, len(result.trials), result.stop_detail) == (StopReason.STOPPED_BY_SCHEDULER, 2, "two are enough")


def test_stopped_by_a_scheduler_that_picks_nothing() -> None:
    """Suggestions wait, nothing runs, and the scheduler starts none: it is over, and its words say why."""
    result = run(sweep(optimizer=queue_of(3), scheduler=PicksNothing()), 10)
    assert (result.stop_reason, len(result.trials), result.stop_detail) == (
        StopReason.STOPPED_BY_SCHEDULER,
        0,
        "I would rather not",
    )


def test_all_branches_pruned() -> None:
    """Every branch fell below the floor; what waited was dropped."""
    result = run(sweep(rewards({"a": 0.1, "b": 0.05}), optimizer=queue(*"aaaabbbb"), scheduler=IterationScheduler()), 100)
    assert (result.stop_reason, len(result.trials)) == (StopReason.ALL_BRANCHES_PRUNED, 6)


def test_queue_empty() -> None:
    """A queue of suggestions ran out."""
    result = run(sweep(seconds_i, optimizer=queue_of(3)), 100)
    assert (result.stop_reason, len(result.trials)) == (StopReason.QUEUE_EMPTY, 3)
    assert "3" in result.stop_detail


class Two(Optimizer):
    """Has two suggestions."""

    def __init__(self) -> None:
        self.left = 2

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """As long as there are some."""
        n = min(n, self.left)
        self.left -= n
        return [{"x": 0.5}] * n


def test_optimizer_exhausted() -> None:
    """Any other optimizer that has no more, and how many suggestions it had."""
    result = run(sweep(optimizer=Two(), slots=3), 100)
    assert (result.stop_reason, len(result.trials)) == (StopReason.OPTIMIZER_EXHAUSTED, 2)
    assert result.stop_detail == "the optimizer had 2 suggestions and no more"
    idle = [event.why for event in result.trace if isinstance(event, Wait)]
    assert idle == ["the optimizer has nothing to suggest now"]


class ShortLease(LocalExecutor):
    """Starts two trials, and then nothing more."""

    started = 0

    def start(self, task: Any) -> None:
        """Count."""
        self.started += 1
        super().start(task)

    def exhausted(self) -> str | None:
        """After two."""
        return "the lease has ended" if self.started >= 2 else None


def test_executor_exhausted() -> None:
    """The executor can start nothing more, and says why."""
    result = run(sweep(executor=ShortLease()), 100)
    assert (result.stop_reason, len(result.trials)) == (StopReason.EXECUTOR_EXHAUSTED, 2)
    assert result.stop_detail == "the lease has ended"
    with pytest.raises(ExecutorExhausted, match="lease"):
        result.raise_for_stop()


# -- which comes first -------------------------------------------------------------------------------------------------------------


def test_an_interrupt_comes_before_everything() -> None:
    """Interrupted, too many failures, out of time and out of trials at once: interrupted."""

    async def main() -> SweepResult:
        experiment = sweep(always_fails, failures=FailurePolicy(min_failed=1, tolerated_rate=0.0))
        async with experiment.open(Budget(trials=1, seconds=0.5)) as opened:
            opened.interrupt()
            await experiment.build().run(sweep=opened, recorder=opened.recorder)
            return opened.result()

    assert run_virtual(main()).stop_reason is StopReason.INTERRUPTED


def test_the_failure_rate_comes_before_budgets() -> None:
    """The last trial of the budget brings the failure rate over its bound. An error after the deadline's ask is no failure."""
    failures = FailurePolicy(min_failed=1, tolerated_rate=0.0)
    assert run(sweep(always_fails, failures=failures), 1).stop_reason is StopReason.FAILURE_RATE
    late = run(sweep(always_fails, failures=failures, grace=5), Budget(trials=1, seconds=0.5))
    assert late.stop_reason is StopReason.BUDGET_TIME


def test_time_comes_before_trials_when_a_trial_was_cut() -> None:
    """The last trial of the budget was cut: time, not trials."""
    assert run(sweep(hangs), Budget(trials=1, seconds=2.0)).stop_reason is StopReason.BUDGET_TIME


def test_trials_and_not_time_when_the_budget_of_trials_was_spent_first() -> None:
    """The deadline prevented no start and cut no trial: all trials of the budget were run."""
    result = run(sweep(hooks=slow_observer(2.0)), Budget(trials=1, seconds=2.5))
    assert (result.stop_reason, states(result)) == (StopReason.BUDGET_TRIALS, [TrialState.COMPLETED])


def test_an_empty_queue_and_not_time_when_the_queue_ran_out_first() -> None:
    """Nothing was left to start when time was over: the queue was empty."""
    result = run(sweep(rewards({"": 1.0}), optimizer=queue_of(1), hooks=slow_observer(2.0)), Budget(seconds=2.5))
    assert (result.stop_reason, states(result)) == (StopReason.QUEUE_EMPTY, [TrialState.COMPLETED])


def test_trials_and_not_time_when_the_last_trial_ended_in_its_grace() -> None:
    """It was not cut: it completed, and all trials of the budget were run."""
    result = run(sweep(grace=1.0), Budget(trials=2, seconds=1.5))
    assert (result.stop_reason, states(result)) == (StopReason.BUDGET_TRIALS, [TrialState.COMPLETED] * 2)


def test_an_empty_queue_and_not_time_when_the_last_trial_ended_in_its_grace() -> None:
    """The same of a queue."""
    result = run(sweep(rewards({"": 1.0}), optimizer=queue_of(2), grace=1.0), Budget(seconds=1.5))
    assert (result.stop_reason, states(result)) == (StopReason.QUEUE_EMPTY, [TrialState.COMPLETED] * 2)


def test_a_trial_that_hears_of_the_deadline_and_returns_is_stopped() -> None:
    """What it returns is kept as its metrics, and is no score."""

    async def objective(trial: TrialContext) -> float:
        while not trial.should_stop:  # noqa: ASYNC110  # there is nothing else to wait for
            await asyncio.sleep(0.3)
        return 0.25

    result = run(sweep(objective, grace=1.0), Budget(seconds=1.0))
    trial = result.trials[0]
    assert (trial.state, trial.reason, trial.metrics, trial.score) == (TrialState.STOPPED, "deadline", {"score": 0.25}, None)
    assert result.stop_reason is StopReason.BUDGET_TIME
    assert result.best is None


def test_trials_come_before_cost() -> None:
    """Both are spent by the same trial."""

    async def objective(trial: TrialContext) -> dict[str, float]:
        return {"score": 1.0, "cost": 2.0}

    assert run(sweep(objective, metric="score"), Budget(trials=1, cost=1.0)).stop_reason is StopReason.BUDGET_TRIALS


def test_cost_comes_before_the_scheduler() -> None:
    """The scheduler has finished when the cost is spent."""

    async def objective(trial: TrialContext) -> dict[str, float]:
        return {"score": 1.0, "cost": 2.0}

    result = run(sweep(objective, metric="score", scheduler=OnlyTwo()), Budget(cost=3.0))
    assert result.stop_reason is StopReason.BUDGET_COST


def test_a_budget_of_trials_comes_before_an_empty_queue() -> None:
    """As many trials as suggestions."""
    assert run(sweep(seconds_i, optimizer=queue_of(2)), 2).stop_reason is StopReason.BUDGET_TRIALS


def test_all_pruned_comes_before_an_empty_queue() -> None:
    """The queue is empty because the last branch was pruned with the last suggestion."""
    result = run(sweep(rewards({"a": 0.1}), optimizer=queue(*"aaa"), scheduler=IterationScheduler()), 100)
    assert result.stop_reason is StopReason.ALL_BRANCHES_PRUNED


# -- budgets at their edges --------------------------------------------------------------------------------------------------------


def test_no_seconds_run_nothing() -> None:
    """seconds=0 starts nothing, and says that time is over."""
    result = run(sweep(), Budget(seconds=0))
    assert (result.stop_reason, len(result.trials)) == (StopReason.BUDGET_TIME, 0)


def test_no_trials_run_nothing() -> None:
    """trials=0 starts nothing, and says that the trials are spent."""
    result = run(sweep(), 0)
    assert (result.stop_reason, len(result.trials)) == (StopReason.BUDGET_TRIALS, 0)


def test_a_spent_budget_of_trials_waits_for_those_that_run() -> None:
    """Three slots, three trials of 0, 1 and 2 seconds: all complete."""
    result = run(sweep(seconds_i, optimizer=queue_of(5), slots=3), 3)
    assert (result.stop_reason, states(result)) == (StopReason.BUDGET_TRIALS, [TrialState.COMPLETED] * 3)


def test_a_hung_trial_is_cut_after_its_grace() -> None:
    """The deadline wakes the run though nothing happens: grace is a tenth of the seconds."""
    result = run(sweep(hangs), Budget(seconds=20.0))
    assert result.spend.seconds == pytest.approx(22.0)
    assert states(result) == [TrialState.STOPPED]


def test_grace_is_at_most_ten_seconds() -> None:
    """However long the run."""
    assert run(sweep(hangs), Budget(seconds=3600.0)).spend.seconds == pytest.approx(3610.0)


class Listens(Optimizer):
    """Notes what it is told."""

    told: list[str]

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def for_run(self, setup: Any) -> Listens:
        """Itself."""
        return self

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """Number of seconds."""
        return [{"i": 3}] * n

    def observe(self, trial: Trial, result: Any) -> None:
        """Completed."""
        self.told.append(f"observed {trial.id}")

    def failed(self, trial: Trial) -> None:
        """Failed."""
        self.told.append(f"failed {trial.id}")

    def stopped(self, trial: Trial) -> None:
        """Stopped."""
        self.told.append(f"stopped {trial.id}")


def test_cut_trials_are_told_to_nobody() -> None:
    """Neither the optimizer nor the statistics learn from a trial that the deadline cut."""
    told: list[str] = []
    result = run(sweep(seconds_i, optimizer=Listens(told), scheduler=IterationScheduler(), grace=0.1), Budget(seconds=4))
    assert told == ["observed 0"]
    assert states(result) == [TrialState.COMPLETED, TrialState.STOPPED]
    assert [event.counts for event in result.trace if event.kind == "score"] == [True, False]


def test_a_default_budget_of_a_hundred_trials_is_noted() -> None:
    """Without a budget an endless optimizer makes 100 trials, and the stop line says that nobody asked for them."""
    result = run(sweep(slots=10))
    assert (len(result.trials), result.stop_reason) == (100, StopReason.BUDGET_TRIALS)
    assert "no budget was given" in result.stop_detail


def test_a_queue_bounds_itself() -> None:
    """Without a budget a queue runs to its end, however long."""
    assert len(run(sweep(rewards({"": 1.0}), optimizer=queue_of(120), slots=10)).trials) == 120


def test_slots_are_three_unless_the_executor_has_fewer() -> None:
    """The wish of the sweep, or of its scheduler, is capped by what the executor can run."""
    space: dict[str, Any] = {"search_space": {"x": Constant(1.0)}}
    assert SweepExperiment(objective=score_x, **space).slots == 3
    assert SweepExperiment(objective=score_x, executor=LocalExecutor(slots=2), **space).slots == 2
    assert SweepExperiment(objective=score_x, slots=8, executor=LocalExecutor(slots=2), **space).slots == 2


# -- failures ----------------------------------------------------------------------------------------------------------------------


def test_retries_wait_longer_each_time() -> None:
    """Two more attempts, after 10 and 20 seconds; then the trial has failed, with its error."""
    result = run(sweep(always_fails, failures=FailurePolicy(retries=2, backoff=10.0)), 1)
    trial = result.trials[0]
    assert (trial.state, trial.attempt) == (TrialState.FAILED, 3)
    assert trial.error is not None
    assert (trial.error.type.rpartition(".")[2], trial.error.message) == ("ValueError", "no luck")
    assert result.spend.seconds == pytest.approx(33.0)
    assert [event.backoff for event in result.trace if event.kind == "error"] == [10.0, 20.0, 0.0]


def test_a_trial_that_succeeds_at_last_has_not_failed() -> None:
    """One failed attempt is no failed trial."""

    async def objective(trial: TrialContext) -> float:
        if trial.attempt == 1:
            raise ValueError("no luck")
        return 1.0

    result = run(sweep(objective, failures=FailurePolicy(retries=1, min_failed=1, tolerated_rate=0.0)), 3)
    assert (result.stop_reason, states(result)) == (StopReason.BUDGET_TRIALS, [TrialState.COMPLETED] * 3)


def test_another_trial_runs_while_one_waits_for_its_next_attempt() -> None:
    """With one slot, a waiting retry holds no slot; and when its time has come while the slot is taken, it waits on."""

    async def objective(trial: TrialContext) -> float:
        if trial.params["i"] == 0 and trial.attempt == 1:
            raise ValueError("no luck")
        await asyncio.sleep(10.0)
        return 1.0

    result = run(sweep(objective, optimizer=queue_of(2), failures=FailurePolicy(retries=1, backoff=3.0)), 2)
    assert states(result) == [TrialState.COMPLETED] * 2
    assert result.spend.seconds == pytest.approx(20.0)
    assert [event.trial_id for event in result.trace if event.kind == "dispatch"] == ["0", "1", "0"]


def test_a_retry_whose_time_comes_after_the_deadline_never_starts() -> None:
    """The deadline comes first: the trial stays without an end, and time is the reason."""
    failures = FailurePolicy(retries=1, backoff=5.0)
    result = run(sweep(always_fails, failures=failures), Budget(trials=1, seconds=3.0))
    assert (result.stop_reason, states(result)) == (StopReason.BUDGET_TIME, [TrialState.PENDING])


def test_a_retry_that_falls_due_within_the_grace_of_another_does_not_start() -> None:
    """Between deadline and end of grace nothing starts, and the clock goes on."""

    async def objective(trial: TrialContext) -> float:
        if trial.params["i"] == 0:
            raise ValueError("no luck")
        return await hangs(trial)

    result = run(
        sweep(objective, optimizer=queue_of(2), slots=2, failures=FailurePolicy(retries=1, backoff=4.5), grace=2.0),
        Budget(seconds=4.0),
    )
    assert result.spend.seconds == pytest.approx(6.0)
    assert states(result) == [TrialState.PENDING, TrialState.STOPPED]


class ShortTime(Scheduler):
    """A tenth of a second for each attempt."""

    def allocate_resources(self, trial: Trial) -> Resources:
        """A tenth of a second."""
        return Resources(time_limit=0.1)


def test_a_thread_that_cannot_be_ended_keeps_its_slot() -> None:
    """With one slot the next trial starts when the thread of the first has really ended; the run waits for that."""
    running: list[int] = []
    most: list[int] = []

    def objective(i: int) -> float:
        running.append(i)
        most.append(len(running))
        time.sleep(0.2 if i == 0 else 0.0)
        running.remove(i)
        return 1.0

    result = sweep(objective, optimizer=queue_of(2), scheduler=ShortTime(), failures=FailurePolicy(tolerated_rate=1)).run()
    assert states(result) == [TrialState.FAILED, TrialState.COMPLETED]
    assert most == [1, 1]
    assert result.stop_reason is StopReason.QUEUE_EMPTY
