"""What the tests of the durable store share: a store with a run, and processes that write until they are killed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metta_sweep.records import Checkpoint, Record, RunRow, TrialRow, digest
from metta_sweep.store import SqliteStore
from metta_sweep.store.sql.writer import Durability
from metta_sweep.testing.store_conformance import make_record, make_row

ROOT = Path(__file__).resolve().parents[2]
RUN = "digits-1"
WRITER = Path(__file__).with_name("store_writer.py")
BESIDE = ("", "-wal", "-shm", "-lock")


def start(path: Path, durability: Durability = "process") -> SqliteStore:
    """A store with one run that it drives."""
    store = SqliteStore(path, durability=durability)
    if store.find_run("digits") is None:
        store.create_run(RunRow(RUN, "digits", 1.5))
    store.acquire(RUN)
    return store


def fill(store: SqliteStore, count: int) -> None:
    """Append so many records, each with the row of a trial."""
    first = store.end_of(RUN)
    for number in range(first, first + count):
        store.append(RUN, [make_record(number)], [make_row(number)])


def content(store: SqliteStore) -> tuple[list[Record], list[TrialRow]]:
    """All records and rows of the run."""
    return list(store.records(RUN)), list(store.trial_rows(RUN))


def checkpoint(address: str, payload: bytes = b'{"x":1}') -> Checkpoint:
    """A checkpoint as a pipeline makes it."""
    return Checkpoint(address, "in", "schema", "code", payload, digest(payload))


def copy(path: Path, folder: Path) -> Path:
    """The database and what lies beside it, as they are now, in another folder."""
    folder.mkdir(exist_ok=True)
    for ending in BESIDE[:2]:
        source = Path(f"{path}{ending}")
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / path.name


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as any other program sees it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    try:
        yield connection
    finally:
        connection.close()


def python(*arguments: str) -> subprocess.Popen[str]:
    """A process that runs Python with this package."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def writer(path: Path, witness: Path, *, die_at: str = "", size: int = 200) -> subprocess.Popen[str]:
    """A process that appends to the run until it is killed, and notes in the witness what was acknowledged."""
    return python(str(WRITER), str(path), str(witness), die_at, str(size))


def wait_for_line(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        assert process.stderr is not None
        raise AssertionError(f"the process said nothing: {process.stderr.read()}")
    return line


def end(process: subprocess.Popen[str], how: signal.Signals = signal.SIGKILL) -> None:
    """Kill it and wait for its end."""
    process.send_signal(how)
    process.communicate(timeout=20)


def acknowledged(witness: Path) -> int:
    """How many events the witness saw acknowledged."""
    text = witness.read_bytes() if witness.exists() else b""
    return int(text[: len(text) // 12 * 12][-12:] or 0)
