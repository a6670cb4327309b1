"""A run has one driver at a time, over all processes; who died holds nothing."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from store_kit import RUN, acknowledged, checkpoint, end, fill, python, raw, start, wait_for_line, writer

from metta_sweep.clock import crash_points
from metta_sweep.errors import RunInUse, StoreError
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteStore, open_reader
from metta_sweep.testing.store_conformance import make_record, make_row


def epochs(path: Path) -> list[int]:
    """The drivers that wrote, as records name them."""
    with raw(path) as connection:
        return [epoch for (epoch,) in connection.execute("SELECT DISTINCT epoch FROM records ORDER BY id")]


def test_a_second_process_is_refused_naming_the_first(tmp_path: Path) -> None:
    """At once; and after the death of the first, it succeeds at once."""
    path = tmp_path / "sweeps.db"
    process = writer(path, tmp_path / "witness")
    wait_for_line(process)
    with SqliteStore(path) as store, open_reader(path) as reader:
        with pytest.raises(RunInUse, match=rf"'digits' is being run by process {process.pid} already"):
            store.acquire(RUN)
        assert store.driver_of(RUN) == reader.driver_of(RUN) == process.pid
        end(process)
        store.acquire(RUN)
        assert store.driver_of(RUN) == reader.driver_of(RUN) == os.getpid()
        store.release(RUN)
        assert store.driver_of(RUN) is None


def test_a_stopped_process_keeps_its_run_and_blocks_nobody_else(tmp_path: Path) -> None:
    """One that is suspended still lives."""
    path = tmp_path / "sweeps.db"
    process = writer(path, tmp_path / "witness")
    wait_for_line(process)
    try:
        with SqliteStore(path) as store:
            with pytest.raises(RunInUse, match=str(process.pid)):
                store.acquire(RUN)
            assert store.find_run("digits") is not None
    finally:
        end(process)


def test_a_child_that_outlives_the_driver_does_not_hold_the_run(tmp_path: Path) -> None:
    """Forked processes inherit open files, but not the locks."""
    code = (
        "import os, sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[2]); from store_kit import start\n"
        "store = start(Path(sys.argv[1]))\n"
        "pid = os.fork()\n"
        "if pid == 0: os.close(1); os.close(2); time.sleep(30); os._exit(0)\n"
        "print(pid, flush=True); time.sleep(30)\n"
    )
    path = tmp_path / "sweeps.db"
    process = python("-c", code, str(path), str(Path(__file__).parent))
    orphan = int(wait_for_line(process))
    try:
        end(process)
        start(path).close()
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_two_stores_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    """Locks of the operating system do not tell them apart; the store does. Closing one leaves the other's locks alone."""
    first = start(tmp_path / "sweeps.db")
    with SqliteStore(tmp_path / "sweeps.db") as second, pytest.raises(RunInUse, match="in this process already"):
        second.acquire(RUN)
    process = writer(tmp_path / "sweeps.db", tmp_path / "witness")
    _, said = process.communicate(timeout=20)
    assert f"RunInUse: the run 'digits' is being run by process {os.getpid()}" in said.replace("metta_sweep.errors.", "")
    first.close()


def test_every_driver_is_counted(tmp_path: Path) -> None:
    """Each record says which of them wrote it; a driver that wrote nothing counts too."""
    path = tmp_path / "sweeps.db"
    for _ in range(3):
        with start(path) as store:
            fill(store, 2)
            store.release(RUN)
            store.acquire(RUN)
            store.release(RUN)
    assert epochs(path) == [1, 3, 5]


