"""What a run leaves behind when it is left in order, and what strategies are told on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sweep_kit import SPACE, essence, events, queue, rewards, run, score_x, sweep

from metta_sweep import (
    Budget,
    Choice,
    FailurePolicy,
    MemoryStore,
    Optimizer,
    Pipeline,
    Report,
    Resources,
    Scheduler,
    StopReason,
    Suggestion,
    SweepExperiment,
    Trial,
    TrialContext,
    TrialState,
    Verdict,
)
from metta_sweep.core.events import Dispatch, Draw, Event, Score, Stop, Wait
from metta_sweep.errors import BudgetError, InvalidInput, SchedulerError
from metta_sweep.experiments import FannedOut, Happened, Picked, Scored, SweepRun, dispatch, fan_out, pick, score
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.schedulers.scheduler import Offer
from metta_sweep.testing.virtual import run_virtual


def test_trials_of_runs_that_were_cancelled_in_order_are_not_lost() -> None:
    """Cancelled four times during the same trial, the run goes on with it: nobody died, so nothing is given up."""
    store = MemoryStore()

    async def main() -> None:
        for _ in range(4):
            running = asyncio.create_task(sweep(name="it", store=store).arun(3))
            await asyncio.sleep(0.5)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    run_virtual(main())
    result = run(sweep(name="it", store=store), 3)
    assert essence(result) == essence(run(sweep(), 3))
    assert result.trials[0].attempt == 5


def test_the_seconds_of_a_cancelled_run_are_spent() -> None:
    """What a process was active for is kept when it leaves, though nothing had happened yet."""
    store = MemoryStore()

    async def slow(trial: TrialContext) -> float:
        await asyncio.sleep(100.0)
        return 1.0

    async def main() -> None:
        running = asyncio.create_task(sweep(slow, name="it", store=store).arun(Budget(seconds=5.0)))
        await asyncio.sleep(3.0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run_virtual(main())
    result = run(sweep(slow, name="it", store=store, grace=0.0), Budget(seconds=5.0))
    assert result.stop_reason is StopReason.BUDGET_TIME
    assert result.spend.seconds == pytest.approx(5.0)


class EveryReport(Scheduler):
    """Notes what it judges, and stops a trial whose first report is below 0.5."""

    seen: list[tuple[int, int]]

    def __init__(self) -> None:
        self.seen = []

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Note it, and judge."""
        self.seen.append((report.step, len(trial.reports)))
        return Verdict.STOP if report.step == 1 and report.metrics["loss"] == 0.1 else Verdict.CONTINUE


def test_reports_of_one_tick_are_each_judged_as_they_came() -> None:
    """Two reports at once: the scheduler sees both, each with the trial as it stood then."""

    async def objective(trial: TrialContext) -> float:
        trial.report(1, loss=0.4)
        trial.report(10, loss=0.2)
        await asyncio.sleep(1.0)
        return 1.0

    result = run(sweep(objective, scheduler=EveryReport()), 1)
    assert isinstance(result.scheduler, EveryReport)
    assert result.scheduler.seen == [(1, 1), (10, 2)]


def test_a_verdict_on_the_first_of_several_reports_counts() -> None:
    """The trial is stopped for its first report, and the reports after it are not judged any more."""

    async def objective(trial: TrialContext) -> float:
        trial.report(1, loss=0.1)
        trial.report(2, loss=0.9)
        while not trial.should_stop:  # noqa: ASYNC110 - as trial functions do
            await asyncio.sleep(0.1)
        return 0.0

    result = run(sweep(objective, scheduler=EveryReport()), 1)
    assert isinstance(result.scheduler, EveryReport)
    assert (result.trials[0].state, result.scheduler.seen) == (TrialState.STOPPED, [(1, 1)])
    assert [event.step for event in events(result, Stop) if event.trial_id is not None] == [1]


class Listening(Optimizer):
    """Notes in which state it is told of reports."""

    def __init__(self) -> None:
        self.heard: list[tuple[TrialState, int]] = []

    def suggest(self, n: int) -> list[Suggestion]:
        """The middle."""
        return [Suggestion(params={"x": 0.5}) for _ in range(n)]

    def reported(self, trial: Trial, report: Report) -> None:
        """Note it."""
        self.heard.append((trial.state, len(trial.reports)))


def test_an_optimizer_hears_of_reports_while_the_trial_runs() -> None:
    """Also when the trial ended in the same tick."""

    async def objective(trial: TrialContext) -> float:
        trial.report(1, loss=0.4)
        trial.report(2, loss=0.2)
        return 1.0

    result = run(sweep(objective, optimizer=Listening(), search_space=SPACE), 1)
    assert isinstance(result.optimizer, Listening)
    assert result.optimizer.heard == [(TrialState.RUNNING, 1), (TrialState.RUNNING, 2)]


