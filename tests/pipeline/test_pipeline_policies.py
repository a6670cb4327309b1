"""Retries and timeouts."""

# ruff: noqa: D102  # stages and helpers; each test says what it shows
from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import Any

import pytest

from metta_sweep.errors import ContractError, GateError, StageTimeout
from metta_sweep.pipeline import Context, Pipeline, PipelineEvent, Retry, StageContext, StageRetried
from metta_sweep.testing.virtual import run_virtual
from metta_sweep.threads import shared_workers


class Flaky:
    """A stage that fails some times and then gives a value."""

    def __init__(self, failures: int, error: Exception, value: Any = 7) -> None:
        self.left = failures
        self.error = error
        self.value = value
        self.calls = 0

    async def __call__(self) -> Any:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return self.value


def pipeline(fn: Any, **hooks: Any) -> Pipeline:
    """One stage that provides an int."""
    return Pipeline().stage("s", fn).through(int, **hooks)


async def test_retry_counts_attempts_after_the_first() -> None:
    """``retry=3`` is up to four attempts."""
    enough, one_short = Flaky(3, OSError("down")), Flaky(4, OSError("down"))
    assert (await pipeline(enough, retry=3).build().run()).s == 7
    with pytest.raises(OSError, match="down") as caught:
        await pipeline(one_short, retry=3).build().run()
    assert (enough.calls, one_short.calls) == (4, 4)
    assert caught.value.__notes__ == ["in stage 's' at s (attempt 4 of 4)"]


async def test_only_what_is_worth_it_is_retried() -> None:
    """``on=`` selects; contract errors and cancellation are never retried; a refusing gate is."""
    other = Flaky(1, ValueError("bad"))
    with pytest.raises(ValueError, match="bad"):
        await pipeline(other, retry=Retry(3, on=(OSError, LookupError))).build().run()
    wrong = Flaky(0, OSError(), value="7")
    with pytest.raises(ContractError):
        await pipeline(wrong, retry=3).build().run()
    gated = Flaky(0, OSError())
    with pytest.raises(GateError):
        await pipeline(gated, retry=2, validate=lambda n: n > 7).build().run()
    cancelled = Flaky(9, asyncio.CancelledError())  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await pipeline(cancelled, retry=3, on_error=lambda error: 1).build().run()
    assert [fn.calls for fn in (other, wrong, gated, cancelled)] == [1, 1, 3, 1]


def test_back_off() -> None:
    """Delays double up to the longest, and are drawn within their jitter; the same seed gives the same ones."""
    assert [Retry(9, backoff=1, max_backoff=5).delay(attempt, 0) for attempt in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]
    delays = [Retry(9, backoff=1, jitter=0.5).delay(1, seed) for seed in range(50)]
    assert min(delays) >= 0.5
    assert max(delays) <= 1
    assert len(set(delays)) == 50

    events: list[PipelineEvent] = []

    async def main() -> float:
        started = asyncio.get_running_loop().time()
        await pipeline(Flaky(3, OSError()), retry=Retry(3, backoff=10)).build().run(listeners=[events.append])
        return asyncio.get_running_loop().time() - started

    assert run_virtual(main()) == pytest.approx(70)
    assert [(event.attempt, event.delay) for event in events if isinstance(event, StageRetried)] == [(1, 10), (2, 20), (3, 40)]


async def test_the_attempt_is_known() -> None:
    """A stage sees which attempt it is; its seed stays the same."""
    seen: list[tuple[int, int]] = []

    async def fails(context: StageContext) -> int:
        seen.append((context.attempt, context.seed))
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        await pipeline(fails, retry=2).build().run()
    assert [attempt for attempt, _ in seen] == [1, 2, 3]
    assert len({seed for _, seed in seen}) == 1


def test_a_coroutine_is_cancelled_at_its_deadline() -> None:
    """It raises ``StageTimeout`` then, naming stage and limit."""
    cancelled: list[bool] = []

    async def hangs() -> int:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return 1

    async def main() -> float:
        started = asyncio.get_running_loop().time()
        with pytest.raises(StageTimeout, match="stage 's' at s did not end within 2 s: it was cancelled"):
            await pipeline(hangs, timeout=2).build().run()
        return asyncio.get_running_loop().time() - started

    assert run_virtual(main()) == pytest.approx(2)
    assert cancelled == [True]


def test_a_late_result_is_no_result() -> None:
    """A coroutine that swallows its cancellation has timed out all the same."""

    async def stubborn() -> int:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return 7
        return 1

    async def main() -> None:
        with pytest.raises(StageTimeout):
            await pipeline(stubborn, timeout=2).build().run()

    run_virtual(main())


def test_a_users_timeout_error_is_theirs() -> None:
    """A ``TimeoutError`` before the deadline is not taken for it."""
    with pytest.raises(TimeoutError, match="of the socket") as caught:
        run_virtual(pipeline(Flaky(1, TimeoutError("of the socket")), timeout=2).build().run())
    assert not isinstance(caught.value, StageTimeout)


