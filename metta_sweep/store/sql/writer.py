"""The one connection that writes: its transactions, its checkpoints of the write-ahead log, and the locks around them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from metta_sweep.clock import crash_point
from metta_sweep.errors import StoreError
from metta_sweep.store.sql.checks import check_database, check_place, open_locks
from metta_sweep.store.sql.connection import PATIENCE, connect, explain, explained
from metta_sweep.store.sql.files import OpenFiles
from metta_sweep.store.sql.flushing import Flusher
from metta_sweep.store.sql.migrating import migrate, version_of

__all__ = ["Durability", "Writer"]

Durability = Literal["process", "power"]
"""``process``: what was appended survives the death of any process, and is on disk within a second. ``power``: at once."""

LOG_FOLDED: Final = 16 << 20
"""Bytes of write-ahead log from which it is folded into the database."""
LOG_AGAIN: Final = 4 << 20
"""Bytes after which it is tried again, when a reader needed the log and it could not begin anew."""
LOG_INSISTED: Final = 40 << 20
"""Bytes from which readers are waited for, so that it does."""
INSISTENCE: Final = 0.2
"""Seconds to wait for readers then."""


class Writer:
    """Opens a database for writing, makes or migrates it, and is a context in which one transaction happens, all or nothing.

    Entering it takes the lock of writers and begins the transaction; leaving it commits, or rolls back after an exception.

    Args:
        path: absolute path of the database.
        durability: what is promised when the block has ended without an exception.
        lock: the file with its locks.
        filesystem: tells the type of the file system that holds a path.

    Raises:
        StoreError: the place cannot be used.
    """

    def __init__(self, path: Path, durability: Durability, lock: Path, filesystem: Callable[[Path], str | None]) -> None:
        self.path = path
        self._durability = durability
        self._pid = os.getpid()
        check_place(path, filesystem(path))
        check_database(path, lock)
        self.locks = open_locks(path, lock)
        self._log = -1
        self._log_size = 0
        self._lost: tuple[str, str] | None = None
        self._flusher: Flusher | None = None
        self._fold_at = LOG_FOLDED
        self._unfolded = False
        try:
            with explained(path, "opening it"):
                self.connection = connect(path, "rwc")
                self._prepare(lock)
        except BaseException:
            self.locks.close()
            raise
        self._cursor = self.connection.cursor()
        self._execute = self._cursor.execute

    # -- one transaction ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> sqlite3.Cursor:
        self.check_open()
        self._lock()
        try:
            self._check_files()
            if self._unfolded:
                self._fold()
            self._execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self.locks.stop_writing()
            raise explain(error, self.path, "writing") from error
        except BaseException:
            self.locks.stop_writing()
            raise
        return self._cursor

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is not None:
                self._roll_back()
                if isinstance(error, sqlite3.Error):
                    raise explain(error, self.path, "writing") from error
                return
            self._commit()
        finally:
            self.locks.stop_writing()

    def _commit(self) -> None:
        try:
            crash_point("commit.before")
            self._execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise explain(error, self.path, "writing") from error
        except BaseException:
            self._roll_back()
            raise
        if self._flusher is not None:
            self._flusher.written()
        crash_point("commit.after")
        if self._log_size >= self._fold_at:
            try:
                self._fold()
            except StoreError:
                self._unfolded = True  # it is committed all the same: the next transaction tries again, and tells
        elif self._log_size < LOG_FOLDED:
            self._fold_at = LOG_FOLDED

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            self._execute("ROLLBACK")

    # -- the write-ahead log -----------------------------------------------------------------------------------------------------

    def _fold(self) -> None:
        """Copy the log into the database, so that it begins anew with the next transaction in which no reader needs it."""
        crash_point("checkpoint.before")
        with explained(self.path, "folding in its write-ahead log"):
            self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if self._log_size >= LOG_INSISTED:
                self._execute(f"PRAGMA busy_timeout = {int(INSISTENCE * 1000)}")
                try:
                    self._execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                finally:
                    self._execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
        self._unfolded = False
        self._fold_at = self._log_size + LOG_AGAIN
        crash_point("checkpoint.after")

    def _fold_all(self) -> None:
        """So that a log that is cut or lost later leaves a database of the right schema."""
        crash_point("checkpoint.before")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        crash_point("checkpoint.after")

    # -- opening and closing -----------------------------------------------------------------------------------------------------

    def _prepare(self, lock: Path) -> None:
        self._lock()
        try:
            try:
                version_of(self.connection, self.path)
                self._set_up()
                if migrate(self.connection, self.path):
                    self._fold_all()
                self._open_log()
                self._files = OpenFiles(self.path, lock, self.locks.identity)
            except BaseException:
                self._close_log()
                self.connection.close()
                raise
        finally:
            self.locks.stop_writing()

    def _set_up(self) -> None:
        execute = self.connection.execute
        mode = execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise self._error(f"it cannot be kept with a write-ahead log (SQLite keeps {mode!r})", "Use a file on a local disk")
        execute(f"PRAGMA synchronous = {'FULL' if self._durability == 'power' else 'NORMAL'}")
        # by ourselves, under the lock of writers
        execute("PRAGMA wal_autocheckpoint = 0")
        # a log that begins anew is cut to what it holds, so that its size says how long it is
        execute("PRAGMA journal_size_limit = 0")

    def _open_log(self) -> None:
        self._log = os.open(f"{self.path}-wal", os.O_RDWR | getattr(os, "O_BINARY", 0))
        if self._durability == "process":
            self._flusher = Flusher(os.dup(self._log))

    def close(self) -> None:
        """Fold in the log and let go of the file."""
        if self._log < 0:
            return
        if os.getpid() != self._pid:
            self._log = -1
            _abandon(self.connection)  # its locks are those of the parent
            return
        try:
            self._close_connection()
            self._flush()
        finally:
            self._close_log()

    def _close_log(self) -> None:
        log, self._log = self._log, -1
        if self._flusher is not None:
            self._flusher.close()
        if log >= 0:
            os.close(log)

    def _close_connection(self) -> None:
        # garbage collection may close this one within a transaction of another one, which then is left to fold the log in
        alone = not self.locks.is_writing_here()
        if alone:
            self._lock()
        try:
            if self._files.are_disputed():
                _abandon(self.connection)
                return
            with explained(self.path, "closing it"):
                self.connection.close()
            self._files.leave()
        finally:
            if alone:
                self.locks.stop_writing()
            self.locks.close()

    def _flush(self) -> None:
        """Bring to the disk what was left in the log, when a reader has kept it from being folded in."""
        if self._flusher is None or not self._flusher.is_behind() or os.fstat(self._log).st_nlink == 0:
            return
        try:
            os.fsync(self._log)
        except OSError as error:
            raise self._error(f"it could not be flushed to the disk ({error})", "Check the disk, and run it again") from error

    def is_current(self) -> bool:
        """Whether it is open in this process, and its files are still the ones that it opened."""
        return self._log >= 0 and os.getpid() == self._pid and self._lost is None and self._files.are_unchanged()

    def check_open(self) -> None:
        """Refuse what was closed, or was opened by the parent of this process."""
        if os.getpid() != self._pid:
            raise self._error("it was opened by the parent of this process", "Open the store again in the child process")
        if self._log < 0:
            raise self._error("it was closed", "Open it again")

    # -- checks ------------------------------------------------------------------------------------------------------------------

    def _lock(self) -> None:
        if not self.locks.start_writing(PATIENCE):
            raise self._error(
                f"another process has kept it locked for {PATIENCE:g} seconds", "End or continue that process, and run it again"
            )

    def _check_files(self) -> None:
        flusher = self._flusher
        if flusher is not None and flusher.error is not None:
            raise self._error(f"it could not be flushed to the disk ({flusher.error})", "Check the disk, and run it again")
        size = self._files.log_size() if self._lost is None else None
        if size is None:
            raise self._error(*self._tell_loss())
        self._log_size = size

    def _tell_loss(self) -> tuple[str, str]:
        """What happened to the file, and where all that it held was saved, once."""
        if self._lost is None:
            happened, losing = self._files.loss()
            remedy = "All that was kept is still in it: end this process, and run it again"
            if losing:
                remedy = (
                    f"All that was kept in it is saved in {str(self._save())!r}: move that to the place of the store, "
                    "remove what lies there ending in -wal and -shm, and run it again"
                )
            self._lost = f"it {happened} while it was in use", remedy
        return self._lost

    def _save(self) -> Path:
        """What the lost file held, in a new file beside it."""
        number = 1
        while (target := self.path.with_name(f"{self.path.name}.saved-{number}")).exists():
            number += 1
        with explained(self.path, f"saving it as {str(target)!r}"):
            self.connection.execute("VACUUM INTO ?", (str(target),))
        return target

    def _error(self, what: str, remedy: str) -> StoreError:
        return StoreError(f"store {str(self.path)!r}", what, remedy=remedy)


def _abandon(connection: sqlite3.Connection) -> None:
    """Leave a connection to the end of the process, which closes its files only: closing it in order would fold in its log."""
    from ctypes import py_object, pythonapi

    # one reference too many: not even the end of the interpreter closes it
    pythonapi.Py_IncRef(py_object(connection))