def test_what_users_do_to_a_trial_changes_no_result() -> None:
    """An expander that changes the parameters of the trial it was given changes neither the best trial nor the journal."""

    def expander(trial: Trial) -> list[dict[str, Any]]:
        trial.params["i"] += 100
        return []

    scheduler = IterationScheduler(expander=expander, expand_threshold=0.0)
    result = run(sweep(rewards({"a": 0.9}), optimizer=queue("a"), scheduler=scheduler))
    assert (result.best_params, result.trials[0].params) == ({"i": 0}, {"i": 0})


class Slow(RandomOptimizer):
    """Takes its time in a thread."""

    slow = True

    def suggest(self, n: int, index: int = 0, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """As the original, later."""
        if index:
            time.sleep(0.3)
        return super().suggest(n, index, fixed)


async def test_a_slow_decision_does_not_hold_the_deadline() -> None:
    """What runs is cut at the deadline while the optimizer thinks, and what it finds afterwards is not started."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(10.0)
        return 1.0

    result = await sweep(objective, optimizer=Slow(SPACE), slots=2, grace=0.0).arun(Budget(seconds=0.1))
    assert result.stop_reason is StopReason.BUDGET_TIME
    assert [trial.state for trial in result.trials] == [TrialState.STOPPED] * len(result.trials)
    assert len(events(result, Dispatch)) == len(result.trials)


class Ending(Scheduler):
    """Decides what no fan-out can."""

    def fan_out(self, trial: Trial, score: Score, decided: Sequence[Event]) -> Sequence[Event]:
        """End the run."""
        return [Stop("budget_trials")]


def test_a_fan_out_that_decides_what_it_cannot_is_refused() -> None:
    """The error names the scheduler and what it returned; the run can go on when it is mended."""
    store = MemoryStore()
    with pytest.raises(SchedulerError, match=r"Ending\.fan_out.*found Stop.*expected PaperTrigger"):
        run(sweep(name="it", store=store, scheduler=Ending()), 2)


class OnlyA(Optimizer):
    """Knows one alternative, and cannot be asked for another."""

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """The one it knows."""
        return [{"m": "a"} for _ in range(n)]


def test_a_branch_that_the_optimizer_cannot_make_does_not_fill_the_pool() -> None:
    """The search for it ends at 32 waiting suggestions, and what was drawn on the way is used up."""

    async def objective(trial: TrialContext) -> float:
        return 0.5

    settings = {"optimizer": OnlyA(), "search_space": {"m": Choice(["a", "b"])}, "scheduler": IterationScheduler(branch_by="m")}
    result = run(sweep(objective, **settings), 100)
    assert {trial.branch for trial in result.trials} == {"a"}
    assert len(events(result, Draw)) <= 100 + 2 * 32
    assert (result.branches["b"].runs, list(result.branches)) == (0, ["a", "b"])


def test_more_trials_are_asked_for_after_the_time_was_up() -> None:
    """run(more=) is never answered by an old result."""
    store = MemoryStore()
    assert run(sweep(name="it", store=store), Budget(seconds=2.5)).stop_reason is StopReason.BUDGET_TIME
    with pytest.raises(BudgetError, match=r"run\(more=\).*2.5 s .* are spent"):
        run(sweep(name="it", store=store), more=3)
    again = run(sweep(name="it", store=store), Budget(trials=5, seconds=60))
    assert (again.stop_reason, len(events(again, Stop))) == (StopReason.BUDGET_TRIALS, 2)


class Never(Scheduler):
    """Picks nothing."""

    def pick(self, offer: Offer) -> None:
        """Wait."""
        offer.wait("not today")


def test_a_scheduler_that_picks_nothing_is_named_as_the_reason() -> None:
    """The optimizer was not asked, so it is not what ran out."""
    result = run(sweep(scheduler=Never()), 3)
    assert (result.stop_reason, result.stop_detail) == (StopReason.STOPPED_BY_SCHEDULER, "not today")


def test_the_seconds_of_each_trial_can_be_limited() -> None:
    """resources= bounds an attempt: it fails with an error that names the limit."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(60.0)
        return 1.0

    result = run(sweep(objective, resources=Resources(time_limit=2.0), failures=FailurePolicy(tolerated_rate=1)), 1)
    assert result.trials[0].state is TrialState.FAILED
    assert result.trials[0].error is not None
    assert "time limit of 2 s" in result.trials[0].error.message


class Pending(Optimizer):
    """Notes what is pending whenever it is asked."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def suggest(  # type: ignore[override]
        self, n: int, pending: Sequence[Trial], fixed: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Note what is pending."""
        self.seen.append([trial.id for trial in pending])
        return [dict(fixed) for _ in range(n)]


def test_picks_of_one_turn_are_pending_for_each_other() -> None:
    """Three branches, three slots: the second request sees the first pick, and so it is after a resume."""
    settings: dict[str, Any] = {
        "optimizer": Pending(),
        "search_space": {"m": Choice(["a", "b", "c"])},
        "scheduler": IterationScheduler(branch_by="m"),
        "slots": 3,
    }
    store = MemoryStore()

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(1.0)
        return 0.5

    first = run(sweep(objective, name="it", store=store, **settings), 3)
    assert isinstance(first.optimizer, Pending)
    assert first.optimizer.seen == [[], ["0"], ["0", "1"]]
    again = run(sweep(objective, name="it", store=store, **settings), 3)
    assert isinstance(again.optimizer, Pending)
    assert again.optimizer.seen == first.optimizer.seen


def test_every_event_explains_itself() -> None:
    """Its explanation is words, and what it is about can be asked of any event."""
    result = run(sweep(score_x, scheduler=IterationScheduler()), 3)
    for event in result.trace:
        assert event.explanation
        assert (event.trial_id, event.branch) == (None, None) or not isinstance(event, Wait)


def test_a_chain_without_its_recorder_is_refused() -> None:
    """Stages that are run without the recorder of their run would start nothing for ever: the error says what to pass."""

    async def main() -> None:
        async with sweep().open(2) as opened:
            chain = (
                Pipeline(sweep=SweepRun)
                .loop_while(lambda ctx: ctx.stop_reason is None, carry={"stop_reason": None}, name="sweep")
                .stage("pick", pick)
                .through(Picked)
                .stage("dispatch", dispatch)
                .through(Happened)
                .stage("score", score)
                .through(Scored)
                .stage("fan_out", fan_out)
                .through(FannedOut)
                .end_loop()
            )
            await chain.build().run(sweep=opened)

    with pytest.raises(InvalidInput, match=r"recorder=run\.recorder"):
        run_virtual(main())


def test_too_many_failures_do_not_wait_for_what_hangs() -> None:
    """Running trials get their grace, as at a deadline, and wait to be taken up again."""

    async def objective(trial: TrialContext) -> float:
        if trial.number:
            raise ValueError("no luck")
        await asyncio.sleep(1000.0)
        return 1.0

    experiment: SweepExperiment = sweep(objective, slots=2, grace=3.0, failures=FailurePolicy(min_failed=2, tolerated_rate=0.1))
    result = run(experiment, 10)
    assert result.stop_reason is StopReason.FAILURE_RATE
    assert result.spend.seconds == pytest.approx(3.0)
    assert result.trials[0].state is TrialState.PENDING


def test_rewards_outside_the_scale_of_the_scheduler_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Scores in percent or negative ones would prune and trigger wrongly: the warning says so, and the remedy."""
    settings: dict[str, Any] = {"optimizer": queue("a", "b", "a"), "scheduler": IterationScheduler()}
    run(sweep(rewards({"a": -0.5, "b": 90.0}), **settings))
    assert caplog.text.count("observed_range") == 1
    caplog.clear()
    run(sweep(rewards({"a": -0.5, "b": 90.0}), **{**settings, "scheduler": IterationScheduler(reward="observed_range")}))
    run(sweep(rewards({"a": 0.5, "b": 1.0}), **settings))
    assert "observed_range" not in caplog.text


def test_the_reports_of_a_trial_are_read_from_the_trace() -> None:
    """results.reports() is the learning curve; the trial itself keeps the last report."""

    async def objective(trial: TrialContext) -> float:
        for step in range(3):
            trial.report(step, loss=(0.5 - 0.1 * step, 0.01))
        return 1.0

    result = run(sweep(objective), 2)
    assert [(report.step, report.value("loss")) for report in result.reports("1")] == [(0, 0.5), (1, 0.4), (2, 0.3)]
    assert (result.trials[1].reports[-1].step, result.trials[1].value("score")) == (2, 1.0)


def test_a_run_that_only_finished_interrupted_trials_says_that_it_ran_something() -> None:
    """What ended now counts as new, whoever picked it."""
    store = MemoryStore()

    async def main() -> None:
        async with sweep(name="it", store=store, grace=0.0).open(2) as opened:
            asyncio.get_running_loop().call_later(1.5, opened.interrupt)
            await sweep().build().run(sweep=opened, recorder=opened.recorder)

    run_virtual(main())
    result = run(sweep(name="it", store=store), 2)
    assert (result.added, "1 of them now" in result.summary()) == (1, True)
    assert run(sweep(name="it", store=store), 2).added == 0


def test_the_seed_of_a_trial_is_what_libraries_take() -> None:
    """32 bits: numpy and scikit-learn refuse more."""

    async def objective(trial: TrialContext) -> float:
        assert trial.seed < 2**32
        return 1.0

    assert run(sweep(objective), 5).stop_reason is StopReason.BUDGET_TRIALS


class Words(Scheduler):
    """Says its verdicts in plain words."""

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Stop."""
        return "stop"  # type: ignore[return-value]


def test_a_verdict_in_plain_words_counts() -> None:
    """The word stop is as good as Verdict.STOP."""

    async def objective(trial: TrialContext) -> float:
        trial.report(1, loss=0.1)
        while not trial.should_stop:  # noqa: ASYNC110 - as trial functions do
            await asyncio.sleep(0.1)
        return 0.0

    assert run(sweep(objective, scheduler=Words()), 1).trials[0].state is TrialState.STOPPED
