"""Requests for GPUs: advisory with one warning, or granted by an executor that has some."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from executor_runs import run_to_end

from metta_sweep import (
    Budget,
    FailurePolicy,
    LocalExecutor,
    Resources,
    Scheduler,
    SweepExperiment,
    SweepResult,
    Trial,
    TrialContext,
    TrialState,
)
from metta_sweep.core.events import Dispatch, Wait
from metta_sweep.errors import BudgetError, ExecutorError, UnknownOption
from metta_sweep.executors import TrialTask
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.testing import run_virtual


class Watch:
    """A trial function that takes a second, and notes which devices were in use at once."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.given: dict[int, tuple[int, ...]] = {}
        self.running: dict[int, float] = {}
        self.most = 0.0
        self.together = 0

    async def __call__(self, trial: TrialContext) -> float:
        """Runs."""
        self.given[trial.number] = trial.devices
        for device in trial.devices:
            self.running[device] = self.running.get(device, 0.0) + min(1.0, trial.resources.gpus)
        self.together += 1
        self.most = max([self.most, *self.running.values()])
        await asyncio.sleep(self.seconds)
        self.together -= 1
        for device in trial.devices:
            self.running[device] -= min(1.0, trial.resources.gpus)
        return 1.0


class Asks(Scheduler):
    """Asks for what its list says, trial by trial."""

    def __init__(self, *gpus: float) -> None:
        self.gpus = gpus

    def allocate_resources(self, trial: Trial) -> Resources:
        """The next of the list."""
        return Resources(gpus=self.gpus[trial.number % len(self.gpus)])


def sweep(count: int, objective: Any, **settings: Any) -> SweepExperiment:
    """So many trials."""
    queue = SuggestionQueue([{"i": number} for number in range(count)])
    return SweepExperiment(objective=objective, optimizer=queue, seed=0, **settings)


def run(experiment: SweepExperiment, **options: Any) -> SweepResult:
    """Run it on a virtual clock."""
    return run_virtual(experiment.arun(**options))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings about GPUs."""
    return [record.getMessage() for record in caplog.records if "gpus" in record.getMessage() and record.levelno == logging.WARNING]


def test_requests_are_advisory_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Without devices to hand out all trials run, and one warning of the run says what to write."""
    watch = Watch()
    result = run(sweep(5, watch, slots=2, resources=Resources(gpus=4)))
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETED] * 5
    assert set(watch.given.values()) == {()}
    assert len(warnings_of(caplog)) == 1
    assert "LocalExecutor(gpus=1)" in warnings_of(caplog)[0]


def test_no_request_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Trials that ask for no GPU are none of its business."""
    run(sweep(2, Watch(), resources=Resources(time_limit=60)))
    assert warnings_of(caplog) == []


def test_whole_devices_are_handed_out() -> None:
    """With two devices two trials run at once, each with a device of its own."""
    watch = Watch()
    result = run(sweep(6, watch, slots=4, executor=LocalExecutor(gpus=2), resources=Resources(gpus=1)))
    assert result.spend.seconds == pytest.approx(3.0)
    assert sorted(watch.given.values()) == [(0,)] * 3 + [(1,)] * 3
    assert watch.most == 1.0


def test_shares_of_a_device() -> None:
    """Thirds: three trials share a device, and a fourth does not fit beside them."""
    watch = Watch()
    result = run(sweep(6, watch, slots=8, executor=LocalExecutor(gpus=1), resources=Resources(gpus=1 / 3)))
    assert result.spend.seconds == pytest.approx(2.0)
    assert watch.most == pytest.approx(1.0)
    assert set(watch.given.values()) == {(0,)}


def test_shares_fill_one_device_before_the_next() -> None:
    """Two halves share the first device, so that a whole one is left for who needs it."""
    watch = Watch()
    run(sweep(3, watch, slots=3, executor=LocalExecutor(gpus=2), scheduler=Asks(0.5, 0.5, 1)))
    assert watch.given == {0: (0,), 1: (0,), 2: (1,)}


def test_slots_are_those_that_fit() -> None:
    """What cannot start need not be picked yet: a fixed request bounds the slots."""
    executor = LocalExecutor(gpus=2)
    assert sweep(1, Watch(), slots=8, executor=executor, resources=Resources(gpus=1)).slots == 2
    assert sweep(1, Watch(), slots=8, executor=executor, resources=Resources(gpus=0.25)).slots == 8
    assert sweep(1, Watch(), slots=9, executor=executor, resources=Resources(gpus=0.25)).slots == 8
    assert sweep(1, Watch(), slots=8, executor=executor, resources=Resources(gpus=2)).slots == 1
    assert sweep(1, Watch(), slots=8, resources=Resources(gpus=2)).slots == 8


def test_a_big_request_holds_those_behind_it() -> None:
    """In the order of picks: what needs both devices waits for both, and what is behind it does not overtake."""
    watch = Watch()
    result = run(sweep(4, watch, slots=4, executor=LocalExecutor(gpus=2), scheduler=Asks(1, 2, 1, 1)))
    starts = [event.trial_id for event in result.trace if isinstance(event, Dispatch)]
    assert starts == ["0", "1", "2", "3"]
    assert watch.given[1] == (0, 1)
    assert result.spend.seconds == pytest.approx(3.0)


def test_waiting_for_gpus_is_in_the_trace() -> None:
    """Once for each trial that waits, with what it needs."""
    result = run(sweep(4, Watch(), slots=4, executor=LocalExecutor(gpus=1), scheduler=Asks(1)))
    whys = [event.why for event in result.trace if isinstance(event, Wait) and "gpus" in event.why]
    assert whys == [f"trial {number} waits for gpus: it needs 1" for number in (1, 2, 3)]


def test_more_than_there_is_is_refused_when_the_sweep_is_made() -> None:
    """A request that could never be met says what there is, and how to mend it."""
    with pytest.raises(ExecutorError, match=r"at most 2.*LocalExecutor\(gpus=3\)"):
        sweep(1, Watch(), executor=LocalExecutor(gpus=2), resources=Resources(gpus=3))
    with pytest.raises(ExecutorError, match=r"a share below 1.*Write 2"):
        sweep(1, Watch(), executor=LocalExecutor(gpus=2), resources=Resources(gpus=1.5))
    with pytest.raises(ExecutorError, match="at most 0"):
        sweep(1, Watch(), executor=LocalExecutor(gpus=0), resources=Resources(gpus=0.1))


def test_more_than_there_is_from_a_scheduler_ends_the_run() -> None:
    """As early as it is known: when the trial is to start."""
    with pytest.raises(ExecutorError, match="at most 2"):
        run(sweep(3, Watch(), slots=1, executor=LocalExecutor(gpus=2), scheduler=Asks(1, 3)))


def test_failed_and_stopped_trials_free_their_devices() -> None:
    """Whatever ends an attempt frees what it held, and another attempt may have another device."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(1.0)
        if trial.attempt == 1:
            raise ValueError("once")
        return float(trial.devices[0])

    executor = LocalExecutor(gpus=1)
    result = run(
        sweep(3, objective, executor=executor, resources=Resources(gpus=1), failures=FailurePolicy(retries=1, backoff=0.0))
    )
    assert [trial.score for trial in result.trials] == [0.0] * 3
    assert executor.admits(Resources(gpus=1))


