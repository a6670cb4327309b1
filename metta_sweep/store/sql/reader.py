"""Reading a database: pages of rows, each in a transaction of its own, each row checked against its seal before it is used."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from metta_sweep.errors import DamagedPayload, StoreError
from metta_sweep.records import Checkpoint, Record, RunRow, TrialRow
from metta_sweep.store.families import family_bounds
from metta_sweep.store.places import file_of
from metta_sweep.store.sql.connection import connect, explain, explained
from metta_sweep.store.sql.locks import driver_in
from metta_sweep.store.sql.migrating import version_of
from metta_sweep.store.sql.sealing import UNREADABLE, seal_cache, seal_checkpoint, seal_record, seal_row
from metta_sweep.store.sql.sums import SumsReader
from metta_sweep.store.sql.versions import HEAD, READABLE, WITHOUT_FORKS

__all__ = ["SqliteReader", "lock_path", "open_reader"]

PAGE: Final = 256
"""Rows that are read at once: what bounds memory, and how long a reader can keep the log from being folded in."""

_RECORD: Final = "SELECT id, seal, seq, count, address, kind, time, elapsed, payload FROM records"
_ROW: Final = "SELECT seal, number, id, branch, state, score, attempt, seconds, payload FROM trials"
_RUN: Final = "SELECT run_id, name, created, tags, forked_from FROM runs"
_RUN_WITHOUT_FORKS: Final = "SELECT run_id, name, created, tags, NULL FROM runs"


def open_reader(place: str | os.PathLike[str]) -> SqliteReader:
    """A reader of the database at a place, which never writes and never waits for the one who does.

    Raises:
        StoreError: there is none, or it is no database of this package.
    """
    path = file_of(place, "open_reader")
    if not path.is_file():
        raise StoreError(f"store {str(path)!r}", "there is no such file", remedy="Check the path, or run an experiment there first")
    with explained(path, "opening it"):
        connection = connect(path, "ro")
        try:
            connection.execute("PRAGMA query_only = ON")
            version = version_of(connection, path)
        except BaseException:
            connection.close()
            raise
    if version not in READABLE:
        connection.close()
        raise StoreError(
            f"store {str(path)!r}",
            "it was written by an older version of metta_sweep",
            found="an empty file" if version is None else f"schema {version}",
            expected=f"schema {HEAD}",
            remedy="Run an experiment on it once, which migrates it",
        )
    return SqliteReader(path, connection, version)


def lock_path(path: Path) -> Path:
    """The file beside a database that holds its locks."""
    return path.with_name(path.name + "-lock")


class SqliteReader(SumsReader):
    """The reading half of a store. Made by ``open_reader``; ``with`` closes it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, version: str = HEAD) -> None:
        self.path = path
        self._run = _RUN_WITHOUT_FORKS if version in WITHOUT_FORKS else _RUN
        self._connection = connection
        self._using = threading.RLock()
        self._keys: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def find_run(self, name: str) -> RunRow | None:
        """The run of that name (or, where no run has that name, of that id)."""
        found = self._fetch(f"{self._run} WHERE name = ? OR run_id = ?", (name, name))
        return self._run_row(max(found, key=lambda columns: columns[1] == name)) if found else None

    def runs(self, under: str | None = None) -> Sequence[RunRow]:
        """All runs, oldest first; or only the descendants of the run with that name."""
        if under is None:
            return [self._run_row(row) for row in self._fetch(f"{self._run} ORDER BY id")]
        # the plus keeps SQLite from reading all runs in the order of their ids
        found = self._fetch(f"{self._run} WHERE name >= ? AND name < ? ORDER BY +id", family_bounds(under))
        return [self._run_row(row) for row in found]

    def driver_of(self, run_id: str) -> int | None:
        """The process that drives a run, as far as can be told without touching its lock; None when there is none."""
        key = self._key(run_id)
        lock = lock_path(self.path)
        return driver_in(lock, key) if lock.is_file() else None

    def records(self, run_id: str, start: int = 0, kind: str | None = None) -> Iterator[Record]:
        """The records, in order, from the one that holds or follows event number ``start``; all, or those of one kind.

        Raises:
            DamagedPayload: at the record that is not what was written, or where one is missing.
        """
        key = self._key(run_id)
        seq, position = self._first(key, start)
        expected = 0 if start <= 0 else None
        which, wanted = ("", ()) if kind is None else ("AND kind = ? ", (kind,))
        if kind not in {None, "events"}:
            which += "AND kind <> 'events' "  # for the index of those
        statement = f"{_RECORD} WHERE run = ? AND (seq, id) >= (?, ?) {which}ORDER BY seq, id LIMIT {PAGE}"
        while True:
            page = self._fetch(statement, (key, seq, position, *wanted))
            for position, *columns in page:  # noqa: B007  # the next page begins after it
                record = self._record(key, run_id, columns)
                if expected is not None and record.seq != expected and kind is None:
                    raise self._damage(run_id, f"the record with event {expected} is missing")
                seq, expected = record.seq, record.seq + record.length
                yield record
            if len(page) < PAGE:
                return
            position += 1

    def end_of(self, run_id: str) -> int:
        """The number that the next event of the run gets."""
        key = self._key(run_id)
        last = self._fetch(f"{_RECORD} WHERE run = ? ORDER BY seq DESC, id DESC LIMIT 1", (key,))
        if not last:
            return 0
        record = self._record(key, run_id, last[0][1:])
        return record.seq + record.length

    def trial_rows(self, run_id: str, start: int = 0, stop: int | None = None) -> Iterator[TrialRow]:
        """Rows of ended trials with ``start <= number < stop``, by number."""
        key = self._key(run_id)
        bound = "" if stop is None else f"AND number < {int(stop)} "
        while True:
            page = self._fetch(f"{_ROW} WHERE run = ? AND number >= ? {bound}ORDER BY number LIMIT {PAGE}", (key, start))
            for columns in page:
                row = self._row(key, run_id, columns)
                start = row.number + 1
                yield row
            if len(page) < PAGE:
                return

    def trial_row(self, run_id: str, trial_id: str) -> TrialRow | None:
        """The row of the ended trial of that id."""
        key = self._key(run_id)
        found = self._fetch(f"{_ROW} WHERE run = ? AND id = ?", (key, trial_id))
        if not found and len(trial_id) < 19 and trial_id.isascii() and trial_id.isdigit() and str(int(trial_id)) == trial_id:
            found = self._fetch(f"{_ROW} WHERE run = ? AND number = ? AND id IS NULL", (key, int(trial_id)))
        return self._row(key, run_id, found[0]) if found else None

    def get_checkpoint(self, run_id: str, address: str) -> Checkpoint | None:
        """What is kept at an address.

        Raises:
            DamagedPayload: it is not what was written there.
        """
        key = self._key(run_id)
        found = self._fetch(
            "SELECT seal, inputs, schema, code, payload, digest FROM checkpoints WHERE run = ? AND address = ?", (key, address)
        )
        if not found:
            return None
        seal, *columns = found[0]
        checkpoint = Checkpoint(address, *columns)
        try:
            intact = seal_checkpoint(key, checkpoint) == seal
        except UNREADABLE:
            intact = False
        if not intact:
            raise self._damage(run_id, f"the checkpoint at {address} is damaged")
        return checkpoint

    def checkpoint_addresses(self, run_id: str) -> Sequence[str]:
        """The addresses at which something is kept, sorted; whether it is intact shows when it is read."""
        found = self._fetch("SELECT address FROM checkpoints WHERE run = ? ORDER BY address", (self._key(run_id),))
        return [str(address) for (address,) in found]

    def get_cache(self, key: str) -> bytes | None:
        """What is kept under a key.

        Raises:
            DamagedPayload: it is not what was written there.
        """
        found = self._fetch("SELECT seal, payload FROM cache WHERE key = ?", (key,))
        if not found:
            return None
        seal, payload = found[0]
        if not isinstance(payload, bytes) or seal_cache(key, payload) != seal:
            raise DamagedPayload(
                f"store {str(self.path)!r}", f"the cache entry {key!r} is damaged: it is not what was written, and is not used"
            )
        return payload

    def artifact_folder(self) -> Path:
        """Where files lie that stages made: beside the database, under its name and ``.artifacts``."""
        return self.path.with_name(self.path.name + ".artifacts")

    def close(self) -> None:
        """Let go of the file."""
        with self._using, explained(self.path, "closing it"):
            self._connection.close()

    # -- within ----------------------------------------------------------------------------------------------------------------

    def _fetch(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._using:
                return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            raise self._explain(error, "reading it") from error

    def _explain(self, error: Exception, doing: str) -> StoreError:
        if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
            return StoreError(f"store {str(self.path)!r}", "it was closed", remedy="Open it again")
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):
            return explain(error, self.path, doing)
        return StoreError(f"store {str(self.path)!r}", f"{doing} failed ({error})")

    def _key(self, run_id: str) -> int:
        key = self._keys.get(run_id)
        if key is None:
            found = self._fetch("SELECT id FROM runs WHERE run_id = ?", (run_id,))
            if not found:
                raise StoreError(
                    f"store {str(self.path)!r}",
                    f"there is no run {run_id!r}",
                    found=run_id,
                    expected="the id of a run of this store",
                )
            key = self._keys[run_id] = int(found[0][0])
        return key

    def _first(self, key: int, start: int) -> tuple[int, int]:
        """Where reading begins: the record before ``start`` if it holds that event, else the first one from there on."""
        before = self._fetch(
            "SELECT seq, id, count FROM records WHERE run = ? AND seq < ? ORDER BY seq DESC, id DESC LIMIT 1", (key, start)
        )
        if before and all(type(value) is int for value in before[0]):
            seq, position, count = before[0]
            if seq + count > start:
                return seq, position
        return start, 0

    def _run_row(self, columns: tuple[Any, ...]) -> RunRow:
        run_id, name, created, tags, forked_from = columns
        try:
            listed = json.loads(tags)
        except (ValueError, TypeError, RecursionError):
            listed = None
        if not (
            isinstance(run_id, str)
            and (name is None or isinstance(name, str))
            and isinstance(created, float)
            and isinstance(listed, list)
            and all(isinstance(tag, str) for tag in listed)
            and (forked_from is None or isinstance(forked_from, str))
        ):
            raise self._damage(str(run_id), "its row is damaged")
        return RunRow(run_id, name, created, tuple(listed), forked_from)

    def _record(self, key: int, run_id: str, columns: Sequence[Any]) -> Record:
        seal, *rest = columns
        record = Record(*rest)
        try:
            intact = seal_record(key, record) == seal
        except UNREADABLE:
            intact = False
        if not intact:
            raise self._damage(run_id, f"record {record.seq!r} at {record.address!r} is damaged")
        return record

    def _row(self, key: int, run_id: str, columns: Sequence[Any]) -> TrialRow:
        seal, number, trial_id, *rest = columns
        row = TrialRow(number, str(number) if trial_id is None else trial_id, *rest)
        try:
            intact = seal_row(key, row) == seal
        except UNREADABLE:
            intact = False
        if not intact:
            raise self._damage(run_id, f"the row of trial {number!r} is damaged")
        return row

    def _damage(self, run_id: str, what: str) -> DamagedPayload:
        return DamagedPayload(
            f"store {str(self.path)!r}, run {run_id!r}",
            f"{what}: it is not what was written, and is not used",
            remedy="Put a copy of the file from before the damage in its place, or start over with fresh=True, beside it",
        )