def test_a_driver_that_was_replaced_is_refused(tmp_path: Path) -> None:
    """Even if its lock was lost without its noticing: nothing that it writes is kept."""
    path = tmp_path / "sweeps.db"
    with start(path) as store:
        fill(store, 3)
        with raw(path) as connection:
            connection.execute("UPDATE runs SET epoch = epoch + 1")
        with pytest.raises(StoreError, match="taken over by another driver"):
            store.append(RUN, [make_record(3)], [make_row(3)])
        with pytest.raises(StoreError, match="taken over"):
            store.put_checkpoint(RUN, checkpoint("train"))
        assert store.get_checkpoint(RUN, "train") is None
        assert len(list(store.trial_rows(RUN))) == 3


def test_who_does_not_drive_a_run_does_not_write_to_it(tmp_path: Path) -> None:
    """Not before acquiring it, and not after letting go."""
    with start(tmp_path / "sweeps.db") as store:
        store.release(RUN)
        with pytest.raises(StoreError, match="not driven by this store"):
            store.append(RUN, [make_record(0)])
        with pytest.raises(StoreError, match="not driven by this store"):
            store.put_checkpoint(RUN, checkpoint("train"))


def test_two_processes_drive_two_runs_in_one_file(tmp_path: Path) -> None:
    """They take turns in writing; neither sees an error, and both journals are whole."""
    path = tmp_path / "sweeps.db"
    with SqliteStore(path) as store:
        store.create_run(RunRow("mine", None, 0.0))
        store.acquire("mine")
        process = writer(path, tmp_path / "witness")
        wait_for_line(process)
        number = 0
        while acknowledged(tmp_path / "witness") < 20 or number < 100:
            store.append("mine", [make_record(number)], [make_row(number)])
            number += 1
        end(process)
        assert len(list(store.records("mine"))) == number
        assert len(list(store.records(RUN))) == store.end_of(RUN) >= 20


class Crash(Exception):
    """The end of the process, for the store."""


@pytest.mark.parametrize(("moment", "begun"), [("commit.before", False), ("commit.after", True)])
def test_a_run_begins_whole_or_not_at_all(tmp_path: Path, moment: str, begun: bool) -> None:
    """A crash around its only commit leaves all of it or nothing, and in either case no driver."""

    def crash(name: str) -> None:
        if name == moment:
            raise Crash

    path = tmp_path / "sweeps.db"
    with start(path) as store, SqliteStore(path) as other:
        with crash_points(crash), pytest.raises(Crash):
            store.begin_run(RunRow("late", "letters", 0.0), [make_record(0)])
        assert (other.find_run("letters") is not None) is begun
        if begun:
            other.acquire("late")
        else:
            other.begin_run(RunRow("late", "letters", 0.0), [make_record(0)])
        other.append("late", [make_record(1)])
        assert [record.seq for record in other.records("late")] == [0, 1]
        with pytest.raises(StoreError, match="not driven by this store"):
            store.append("late", [make_record(2)])


def test_a_run_that_was_begun_belongs_to_its_first_driver(tmp_path: Path) -> None:
    """Its records name the first driver; another one is refused, and so is the first when it was replaced."""
    path = tmp_path / "sweeps.db"
    with SqliteStore(path) as store:
        store.begin_run(RunRow(RUN, None, 0.0), [make_record(0)])
        with SqliteStore(path) as other, pytest.raises(RunInUse, match="in this process already"):
            other.acquire(RUN)
        with raw(path) as connection:
            connection.execute("UPDATE runs SET epoch = epoch + 1")
        with pytest.raises(StoreError, match="taken over by another driver"):
            store.put_checkpoint(RUN, checkpoint("train"))
    assert epochs(path) == [1]


def test_threads_share_a_store(tmp_path: Path) -> None:
    """One appends while others read; nobody sees an error or half a batch."""
    wrong: list[object] = []
    with start(tmp_path / "sweeps.db") as store:

        def read() -> None:
            for _ in range(30):
                records, rows = list(store.records(RUN)), list(store.trial_rows(RUN))
                if len(rows) < len(records):
                    wrong.append((len(records), len(rows)))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        fill(store, 200)
        for thread in threads:
            thread.join()
    assert wrong == []
