"""Starting over keeps what there was, under another name, with all that lies within it."""

from __future__ import annotations

import pytest

from metta_sweep.errors import RunInUse
from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.keeping.recording import keep_aside
from metta_sweep.records import RunRow
from metta_sweep.store import MemoryStore


def one() -> int:
    """A stage."""
    return 1


def names(store: MemoryStore) -> list[str | None]:
    """Of all runs."""
    return [row.name for row in store.runs()]


async def kept() -> MemoryStore:
    """A store with a pipeline that was run, and two runs within it."""
    store = MemoryStore()
    await Pipeline().stage("one", one).build().run(name="it", store=store)
    store.create_run(RunRow("a", "it/one>inner", 1.0))
    store.create_run(RunRow("b", "it/one>inner/trial[0]>deep", 1.0))
    return store


async def test_descendants_are_kept_aside_with_their_run() -> None:
    """Under its new name; a run that starts over begins without any."""
    store = await kept()
    await Pipeline().stage("one", one).build().run(name="it", store=store, fresh=True)
    assert names(store) == ["it@1", "it@1/one>inner", "it@1/one>inner/trial[0]>deep", "it"]


async def test_a_number_that_descendants_of_a_run_have_that_is_gone_is_passed_over() -> None:
    """The names of a family are free together."""
    store = await kept()
    store.create_run(RunRow("c", "it@1/one>inner", 1.0))
    row = store.find_run("it")
    assert row is not None
    keep_aside(store, row)
    assert names(store)[0] == "it@2"


@pytest.mark.parametrize("driven", ["a", "b"])
async def test_a_run_of_which_a_descendant_is_driven_is_not_kept_aside(driven: str) -> None:
    """Nothing is renamed, and the run itself is free afterwards."""
    store = await kept()
    before = names(store)
    row = store.find_run("it")
    assert row is not None
    store.acquire(driven)
    with pytest.raises(RunInUse, match="it/one>inner"):
        keep_aside(store, row)
    assert names(store) == before
    store.acquire(row.run_id)
