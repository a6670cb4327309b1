"""Ten thousand items under a limit of 64: by ``.map`` of a pipeline, and by the task groups of anyio and asyncio.

Each function maps ``runs`` times and returns the seconds. All gather what the items give in the order of the items.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from stage_timing import Contender, awaited

from metta_sweep.pipeline import Pipeline

__all__ = ["BODIES", "ITEMS", "LIMIT", "MAPS"]

ITEMS: Final = 10_000
LIMIT: Final = 64
Body = Callable[[int], Awaitable[int]]


async def no_op(item: int) -> int:
    return item


async def yielding(item: int) -> int:
    """Lets the others go on once: an item that really waits for something."""
    await asyncio.sleep(0)
    return item


BODIES: Final[dict[str, Body]] = {"no-op": no_op, "yields once": yielding}


def _timed(once: Callable[[], Awaitable[list[int]]], runs: int) -> float:
    async def main() -> float:
        if await once() != list(range(ITEMS)):
            raise RuntimeError("the items were not gathered in their order: the figures would be worth nothing")
        return await awaited(once, runs)

    return asyncio.run(main())


def by_pipeline(body: Body, runs: int, _: Path) -> float:
    """The map of a pipeline: each item's output is validated, and the list of them is one field."""
    plan = Pipeline(items=list[int]).map("each", body, over="items", into="results", limit=LIMIT).through(int).build()

    async def once() -> list[int]:
        return (await plan.run(items=list(range(ITEMS)))).results  # type: ignore[no-any-return]

    return _timed(once, runs)


def by_anyio(body: Body, runs: int, _: Path) -> float:
    """A task group of anyio, a task per item, under a ``CapacityLimiter``."""
    anyio: Any = importlib.import_module("anyio")

    async def once() -> list[int]:
        limiter = anyio.CapacityLimiter(LIMIT)
        results = [0] * ITEMS

        async def one(item: int) -> None:
            async with limiter:
                results[item] = await body(item)

        async with anyio.create_task_group() as group:
            for item in range(ITEMS):
                group.start_soon(one, item)
        return results

    return _timed(once, runs)


def by_asyncio(body: Body, runs: int, _: Path) -> float:
    """A task group of asyncio, a task per item, under a ``Semaphore``."""

    async def once() -> list[int]:
        semaphore = asyncio.Semaphore(LIMIT)
        results = [0] * ITEMS

        async def one(item: int) -> None:
            async with semaphore:
                results[item] = await body(item)

        async with asyncio.TaskGroup() as group:
            for item in range(ITEMS):
                group.create_task(one(item))
        return results

    return _timed(once, runs)


def by_hand(body: Body, runs: int, _: Path) -> float:
    """The floor: no task per item, but as many tasks as may run at a time, and each takes the next item."""

    async def once() -> list[int]:
        results = [0] * ITEMS
        items = iter(range(ITEMS))

        async def worker() -> None:
            for item in items:
                results[item] = await body(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(LIMIT):
                group.create_task(worker())
        return results

    return _timed(once, runs)


MAPS: Final[dict[str, dict[str, Contender]]] = {
    peer: {f"map {name}": partial(mapper, body) for name, body in BODIES.items()}
    for peer, mapper in (("ours", by_pipeline), ("anyio", by_anyio), ("asyncio", by_asyncio), ("by hand", by_hand))
}
