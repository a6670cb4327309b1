"""What is particular to the store in memory; what every store must do is in its conformance suite."""

from __future__ import annotations

import gc

import pytest

from metta_sweep import MemoryStore
from metta_sweep.errors import RunInUse, StoreError
from metta_sweep.records import Record, RunRow, TrialRow


def record(seq: int, length: int = 1) -> Record:
    """A record of so many events."""
    return Record(seq, length, f"sweep[{seq}]/score", "events", 1.7e9, 0.5, b"[]")


def store_with_run(name: str | None = "it") -> MemoryStore:
    """One run, called r."""
    store = MemoryStore()
    store.create_run(RunRow("r", name, 1.0))
    return store


def test_two_stores_share_nothing() -> None:
    """Each object is a place of its own."""
    one, other = store_with_run(), MemoryStore()
    assert len(one.runs()) == 1
    assert other.runs() == []
    assert repr(one) == "MemoryStore(1 runs)"


def test_a_driver_is_named_by_its_run() -> None:
    """The second start says which run is being run; by its id where it has no name."""
    for name, shown in (("it", "'it'"), (None, "'r'")):
        store = store_with_run(name)
        store.acquire("r")
        with pytest.raises(RunInUse, match=shown):
            store.acquire("r")
        store.release("r")
        store.acquire("r")


def test_nothing_of_a_refused_append_is_kept() -> None:
    """Records come together or not at all."""
    store = store_with_run()
    with pytest.raises(StoreError, match="does not continue"):
        store.append("r", [record(0, 2), record(1)], [TrialRow(0, "0", None, "completed", 1.0, 1, 0.1, b"[]")])
    assert (store.end_of("r"), list(store.records("r")), list(store.trial_rows("r"))) == (0, [], [])


def test_records_without_events_stand_before_the_event_that_follows() -> None:
    """The notes of starts share the number of the next event, and are read with it."""
    store = store_with_run()
    start = Record(0, 0, "", "start", 1.7e9, 0.0, b"{}")
    store.append("r", [start, record(0, 3), start._replace(seq=3), record(3)])
    assert [found.kind for found in store.records("r")] == ["start", "events", "start", "events"]
    assert [found.seq for found in store.records("r", 2)] == [0, 3, 3]
    assert [found.seq for found in store.records("r", 3)] == [3, 3]
    assert list(store.records("r", 4)) == []


def test_what_is_kept_is_no_work_for_the_garbage_collector() -> None:
    """Records and rows are tuples of atoms, which the cyclic collector leaves alone after its first look."""
    store = store_with_run()
    store.append("r", [record(0)], [TrialRow(0, "0", "a", "completed", 1.0, 1, 0.1, b"[]")])
    gc.collect()
    held = store._runs["r"]
    assert [gc.is_tracked(kept) for kept in (held.records[0], held.trials[0])] == [False, False]
