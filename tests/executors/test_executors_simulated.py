"""Sweeps in simulated time: how it passes, and what is deterministic."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from simulated_kit import CURVE, SPACE, PausesOnce, essence, payloads, sweep

from metta_sweep import Budget, FailurePolicy, LocalExecutor, MemoryStore, SweepExperiment, SweepResult, TrialContext
from metta_sweep.clock import crash_points
from metta_sweep.core.events import Error, Reported
from metta_sweep.core.resources import Resources
from metta_sweep.core.trial import Report, Trial, TrialState, Verdict
from metta_sweep.errors import InvalidInput, ObjectiveError
from metta_sweep.executors import SimulatedExecutor
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import Scheduler

# -- time ------------------------------------------------------------------------------------------------------------------------


def test_time_is_counted_and_not_waited_for() -> None:
    """12 trials of 10 epochs on 4 slots take 3 x 10 epochs: 300,000 hours here, at once."""
    result = sweep(seconds=36e6)

    assert result.spend.seconds == 3 * 10 * 36e6
    assert [trial.seconds for trial in result.trials] == [10 * 36e6] * 12


def test_epochs_may_take_different_times() -> None:
    """By parameters and step; each attempt has its start-up beside."""
    result = sweep(trials=1, seconds=lambda params, step: 100.0 * step, startup=7.0)

    assert result.spend.seconds == 7.0 + 100.0 * sum(range(1, 11))


def test_events_come_in_the_order_of_time() -> None:
    """Quick trials report more often; what comes at one time comes in the order of dispatch."""

    def two(x: float) -> Iterator[float]:
        yield from (x, x)

    queue = SuggestionQueue([{"x": 3.0}, {"x": 1.0}, {"x": 2.0}, {"x": 1.0}])
    result = sweep(two, 4, optimizer=queue, seconds=lambda params, step: params["x"])

    reports = [(event.trial_id, event.step) for event in result.trace if isinstance(event, Reported)]
    assert reports == [("1", 1), ("3", 1), ("1", 2), ("2", 1), ("3", 2), ("0", 1), ("2", 2), ("0", 2)]


def test_inside_an_event_loop_it_is_the_same() -> None:
    """A notebook and a script give the same journal, and others on the loop get their turns."""
    store, turns = MemoryStore(), []

    async def others() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def notebook() -> SweepResult:
        task = asyncio.create_task(others())
        experiment = SweepExperiment(
            objective=CURVE,
            search_space=SPACE,
            slots=4,
            seed=0,
            goal="minimize",
            metric="loss",
            store=store,
            executor=SimulatedExecutor(seconds=lambda params, step: params["x"]),
        )
        result = await experiment.run(40)
        task.cancel()
        return result

    script = MemoryStore()
    inside, outside = asyncio.run(notebook()), sweep(trials=40, seconds=lambda params, step: params["x"], store=script)
    assert payloads(inside, store) == payloads(outside, script)
    assert len(turns) > 10


def test_a_deadline_is_in_simulated_seconds() -> None:
    """Nothing starts after it; what runs ends at the next epoch within its grace, or when that is over."""
    budget = Budget(seconds=25.5)
    graceful = sweep(trials=budget, grace=1.0, slots=2)
    short = sweep(trials=budget, grace=0.2, slots=2)

    assert graceful.stop_reason == short.stop_reason == "budget_time"
    assert (graceful.spend.seconds, short.spend.seconds) == (26.0, 25.7)
    assert [trial.state for trial in graceful.trials][-2:] == [TrialState.STOPPED] * 2
    assert [trial.seconds for trial in graceful.trials][-1] == 6.0
    assert [trial.last_report.step if trial.last_report else None for trial in graceful.trials][-1] == 6


def test_a_long_budget_floods_no_journal() -> None:
    """Simulated hours make no signs of life: nothing is lost between two events."""
    store = MemoryStore()
    result = sweep(trials=Budget(trials=4, seconds=1e9), seconds=36e3, store=store)

    assert list(store.records(result.run_id, kind="alive")) == []
    assert result.spend.seconds == 36e4


def test_a_time_limit_is_in_simulated_seconds() -> None:
    """The attempt fails when it is over; epochs that end exactly then count."""
    result = sweep(trials=1, resources=Resources(time_limit=4.0))
    (trial,) = result.trials

    assert trial.error is not None
    assert (trial.error.type, trial.seconds) == ("metta_sweep.errors.TrialTimeout", 4.0)
    assert trial.last_report == Report(4, trial.last_report.metrics if trial.last_report else {})


def test_back_off_is_in_simulated_seconds() -> None:
    """An hour's pause before the second attempt is counted, and not waited for."""

    def fails_once(trial: TrialContext) -> float:
        if trial.attempt == 1:
            raise RuntimeError("not yet")
        return 1.0

    policy = FailurePolicy(retries=1, backoff=3600.0)
    result = sweep(fails_once, 1, goal="maximize", failures_policy=policy)

    assert (result.spend.seconds, result.trials[0].attempt, result.trials[0].score) == (3602.0, 2, 1.0)


