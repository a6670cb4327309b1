"""Kept runs that begin: nothing is looked for where nothing can be, and all that the run itself has kept is found."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from metta_sweep.errors import RunInUse
from metta_sweep.pipeline import Pipeline, Retry
from metta_sweep.pipeline.keeping import recording
from metta_sweep.records import Checkpoint, Record, RunRow
from metta_sweep.store.memory import MemoryStore


class Asked(MemoryStore):
    """A store that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get_checkpoint(self, run_id: str, address: str) -> Checkpoint | None:
        """Write it down."""
        self.asked.append(address)
        return super().get_checkpoint(run_id, address)


class Raced(MemoryStore):
    """A store in which another process begins a run of the same name, just before this one does."""

    driven = True

    def begin_run(self, row: RunRow, records: Sequence[Record] = ()) -> None:
        """The other one first."""
        if not self.runs():
            super().begin_run(row._replace(run_id="other"), records)
            if not self.driven:
                self.release("other")
        super().begin_run(row, records)


def counting(calls: list[str], failures: int = 0) -> Pipeline:
    """Two stages, of which the second one fails so many times."""

    def load() -> int:
        calls.append("load")
        return 3

    def count(load: int) -> int:
        calls.append("count")
        if calls.count("count") <= failures:
            raise OSError("not yet")
        return load + 1

    return Pipeline().stage("load", load).through(load=int).stage("count", count).through(count=int)


async def test_a_new_run_is_not_searched() -> None:
    """The store is asked for nothing by a run that it does not hold, and for every output by one that is resumed."""
    store = Asked()
    await counting([]).build().run(name="kept", store=store)
    assert store.asked == []
    calls: list[str] = []
    result = await counting(calls).build().run(name="kept", store=store)
    assert (store.asked, calls, result["count"]) == (["load", "count"], [], 4)


@pytest.mark.parametrize("remembered", [0, 1, 1 << 16])
async def test_a_new_run_finds_what_it_has_kept_itself(monkeypatch: pytest.MonkeyPatch, remembered: int) -> None:
    """When what encloses a stage is tried again, its output is reused, however many addresses are remembered."""
    monkeypatch.setattr(recording, "_REMEMBERED", remembered)
    calls: list[str] = []
    outer = Pipeline().stage("train", counting(calls, failures=2)).through(count=int, retry=Retry(3))
    result = await outer.build().run(name="kept", store=MemoryStore())
    assert (calls, result["count"]) == (["load", "count", "count", "count"], 4)


async def test_a_run_that_another_process_has_just_begun_is_in_use() -> None:
    """The second of two that begin one name at the same time is told that it is being run."""
    with pytest.raises(RunInUse):
        await counting([]).build().run(name="kept", store=Raced())


async def test_a_run_that_another_process_has_just_begun_and_left_goes_on() -> None:
    """The second of two that begin one name takes it up when the first one is gone."""
    store = Raced()
    store.driven = False
    assert (await counting([]).build().run(name="kept", store=store))["count"] == 4
    assert [row.run_id for row in store.runs()] == ["other"]
