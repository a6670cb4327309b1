"""The seconds of experiments without trials, and what is kept of them."""

from __future__ import annotations

import asyncio

import pytest

from metta_sweep import Budget, Experiment, MemoryStore, Pipeline
from metta_sweep.errors import Interrupted
from metta_sweep.pipeline.keeping.recording import ending_of
from metta_sweep.store.memory import MemoryStore as Kept
from metta_sweep.testing.virtual import run_virtual


class Long(Experiment):
    """One stage that takes its time."""

    def pipeline(self) -> Pipeline:
        """The stage."""
        return Pipeline().stage("sleep", self.sleep).through(slept=int)

    async def sleep(self) -> int:
        """A hundred seconds."""
        await asyncio.sleep(100.0)
        return 100


def ended(store: Kept) -> str | None:
    """How it ended, as its journal says."""
    row = store.find_run("long")
    assert row is not None
    return ending_of(store, row.run_id)


async def seconds_kept_after(store: Kept, seconds: float) -> float:
    """How many of its seconds the journal knows of then: what a process that is killed there has used."""
    task = asyncio.create_task(Long(name="long", store=store).arun(budget=Budget(seconds=500)))
    await asyncio.sleep(seconds)
    row = store.find_run("long")
    assert row is not None
    kept = max(record.elapsed for record in store.records(row.run_id))
    task.cancel()
    await asyncio.wait([task])
    return kept


def test_a_kill_in_a_long_stage_loses_few_of_its_seconds() -> None:
    """The journal is told every now and then, also while one stage runs: or each kill would give it all its seconds again."""
    assert 90 <= run_virtual(seconds_kept_after(MemoryStore(), 99.0)) <= 99


def test_seconds_add_up_over_the_times_it_is_run() -> None:
    """Six times 99 seconds are more than the 500 of its budget."""
    store = MemoryStore()
    for _ in range(5):
        run_virtual(seconds_kept_after(store, 99.0))
    with pytest.raises(Interrupted, match="the 500 s of long are over"):
        run_virtual(Long(name="long", store=store).arun())


def test_one_that_has_ended_is_at_its_end_after_another_run_with_another_budget() -> None:
    """A budget is noted after the end, and so is the end again."""
    store = MemoryStore()
    for budget in (None, 5, Budget(seconds=1000), 5):
        run_virtual(Long(name="long", store=store).arun(budget=budget))
        assert ended(store) == "done"
