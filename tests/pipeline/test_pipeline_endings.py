"""How a kept run ended is in its journal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.keeping.recording import ending_of, why_of
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


async def test_why_it_failed() -> None:
    """The error is kept beside the ending; another takes its place, though nothing was recorded in between."""

    def fails(n: int) -> float:
        raise ValueError(f"no \ud800 {n}")

    plan = Pipeline(n=int).stage("divide", fails).through(x=float).build()
    store = MemoryStore()
    for n in (1, 2, 2):
        with pytest.raises(ValueError, match=f" {n}"):
            await plan.run(name="it", store=store, n=n)
        row = store.find_run("it")
        assert row is not None
        assert why_of(store, row.run_id) == f"ValueError: no \\ud800 {n}"
    assert told(store) == ("failed", ["start", "end", "end"])
    await PLAN.run(name="it", store=store, n=1)
    [row] = store.runs()
    assert why_of(store, row.run_id) is None


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