# -- what goes wrong -------------------------------------------------------------------------------------------------------------


def test_failures_are_errors_as_any() -> None:
    """They come at the end of an epoch, are tried again, and in the end the trial has failed."""
    result = sweep(trials=60, failures=0.05, failures_policy=FailurePolicy(retries=1, tolerated_rate=1.0))
    errors = [event for event in result.trace if isinstance(event, Error)]

    assert {error.type for error in errors} == {"metta_sweep.executors.simulation.cost.SimulatedFailure"}
    assert all(error.seconds == int(error.seconds) >= 1.0 for error in errors)
    assert {trial.state for trial in result.trials} == {TrialState.COMPLETED, TrialState.FAILED}
    assert {trial.attempt for trial in result.trials} == {1, 2}
    failed = sum(trial.state is TrialState.FAILED for trial in result.trials)
    assert 0.05 < failed / 60 < 0.35  # (1 - 0.95**10)**2 = 0.16


def test_stragglers_are_slow() -> None:
    """About so many attempts take so many times as long; the others are as ever."""
    seconds = [trial.seconds for trial in sweep(trials=200, stragglers=0.1, slowdown=8.0).trials]

    assert set(seconds) == {10.0, 80.0}
    assert 8 <= seconds.count(80.0) <= 36


def test_draws_do_not_depend_on_what_runs_beside() -> None:
    """Each trial has the same fate on one slot and on twelve."""
    suffers = {"failures": 0.02, "stragglers": 0.2, "failures_policy": FailurePolicy(retries=2, tolerated_rate=1.0)}
    one, many = sweep(trials=40, slots=1, **suffers), sweep(trials=40, slots=12, **suffers)

    assert essence(one) == essence(many)
    assert [trial.attempt for trial in one.trials] == [trial.attempt for trial in many.trials]
    assert [trial.seconds or 0.0 for trial in one.trials] == pytest.approx([trial.seconds or 0.0 for trial in many.trials])
    assert one.spend.seconds > many.spend.seconds


def test_the_same_seed_makes_the_same_journal() -> None:
    """To the byte, with failures, stragglers and an executor that has served before; another seed makes another."""
    executor = SimulatedExecutor(seconds=lambda params, step: 0.1 + params["x"], failures=0.03, stragglers=0.2, seed=5)

    def journal(seed: int) -> list[bytes]:
        store = MemoryStore()
        policy = FailurePolicy(retries=1, backoff=0.7, tolerated_rate=1.0)
        return payloads(sweep(trials=50, executor=executor, failures_policy=policy, seed=seed, store=store), store)

    assert journal(1) == journal(1)
    assert journal(1) != journal(2)


class Crash(BaseException):
    """The death of the process."""


@pytest.mark.parametrize("occurrence", [2, 9, 25])
def test_a_run_that_died_goes_on_as_if_it_had_not(occurrence: int) -> None:
    """On one slot, from whatever was committed: the same trials."""
    store, seen = MemoryStore(), []

    def dies(name: str) -> None:
        seen.extend([name] if name == "dispatch.before" else [])
        if len(seen) >= occurrence:
            raise Crash

    with pytest.raises(Crash), crash_points(dies):
        sweep(trials=30, slots=1, store=store, name="curves")
    resumed = sweep(trials=30, slots=1, store=store, name="curves")

    assert essence(resumed) == essence(sweep(trials=30, slots=1))


