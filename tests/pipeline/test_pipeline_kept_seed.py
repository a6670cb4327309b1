"""The seed of a kept run."""

from __future__ import annotations

import pytest

from metta_sweep.errors import StoreError
from metta_sweep.pipeline import Pipeline, StageContext
from metta_sweep.records import Record
from metta_sweep.store.memory import MemoryStore


async def roll(stage: StageContext, again: int) -> int:
    """Depends on the seed of the run, and is run again when ``again`` is another."""
    return stage.seed + 0 * again


async def test_a_seed_that_was_not_given_is_drawn_once_and_kept() -> None:
    """A kept run that goes on has the seed that it began with, so what runs again gives the same."""
    store = MemoryStore()
    plan = Pipeline(again=int).stage("roll", roll).through(roll=int).build()
    first = await plan.run(name="it", store=store, again=1)
    second = await plan.run(name="it", store=store, again=2)
    other = await plan.run(name="other", store=store, again=1)
    assert second["roll"] == first["roll"] != other["roll"]


async def test_a_seed_that_is_given_counts() -> None:
    """A seed given now wins over the kept one, and is kept in its place."""
    store = MemoryStore()
    plan = Pipeline(again=int).stage("roll", roll).through(roll=int).build()
    await plan.run(name="it", store=store, again=1)
    given = await plan.run(name="it", store=store, again=2, seed=7)
    assert (await plan.run(name="it", store=store, again=3))["roll"] == given["roll"]


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b"\xff", b'{"seed": "x"}', b'{"seed": true}', b'{"seed": 1, "definition": []}']
)
async def test_a_note_that_is_none_is_one_clear_error(payload: bytes) -> None:
    """Of the run and of its preview: which record it is, and what can be done."""
    store = MemoryStore()
    plan = Pipeline(again=int).stage("roll", roll).through(roll=int).build()
    await plan.run(name="it", store=store, again=1)
    row = store.find_run("it")
    assert row is not None
    store.acquire(row.run_id)
    store.append(row.run_id, (Record(store.end_of(row.run_id), 0, "", "start", 1.0, 0.0, payload),))
    store.release(row.run_id)
    with pytest.raises(StoreError, match=r"the record of a start .* no note of a start.*under another name"):
        await plan.run(name="it", store=store, again=1)
    with pytest.raises(StoreError, match="no note of a start"):
        plan.plan_resume(name="it", store=store, again=1)
