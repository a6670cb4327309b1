"""Maps: items gathered in order, checked, retried and kept one by one."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError, ContractError
from metta_sweep.pipeline import (
    Context,
    ItemFailure,
    Pipeline,
    PipelineEvent,
    StageContext,
    StageFinished,
    StageReused,
    ref,
)
from metta_sweep.store.memory import MemoryStore


class Task(BaseModel, frozen=True):
    """An item with a name."""

    id: str
    size: int = 1


class Score(NamedTuple):
    """An output with two fields."""

    loss: float
    steps: int


async def square(x: int) -> int:
    return x * x


async def total(square: list[int]) -> int:
    return sum(square)


async def size(task: Task) -> int:
    return task.size


def faults(pipeline: Pipeline) -> list[str]:
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    return [str(fault) for fault in caught.value.faults]


def mapped(fn: Any = square, name: str = "square", **options: Any) -> Pipeline:
    return Pipeline(xs=list[int]).map(name, fn, over="xs", **options)


async def test_outputs_are_gathered_in_order() -> None:
    """Whichever item ends first, outputs are in the order of the items, under the map's name or ``into``."""

    async def late(x: int) -> int:
        await asyncio.sleep(0.001 * (3 - x))
        return x * x

    result = await mapped(late).stage("total", total).build().run(xs=[1, 2, 3])
    assert (result.square, result.total) == ([1, 4, 9], 14)
    assert (await mapped(into="squares").build().run(xs=[2])).squares == [4]
    assert (await mapped().stage("total", total).build().run(xs=[])).total == 0, "no items are none"


async def test_addresses_of_items() -> None:
    """Items are addressed by their index, or by what ``key`` gives."""
    events: list[PipelineEvent] = []
    await mapped(limit=1).build().run(xs=[5, 6], listeners=[events.append])
    pipeline = Pipeline(tasks=list[Task]).map("size", size, over="tasks", key="id", limit=1)
    await pipeline.build().run(tasks=[Task(id="a"), Task(id="b")], listeners=[events.append])
    await mapped(limit=1, key=lambda x: x + 10).build().run(xs=[5], listeners=[events.append])
    assert [event.address for event in events if isinstance(event, StageFinished)] == [
        "square[item=0]",
        "square[item=1]",
        "size[item=a]",
        "size[item=b]",
        "square[item=15]",
    ]


