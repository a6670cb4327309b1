"""The durable store: appended means committed."""

from __future__ import annotations

import json
import os
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast, get_args

from metta_sweep.clock import crash_point, wall_time
from metta_sweep.errors import RunInUse, StoreError
from metta_sweep.records import Checkpoint, Record, RunRow, TrialRow
from metta_sweep.store.places import file_of, filesystem_of
from metta_sweep.store.sql.families import copied_rows, family_of, rename_family
from metta_sweep.store.sql.reader import SqliteReader, lock_path
from metta_sweep.store.sql.rows import checkpoint_values, record_values, row_values
from metta_sweep.store.sql.sealing import seal_cache
from metta_sweep.store.sql.statements import ADD_RECORD, SET_CACHE, SET_CHECKPOINT, SET_ROW
from metta_sweep.store.sql.writer import Durability, Writer

__all__ = ["SqliteStore"]


class _Held:
    """A run that this store drives."""

    __slots__ = ("end", "epoch", "key")

    def __init__(self, key: int, epoch: int) -> None:
        self.key = key
        self.epoch = epoch
        self.end: int | None = None
        """The number of its next event; None when the journal must be asked."""


class SqliteStore(SqliteReader):
    """Keeps runs in one file of SQLite. Any number of processes may read it, and take turns in writing different runs.

    One that wants to append to a run acquires it first. The operating system ends that when its process dies, however it dies; the
    next driver is counted, and whoever was driver before is refused from then on.

    Beside the file lie its write-ahead log (``-wal``, ``-shm``) while it is in use, and a small file of locks (``-lock``).

    Args:
        place: ``"sqlite:///dir/file.db"`` or a path. The file is made if need be, its folder is not.
        durability: ``"process"``: what was appended survives the death of any process, and a loss of power from a second later on;
            ``"power"``: it survives a loss of power at once, at the price of a flush for each ``append``.
        filesystem: tells the type of the file system that holds a path; one of another machine is refused.

    Raises:
        StoreError: the place cannot be used: what is there, what is expected, and how to mend it.
    """

    def __init__(
        self,
        place: str | os.PathLike[str],
        *,
        durability: Durability = "process",
        filesystem: Callable[[Path], str | None] = filesystem_of,
    ) -> None:
        if durability not in get_args(Durability):
            raise StoreError(
                "SqliteStore(durability=)", "there is no such promise", found=durability, expected="'process' or 'power'"
            )
        path = file_of(place, "SqliteStore")
        self._writer = Writer(path, durability, lock_path(path), filesystem)
        super().__init__(path, self._writer.connection)
        self._held: dict[str, _Held] = {}
        # a store that nobody closed is closed with the object or the process
        self._closing = weakref.finalize(self, _close, self._writer, self._held)

    def is_current(self) -> bool:
        """Whether it can go on: it is open, in the process that opened it, and nobody took the file or one beside it away."""
        return self._writer.is_current()

    @property
    def drives(self) -> bool:
        """Whether it drives a run now."""
        return bool(self._held)

    def create_run(self, row: RunRow) -> None:
        """Add a run."""
        with self._using, self._writer as cursor:
            self._add_run(cursor, row, 0)

    def begin_run(self, row: RunRow, records: Sequence[Record] = ()) -> None:
        """Add a run, become its one driver, and append its first records, in one transaction."""
        locks = self._writer.locks
        driven: int | None = None
        with self._using:
            try:
                with self._writer as cursor:
                    key = self._add_run(cursor, row, 1)
                    pid = locks.become_driver(key)
                    if pid is not None:
                        raise self._in_use(row.run_id, pid)
                    driven = key
                    held = _Held(key, 1)
                    values, held.end = self._record_values(held, records, 0)
                    cursor.executemany(ADD_RECORD, values)
            except BaseException:
                if driven is not None:
                    locks.stop_driving(driven)
                raise
            self._keys[row.run_id] = key
            self._held[row.run_id] = held
        crash_point("epoch.after")

    def rename_run(self, run_id: str, name: str) -> None:
        """Give a run another name, and its descendants names that begin with it, in one transaction."""
        self._key(run_id)
        with self._using, self._writer as cursor:
            before, family = family_of(cursor, run_id)
            for member in family[1:]:
                pid = self._writer.locks.driver(member.key)
                if pid is not None:
                    raise self._in_use(member.run_id, pid)
            taken = rename_family(cursor, family, before, name)
            if taken is not None:
                raise self._name_taken(taken)

    def fork_run(self, source_run_id: str, row: RunRow) -> None:
        """Add a run with all that is kept of another one, in one transaction: other writers wait for it.

        What is copied is checked, and sealed anew for the run that it belongs to now.
        """
        self._key(source_run_id)
        with self._using, self._writer as cursor:
            key = self._add_run(cursor, row._replace(forked_from=source_run_id), 0)
            for statement, page in copied_rows(self, source_run_id, key):
                cursor.executemany(statement, page)
            crash_point("fork.copied")

    def acquire(self, run_id: str) -> None:
        """Become the one driver of a run, and count it, before anything else is written."""
        key = self._key(run_id)
        with self._using:
            self._writer.check_open()
            pid = self._writer.locks.become_driver(key)
            if pid is not None:
                raise self._in_use(run_id, pid)
            try:
                with self._writer as cursor:
                    cursor.execute("UPDATE runs SET epoch = epoch + 1 WHERE id = ?", (key,))
                    (epoch,) = cursor.execute("SELECT epoch FROM runs WHERE id = ?", (key,)).fetchone()
            except BaseException:
                self._writer.locks.stop_driving(key)
                raise
            self._held[run_id] = _Held(key, epoch)
        crash_point("epoch.after")

    def release(self, run_id: str) -> None:
        """Stop being its driver."""
        held = self._held.pop(run_id, None)
        if held is not None:
            self._writer.locks.stop_driving(held.key)

    def append(self, run_id: str, records: Sequence[Record], rows: Sequence[TrialRow] = ()) -> None:
        """Append records and set projection rows, in one transaction.

        Raises:
            StoreError: they do not continue the journal, this store does not drive the run, or it cannot be written.
        """
        held = self._held_run(run_id)
        key = held.key
        start = self.end_of(run_id) if held.end is None else held.end
        values, end = self._record_values(held, records, start)
        held.end = None  # until it is known to be committed
        with self._using, self._writer as cursor:
            self._check_epoch(cursor, held, run_id)
            if len(values) == 1:
                cursor.execute(ADD_RECORD, values[0])
            else:
                cursor.executemany(ADD_RECORD, values)
            if len(rows) == 1:
                cursor.execute(SET_ROW, row_values(key, rows[0]))
            elif rows:
                cursor.executemany(SET_ROW, [row_values(key, row) for row in rows])
        held.end = end if end >= start else None

    def end_of(self, run_id: str) -> int:
        """The number that the next event of the run gets."""
        held = self._held.get(run_id)
        if held is None:
            return super().end_of(run_id)
        if held.end is None:
            held.end = super().end_of(run_id)
        return held.end

    def put_checkpoint(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Keep the output of a stage; replaces what was kept at its address."""
        held = self._held_run(run_id)
        key = held.key
        values = checkpoint_values(key, held.epoch, checkpoint)
        with self._using, self._writer as cursor:
            self._check_epoch(cursor, held, run_id)
            cursor.execute(SET_CHECKPOINT, values)

    def put_cache(self, key: str, payload: bytes) -> None:
        """Keep what every run of this store may use again; replaces what was kept under the key."""
        values = (key, wall_time(), seal_cache(key, payload), payload)
        with self._using, self._writer as cursor:
            cursor.execute(SET_CACHE, values)

    def close(self) -> None:
        """Let go of the runs and of the file."""
        with self._using:
            self._closing()

    def _held_run(self, run_id: str) -> _Held:
        held = self._held.get(run_id)
        if held is None:
            self._key(run_id)
            raise StoreError(
                f"store {str(self.path)!r}",
                f"the run {run_id!r} is not driven by this store",
                remedy="Call acquire() before writing to it",
            )
        return held

    def _add_run(self, cursor: sqlite3.Cursor, row: RunRow, epoch: int) -> int:
        """Add a run with so many drivers, and return its key."""
        names = (row.run_id, row.name, row.name)
        taken = cursor.execute("SELECT run_id FROM runs WHERE run_id IN (?, ?) OR name = ?", names).fetchall()
        if (row.run_id,) in taken:
            raise StoreError(
                f"store {str(self.path)!r}", f"there is a run {row.run_id!r} already", found=row.run_id, expected="a new id"
            )
        if taken:
            raise self._name_taken(row.name)
        values = (row.run_id, row.name, row.created, json.dumps(row.tags) if row.tags else "[]", epoch, row.forked_from)
        cursor.execute("INSERT INTO runs (run_id, name, created, tags, epoch, forked_from) VALUES (?, ?, ?, ?, ?, ?)", values)
        return cast("int", cursor.lastrowid)

    def _record_values(self, held: _Held, records: Sequence[Record], end: int) -> tuple[list[tuple[object, ...]], int]:
        """The rows of records that continue the journal at an end, and the end that it then has."""
        key, epoch = held.key, held.epoch
        values: list[tuple[object, ...]] = []
        for record in records:
            if record.seq != end:
                raise StoreError(
                    f"store {str(self.path)!r}", "the record does not continue the journal", found=record.seq, expected=f"seq {end}"
                )
            end += record.length
            values.append(record_values(key, epoch, record))
        return values, end

    def _check_epoch(self, cursor: sqlite3.Cursor, held: _Held, run_id: str) -> None:
        found = cursor.execute("SELECT epoch FROM runs WHERE id = ?", (held.key,)).fetchone()
        if found is None or found[0] != held.epoch:
            raise StoreError(
                f"store {str(self.path)!r}",
                f"the run {run_id!r} was taken over by another driver; nothing of this one is kept any more",
                found=f"driver {found[0] if found else None}",
                expected=f"driver {held.epoch}",
                remedy="Let the other one finish",
            )

    def _name_taken(self, name: str | None) -> StoreError:
        return StoreError(
            f"store {str(self.path)!r}", f"there is a run named {name!r} already", found=name, expected="a name that is free"
        )

    def _in_use(self, run_id: str, pid: int) -> RunInUse:
        row = self.find_run(run_id)
        shown = row.name or run_id if row is not None else run_id
        who = "in this process" if pid == os.getpid() else f"by process {pid}" if pid else "by another process"
        return RunInUse(f"the run {shown!r} is being run {who} already. Wait for it to end, or give this one another name.")


def _close(writer: Writer, held: dict[str, _Held]) -> None:
    for run in held.values():
        writer.locks.stop_driving(run.key)
    held.clear()
    writer.close()
