"""The files of an open database: whether they still are the ones that were opened, told by ``os.stat`` alone.

Opening and closing one of them would drop the locks that SQLite holds on it for this process.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from metta_sweep.errors import StoreError

__all__ = ["OpenFiles", "identity_of"]

Identity = tuple[int, int]


def identity_of(path: str | Path) -> Identity | None:
    """Which file lies at a path; None when there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # several times per transaction: half the time
    except OSError:
        return None
    return status.st_dev, status.st_ino


class OpenFiles:
    """A database, its log, the index of that, and its locks, as they were when a connection had just opened them.

    Args:
        path: of the database.
        lock: the path of its locks.
        locks: the identity of the locks that are held.

    Raises:
        StoreError: this process has it open with another index already, which SQLite would use for the new connection too.
    """

    def __init__(self, path: Path, lock: Path, locks: Identity) -> None:
        self._path = path
        self._database, self._log, self._index, self._lock = str(path), f"{path}-wal", f"{path}-shm", str(lock)
        self._identities = (identity_of(self._database), identity_of(self._log), identity_of(self._index), locks)
        database, _, index, _ = self._identities
        with _indexes_lock:
            known, users = _indexes.get(database, (index, 0))
            if known != index:
                raise StoreError(
                    f"store {str(path)!r}",
                    "this process has it open, and the index of its log (the file ending in -shm) was replaced meanwhile",
                    remedy="End this process, and run it again: all that was kept is still there",
                )
            _indexes[database] = (known, users + 1)

    def are_unchanged(self) -> bool:
        """Whether each of them still lies in its place."""
        return self.log_size() is not None

    def log_size(self) -> int | None:
        """Bytes of the log; None when one of them no longer lies in its place."""
        stat = os.stat
        try:
            database, log, index, lock = stat(self._database), stat(self._log), stat(self._index), stat(self._lock)
        except OSError:
            return None
        found = (
            (database.st_dev, database.st_ino),
            (log.st_dev, log.st_ino),
            (index.st_dev, index.st_ino),
            (lock.st_dev, lock.st_ino),
        )
        return log.st_size if found == self._identities else None

    def loss(self) -> tuple[str, bool]:
        """What happened to them, and whether something that was kept can be lost by it."""
        database, log, index, _ = self._identities
        if identity_of(self._database) != database:
            return "was replaced by another file" if self._path.exists() else "was deleted or moved away", True
        if identity_of(self._log) != log:
            return "lost its write-ahead log (the file ending in -wal)", True
        if identity_of(self._index) != index:
            return "lost the index of its write-ahead log (the file ending in -shm)", False
        return "lost its locks (the file ending in -lock)", False

    def are_disputed(self) -> bool:
        """Whether somebody has begun another log or index. To fold in the own log then would destroy what the other one wrote."""
        _, log, index, _ = self._identities
        return identity_of(self._log) not in {None, log} or identity_of(self._index) not in {None, index}

    def leave(self) -> None:
        """The connection has closed them."""
        database = self._identities[0]
        with _indexes_lock:
            index, users = _indexes[database]
            if users > 1:
                _indexes[database] = (index, users - 1)
            else:
                del _indexes[database]


_indexes: Final[dict[Identity | None, tuple[Identity | None, int]]] = {}
"""By database: the index that SQLite shares between the connections of this process, and how many there are."""
_indexes_lock = threading.Lock()


def _renew_lock_in_child() -> None:
    global _indexes_lock  # noqa: PLW0603  # it may have been held by another thread of the parent
    _indexes_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock_in_child)
