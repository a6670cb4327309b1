"""Readers never wait and are never waited for; what is written takes little room and reaches the disk."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from store_kit import RUN, acknowledged, content, end, fill, python, start, wait_for_line, writer

from metta_sweep.errors import StoreError
from metta_sweep.store import SqliteStore, open_reader
from metta_sweep.store.sql.flushing import Flusher
from metta_sweep.store.sql.writer import Durability
from metta_sweep.testing.store_conformance import make_record, make_row

LOOK = """
import sys
from metta_sweep.store import open_reader
print("ready", flush=True)
last, looks = 0, 0
while last < int(sys.argv[2]):
    with open_reader(sys.argv[1]) as reader:
        end = reader.end_of("digits-1")
        seen = sum(1 for _ in reader.records("digits-1", last))
        assert seen >= end - last and end >= last
        last, looks = end, looks + 1
print(looks)
"""


def test_readers_see_every_commit_while_it_is_written(tmp_path: Path) -> None:
    """Eight of them in other processes open, read and close in a loop: none sees an error or a journal that shrinks."""
    path = tmp_path / "sweeps.db"
    with start(path) as store:
        readers = [python("-c", LOOK, str(path), "400") for _ in range(8)]
        for reader in readers:
            wait_for_line(reader)
        fill(store, 400)
        for reader in readers:
            said, trouble = reader.communicate(timeout=30)
            assert (reader.returncode, trouble) == (0, "")
            assert int(said) > 0


def test_a_reader_sees_what_is_appended_after_it_was_opened(tmp_path: Path) -> None:
    """It holds no snapshot between two questions, and makes no difference to the file."""
    path = tmp_path / "sweeps.db"
    with start(path) as store, open_reader(path) as reader:
        assert reader.end_of(RUN) == 0
        fill(store, 5)
        assert reader.end_of(RUN) == 5
        assert (list(reader.records(RUN)), list(reader.trial_rows(RUN))) == content(store)
        assert [row.run_id for row in reader.runs()] == [RUN]
    with open_reader(path) as reader:
        assert reader.end_of(RUN) == 5
        assert reader.trial_row(RUN, "3") == make_row(3)


@pytest.mark.parametrize("read", [True, False])
def test_closing_flushes_what_a_reader_keeps_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: bool) -> None:
    """The last one to close folds the log in, which flushes it; one before that flushes the log itself."""
    path = tmp_path / "sweeps.db"
    flushed: list[tuple[int, int]] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        fsync(handle)
        status = os.fstat(handle)
        flushed.append((status.st_ino, status.st_size))

    store = start(path)
    reader = open_reader(path) if read else None
    if reader is not None:
        reader.end_of(RUN)
    monkeypatch.setattr(os, "fsync", note)
    fill(store, 3)
    store.close()
    log = Path(f"{path}-wal")
    assert log.exists() is read
    if reader is not None:
        assert flushed[-1:] == [(log.stat().st_ino, log.stat().st_size)]
        reader.close()
    else:
        assert flushed == []


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """Not even by a statement of its own."""
    path = tmp_path / "sweeps.db"
    start(path).close()
    with open_reader(path) as reader, pytest.raises(StoreError, match="cannot be written to"):
        reader._fetch("DELETE FROM runs")


def test_a_reader_that_stays_does_not_stop_the_log_from_being_folded_in(tmp_path: Path) -> None:
    """Between two pages it reads nothing: the log begins anew again and again."""
    path = tmp_path / "sweeps.db"
    with start(path) as store, open_reader(path) as reader:
        fill(store, 600)
        reading = reader.records(RUN)
        next(reading)
        largest = 0
        for number in range(600, 760):
            store.append(RUN, [make_record(number, payload=os.urandom(600_000))], [make_row(number)])
            largest = max(largest, os.path.getsize(f"{path}-wal"))  # noqa: PTH202
        assert largest < 64 << 20
        assert sum(1 for _ in reading) == 759


def test_the_log_stays_small_while_readers_keep_coming(tmp_path: Path) -> None:
    """Under 64 MB, with a reader in the log at every moment."""
    path = tmp_path / "sweeps.db"
    done = threading.Event()

    def look() -> None:
        with open_reader(path) as reader:
            while not done.is_set():
                reader.end_of(RUN)
                sum(1 for _ in reader.trial_rows(RUN))

    with start(path) as store:
        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        largest = 0
        try:
            for number in range(160):
                store.append(RUN, [make_record(number, payload=bytes(800_000))], [make_row(number)])
                largest = max(largest, os.path.getsize(f"{path}-wal"))  # noqa: PTH202
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert largest < 64 << 20


def test_reading_a_long_journal_takes_little_memory(tmp_path: Path) -> None:
    """It is read page by page."""
    with start(tmp_path / "sweeps.db") as store:
        for first in range(0, 6000, 500):
            batch = range(first, first + 500)
            store.append(
                RUN, [make_record(number, payload=b"x" * 1000) for number in batch], [make_row(number) for number in batch]
            )
        tracemalloc.start()
        assert sum(1 for _ in store.records(RUN)) == sum(1 for _ in store.trial_rows(RUN)) == 6000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2_000_000


@pytest.mark.parametrize(("trials_per_batch", "room"), [(64, 1200), (1, 1500)])
def test_a_trial_takes_little_room(tmp_path: Path, trials_per_batch: int, room: int) -> None:
    """Six events in four records and a row: at most 1.5 KB, with one slot as with many."""
    path = tmp_path / "sweeps.db"
    trials = 2048
    events = [
        b'["draw",7,{"model":"svm","C":13.720491234,"gamma":0.000123456789},"svm",null,"random",null,1,{"model":"svm"}]',
        b'["pick",7,"7",7,"svm",1.4213562373095,0.71,0.7113562373,14,2,[["svm",1.42],["logistic",1.2],["forest",1.1]],3,2,1,""]',
        b'["dispatch","7","svm",1,null]',
        b'["result","7","svm",1,{"score":0.9127361231},0.012731231,null,null]',
        b'["score","7","svm",0.9127361231,0.9127361231,15,0.71236123,false,true]',
        b'["prune","7","svm",0.12,0.2,15,0]',
    ]
    row_payload = (
        b'[{"model":"svm","C":13.720491234,"gamma":0.000123456789},{"score":0.9127361231},"random",null,7,null,null,null,null]'
    )
    with start(path) as store:
        seq = 0
        for first in range(0, trials, trials_per_batch):
            records = []
            for part in (events[:2], events[2:4], events[4:5], events[5:]):
                body = b"[" + b",".join(event for event in part for _ in range(trials_per_batch)) + b"]"
                count = len(part) * trials_per_batch
                records.append(make_record(seq, count, body, f"sweep[{first // trials_per_batch}]/dispatch"))
                seq += count
            rows = [make_row(number)._replace(payload=row_payload) for number in range(first, first + trials_per_batch)]
            store.append(RUN, records, rows)
    assert path.stat().st_size / trials < room
    assert not Path(f"{path}-wal").exists()


def test_what_was_written_is_flushed_soon_and_once(tmp_path: Path) -> None:
    """A second write before the flush adds none; nothing is flushed while nothing is written."""
    handle = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    flusher = Flusher(handle, interval=0.001)
    for expected in (1, 2):
        flusher.written()
        flusher.written()
        until = time.monotonic() + 5
        while flusher.flushes < expected and time.monotonic() < until:
            time.sleep(0.001)
        assert flusher.flushes == expected
    flusher.close()


def test_a_flush_that_fails_stops_the_writer(tmp_path: Path) -> None:
    """What comes after it is not acknowledged."""
    with start(tmp_path / "sweeps.db") as store:
        fill(store, 1)
        flusher = store._writer._flusher
        assert flusher is not None
        flusher.error = OSError(5, "Input/output error")
        with pytest.raises(StoreError, match=r"could not be flushed to the disk .*Input/output"):
            fill(store, 1)


def test_with_power_every_commit_is_flushed(tmp_path: Path) -> None:
    """By SQLite itself: no thread is needed."""
    promises: list[tuple[Durability, int]] = [("process", 1), ("power", 2)]
    for durability, level in promises:
        with start(tmp_path / f"{durability}.db", durability) as store:
            assert store._connection.execute("PRAGMA synchronous").fetchone() == (level,)
            assert (store._writer._flusher is None) is (durability == "power")
            fill(store, 2)


def test_a_store_that_nobody_closed_is_closed_with_its_process(tmp_path: Path) -> None:
    """The log is folded in and gone, with no warning."""
    path = tmp_path / "sweeps.db"
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]); from store_kit import fill, start\n"
        "store = start(Path(sys.argv[1])); fill(store, 10)"
    )
    said = python("-W", "error", "-c", code, str(path), str(Path(__file__).parent)).communicate(timeout=20)
    assert said == ("", "")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["sweeps.db", "sweeps.db-lock"]
    with open_reader(path) as reader:
        assert reader.end_of(RUN) == 10


def test_a_store_may_be_closed_in_the_middle_of_a_batch_of_another(tmp_path: Path) -> None:
    """As garbage collection does: neither waits for the other, and nothing is lost."""
    path = tmp_path / "sweeps.db"
    with start(path) as store:
        other = SqliteStore(path)
        fill(store, 3)
        with store._writer:
            other.close()
        fill(store, 3)
        assert len(content(store)[0]) == 6


def test_stores_leave_no_threads_or_files_open(tmp_path: Path) -> None:
    """However often one is opened and closed."""
    path = tmp_path / "sweeps.db"
    start(path).close()
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
    for _ in range(20):
        with start(path) as store:
            fill(store, 1)
    assert threading.active_count() <= threads
    assert not files or len(os.listdir("/proc/self/fd")) <= files  # noqa: PTH208


def test_a_writer_that_is_killed_leaves_readers_reading(tmp_path: Path) -> None:
    """An open reader goes on, and so does one that is opened afterwards."""
    path, witness = tmp_path / "sweeps.db", tmp_path / "witness"
    start(path).close()
    with open_reader(path) as reader:
        process = writer(path, witness)
        wait_for_line(process)
        while acknowledged(witness) < 5:
            time.sleep(0.001)
        end(process)
        assert reader.end_of(RUN) >= acknowledged(witness)
        with SqliteStore(path) as store, open_reader(path) as later:
            assert store.end_of(RUN) == later.end_of(RUN) == reader.end_of(RUN)