def test_a_leak_holds_its_device_until_it_really_ends() -> None:
    """A thread that was given up at its time limit runs on, with its GPU: the next trial waits for its real end."""
    release = threading.Event()
    began: list[int] = []

    def objective(trial: TrialContext) -> float:
        began.append(trial.number)
        if trial.number == 0:
            release.wait(10)
        return float(trial.devices[0])

    async def main() -> tuple[SweepResult, bool]:
        executor = LocalExecutor(slots=2, gpus=1)
        experiment = sweep(2, objective, slots=2, executor=executor, scheduler=Limited())
        running = asyncio.ensure_future(experiment.arun())
        while not executor.leaked:  # noqa: ASYNC110  # the executor tells nobody of a leak
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        held = began == [0] and not executor.admits(Resources(gpus=1))
        release.set()
        return await running, held

    result, held = asyncio.run(main())
    assert held
    assert [trial.state for trial in result.trials] == [TrialState.FAILED, TrialState.COMPLETED]


class Limited(Scheduler):
    """One GPU and a short time each."""

    def allocate_resources(self, trial: Trial) -> Resources:
        """Short."""
        return Resources(gpus=1, time_limit=0.02)


def test_the_deadline_ends_a_run_in_which_a_trial_waits_for_gpus() -> None:
    """What waits is not started any more, and nothing hangs."""
    watch = Watch(seconds=1e6)
    result = run(sweep(3, watch, slots=3, executor=LocalExecutor(gpus=1), scheduler=Asks(1)), budget=Budget(seconds=10))
    assert result.spend.seconds == pytest.approx(11.0)
    assert list(watch.given) == [0]


async def test_starting_twice_takes_devices_once() -> None:
    """A start that is tried again finds the attempt that runs, which counts as admitted."""
    executor = LocalExecutor(gpus=1)

    async def objective(trial: TrialContext) -> float:
        return float(len(trial.devices))

    executor.prepare(objective)
    resources = Resources(gpus=1)
    task = TrialTask(Trial(id="0", number=0, params={}, attempt=1), 0, resources, "trial[0]")
    async with executor:
        executor.start(task)
        assert not executor.admits(resources)
        assert executor.admits(resources, "0")
        executor.start(task)
        with pytest.raises(ExecutorError, match="in use"):
            executor.start(TrialTask(Trial(id="1", number=1, params={}, attempt=1), 0, resources, "trial[1]"))
        await run_to_end(executor)
        assert executor.admits(resources)


@pytest.mark.parametrize("gpus", [-1, 1.5, "two", True])
def test_gpus_that_cannot_be(gpus: Any) -> None:
    """They are a whole number of devices."""
    with pytest.raises(ExecutorError, match=r"LocalExecutor\(gpus=\)"):
        LocalExecutor(gpus=gpus)


def test_typos_are_refused() -> None:
    """With a guess."""
    with pytest.raises(UnknownOption, match="gpus"):
        LocalExecutor(gpu=1)  # type: ignore[arg-type]
    with pytest.raises(BudgetError):
        Resources(gpus=-1)