def test_simulated_and_real_trials_come_to_the_same() -> None:
    """The same trial function on the local executor."""
    assert essence(sweep(executor=LocalExecutor())) == essence(sweep())


def test_epochs_may_take_no_time() -> None:
    """An endless trial whose epochs cost nothing can still be ended, and stands in nobody's way."""

    class Ends(Scheduler):
        """At step 10,000."""

        def next_judged(self, trial_id: str, step: int) -> int:
            """10,000."""
            return max(10_000, step + 1)

        def judge(self, trial: Trial, report: Report) -> Verdict:
            """Enough."""
            return Verdict.COMPLETE

    def endless(x: float) -> Iterator[float]:
        while True:
            yield x

    result = sweep(endless, 2, scheduler=Ends(), seconds=0.0)

    assert result.spend.seconds == 0.0
    assert [trial.last_report.step for trial in result.trials if trial.last_report] == [10_000] * 2


def test_attempts_leave_nothing_for_the_garbage_collector() -> None:
    """However they end, their contexts go when they are over."""

    def watched(trial: TrialContext) -> Iterator[float]:
        trial.metadata["params"] = trial.params
        yield 1.0
        if trial.number == 1:
            raise RuntimeError("broken")
        yield 2.0

    def contexts() -> int:
        return sum(isinstance(found, TrialContext) for found in gc.get_objects())

    gc.collect()
    before = contexts()
    gc.disable()
    try:
        sweep(watched, 8, scheduler=PausesOnce())
        sweep(watched, 8, resources=Resources(time_limit=1.5))
        assert contexts() == before
    finally:
        gc.enable()


# -- trial functions -------------------------------------------------------------------------------------------------------------


def test_a_plain_function_is_one_epoch() -> None:
    """Or as many as it reports."""

    def silent(x: float) -> float:
        return x

    def reports(trial: TrialContext) -> float:
        for step in (1, 2, 3):
            trial.report(step, loss=1.0 / step)
        return 0.0

    assert sweep(silent, 1, seconds=5.0).spend.seconds == 5.0
    result = sweep(reports, 1, seconds=lambda params, step: 10.0 * step)
    assert result.spend.seconds == 60.0
    assert [event.step for event in result.trace if isinstance(event, Reported)] == [1, 2, 3]


def test_an_error_comes_when_its_epoch_is_over() -> None:
    """After the reports before it."""

    def fails(trial: TrialContext) -> float:
        trial.report(1, 0.5)
        raise RuntimeError("broken")

    (trial,) = sweep(fails, 1, seconds=4.0).trials
    assert (trial.seconds, trial.last_report) == (8.0, Report(1, {"score": 0.5}))


def test_coroutine_functions_are_refused() -> None:
    """When the sweep is made: nothing is awaited in simulated time. One that hides until it is called fails its trial."""

    async def waits(x: float) -> float:
        return x

    def hides(x: float) -> object:
        return waits(x)

    with pytest.raises(ObjectiveError, match="nothing is awaited"):
        sweep(waits)
    (trial,) = sweep(hides, 1).trials
    assert trial.error is not None
    assert "nothing is awaited" in trial.error.message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"slots": 0}, "slots"),
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": "fast"}, "seconds"),
        ({"startup": float("nan")}, "startup"),
        ({"failures": 1.5}, "failures"),
        ({"stragglers": -0.1}, "stragglers"),
        ({"slowdown": 0.5}, "slowdown"),
        ({"seed": 1.5}, "seed"),
        ({"checkpoint_dir": 3}, "checkpoint_dir"),
        ({"second": 1.0}, "did you mean 'seconds'"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, object], said: str) -> None:
    """By name, when it is made."""
    with pytest.raises(InvalidInput, match=f"(?i){said}"):
        SimulatedExecutor(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), None, True])
def test_seconds_that_are_none_end_the_run(seconds: object) -> None:
    """With an error that names the setting, the step and the trial."""
    with pytest.raises(InvalidInput, match=r"step 1 of trial\[0\].*no seconds"):
        sweep(trials=1, seconds=lambda params, step: seconds)