async def test_limit() -> None:
    """No more than ``limit`` items run at once, and as many do."""
    running, most = 0, 0

    async def counted(x: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return x

    await mapped(counted, limit=3).build().run(xs=list(range(20)))
    assert most == 3


async def test_synchronous_functions_run_in_threads_at_once() -> None:
    """Threads of several items run side by side: here each waits for the other."""
    barrier = threading.Barrier(2, timeout=5)

    def meet(x: int) -> int:
        barrier.wait()
        return x

    assert (await mapped(meet, limit=2).build().run(xs=[1, 2, 3, 4])).square == [1, 2, 3, 4]


async def test_what_an_item_function_gets() -> None:
    """Its first parameter is the item, whatever it is called; the others are bound as in any stage."""

    async def fit(xs: int, context: StageContext, lr: float, step: int, twice: int, *, base: int = 100) -> str:
        return f"{context.address} {xs} {lr} {step} {twice} {base}"

    async def double(xs: list[int]) -> int:
        return 2 * len(xs)

    pipeline = Pipeline(xs=list[int], lr=float).stage("double", double)
    pipeline = pipeline.map("fit", fit, over="xs", step=3, twice=ref("double.double"))
    assert (await pipeline.build().run(xs=[7, 8], lr=0.5)).fit == ["fit[item=0] 7 0.5 3 4 100", "fit[item=1] 8 0.5 3 4 100"]

    async def after_context(context: StageContext, x: int) -> int:
        return x + context.attempt

    async def with_whole(x: int, ctx: Context) -> int:
        return x + len(ctx.xs)

    assert (await mapped(after_context).build().run(xs=[1])).square == [2]
    assert (await mapped(with_whole).build().run(xs=[1])).square == [2]


async def test_seeds_differ_between_items() -> None:
    """Each item has a seed of its own, the same in each run."""

    async def seed(x: int, context: StageContext) -> int:
        return context.seed

    plan = mapped(seed).build()
    first, again = (await plan.run(xs=[1, 1], seed=3)).square, (await plan.run(xs=[1, 1], seed=3)).square
    assert first == again
    assert len(set(first)) == 2


async def test_contracts_of_items() -> None:
    """The contract is that of one item: a model, a named field, several, none."""

    async def score(x: int) -> dict[str, Any]:
        return {"loss": float(x), "steps": x}

    async def nothing(x: int) -> None: ...

    assert (await mapped(score).through(Score).build().run(xs=[1])).square == [Score(1.0, 1)]
    plan = mapped(score).through(loss=float, steps=int).build()
    assert plan.outputs["square"].type == list[Mapping[str, Any]]
    assert (await plan.run(xs=[1])).square[0]["steps"] == 1
    assert (await mapped(square, into="ys").through(y=int).build().run(xs=[3])).ys == [9]
    assert "square" not in mapped(nothing).build().outputs
    assert (await mapped(nothing, into="done").build().run(xs=[1, 2])).done == [None, None]
    with pytest.raises(ContractError, match="field 'square'") as caught:
        await mapped(lambda x: x).through(str).build().run(xs=[3])
    assert "in stage 'square' at square[item=0]" in caught.value.__notes__


async def test_pipelines_per_item() -> None:
    """The first declared input of a pipeline is the item; each item has values of its own, refs included."""

    async def scale(x: int, by: int) -> int:
        await asyncio.sleep(0)
        return x * by

    async def shown(scaled: int, first: int) -> str:
        await asyncio.sleep(0)
        return f"{first} {scaled}"

    body = Pipeline(x=int, by=int).stage("scale", scale).through(scaled=int).stage("shown", shown, first=ref("scale.scaled"))
    pipeline = Pipeline(xs=list[int], by=int).map("each", body, over="xs")
    events: list[PipelineEvent] = []
    result = await pipeline.build().run(xs=[1, 2, 3], by=10, listeners=[events.append])
    assert result.each == ["10 10", "20 20", "30 30"]
    assert "each[item=2]/shown" in [event.address for event in events if isinstance(event, StageFinished)]
    inner = Pipeline(xs=list[int]).map("square", square, over="xs").stage("total", total)
    nested = Pipeline(rows=list[list[int]]).map("rows", inner, over="rows").build()
    assert (await nested.run(rows=[[1, 2], [3]])).rows == [5, 9]


async def test_hooks_per_item() -> None:
    """Observers, gates and handlers of the stage are about each item; global hooks see it with its address."""
    told: list[Any] = []
    plan = (
        mapped(limit=1)
        .through(
            int,
            before=lambda d: told.append((d.xs, d.x)),
            after=told.append,
            metrics=told.append,
            validate=lambda d: d < 9,
            on_error=lambda error: -1,
        )
        .with_global_hooks(after=lambda stage, data: told.append(stage.address), profile=True)
        .build()
    )
    result = await plan.run(xs=[2, 3])
    assert result.square == [4, -1]
    assert told == [([2, 3], 2), 4, {"square": 4}, "square[item=0]", ([2, 3], 3), -1, {"square": -1}, "square[item=1]"]
    assert result.profile["square"].calls == 2


async def test_retries_and_timeouts_per_item() -> None:
    """Each item has attempts and a deadline of its own."""
    tries: dict[int, int] = {}

    async def flaky(x: int) -> int:
        tries[x] = tries.get(x, 0) + 1
        if tries[x] <= x:
            raise ConnectionError
        return x

    assert (await mapped(flaky).through(int, retry=2).build().run(xs=[0, 1, 2])).square == [0, 1, 2]
    assert tries == {0: 1, 1: 2, 2: 3}

    async def slow(x: int) -> int:
        await asyncio.sleep(30 * x)
        return x

    plan = mapped(slow, on_item_error="collect").through(int, timeout=0.02).build()
    done, late = (await plan.run(xs=[0, 1])).square
    assert done == 0
    assert (late.index, late.error) == (1, "StageTimeout")


async def test_a_resumed_map_runs_only_what_is_not_done() -> None:
    """Items that are done are kept one by one, even those that ended after the failure began."""
    store = MemoryStore()
    calls: list[int] = []

    async def once(x: int) -> int:
        calls.append(x)
        if x == 2 and calls.count(2) == 1:
            raise LookupError
        return x * x

    plan = mapped(once, limit=1).stage("total", total).build()
    with pytest.raises(LookupError):
        await plan.run(xs=[1, 2, 3], name="kept", store=store)
    assert (await plan.run(xs=[1, 2, 3], name="kept", store=store)).total == 14
    assert calls == [1, 2, 2, 3]
    events: list[PipelineEvent] = []
    await plan.run(xs=[1, 2, 3], name="kept", store=store, listeners=[events.append])
    assert [event.address for event in events if isinstance(event, StageReused)] == [
        "square[item=0]",
        "square[item=1]",
        "square[item=2]",
        "total",
    ]


async def test_items_are_kept_by_what_they_are() -> None:
    """An item that changed runs again; with a ``key``, items may come in another order."""
    store = MemoryStore()
    calls: list[str] = []

    async def sized(task: Task) -> int:
        calls.append(f"{task.id}{task.size}")
        return task.size

    plan = Pipeline(tasks=list[Task]).map("sized", sized, over="tasks", key="id", limit=1).build()
    a, b = Task(id="a"), Task(id="b")
    await plan.run(tasks=[a, b], name="kept", store=store)
    result = await plan.run(tasks=[Task(id="b", size=2), Task(id="c"), a], name="kept", store=store)
    assert result.sized == [2, 1, 1]
    assert calls == ["a1", "b1", "b2", "c1"]


async def test_collected_failures_are_not_kept() -> None:
    """A failed item is tried again when the run is resumed; what follows it is kept by what it gave."""
    store = MemoryStore()
    calls: list[int] = []

    async def fails(x: int) -> int:
        calls.append(x)
        raise ValueError(x)

    async def count(square: list[int | ItemFailure]) -> int:
        calls.append(-1)
        return len(square)

    plan = mapped(fails, on_item_error="collect", limit=1).stage("count", count).build()
    await plan.run(xs=[1, 2], name="kept", store=store)
    await plan.run(xs=[1, 2], name="kept", store=store)
    assert calls == [1, 2, -1, 1, 2]
