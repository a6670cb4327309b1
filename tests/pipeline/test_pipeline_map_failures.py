"""Maps: what a failing, stubborn or cancelled item does to the others."""

# ruff: noqa: D102, D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metta_sweep.errors import BuildError, DefinitionChanged, StageTimeout, StoreError
from metta_sweep.pipeline import (
    ItemFailure,
    Pipeline,
    PipelineEvent,
    StageFailed,
    StageRetried,
)
from metta_sweep.records import Checkpoint
from metta_sweep.store.memory import MemoryStore
from metta_sweep.testing import crash_at


async def square(x: int) -> int:
    return x * x


async def total(square: list[int]) -> int:
    return sum(square)


async def picky(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x


def faults(pipeline: Pipeline) -> list[str]:
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    return [str(fault) for fault in caught.value.faults]


def mapped(fn: Any = square, name: str = "square", **options: Any) -> Pipeline:
    return Pipeline(xs=list[int]).map(name, fn, over="xs", **options)


async def test_the_first_failure_ends_the_map() -> None:
    """It is raised itself, with the item's address; items that run are cancelled and waited for, no others start."""
    started: list[int] = []
    ended: list[int] = []

    async def work(x: int) -> int:
        started.append(x)
        try:
            await asyncio.sleep(0 if x == 1 else 30)
        finally:
            await asyncio.sleep(0)
            ended.append(x)
        if x == 1:
            raise LookupError(x)
        return x

    with pytest.raises(LookupError) as caught:
        await mapped(work, limit=3).build().run(xs=list(range(9)))
    assert caught.value.__notes__ == ["in stage 'square' at square[item=1]"]
    assert started == [0, 1, 2]
    assert sorted(ended) == [0, 1, 2]


async def test_the_cause_of_the_first_failure_stays() -> None:
    """What the item's exception was raised from is not lost."""

    async def fails(x: int) -> int:
        raise LookupError(x) from KeyError("why")

    with pytest.raises(LookupError) as caught:
        await mapped(fails).build().run(xs=[1, 2])
    assert isinstance(caught.value.__cause__, KeyError)


async def test_items_that_swallow_cancellation_start_no_others() -> None:
    """After a failure, an item that does not let itself be cancelled ends, and nothing follows it."""
    started: list[int] = []

    async def stubborn(x: int) -> int:
        started.append(x)
        if x == 1:
            raise LookupError
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return x
        return x

    with pytest.raises(LookupError):
        await mapped(stubborn, limit=2).build().run(xs=[0, 1, 2, 3])
    assert started == [0, 1]


async def test_failures_can_be_collected() -> None:
    """A failed item is an ``ItemFailure`` in its place, which is JSON; readers see it in the type."""
    events: list[PipelineEvent] = []
    plan = mapped(picky, on_item_error="collect").build()
    assert plan.outputs["square"].type == list[int | ItemFailure]
    result = await plan.run(xs=[1, -2, 3], listeners=[events.append])
    one, failure, three = result.square
    assert (one, three) == (1, 3)
    assert (failure.index, failure.error, failure.message) == (1, "ValueError", "-2 is negative")
    assert "in picky" in failure.traceback
    assert "map_node" not in failure.traceback
    assert "in stage 'square' at square[item=1]" in failure.traceback
    assert [event.address for event in events if isinstance(event, StageFailed)] == ["square[item=1]"]
    quiet = await plan.run(xs=[1, -2, 3])
    assert quiet.square == result.square, "the same, whether somebody listens or not"
    with pytest.raises(
        BuildError, match=r"square\[\*\]: .*Take list\[int \| ItemFailure\], or leave the map with on_item_error='fail'"
    ):
        mapped(picky, on_item_error="collect").stage("total", total).build()


async def test_a_store_that_fails_is_no_failure_of_an_item() -> None:
    """Where items cannot be kept, the run ends, though failures are collected."""

    class Full(MemoryStore):
        def put_checkpoint(self, *args: Any, **kwargs: Any) -> None:
            raise StoreError("store", "the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        await mapped(on_item_error="collect").build().run(xs=[1, 2], name="kept", store=Full())


async def test_strict_hooks_end_the_run() -> None:
    """An observer that raises under ``strict_hooks`` is no failure of an item either."""
    plan = mapped(on_item_error="collect").through(int, after=lambda d: 1 / 0).build()
    with pytest.raises(ZeroDivisionError):
        await plan.run(xs=[1, 2], strict_hooks=True)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("on_item_error", ["fail", "collect"])
async def test_an_item_that_cancels_itself(limit: int, on_item_error: Any) -> None:
    """It ends the run as a stage would, and is never lost among the outputs."""

    async def cancels(x: int) -> int:
        if x == 1:
            raise asyncio.CancelledError
        return x

    with pytest.raises(asyncio.CancelledError):
        await mapped(cancels, limit=limit, on_item_error=on_item_error).build().run(xs=[0, 1, 2])


async def test_cancelling_the_run_cancels_its_items() -> None:
    """Running items are cancelled and waited for; nothing is collected of them."""
    ended: list[int] = []
    begun = asyncio.Event()

    async def waits(x: int) -> int:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(x)
        return x

    task = asyncio.create_task(mapped(waits, limit=2, on_item_error="collect").build().run(xs=[0, 1, 2]))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1]


async def test_an_enclosing_deadline_ends_a_map() -> None:
    """A pipeline that times out around a map raises its timeout, no group of errors."""

    async def slow(x: int) -> int:
        await asyncio.sleep(30)
        return x

    inner = Pipeline(xs=list[int]).map("slow", slow, over="xs")
    plan = Pipeline(xs=list[int]).stage("train", inner).through(slow=list[int], timeout=0.02).build()
    with pytest.raises(StageTimeout, match="stage 'train' at train"):
        await plan.run(xs=[1, 2, 3])


async def test_a_stop_that_is_no_error_comes_as_itself() -> None:
    """What ends a run and is no ``Exception``, such as a simulated crash, is neither collected nor put into a group."""

    class Stop(BaseException):
        """Ends everything."""

    async def stops(x: int) -> int:
        await asyncio.sleep(0)
        raise Stop

    with pytest.raises(Stop):
        await mapped(stops, on_item_error="collect").build().run(xs=[1, 2])


class Full(MemoryStore):
    """A store that takes no checkpoint any more."""

    def put_checkpoint(self, run_id: str, checkpoint: Checkpoint) -> None:
        raise StoreError("Full", "there is no room left")


def as_item(**hooks: Any) -> Pipeline:
    """A map over a pipeline of one stage, that takes up every failure in one way or another."""
    inner = Pipeline(x=int).stage("square", square)
    plan = Pipeline(xs=list[int]).map("each", inner, over="xs", on_item_error="collect")
    return plan.through(int, **hooks) if hooks else plan


@pytest.mark.parametrize("hooks", [{}, {"retry": 2}, {"on_error": lambda _: 0}])
async def test_an_error_of_the_store_within_an_item_is_no_failure_of_the_item(hooks: dict[str, Any]) -> None:
    """It is neither collected nor retried nor replaced, and ends the run."""
    heard: list[PipelineEvent] = []
    with pytest.raises(StoreError, match="no room"):
        await as_item(**hooks).build().run(name="full", store=Full(), xs=[1], listeners=[heard.append])
    assert not any(isinstance(event, StageRetried) for event in heard)


async def test_code_that_is_refused_within_an_item_is_no_failure_of_the_item() -> None:
    """``on_code_change="refuse"`` ends the run, whatever becomes of items that fail."""
    store = MemoryStore()
    with crash_at("each[item=0]/square", "after"):
        await as_item().build().run(name="changed", store=store, xs=[2])

    async def cube(x: int) -> int:
        return x**3

    changed = as_item().override("each/square", cube).build()
    with pytest.raises(DefinitionChanged, match="its code has changed"):
        await changed.run(name="changed", store=store, xs=[2], on_code_change="refuse")


@pytest.mark.parametrize("hooks", [{}, {"retry": 2}, {"on_error": lambda _: 0}])
async def test_a_strict_observer_within_an_item_ends_the_run(hooks: dict[str, Any]) -> None:
    """What an observer raises is no failure of the item, where hooks are strict."""

    def broken(stage: str, data: object) -> None:
        raise LookupError("an observer broke")

    with pytest.raises(LookupError, match="an observer broke"):
        await as_item(**hooks).with_global_hooks(after=broken).build().run(xs=[1, 2], strict_hooks=True)


async def test_a_collected_failure_is_json_and_begins_at_the_users_code() -> None:
    """What UTF-8 has no form for is spelled out; a function in a thread shows no frames of the package."""

    def opens(x: int) -> int:
        raise FileNotFoundError("caf\udce9.txt")

    failure = (await mapped(opens, on_item_error="collect").build().run(xs=[1])).square[0]
    assert failure.message == r"caf\udce9.txt"
    failure.traceback.encode()
    assert failure.traceback.count('File "') == 1
