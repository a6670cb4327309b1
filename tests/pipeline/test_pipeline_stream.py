"""A run as a stream of its events, and events as JSON and as log lines."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

import asyncio
import gc
import json
import logging
from typing import Any

import pytest

from metta_sweep.errors import InvalidInput, NotAwaited
from metta_sweep.pipeline import (
    BranchTaken,
    HookFailed,
    LoopIterationStarted,
    Pipeline,
    PipelineEvent,
    Plan,
    StageFailed,
    StageFinished,
    StageReused,
    StageStarted,
    event_line,
    event_to_dict,
)
from metta_sweep.store import MemoryStore


async def load(n: int) -> int:
    return n


async def double(load: int) -> int:
    return load * 2


def chain() -> Plan:
    return Pipeline(n=int).stage("load", load).stage("double", double).build()


async def test_events_come_as_they_happen() -> None:
    """A reader has seen that a stage began while it still runs; afterwards the result is there."""
    gate = asyncio.Event()

    async def waits(n: int) -> int:
        await gate.wait()
        return n

    seen: list[str] = []
    async with Pipeline(n=int).stage("waits", waits).build().stream(n=3) as stream:
        async for event in stream:
            seen.append(f"{type(event).__name__} {event.address}")
            gate.set()
    assert seen == ["StageStarted waits", "StageFinished waits"]
    assert stream.result.waits == 3


async def test_it_takes_what_run_takes() -> None:
    """Store and name, further listeners; what was recorded is told as reused."""
    store = MemoryStore()
    told: list[PipelineEvent] = []
    for _ in range(2):
        async for _event in chain().stream(n=3, name="kept", store=store, listeners=[told.append]):
            pass
    kinds = [type(event).__name__ for event in told]
    assert kinds == ["StageStarted", "StageFinished"] * 2 + ["StageReused"] * 2


async def test_an_error_is_raised_where_the_events_end() -> None:
    """The last event tells of it; whoever iterates gets the error itself."""

    async def broken() -> int:
        raise ValueError("mine")

    seen: list[PipelineEvent] = []
    stream = Pipeline().stage("broken", broken).build().stream()

    async def read() -> None:
        async for event in stream:
            seen.append(event)  # noqa: PERF401  # what came before the error is looked at

    with pytest.raises(ValueError, match="mine") as caught:
        await read()
    assert [type(event) for event in seen] == [StageStarted, StageFailed]
    assert caught.value.__notes__ == ["in stage 'broken' at broken"]
    with pytest.raises(ValueError, match="mine"):
        _ = stream.result


async def test_bad_input_is_refused() -> None:
    """By the same message as in run()."""
    with pytest.raises(InvalidInput, match="'m' is no declared input"):
        async for _ in chain().stream(m=1):
            pass


async def test_leaving_early_cancels_the_run_and_waits_for_it() -> None:
    """When the block is left, nothing of the run is left over."""
    ended: list[str] = []

    async def slow() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")
        return 1

    async with Pipeline().stage("slow", slow).build().stream() as stream:
        async for _ in stream:
            break
    assert ended == ["cleaned up"]
    with pytest.raises(NotAwaited, match="Read all events first"):
        _ = stream.result
    assert [event async for event in stream] == []


async def test_a_loop_that_is_left_cancels_the_run_by_itself() -> None:
    """Also without ``async with``: soon after nobody holds the iterator any more."""
    ended = asyncio.Event()

    async def slow() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 1

    async for _ in Pipeline().stage("slow", slow).build().stream():
        break
    gc.collect()
    await asyncio.wait_for(ended.wait(), 10)


async def test_cancelling_the_reader_cancels_the_run() -> None:
    """And the reader's task has not ended before the run has."""
    ended: list[str] = []

    async def slow() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")
        return 1

    async def read() -> None:
        async for _ in Pipeline().stage("slow", slow).build().stream():
            pass

    reader = asyncio.create_task(read())
    for _ in range(5):
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert ended == ["cleaned up"]


async def test_an_error_while_cleaning_up_is_not_lost() -> None:
    """A stage that fails as it is cancelled is heard of."""

    async def slow() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("disk full")

    async def read() -> None:
        async with Pipeline().stage("slow", slow).build().stream() as stream:
            async for _ in stream:
                break

    with pytest.raises(OSError, match="disk full"):
        await read()


