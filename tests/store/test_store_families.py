"""Renaming a family and copying a run, in the durable store: all or nothing, whatever happens."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from store_kit import RUN, checkpoint, end, fill, python, raw, start, wait_for_line

from metta_sweep.errors import DamagedPayload, RunInUse, StoreError
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteStore, open_reader

NAMES = ("digits", "digits/trial[0]>inner", "digits/trial[0]>inner/trial[1]>deep")

DIE = """
import os, signal, sys
from metta_sweep.clock import crash_points
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteStore

def die(name):
    if name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

store = SqliteStore(sys.argv[1])
with crash_points(die):
    if sys.argv[2] == "rename":
        store.rename_run("digits-1", "moved")
    else:
        store.fork_run("digits-1", RunRow("fork", "digits/trial[9]>inner", 3.0))
"""

DRIVE = """
import sys, time
from metta_sweep.store import SqliteStore
store = SqliteStore(sys.argv[1])
store.acquire(sys.argv[2])
print("driven", flush=True)
time.sleep(60)
"""


def family(path: Path) -> None:
    """A run with two descendants, a journal and a checkpoint."""
    with start(path) as store:
        for number, name in enumerate(NAMES[1:]):
            store.create_run(RunRow(f"{number}", name, 2.0))
        fill(store, 300)
        store.put_checkpoint(RUN, checkpoint("train"))


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_killed_while_it_renames_a_family(tmp_path: Path, point: str) -> None:
    """All names are the old ones, or all are the new ones."""
    path = tmp_path / "sweeps.db"
    family(path)
    process = python("-c", DIE, str(path), "rename", point)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    with open_reader(path) as reader:
        names = [row.name for row in reader.runs()]
    moved = [name.replace("digits", "moved") for name in NAMES]
    assert names == (list(NAMES) if point == "commit.before" else moved)


@pytest.mark.parametrize("point", ["fork.copied", "commit.before", "commit.after"])
def test_killed_while_it_copies_a_run(tmp_path: Path, point: str) -> None:
    """The fork is whole, or there is none; it can be made again."""
    path = tmp_path / "sweeps.db"
    family(path)
    process = python("-c", DIE, str(path), "fork", point)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    with raw(path) as connection:
        runs = connection.execute("SELECT count(DISTINCT run) FROM records").fetchone()
    with start(path) as store:
        assert (store.find_run("fork") is not None) is (point == "commit.after") is (runs == (2,))
        if point != "commit.after":
            store.fork_run(RUN, RunRow("fork", "digits/trial[9]>inner", 3.0))
        assert list(store.records("fork")) == list(store.records(RUN))
        assert list(store.trial_rows("fork")) == list(store.trial_rows(RUN))
        assert len(list(store.trial_rows("fork"))) == 300
        assert store.get_checkpoint("fork", "train") == checkpoint("train")


def test_descendants_are_found_by_the_index_of_names(tmp_path: Path) -> None:
    """No other run is looked at, however many there are."""
    family(tmp_path / "sweeps.db")
    with open_reader(tmp_path / "sweeps.db") as reader:
        asked: list[str] = []
        reader._connection.set_trace_callback(asked.append)
        assert [row.name for row in reader.runs(under="digits")] == list(NAMES[1:])
        reader._connection.set_trace_callback(None)
        plan = reader._connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}").fetchall()
        assert "SEARCH runs USING INDEX" in str(plan)
        assert "SCAN" not in str(plan)


def test_a_family_of_which_another_process_drives_a_member_is_not_renamed(tmp_path: Path) -> None:
    """The error names the member and the process; when that is dead, it is renamed."""
    path = tmp_path / "sweeps.db"
    family(path)
    process = python("-c", DRIVE, str(path), "1")
    assert wait_for_line(process) == "driven"
    with SqliteStore(path) as store:
        with pytest.raises(RunInUse, match=rf"trial\[1\]>deep' is being run by process {process.pid}"):
            store.rename_run(RUN, "moved")
        assert [row.name for row in store.runs()] == list(NAMES)
        end(process)
        store.rename_run(RUN, "moved")
        assert len(store.runs(under="moved")) == 2


def test_a_run_that_another_process_drives_can_be_copied(tmp_path: Path) -> None:
    """As far as it is committed; the fork is nobody's."""
    path = tmp_path / "sweeps.db"
    family(path)
    process = python("-c", DRIVE, str(path), RUN)
    assert wait_for_line(process) == "driven"
    with SqliteStore(path) as store:
        store.fork_run(RUN, RunRow("fork", None, 3.0))
        assert (store.driver_of(RUN), store.driver_of("fork")) == (process.pid, None)
        store.acquire("fork")
        assert store.driver_of("fork") == os.getpid()
    end(process)


@pytest.mark.parametrize("table", ["records", "trials", "checkpoints"])
def test_a_damaged_run_is_not_copied(tmp_path: Path, table: str) -> None:
    """One flipped byte, and there is no fork: a copy would have made what is damaged look intact."""
    path = tmp_path / "sweeps.db"
    family(path)
    with raw(path) as connection:
        connection.execute(
            f"UPDATE {table} SET payload = x'00' WHERE rowid = (SELECT max(rowid) FROM {table})"
            if table != "trials"
            else "UPDATE trials SET payload = x'00' WHERE number = 299"
        )
    with SqliteStore(path) as store:
        with pytest.raises(DamagedPayload):
            store.fork_run(RUN, RunRow("fork", None, 3.0))
        assert store.find_run("fork") is None
        store.create_run(RunRow("fork", None, 3.0))
        assert store.end_of("fork") == 0


def test_a_copied_row_shows_when_it_was_swapped(tmp_path: Path) -> None:
    """What a fork has is sealed for it: the rows of its source do not pass for its own."""
    path = tmp_path / "sweeps.db"
    family(path)
    with start(path) as store:
        store.fork_run(RUN, RunRow("fork", None, 3.0))
    with raw(path) as connection:
        connection.execute(
            "UPDATE trials SET seal = (SELECT seal FROM trials AS other WHERE other.run = 1 AND other.number = 5) "
            "WHERE run = 4 AND number = 5"
        )
    with open_reader(path) as reader, pytest.raises(DamagedPayload, match="row of trial 5"):
        list(reader.trial_rows("fork"))


def test_a_run_whose_fork_column_is_damaged_says_so(tmp_path: Path) -> None:
    """What is no text is no id of a run."""
    path = tmp_path / "sweeps.db"
    family(path)
    with raw(path) as connection:
        connection.execute("UPDATE runs SET forked_from = x'00' WHERE id = 1")
    with open_reader(path) as reader, pytest.raises(StoreError, match="its row is damaged"):
        reader.find_run("digits")