def test_the_timeout_can_be_ended() -> None:
    """``end_timeout()`` lets the attempt take as long as it needs; ``remaining()`` counts down to it."""
    left: list[float | None] = []

    async def begins_quickly(context: StageContext) -> int:
        await asyncio.sleep(1)
        left.append(context.remaining())
        context.end_timeout()
        left.append(context.remaining())
        await asyncio.sleep(100)
        return 1

    assert run_virtual(pipeline(begins_quickly, timeout=3).build().run()).s == 1
    assert left == [pytest.approx(2), None]


async def test_a_thread_times_out_on_time() -> None:
    """The error comes at the deadline, though the thread runs on; the message says so."""
    release = threading.Event()
    started = time.monotonic()
    try:
        with pytest.raises(StageTimeout, match="its thread still runs"):
            await pipeline(lambda: release.wait(20) and 1, timeout=0.05).build().run()
        assert time.monotonic() - started < 10, "it did not wait for the thread"
    finally:
        release.set()


async def test_a_thread_is_asked_to_stop() -> None:
    """``check_cancelled()`` ends a thread that looks; the run it belonged to gets nothing from it."""
    ended = threading.Event()

    def looks(context: StageContext) -> int:
        try:
            while True:
                context.check_cancelled()
                time.sleep(0.001)
        finally:
            ended.set()

    with pytest.raises(StageTimeout):
        await pipeline(looks, timeout=0.02).build().run()
    assert ended.wait(10)


async def test_a_retry_waits_for_the_thread_before() -> None:
    """Never do two attempts of one stage run at once."""
    running: list[int] = []
    most: list[int] = []

    def sleeps() -> int:
        running.append(1)
        most.append(len(running))
        time.sleep(0.03)
        running.pop()
        return 1

    with pytest.raises(StageTimeout):
        await pipeline(sleeps, timeout=0.04 - 0.03, retry=Retry(2)).build().run()
    assert max(most) == 1


async def test_waiting_for_the_thread_before_takes_nothing_off_the_timeout(caplog: pytest.LogCaptureFixture) -> None:
    """Its time begins when the function can be called: no attempt passes without a call. A warning says what is waited for."""
    release = threading.Event()
    calls: list[int] = []

    def hangs_once() -> int:
        calls.append(1)
        if len(calls) == 1:
            release.wait(20)
        return len(calls)

    asyncio.get_running_loop().call_later(0.3, release.set)
    result = await pipeline(hangs_once, timeout=0.1, retry=1).build().run()
    assert (result.s, len(calls)) == (2, 2)
    assert "stage 's' at s: attempt 2 waits for the thread of the one before" in caplog.text


async def test_no_late_writes() -> None:
    """What a timed-out attempt returns later changes nothing."""
    began, replaced, late = threading.Event(), threading.Event(), threading.Event()

    def hangs() -> int:
        began.set()
        replaced.wait(20)
        late.set()
        return 99

    async def wait(s: int) -> int:
        replaced.set()
        while began.is_set() and not late.is_set():  # noqa: ASYNC110  # a thread sets it
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        return s

    plan = pipeline(hangs, timeout=0.005, on_error=lambda error: 1).stage("then", wait).through(int).build()
    result = await plan.run()
    assert (result.s, result.then) == (1, 1)
    assert isinstance(result.context, Context)


def test_hanging_threads_do_not_hold_the_exit(tmp_path: Any) -> None:
    """A script whose stage sleeps on in a thread ends at once."""
    import subprocess
    import sys

    script = tmp_path / "hang.py"
    script.write_text(
        "import asyncio, time\n"
        "from metta_sweep.pipeline import Pipeline\n"
        "plan = Pipeline().stage('s', lambda: time.sleep(50)).through(timeout=0.05).build()\n"
        "asyncio.run(plan.run())\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "StageTimeout: stage 's' at s did not end within 0.05 s" in done.stderr


async def test_cancelling_a_run_asks_its_thread() -> None:
    """The run ends at once; the thread sees it at its next look."""
    started, ended = threading.Event(), threading.Event()

    def looks(context: StageContext) -> int:
        started.set()
        try:
            while True:
                context.check_cancelled()
                time.sleep(0.001)
        finally:
            ended.set()

    run = asyncio.create_task(pipeline(looks, retry=3, on_error=lambda error: 1).build().run())
    assert await shared_workers().run(lambda: started.wait(10))
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert ended.wait(10)


async def test_context_variables_reach_threads() -> None:
    """A sync stage sees the context variables of the task that runs the plan."""
    variable: ContextVar[int] = ContextVar("variable", default=0)
    variable.set(5)
    assert (await pipeline(lambda: variable.get()).build().run()).s == 5
