"""How a kept run ended is in its journal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.keeping.recording import ending_of
from metta_sweep.store import MemoryStore
from metta_sweep.testing import Crashed, crash_at

PLAN = Pipeline(n=int).stage("divide", lambda n: 1 / n).through(x=float).build()


def told(store: MemoryStore) -> tuple[str | None, list[str]]:
    """How the run ended, and the kinds of its records."""
    row = store.find_run("it")
    assert row is not None
    return ending_of(store, row.run_id), [record.kind for record in store.records(row.run_id)]


async def test_done_and_failed() -> None:
    """Each ending is noted; taken up again it has none until it ends; one that records nothing new adds no note."""
    store = MemoryStore()
    with pytest.raises(ZeroDivisionError):
        await PLAN.run(name="it", store=store, n=0)
    assert told(store) == ("failed", ["start", "end"])
    for _ in range(3):
        await PLAN.run(name="it", store=store, n=1)
    assert told(store) == ("done", ["start", "end", "alive", "end"])


async def test_cancelled() -> None:
    """It was left before its end."""
    started = asyncio.Event()

    async def wait() -> int:
        started.set()
        await asyncio.sleep(60)
        return 1

    store = MemoryStore()
    plan = Pipeline().stage("wait", wait).through(x=int).build()
    task = asyncio.create_task(plan.run(name="it", store=store))
    await started.wait()
    task.cancel()
    await asyncio.wait({task})
    assert told(store)[0] == "cancelled"


@pytest.mark.parametrize("before", [False, True])
async def test_a_crash_leaves_no_ending(before: bool) -> None:
    """Neither of a new run, nor of one that had ended before."""
    store = MemoryStore()
    plan: Any = Pipeline(n=int).stage("one", lambda n: n + 1).through(a=int).stage("two", lambda a: a + 1).through(b=int).build()
    if before:
        await plan.run(name="it", store=store, n=1)
    with crash_at("two"), pytest.raises(Crashed):
        await plan.run(name="it", store=store, n=2)
    assert told(store)[0] is None
