"""Deadlines: of attempts, of all attempts together, and of what encloses them; what still runs, and what comes too late."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from metta_sweep.errors import ContractError, StageTimeout
from metta_sweep.pipeline import (
    Pipeline,
    PipelineEvent,
    Retry,
    StageContext,
    StageFailed,
    StageFinished,
    StageReused,
    StoreRecorder,
)
from metta_sweep.records import RunRow
from metta_sweep.store import MemoryStore
from metta_sweep.testing.virtual import run_virtual


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What threads of a test wait for; set at its end."""
    event = threading.Event()
    yield event
    event.set()


def one(fn: Any, **hooks: Any) -> Pipeline:
    """One stage that provides an int."""
    return Pipeline().stage("s", fn).through(int, **hooks)


async def slow() -> int:
    """Takes an hour."""
    await asyncio.sleep(3600)
    return 1


def timed(coroutine: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[float, Exception | None]:
    """Virtual seconds until it ended, and its error."""

    async def main() -> tuple[float, Exception | None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        error: Exception | None = None
        try:
            await coroutine()
        except Exception as raised:  # noqa: BLE001  # it is what is looked at
            error = raised
        return loop.time() - started, error

    return run_virtual(main())


# -- all attempts together ------------------------------------------------------------------------------------------------------


def test_the_total_is_over_all_attempts_and_their_delays() -> None:
    """``total_timeout`` ends the third attempt; the error names it."""
    calls: list[int] = []

    async def fails() -> int:
        calls.append(1)
        await asyncio.sleep(2)
        raise OSError("down")

    plan = one(fails, retry=Retry(9, backoff=1), timeout=5, total_timeout=8).build()
    seconds, error = timed(plan.run)
    assert seconds == pytest.approx(8)
    assert len(calls) == 3
    assert isinstance(error, StageTimeout)
    assert "stage 's' at s did not end within 8 s over all attempts (total_timeout)" in str(error)
    assert error.__notes__ == ["in stage 's' at s (attempt 3 of 10)"]


def test_the_total_ends_a_delay() -> None:
    """It does not wait for an attempt that could not begin in time."""
    seconds, error = timed(one(failing, retry=Retry(9, backoff=60), total_timeout=10).build().run)
    assert seconds == pytest.approx(10)
    assert isinstance(error, StageTimeout)


async def failing() -> int:
    """Fails at once."""
    raise OSError("down")


def test_the_shorter_of_both_counts() -> None:
    """An attempt that outlives its own timeout is retried; one that outlives the total is not."""
    short, _ = timed(one(slow, timeout=3, retry=1, total_timeout=100).build().run)
    cut, error = timed(one(slow, timeout=30, retry=1, total_timeout=40).build().run)
    assert short == pytest.approx(6)
    assert cut == pytest.approx(40)
    assert "total_timeout" in str(error)


def test_the_total_alone() -> None:
    """It works without a timeout of attempts, and on_error may replace what it cut."""
    assert timed(one(slow, total_timeout=4).build().run)[0] == pytest.approx(4)
    assert run_virtual(one(slow, total_timeout=4, on_error=lambda error: 5).build().run()).s == 5


def test_success_costs_no_time() -> None:
    """What ends in time ends at once; no timer is left that holds the loop."""

    async def quick() -> int:
        await asyncio.sleep(1)
        return 1

    assert timed(one(quick, timeout=100, total_timeout=200).build().run)[0] == pytest.approx(1)


# -- inherited ------------------------------------------------------------------------------------------------------------------


def nested(fn: Any, inner_hooks: dict[str, Any] | None = None, **hooks: Any) -> Pipeline:
    """A stage in a pipeline that is a stage."""
    inner = Pipeline().stage("fit", fn).through(int, **(inner_hooks or {}))
    return Pipeline().stage("train", inner).through(int, **hooks)


def test_remaining_is_the_smallest_of_all_deadlines() -> None:
    """A stage sees the deadline of what encloses it, or its own, whichever is first, with and without one of its own."""
    left: list[float | None] = []

    async def asks(context: StageContext) -> int:
        await asyncio.sleep(1)
        left.append(context.remaining())
        return 1

    for own in ({}, {"timeout": 100}, {"timeout": 4}, {"total_timeout": 3}):
        run_virtual(nested(asks, own, timeout=10).build().run())
    run_virtual(nested(asks).build().run())
    run_virtual(nested(asks, total_timeout=6, timeout=50).build().run())
    assert left == [pytest.approx(9), pytest.approx(9), pytest.approx(3), pytest.approx(2), None, pytest.approx(5)]


def test_items_of_a_map_inherit() -> None:
    """A map within a pipeline with a deadline: its items see it."""
    left: list[float | None] = []

    async def asks(n: int, context: StageContext) -> int:
        await asyncio.sleep(1)
        left.append(context.remaining())
        return n

    inner = Pipeline(ns=list[int]).map("each", asks, over="ns", into="out", limit=2)
    outer = Pipeline(ns=list[int]).stage("all", inner).through(out=list[int], timeout=10)
    run_virtual(outer.build().run(ns=[1, 2]))
    assert left == [pytest.approx(9), pytest.approx(9)]


def test_an_enclosing_deadline_cuts_what_is_inside() -> None:
    """The error names the pipeline whose deadline it was; the stage inside is not retried for it."""
    calls: list[int] = []

    async def counts() -> int:
        calls.append(1)
        return await slow()

    seconds, error = timed(nested(counts, {"retry": 5, "timeout": 60}, timeout=10).build().run)
    assert seconds == pytest.approx(10)
    assert len(calls) == 1
    assert isinstance(error, StageTimeout)
    assert "stage 'train' at train did not end within 10 s" in str(error)


# -- what still runs ------------------------------------------------------------------------------------------------------------


async def test_what_runs_on_is_named_where_it_was_cut(release: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    """A thread inside of a pipeline that timed out is reported in the log and in the error, by its address."""

    def hangs() -> int:
        release.wait(20)
        return 1

    with pytest.raises(StageTimeout, match=r"stage 'train' at train .* threads still run .*: train/fit\.") as caught:
        await nested(hangs, timeout=0.05).build().run()
    assert caught.value.still_running == ("train/fit",)
    assert "stage 'fit' at train/fit: its thread still runs" in caplog.text


async def test_a_stage_names_its_own_thread(release: threading.Event) -> None:
    """The error says how to stop it or have it ended."""
    with pytest.raises(StageTimeout, match=r"check_cancelled\(\) in it, or have it ended with timeout_mode='process'") as caught:
        await one(lambda: release.wait(20) and 1, timeout=0.05).build().run()
    assert caught.value.still_running == ("s",)


async def test_a_cancelled_run_reports_its_threads(release: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for them: the log says that they run on."""
    began = threading.Event()

    def hangs(n: int) -> int:
        began.set()
        release.wait(20)
        return n

    plan = Pipeline(ns=list[int]).map("each", hangs, over="ns", into="out", limit=2).build()
    run = asyncio.create_task(plan.run(ns=[1, 2]))
    while not began.is_set():  # noqa: ASYNC110  # a thread sets it
        await asyncio.sleep(0.001)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert "at each[item=0]: its thread still runs" in caplog.text


async def test_a_retried_pipeline_waits_for_the_threads_inside(release: threading.Event) -> None:
    """Never do two copies of one stage run at once, also where the attempt that left the first was of what encloses it."""
    running: list[int] = []
    most: list[int] = []
    calls: list[int] = []

    def sleeps() -> int:
        running.append(1)
        calls.append(1)
        most.append(len(running))
        time.sleep(0.06 if len(calls) == 1 else 0.0)
        running.pop()
        return 1

    result = await nested(sleeps, timeout=0.03, retry=9).build().run()
    assert result.train == 1
    assert max(most) == 1


async def test_an_iteration_waits_for_the_thread_of_the_one_before() -> None:
    """However many iterations time out, and are replaced, never do two copies of one stage run at once."""
    lock = threading.Lock()
    running: list[int] = []
    most: list[int] = []

    def sleeps(turn: int) -> int:
        with lock:
            running.append(turn)
            most.append(len(running))
        time.sleep(0.03)
        with lock:
            running.remove(turn)
        return turn

    plan = (
        Pipeline()
        .loop_while(lambda ctx: ctx.turn < 5, carry={"turn": 0})
        .stage("sleeps", sleeps)
        .through(int, timeout=0.005, on_error=lambda error: -1)
        .stage("turn", lambda turn: turn + 1)
        .through(turn=int)
        .end_loop()
    )
    assert (await plan.build().run()).sleeps == -1
    assert set(most) == {1}  # one that times out before its thread begins never runs


@pytest.mark.parametrize("replacement", [None, -1])
async def test_a_timed_out_item_keeps_its_place_while_its_thread_runs(replacement: int | None, release: threading.Event) -> None:
    """With a limit of 2, never do more than two threads of a map run: those that timed out are among them, replaced or not."""
    lock = threading.Lock()
    running: list[int] = []
    most: list[int] = []
    failed: list[Exception] = []

    def waits(n: int) -> int:
        with lock:
            running.append(n)
            most.append(len(running))
        if n < 2:
            release.wait(20)
        with lock:
            running.remove(n)
        return n

    def hears(error: Exception) -> int | None:
        failed.append(error)
        if len(failed) == 2:
            asyncio.get_running_loop().call_later(0.02, release.set)
        return replacement

    plan = (
        Pipeline(ns=list[int])
        .map("each", waits, over="ns", into="out", limit=2, on_item_error="collect")
        .through(int, timeout=0.2, on_error=hears)
        .build()
    )
    result = await plan.run(ns=list(range(6)))
    expected = "ItemFailure" if replacement is None else "int"
    assert [type(each).__name__ for each in result.out[:2]] == [expected, expected]
    assert max(most) <= 2


async def test_the_last_items_are_not_waited_for(release: threading.Event) -> None:
    """A thread left behind holds a place, and no more: a map without further items ends."""

    def hangs(n: int) -> int:
        release.wait(20)
        return n

    plan = (
        Pipeline(ns=list[int])
        .map("each", hangs, over="ns", into="out", limit=2, on_item_error="collect")
        .through(int, timeout=0.02)
        .build()
    )
    started = time.monotonic()
    result = await plan.run(ns=[1, 2])
    assert time.monotonic() - started < 10
    assert len(result.out) == 2


def test_a_virtual_clock_waits_for_the_thread_before() -> None:
    """On a virtual clock, too, a retry waits for the thread that was left behind: that is no standstill."""
    calls: list[int] = []

    def sleeps() -> int:
        calls.append(1)
        time.sleep(0.0 if len(calls) > 1 else 0.15)
        return len(calls)

    assert run_virtual(one(sleeps, timeout=0.01, retry=1).build().run()).s == 2


# -- nothing comes late ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_a_late_result_is_written_nowhere(kind: str, release: threading.Event) -> None:
    """It changes no value, makes no checkpoint, and no listener is told of it."""
    began, done = threading.Event(), threading.Event()

    def late_thread() -> int:
        began.set()
        release.wait(20)
        done.set()
        return 99

    async def late_coroutine() -> int:
        began.set()
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            done.set()
        return 99

    async def wait(s: int) -> int:
        release.set()
        while began.is_set() and not done.is_set():  # noqa: ASYNC110  # a thread sets it
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        return s

    store = MemoryStore()
    store.create_run(RunRow("r", None, 0.0))
    told: list[PipelineEvent] = []
    fn: Any = late_thread if kind == "thread" else late_coroutine
    pipeline = one(fn, timeout=0.005, on_error=lambda error: 1).stage("then", wait).through(int)
    result = await pipeline.build().run(recorder=StoreRecorder(store, "r"), listeners=[told.append])
    assert (result.s, result.then) == (1, 1)
    kept = store.get_checkpoint("r", "s")
    assert kept is not None
    assert b"99" not in kept.payload
    assert [type(event) for event in told if event.address == "s"].count(StageFinished) == 1
    again = await pipeline.build().run(recorder=StoreRecorder(store, "r"), listeners=[told.append])
    assert again.s == 1
    assert isinstance(told[-1], StageReused)


async def test_what_a_timed_out_pipeline_goes_on_to_make_is_written_nowhere() -> None:
    """A stage in it takes the cancellation for its own: neither its output nor what would follow it is recorded."""
    ran: list[str] = []

    async def stubborn() -> int:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            ran.append("stubborn")
        return 99

    async def then(stubborn: int) -> int:
        ran.append("then")
        return stubborn

    store = MemoryStore()
    inner = Pipeline().stage("stubborn", stubborn).stage("then", then)
    plan = Pipeline().stage("train", inner).through(int, timeout=0.005, on_error=lambda error: 1).build()
    assert (await plan.run(name="late", store=store)).train == 1
    row = store.find_run("late")
    assert row is not None
    assert list(store.checkpoint_addresses(row.run_id)) == ["train"]
    assert ran == ["stubborn"]


async def test_a_run_that_is_cancelled_records_nothing_more() -> None:
    """Also where a stage takes the cancellation for its own."""
    began = asyncio.Event()

    async def stubborn() -> int:
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(20)
        return 99

    store = MemoryStore()
    run = asyncio.create_task(one(stubborn).build().run(name="late", store=store))
    await began.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    row = store.find_run("late")
    assert row is not None
    assert list(store.checkpoint_addresses(row.run_id)) == []


def test_a_coroutine_that_does_not_let_itself_be_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """It holds the run, since nothing can end it: a warning says so while it does, and its result is refused."""
    warned_at: list[bool] = []

    async def stubborn() -> int:
        for _ in range(3):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                continue
        warned_at.append("does not let itself be cancelled" in caplog.text)
        return 7

    with caplog.at_level(logging.WARNING, logger="metta_sweep"):
        seconds, error = timed(one(stubborn, timeout=2).build().run)
    assert isinstance(error, StageTimeout)
    assert warned_at == [True]
    assert "stage 's' at s was cancelled at its timeout of 2 s and still runs 1 s later" in caplog.text
    assert seconds == pytest.approx(202)


def test_cleaning_up_at_the_deadline_is_no_offence(caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine that ends soon after its cancellation is not warned about; an error that it makes of it is a timeout."""

    async def cleans() -> int:
        try:
            return await slow()
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            raise OSError("could not flush") from None

    seconds, error = timed(one(cleans, timeout=2, retry=Retry(1, on=OSError)).build().run)
    assert seconds == pytest.approx(5), "StageTimeout is an OSError (TimeoutError), which is worth a retry"
    assert isinstance(error, StageTimeout)
    assert isinstance(error.__cause__, OSError)
    assert not caplog.records or "does not let itself" not in caplog.text


def test_a_cancellation_beside_the_deadline_stays_one() -> None:
    """When somebody else cancels the run too, it ends cancelled, and not with a timeout that could be retried or replaced."""

    async def swallows() -> int:
        try:
            return await slow()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return 1

    async def main() -> None:
        plan = one(swallows, timeout=2, retry=5, on_error=lambda error: 1).build()
        run = asyncio.create_task(plan.run())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 2, run.cancel)
        with pytest.raises(asyncio.CancelledError):
            await run

    run_virtual(main())


@pytest.mark.parametrize("hooks", [{"retry": 3}, {"on_error": lambda error: 1}, {"retry": 3, "timeout": 60}])
def test_a_cancelled_stage_that_fails_is_neither_retried_nor_replaced(hooks: dict[str, Any]) -> None:
    """A stage that turns its cancellation into an error ends the run with it: retrying it would run on past the cancellation."""
    calls: list[int] = []
    told: list[PipelineEvent] = []

    async def turns() -> int:
        calls.append(1)
        try:
            return await slow()
        except asyncio.CancelledError:
            raise OSError("connection lost") from None

    async def main() -> None:
        run = asyncio.create_task(one(turns, **hooks).stage("never", slow).build().run(listeners=[told.append]))
        await asyncio.sleep(1)
        run.cancel()
        with pytest.raises(OSError, match="connection lost"):
            await run

    run_virtual(main())
    assert len(calls) == 1
    assert isinstance(told[-1], StageFailed)


def test_a_cancelled_item_that_fails_ends_its_map() -> None:
    """Also where failures are collected."""
    begun: list[int] = []

    async def turns(n: int) -> int:
        begun.append(n)
        try:
            return await slow()
        except asyncio.CancelledError:
            raise OSError("connection lost") from None

    async def main() -> None:
        plan = Pipeline(ns=list[int]).map("each", turns, over="ns", into="out", limit=2, on_item_error="collect").build()
        run = asyncio.create_task(plan.run(ns=list(range(9))))
        await asyncio.sleep(1)
        run.cancel()
        ends = await asyncio.gather(run, return_exceptions=True)
        assert isinstance(ends[0], OSError | asyncio.CancelledError)

    run_virtual(main())
    assert begun == [0, 1]


def test_an_observer_cannot_keep_a_cancelled_run_going() -> None:
    """A hook that turns the cancellation into another error, or swallows it, does not let the next stage begin."""
    began: list[str] = []

    async def turns(data: Any) -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            raise OSError("log server lost") from None

    async def swallows(data: Any) -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return

    async def quick() -> int:
        return 1

    async def next_stage() -> int:
        began.append("next")
        return 2

    async def main(hook: Any) -> None:
        plan = one(quick, after=hook).stage("next", next_stage).through(int).build()
        run = asyncio.create_task(plan.run())
        await asyncio.sleep(1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    run_virtual(main(turns))
    run_virtual(main(swallows))
    assert began == []


# -- many deadlines -------------------------------------------------------------------------------------------------------------


def test_many_deadlines_each_pass_in_their_turn() -> None:
    """Side by side, each attempt ends at its own time, whatever the others do."""
    ends: dict[int, float] = {}

    async def waits(n: int) -> int:
        try:
            await asyncio.sleep(n)
        finally:
            ends[n] = asyncio.get_running_loop().time()
        return n

    plan = (
        Pipeline(ns=list[int])
        .map("each", waits, over="ns", into="out", limit=200, on_item_error="collect")
        .through(int, timeout=50.5)
        .build()
    )
    result = run_virtual(plan.run(ns=list(range(200, 0, -1))))
    good = [each for each in result.out if isinstance(each, int)]
    assert good == list(range(50, 0, -1))
    assert all(ends[n] == pytest.approx(min(n, 50.5)) for n in range(1, 201))


def test_the_contract_is_outside_of_the_timeout() -> None:
    """What came in time and does not fit is a contract error."""

    async def wrong() -> Any:
        return "7"

    with pytest.raises(ContractError):
        run_virtual(one(wrong, timeout=5, total_timeout=9, retry=3).build().run())


# -- keys for outside systems ---------------------------------------------------------------------------------------------------


async def test_the_idempotency_key_is_of_the_run() -> None:
    """The same on every attempt and whenever a kept run is resumed; another one in another run, and at another address."""
    keys: list[str] = []

    async def asks(context: StageContext) -> int:
        keys.append(context.idempotency_key)
        raise OSError

    plan = one(asks, retry=1).build()
    store = MemoryStore()
    for name in ("a", "a", "b"):
        with pytest.raises(OSError):  # noqa: PT011
            await plan.run(store=store, name=name)
    with pytest.raises(OSError):  # noqa: PT011
        await plan.run()
    with pytest.raises(OSError):  # noqa: PT011
        await plan.run()
    a1, a2, a3, a4, b1, b2, c1, c2, d1, d2 = keys
    assert a1 == a2 == a3 == a4
    assert (b1, c1, d1) == (b2, c2, d2)
    assert len({a1, b1, c1, d1}) == 4