@pytest.mark.parametrize("kind", [KeyError, asyncio.CancelledError])
async def test_an_error_of_the_run_does_not_hide_the_readers_own(kind: type[BaseException]) -> None:
    """What the reader raises, a cancellation above all, is raised, with a note of what became of the run."""

    async def fails(n: int) -> int:
        raise ValueError(f"{n} is wrong")

    async def reads() -> None:
        async with Pipeline(n=int).stage("load", fails).build().stream(n=1) as events:
            async for event in events:
                if isinstance(event, StageFailed):
                    await asyncio.sleep(0.001)  # the run has ended with its error
                    raise kind

    with pytest.raises(kind) as caught:
        await reads()
    assert caught.value.__notes__ == ["the run failed as well: ValueError: 1 is wrong"]


async def test_a_slow_reader_holds_the_run_up() -> None:
    """Nothing is dropped, and few events wait, though the stages themselves never wait."""
    waiting: list[int] = []

    async def step(i: int) -> int:
        return i + 1

    plan = Pipeline().loop_while(lambda ctx: ctx.i < 2000, carry={"i": 0}).stage("step", step).through(i=int).end_loop().build()
    stream = plan.stream()
    count = 0
    async for _ in stream:
        count += 1
        waiting.append(len(stream.waiting))
    assert count == 3 * 2000
    assert stream.result.i == 2000
    assert 100 < max(waiting) < 300


async def test_nothing_runs_before_the_first_event_is_asked_for() -> None:
    """And there is no result, nor a complaint about what never ran."""
    stream = chain().stream(n=3)
    with pytest.raises(NotAwaited):
        _ = stream.result
    await stream.aclose()


async def test_events_have_a_json_form() -> None:
    """Of an error its type and message."""
    error = ValueError("mine")
    failed = event_to_dict(StageFailed("loop[1]/a", "a", error, 2))
    assert json.loads(json.dumps(failed)) == {
        "event": "stage_failed",
        "address": "loop[1]/a",
        "stage": "a",
        "error": {"type": "ValueError", "message": "mine"},
        "attempts": 2,
    }
    async for event in chain().stream(n=3):
        assert json.loads(json.dumps(event_to_dict(event)))["address"] in {"load", "double"}


def test_events_have_a_line() -> None:
    """The address first, then what happened."""
    assert event_line(StageFinished("a", "a", 0.25, 2)) == "a: finished in 0.25 s, after 2 attempts"
    assert event_line(StageFailed("a", "a", ValueError("mine"), 1)) == "a: failed: ValueError: mine"
    assert event_line(StageReused("a", "a")) == "a: reused, its recorded output still holds"
    assert event_line(StageReused("a", "a", "cache")) == "a: reused, from the cache"
    assert event_line(HookFailed("a", "a", "after", ValueError("mine"))) == "a: its hook 'after' raised ValueError: mine"
    assert event_line(LoopIterationStarted("loop[3]", 3)) == "loop[3]: iteration 3 begins"
    assert event_line(BranchTaken("choose", "then")) == "choose: goes the way 'then'"
    assert event_line(BranchTaken("choose", "")) == "choose: goes neither way"


async def test_the_log_is_silent_unless_it_is_turned_on(caplog: pytest.LogCaptureFixture) -> None:
    """Events are DEBUG; at that level each is one line. A run that nobody logs has no listener at all."""
    with caplog.at_level(logging.INFO, logger="metta_sweep"):
        await chain().run(n=3)
    assert caplog.records == []
    with caplog.at_level(logging.DEBUG, logger="metta_sweep"):
        await chain().run(n=3)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "load: started"
    assert lines[1].startswith("load: finished in ")
    assert len(lines) == 4


async def test_the_levels_of_failures(caplog: pytest.LogCaptureFixture) -> None:
    """A failed attempt that another follows is a WARNING; the failure of a stage, which is raised, INFO. Each is told once."""

    async def broken() -> int:
        raise ValueError("mine")

    plan = Pipeline().stage("broken", broken).through(int, retry=1).build()
    with caplog.at_level(logging.DEBUG, logger="metta_sweep"), pytest.raises(ValueError, match="mine"):
        await plan.run()
    told: list[Any] = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [
        ("DEBUG", "broken: started"),
        ("WARNING", "broken: attempt 1 failed, another follows at once: ValueError: mine"),
        ("INFO", "broken: failed after 2 attempts: ValueError: mine"),
    ]
