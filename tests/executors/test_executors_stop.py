"""Stopping, time limits, and what cannot be ended."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from executor_runs import Objective, next_events, run_to_end, task_of, told

from metta_sweep.executors import Ended, LocalExecutor, ReportMade, StopCause, TrialContext
from metta_sweep.testing.virtual import run_virtual


def stopped(objective: Objective, *, after: float, grace: float, cause: StopCause = "verdict") -> tuple[Ended, float]:
    """Start a trial, stop it after some seconds; its terminal event and when that came."""

    async def main() -> tuple[Ended, float]:
        executor = LocalExecutor()
        executor.prepare(objective)
        async with executor:
            executor.start(task_of())
            await asyncio.sleep(after)
            executor.stop("0", cause, grace)
            *_, ended = await run_to_end(executor)
            assert isinstance(ended, Ended)
            return ended, asyncio.get_running_loop().time()

    return run_virtual(main())


async def _sleeps(trial: TrialContext) -> float:
    await asyncio.sleep(1000)
    return 1.0


async def _looks(trial: TrialContext) -> float:
    while not trial.should_stop:  # noqa: ASYNC110  # what users do
        await asyncio.sleep(1)
    return 0.7


async def _looks_and_returns_nothing(trial: TrialContext) -> None:
    while not trial.should_stop:  # noqa: ASYNC110  # what users do
        await asyncio.sleep(1)


def test_a_coroutine_is_cancelled_after_its_grace() -> None:
    """It has ``grace`` seconds, then it is cancelled and reported as stopped."""
    ended, when = stopped(_sleeps, after=5, grace=10)

    assert (ended.stopped, ended.metrics, ended.error) == ("verdict", None, None)
    assert when == pytest.approx(15)


def test_without_grace_it_is_cancelled_at_once() -> None:
    """A grace of 0 cancels now."""
    _, when = stopped(_sleeps, after=5, grace=0)

    assert when == pytest.approx(5)


def test_what_returns_within_its_grace_keeps_its_metrics() -> None:
    """A trial that _looks at ``should_stop`` and returns is stopped, with metrics."""
    ended, when = stopped(_looks, after=2.5, grace=10, cause="deadline")

    assert (ended.stopped, ended.metrics) == ("deadline", {"score": 0.7})
    assert when == pytest.approx(3)


def test_what_ends_by_itself_within_its_grace_was_not_stopped() -> None:
    """A trial that never looks, and is done before its grace is over, ran to its end."""

    async def three_seconds() -> float:
        await asyncio.sleep(3)
        return 0.9

    ended, when = stopped(three_seconds, after=2.5, grace=10, cause="deadline")

    assert (ended.stopped, ended.metrics) == (None, {"score": 0.9})
    assert when == pytest.approx(3)


def test_what_is_stopped_may_return_nothing() -> None:
    """None is no metric, but a stopped trial may have none."""
    ended, _ = stopped(_looks_and_returns_nothing, after=2.5, grace=10)

    assert (ended.stopped, ended.metrics, ended.error) == ("verdict", None, None)


def test_the_first_cause_and_the_shortest_grace_count() -> None:
    """An interrupt shortens the grace of a verdict, and does not change why the trial was stopped."""

    async def main() -> tuple[Any, ...]:
        executor = LocalExecutor()
        executor.prepare(_sleeps)
        async with executor:
            executor.start(task_of())
            await asyncio.sleep(1)
            executor.stop("0", "verdict", 100)
            executor.stop("0", "interrupt", 2)
            executor.stop("0", "interrupt", 50)
            (ended,) = await run_to_end(executor)
            assert isinstance(ended, Ended)
            return ended.stopped, asyncio.get_running_loop().time()

    assert run_virtual(main()) == ("verdict", pytest.approx(3))


def test_an_error_within_the_grace_of_a_verdict_is_an_error() -> None:
    """A trial that raises by itself while the scheduler stops it failed."""

    async def fails(trial: TrialContext) -> float:
        await _looks(trial)
        raise OSError("disk full")

    ended, _ = stopped(fails, after=1, grace=10)

    assert told(ended) == "OSError: disk full"
    assert ended.stopped is None


def test_stopping_before_the_first_step() -> None:
    """A trial that is cut before its task has run leaves its terminal event all the same."""
    ended, _ = stopped(_sleeps, after=0, grace=0)
    again = run_virtual(_started_and_stopped())

    assert ended.stopped == again.stopped == "verdict"


async def _started_and_stopped() -> Ended:
    executor = LocalExecutor()
    executor.prepare(_sleeps)
    async with executor:
        executor.start(task_of())
        executor.stop("0", "verdict", 0)
        (ended,) = await run_to_end(executor)
        assert isinstance(ended, Ended)
        return ended


def test_a_coroutine_that_will_not_be_cancelled_is_given_up() -> None:
    """It is reported as stopped a second after its cancellation, and holds its slot until it ends."""

    async def main() -> tuple[Any, ...]:
        async def stubborn(trial: TrialContext) -> float:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(50)
            return 1.0

        executor = LocalExecutor(slots=1)
        executor.prepare(stubborn)
        async with executor:
            executor.start(task_of())
            await asyncio.sleep(1)
            executor.stop("0", "deadline", 0)
            (ended,) = await run_to_end(executor)
            assert isinstance(ended, Ended)
            when = asyncio.get_running_loop().time()
            held = (executor.leaked_slots, executor.busy, executor.leaked[0].name)
            await executor.wait()
            return ended.stopped, when, held, executor.leaked_slots, asyncio.get_running_loop().time(), executor.peek()

    assert run_virtual(main()) == ("deadline", pytest.approx(2), (1, 1, "trial[0]"), 0, pytest.approx(51), [])


async def test_a_thread_is_given_up_after_its_grace() -> None:
    """It is reported as stopped, its slot stays taken until it ends, its late result and reports are dropped."""
    gate = threading.Event()

    def hangs(trial: TrialContext) -> float:
        gate.wait(10)
        trial.report(1, 0.5)
        return 1.0

    executor = LocalExecutor(slots=2)
    executor.prepare(hangs)
    async with executor:
        executor.start(task_of())
        executor.stop("0", "interrupt", 0.01)
        (ended,) = await run_to_end(executor)
        assert isinstance(ended, Ended)
        assert ended.stopped == "interrupt"
        assert (executor.leaked_slots, executor.busy) == (1, 1)
        assert [leak.name for leak in executor.leaked] == ["trial[0]"]
        gate.set()
        while executor.leaked_slots:
            await asyncio.wait_for(executor.wait(), 10)
        assert (executor.busy, executor.peek()) == (0, [])


class _Hangs:
    """A trial function that waits in its thread until ``gate`` is set."""

    def __init__(self) -> None:
        self.begun, self.gate = threading.Event(), threading.Event()

    def __call__(self, trial: TrialContext) -> float:
        self.begun.set()
        self.gate.wait(10)
        return 1.0


async def _given_up(executor: LocalExecutor, objective: _Hangs) -> None:
    """Start a trial in a thread, and give it up when it has begun."""
    executor.prepare(objective)
    async with executor:
        executor.start(task_of())
        while not objective.begun.is_set():  # noqa: ASYNC110  # an event of threads
            await asyncio.sleep(0.001)
        executor.stop("0", "deadline", 0)
        await run_to_end(executor)


def test_a_slot_frees_when_its_thread_ends_after_its_loop() -> None:
    """Nobody tells an event loop that has closed: the slot is free all the same."""
    hangs = _Hangs()
    executor = LocalExecutor(slots=1)
    asyncio.run(_given_up(executor, hangs))
    assert executor.leaked_slots == 1
    hangs.gate.set()
    deadline = time.monotonic() + 10
    while executor.leaked_slots and time.monotonic() < deadline:
        time.sleep(0.001)

    assert (executor.leaked_slots, executor.leaked, executor.busy) == (0, (), 0)


def test_a_slot_held_from_an_earlier_loop_wakes_the_one_that_waits() -> None:
    """Another run that waits for the slot, in another event loop, goes on as soon as the thread has ended."""
    hangs = _Hangs()

    async def waits(executor: LocalExecutor) -> tuple[int, int]:
        executor.prepare(_sleeps)
        async with executor:
            held = executor.leaked_slots
            asyncio.get_running_loop().call_later(0.005, hangs.gate.set)
            while executor.leaked_slots:
                await asyncio.wait_for(executor.wait(), 10)
            return held, executor.leaked_slots

    executor = LocalExecutor(slots=1)
    asyncio.run(_given_up(executor, hangs))

    assert asyncio.run(waits(executor)) == (1, 0)


def test_giving_up_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """The logger ``metta_sweep`` tells the attempt, its thread and how many slots are held; what ends in time it does not tell."""
    hangs = _Hangs()

    with caplog.at_level(logging.WARNING, logger="metta_sweep"):
        stopped(_looks, after=1, grace=10)
        asyncio.run(_given_up(LocalExecutor(slots=1), hangs))
    hangs.gate.set()

    (record,) = caplog.records
    assert record.getMessage().startswith("trial[0] was given up ")
    assert "its thread metta_sweep-trial-1 runs on" in record.getMessage()
    assert "(1 held)" in record.getMessage()


@pytest.mark.parametrize("cause", ["deadline", "interrupt"])
@pytest.mark.parametrize("grace", [0, 10])
def test_an_error_after_time_is_up_is_no_failure(cause: StopCause, grace: float) -> None:
    """What a trial raises while the deadline or an interrupt ends it is kept beside it: it was stopped."""

    async def fails(trial: TrialContext) -> float:
        trial.metadata["kept"] = 1
        try:
            await _looks(trial)
        finally:
            raise OSError("disk full")

    ended, _ = stopped(fails, after=1, grace=grace, cause=cause)

    assert (ended.stopped, ended.error, ended.metrics) == (cause, None, None)
    assert ended.metadata == {"kept": 1, "error": "OSError: disk full"}


def test_an_error_of_cleaning_up_after_a_verdict_is_no_failure() -> None:
    """A trial that was cancelled, since it did not look, was stopped, whatever its cleaning up raises."""

    async def fails(trial: TrialContext) -> float:
        try:
            return await _sleeps(trial)
        finally:
            raise OSError("disk full")

    ended, _ = stopped(fails, after=1, grace=10)

    assert (ended.stopped, ended.error, ended.metadata) == ("verdict", None, {"error": "OSError: disk full"})


def test_a_thread_that_raises_at_the_deadline_is_no_failure() -> None:
    """A function in a thread may raise to get out."""

    def raises(trial: TrialContext) -> float:
        while not trial.should_stop:
            threading.Event().wait(0.001)
        raise RuntimeError("told to stop")

    ended, _ = stopped(raises, after=0, grace=10, cause="deadline")

    assert (ended.stopped, ended.error, ended.metadata) == ("deadline", None, {"error": "RuntimeError: told to stop"})


def test_a_thread_that_looks_ends_within_its_grace() -> None:
    """``should_stop`` shows in threads, and what they return is kept."""

    def polls(trial: TrialContext) -> float:
        while not trial.should_stop:
            threading.Event().wait(0.001)
        return 0.5

    ended, _ = stopped(polls, after=0, grace=10, cause="pause")

    assert (ended.stopped, ended.metrics) == ("pause", {"score": 0.5})


def test_a_time_limit_cuts_a_coroutine() -> None:
    """At the limit the attempt fails with a timeout."""
    ended, when = limited(_sleeps, 3)

    assert told(ended) == "metta_sweep.errors.TrialTimeout: trial[0] passed its time limit of 3 s."
    assert (ended.stopped, ended.metrics) == (None, None)
    assert when == pytest.approx(3)


def test_a_time_limit_gives_up_a_thread() -> None:
    """The message says that the thread runs on."""
    gate = threading.Event()

    def hangs(trial: TrialContext) -> float:
        gate.wait(10)
        return 1.0

    ended, _ = limited(hangs, 0.01)
    gate.set()

    assert "its thread runs on" in told(ended)


def test_a_time_limit_that_is_kept_does_nothing() -> None:
    """A trial that ends in time has its metrics, and its timer is gone."""

    async def quick(trial: TrialContext) -> float:
        await asyncio.sleep(1)
        return 1.0

    ended, when = limited(quick, 3)

    assert (ended.metrics, ended.error) == ({"score": 1.0}, None)
    assert when == pytest.approx(1)


def limited(objective: Objective, limit: float) -> tuple[Ended, float]:
    """The terminal event of a trial with a time limit, and when it came."""

    async def main() -> tuple[Ended, float]:
        executor = LocalExecutor()
        executor.prepare(objective)
        async with executor:
            executor.start(task_of(time_limit=limit))
            (ended,) = await run_to_end(executor)
            assert isinstance(ended, Ended)
            return ended, asyncio.get_running_loop().time()

    return run_virtual(main())


async def _async_epochs(trial: TrialContext) -> AsyncIterator[Any]:
    try:
        for epoch in range(1, 100):
            yield {"loss": 1.0 / epoch}
    finally:
        trial.metadata["closed"] = True


def _epochs(trial: TrialContext) -> Iterator[Any]:
    try:
        for epoch in range(1, 100):
            yield {"loss": 1.0 / epoch}
    finally:
        trial.metadata["closed"] = True


@pytest.mark.parametrize("objective", [_async_epochs, _epochs])
@pytest.mark.parametrize("cause", ["verdict", "pause"])
def test_a_generator_ends_at_its_yield(objective: Objective, cause: StopCause) -> None:
    """It waits for each verdict; a stop ends it there, by closing it, without waiting for any grace."""

    async def main() -> list[Any]:
        executor = LocalExecutor()
        executor.prepare(objective)
        async with executor:
            executor.start(task_of())
            events = await next_events(executor)
            executor.answer("0", 7)
            executor.answer("0", 1)
            events += await next_events(executor)
            executor.stop("0", cause, 1000)
            events += await next_events(executor)
            return events

    first, second, ended = run_virtual(main())

    assert first == ReportMade("0", 1, 1, {"loss": 1.0})
    assert second == ReportMade("0", 1, 2, {"loss": 0.5})
    assert (ended.stopped, ended.metrics, ended.error) == (cause, None, None)
    assert ended.metadata == {"closed": True}


def test_a_generator_may_number_its_steps_and_return_its_result() -> None:
    """``{"step": k, ...}`` is the report of step k, later ones count on; a returned value is the result."""

    def steps(trial: TrialContext) -> Any:
        yield {"step": 10, "loss": 0.5}
        yield {"loss": 0.4}
        return {"accuracy": 0.9}

    async def main() -> list[Any]:
        executor = LocalExecutor()
        executor.prepare(steps)
        async with executor:
            executor.start(task_of())
            return await run_to_end(executor)

    first, second, ended = run_virtual(main())

    assert (first.step, first.metrics, second.step) == (10, {"loss": 0.5}, 11)
    assert ended.metrics == {"accuracy": 0.9}


def test_a_generator_without_metrics_fails() -> None:
    """Nothing yielded and nothing returned is no result."""

    async def silent(trial: TrialContext) -> AsyncIterator[float]:
        for _ in ():
            yield 1.0

    ended, _ = limited(silent, 3)

    assert "ended without a metric" in told(ended)


def test_leaving_the_executor_stops_what_runs() -> None:
    """Coroutines are cancelled, generators closed, threads given up; each has its terminal event."""
    gate = threading.Event()
    cancelled: list[int] = []

    async def waits(trial: TrialContext) -> float:
        try:
            await asyncio.sleep(1000)
        finally:
            cancelled.append(trial.number)
        return 1.0

    def hangs(trial: TrialContext) -> float:
        gate.wait(10)
        return 1.0

    async def main(objective: Objective) -> list[Any]:
        executor = LocalExecutor()
        executor.prepare(objective)
        async with executor:
            executor.start(task_of(0))
            executor.start(task_of(1))
            await asyncio.sleep(0)
            executor.start(task_of(2))
        return [event.stopped for event in executor.peek() if isinstance(event, Ended)]

    assert run_virtual(main(waits)) == ["interrupt"] * 3
    assert cancelled == [0, 1]
    assert run_virtual(main(hangs)) == ["interrupt"] * 3
    assert run_virtual(main(_epochs)) == ["interrupt"] * 3
    gate.set()


def test_stopping_what_does_not_run_does_nothing() -> None:
    """An unknown trial, and one that has ended, are left alone."""

    async def quick(trial: TrialContext) -> float:
        return 1.0

    async def main() -> list[Any]:
        executor = LocalExecutor()
        executor.prepare(quick)
        async with executor:
            executor.stop("nobody", "verdict", 1)
            executor.answer("nobody", 1)
            executor.start(task_of())
            await executor.wait()
            executor.stop("0", "verdict", 1)
            return await run_to_end(executor)

    (ended,) = run_virtual(main())
    assert (ended.stopped, ended.metrics) == (None, {"score": 1.0})
