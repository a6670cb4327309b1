"""Whether a database can be kept at a place, asked before anything is made there."""

from __future__ import annotations

import os
from pathlib import Path

from metta_sweep.errors import StoreError
from metta_sweep.store.places import refuse_network
from metta_sweep.store.sql.connection import connect, explained
from metta_sweep.store.sql.locks import LockFile
from metta_sweep.store.sql.migrating import version_of

__all__ = ["check_database", "check_place", "open_locks"]


def check_place(path: Path, filesystem: str | None) -> None:
    """Refuse a place without a folder, on a disk of another machine, or where this user may not write."""
    where = f"store {str(path)!r}"
    if path.is_dir():
        raise StoreError(
            where, "it is a folder", expected="the path of a file", remedy=f"Name a file in it: {str(path / 'metta_sweep.db')!r}"
        )
    if not path.parent.is_dir():
        raise StoreError(
            where,
            f"its folder {str(path.parent)!r} does not exist",
            expected="a folder that exists",
            remedy="Make it, or check the path",
        )
    refuse_network(path, filesystem)
    for place, kind in ((path.parent, "its folder"), (path, "it")):
        if place.exists() and not os.access(place, os.W_OK):
            raise StoreError(
                where,
                f"{kind} is read-only for this user",
                found=str(place),
                expected="a place that can be written to",
                remedy="Give this user the right to write there, or use another place: store='/dir/file.db' or METTA_SWEEP_STORE",
            )


def check_database(path: Path, lock: Path) -> None:
    """Refuse what is no database of this package before anything is made beside it."""
    if lock.exists() or not path.exists() or path.stat().st_size == 0:
        return
    with explained(path, "opening it"):
        connection = connect(path, "ro")
        try:
            version_of(connection, path)
        finally:
            connection.close()


def open_locks(path: Path, lock: Path) -> LockFile:
    """The locks of a database."""
    try:
        return LockFile.open(lock)
    except OSError as error:
        raise StoreError(
            f"store {str(path)!r}",
            f"its locks cannot be opened ({error})",
            expected=f"a file {str(lock)!r} that this user may write",
            remedy="Give this user the right to write it, or use another place",
        ) from error
