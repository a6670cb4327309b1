"""Connections to a database file, and what its errors mean in words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from metta_sweep.errors import StoreError

__all__ = ["PATIENCE", "connect", "explain", "explained"]

PATIENCE: Final = 30.0
"""Seconds to wait for another process that is writing."""

SMALLEST: Final = 512
"""Bytes of the smallest database."""

_MEANINGS: Final[tuple[tuple[str, str, str], ...]] = (
    ("SQLITE_FULL", "the disk, or the quota on it, is full", "Free some space and run it again; what was acknowledged is kept"),
    (
        "SQLITE_READONLY",
        "it cannot be written to",
        "Give this user the right to write the file and its folder, or use another place",
    ),
    ("SQLITE_NOTADB", "it is no database of SQLite", "Give the path of another file; this one was left as it is"),
    ("SQLITE_CORRUPT", "the database is damaged", "Put a copy from before the damage in its place, or start over in another file"),
    ("SQLITE_BUSY", f"another program has kept it locked for {PATIENCE:g} seconds", "End what has it open, and run it again"),
    ("SQLITE_LOCKED", f"another program has kept it locked for {PATIENCE:g} seconds", "End what has it open, and run it again"),
    ("SQLITE_CANTOPEN", "it cannot be opened", "Check that its folder exists and that this user may write there"),
    (
        "SQLITE_IOERR",
        "reading or writing it failed",
        "Check the disk: it may be full, over its quota, or gone; what was acknowledged is kept",
    ),
)


def connect(path: Path, mode: Literal["ro", "rwc"]) -> sqlite3.Connection:
    """A connection on which nothing is implied: no transactions by itself, no code from the schema, no memory map.

    It may be used from any thread, by one at a time.
    """
    # SQLite takes a file of a few bytes for an empty one; reading it here would drop the locks of other connections of this process
    if path.exists() and 0 < path.stat().st_size < SMALLEST:
        raise StoreError(
            f"store {str(path)!r}",
            "it is no database of SQLite",
            remedy="Give the path of another file; this one was left as it is",
        )
    uri = f"{path.as_uri()}?mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists():
        uri += "&immutable=1"  # nobody writes, and SQLite could not make the files that readers share
    connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        for setting in ("mmap_size = 0", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def explain(error: sqlite3.Error | UnicodeDecodeError, path: Path, doing: str) -> StoreError:
    """What an error of SQLite means for the people whose store it is."""
    # a message of SQLite that quotes damaged text cannot even be decoded
    damaged = isinstance(error, UnicodeDecodeError)
    name = "SQLITE_CORRUPT" if damaged else getattr(error, "sqlite_errorname", None) or ""
    for prefix, meaning, remedy in _MEANINGS:
        if name.startswith(prefix):
            return StoreError(f"store {str(path)!r}", f"{meaning} ({doing}: {error})", remedy=remedy)
    return StoreError(
        f"store {str(path)!r}", f"{doing} failed ({error})", remedy="The file may be damaged: put a copy from before in its place"
    )


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Raise what SQLite raises inside the block as a ``StoreError``."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise explain(error, path, doing) from error
