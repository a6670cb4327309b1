"""Worker threads."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from metta_sweep.threads import WorkerThreads, call_abandoned, parent_loop, run_on_parent_loop, shared_workers

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def workers() -> Iterator[WorkerThreads]:
    """Workers that are closed after the test."""
    made = WorkerThreads(name="test")
    yield made
    made.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that another thread brings about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # nothing in a thread could set an event
            await asyncio.sleep(0.001)


async def test_results_come_back(workers: WorkerThreads) -> None:
    """A call runs in a daemon thread of another name, and returns its result."""
    name, daemon = await workers.run(lambda: (threading.current_thread().name, threading.current_thread().daemon))

    assert name.startswith("test-")
    assert daemon


async def test_context_variables_come_along(workers: WorkerThreads) -> None:
    """The caller's context variables are seen; what the call sets stays its own."""
    variable.set("caller")

    def reads() -> str:
        before = variable.get()
        variable.set("thread")
        return before

    assert await workers.run(reads) == "caller"
    assert variable.get() == "caller"


async def test_errors_come_back(workers: WorkerThreads) -> None:
    """An exception is raised where the call is awaited, and the worker lives on."""

    def fails() -> None:
        raise KeyError("lr")

    with pytest.raises(KeyError, match="lr"):
        await workers.run(fails)
    assert await workers.run(lambda: 1) == 1


@pytest.mark.parametrize("error", [StopIteration(1), SystemExit(2), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
async def test_what_would_end_a_thread_is_an_error(workers: WorkerThreads, error: BaseException) -> None:
    """Exits, interrupts and the like of a call are errors of the call, with the original as their cause."""

    def fails() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__) as caught:
        await workers.run(fails)
    assert caught.value.__cause__ is error
    assert await workers.run(lambda: 1) == 1


async def test_idle_threads_are_used_again(workers: WorkerThreads) -> None:
    """Calls one after another need one thread."""
    names = set()
    for _ in range(20):
        names.add(await workers.run(lambda: threading.current_thread().name))
        await until(lambda: workers.busy == 0)

    assert len(names) == 1


async def test_a_cancelled_call_is_listed_until_it_ends(workers: WorkerThreads) -> None:
    """The wait ends at once, the thread is leaked until the function returns, and knows that it was abandoned."""
    begun, gate, seen = threading.Event(), threading.Event(), []

    def hangs() -> None:
        begun.set()
        gate.wait(10)
        seen.append(call_abandoned())

    call = asyncio.ensure_future(workers.run(hangs, name="the call"))
    await until(begun.is_set)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    (leak,) = workers.leaked
    assert leak.name == "the call"
    assert leak.thread.startswith("test-")
    assert leak.since <= time.monotonic()
    gate.set()
    await until(lambda: not workers.leaked)
    assert seen == [True]


async def test_an_abandoned_call_keeps_its_place() -> None:
    """Under a limit of 1 the next call starts only when the abandoned one has ended."""
    workers = WorkerThreads(limit=1, name="test")
    gate = threading.Event()
    first = asyncio.ensure_future(workers.run(lambda: gate.wait(10)))
    await until(lambda: workers.busy == 1)
    first.cancel()
    second = asyncio.ensure_future(workers.run(lambda: "second"))
    await asyncio.sleep(0.005)

    assert not second.done()
    gate.set()
    assert await second == "second"
    workers.close()


async def test_a_call_that_waits_can_be_abandoned() -> None:
    """It never begins."""
    workers = WorkerThreads(limit=1, name="test")
    gate, began = threading.Event(), []
    first = asyncio.ensure_future(workers.run(lambda: gate.wait(10)))
    await until(lambda: workers.busy == 1)
    second = asyncio.ensure_future(workers.run(lambda: began.append(1)))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()

    assert await first
    assert await workers.run(lambda: began) == []
    assert workers.leaked == ()
    workers.close()


async def test_what_is_abandoned_is_not_told(workers: WorkerThreads) -> None:
    """Who abandons a call does not hear of its result, and sees when it has ended."""
    gate, results = threading.Event(), []
    call = workers.submit(lambda: gate.wait(10), lambda result, error: results.append((result, error)))
    call.abandon()
    assert not call.ended
    gate.set()

    await until(lambda: call.ended)
    await asyncio.sleep(0)
    assert results == []


async def test_the_way_back_to_the_loop(workers: WorkerThreads) -> None:
    """A call knows the loop that started it, and may run a coroutine there, with its own context."""
    loop = asyncio.get_running_loop()
    variable.set("caller")

    async def on_loop() -> tuple[bool, str]:
        await asyncio.sleep(0)
        return asyncio.get_running_loop() is loop, variable.get()

    def calls() -> tuple[bool, str]:
        assert parent_loop() is loop
        return run_on_parent_loop(on_loop())

    assert await workers.run(calls) == (True, "caller")
    assert parent_loop() is None


async def test_abandoning_cancels_what_runs_on_the_loop(workers: WorkerThreads) -> None:
    """A coroutine that an abandoned call waits for is cancelled, so that the thread ends."""
    cancelled = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            cancelled.set()

    task = asyncio.ensure_future(workers.run(lambda: run_on_parent_loop(waits())))
    await asyncio.sleep(0.005)
    task.cancel()

    await asyncio.wait_for(cancelled.wait(), 10)
    await until(lambda: not workers.leaked)


def test_outside_a_worker_there_is_no_way_back() -> None:
    """The error says what to do instead."""

    async def anything() -> None:
        pass

    with pytest.raises(RuntimeError, match="in a worker thread only"):
        run_on_parent_loop(anything())


async def test_closed_workers_take_no_calls(workers: WorkerThreads) -> None:
    """And a limit below one is refused."""
    workers.close()

    with pytest.raises(RuntimeError, match="closed"):
        await workers.run(lambda: 1)
    with pytest.raises(ValueError, match="found 0"):
        WorkerThreads(limit=0)


async def test_the_shared_workers_are_shared() -> None:
    """There is one pool for the process, without a limit."""
    assert shared_workers() is shared_workers()
    assert shared_workers().limit is None


def test_a_hanging_call_does_not_hold_the_exit() -> None:
    """A script whose call was abandoned ends although the thread still sleeps."""
    script = """
import asyncio, time
from metta_sweep.threads import shared_workers
async def main():
    try:
        async with asyncio.timeout(0.05):
            await shared_workers().run(lambda: time.sleep(30))
    except TimeoutError:
        print("timeout", len(shared_workers().leaked))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)

    assert done.stdout == "timeout 1\n"
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_process_has_workers_of_its_own() -> None:
    """Idle threads of the process that forked are not there in the other one, which must not wait for them."""
    script = """
import asyncio, os, warnings
from metta_sweep.threads import shared_workers
warnings.simplefilter("ignore")  # newer versions warn of every fork beside threads
async def main(value):
    return await asyncio.wait_for(shared_workers().run(lambda: value), 10)
asyncio.run(main("parent"))
child = os.fork()
if not child:
    print(asyncio.run(main("child")), shared_workers().leaked, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)

    assert done.stdout == "child ()\n", done.stderr


async def test_a_thread_that_cannot_begin_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no room for a thread, the call fails; its place is free for a later one."""

    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers = WorkerThreads(limit=1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuses)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start"):
                await workers.run(lambda: 1)
    assert workers.busy == 0
    assert await workers.run(lambda: 2) == 2
    workers.close()
