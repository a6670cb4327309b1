"""From what users write for ``store=`` to a store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO, cast
from weakref import WeakValueDictionary

from metta_sweep.errors import StoreError
from metta_sweep.records import RunRow, Store, StoreReader
from metta_sweep.store import MemoryStore
from metta_sweep.store.places import file_of

if TYPE_CHECKING:
    from metta_sweep.store import SqliteStore

__all__ = ["DEFAULT_PLACE", "STORE_VARIABLE", "files_beside", "reader_of", "resolve_store", "say_where"]

STORE_VARIABLE: Final = "METTA_SWEEP_STORE"
"""The environment variable that names the store of experiments that were given none."""
DEFAULT_PLACE: Final = "metta_sweep.db"
"""Where experiments are kept when nothing else is said: a file in the working directory."""

_METHODS: Final = ("create_run", "find_run", "append", "records", "trial_rows", "put_checkpoint", "get_checkpoint")
_TOLD_AT_MOST: Final = 256
_told: Final[dict[str, None]] = {}
"""Ids of runs that people were told of, those told last: a process may make any number of runs."""
_open: Final[WeakValueDictionary[Path, SqliteStore]] = WeakValueDictionary()
"""Stores of files that are open in this process: one file has one writer, for as long as somebody uses it."""


def resolve_store(store: Store | str | os.PathLike[str] | None, where: str) -> Callable[[], Store]:
    """A function that gives the store of the next run. Nothing is opened before it is called.

    Raises:
        StoreError: it is none, or a place that cannot be used.
    """
    if store is None:
        return _default
    if isinstance(store, str | os.PathLike):
        place = store
        if place != "memory":
            file_of(place, where)
        return lambda: _at(place)
    if not all(hasattr(store, method) for method in _METHODS):
        raise StoreError(
            where,
            "it is no store",
            found=store,
            expected="'memory', a path, 'sqlite:///dir/file.db' or a Store",
            remedy="Share one MemoryStore() between runs to continue in the same process without a file",
        )
    given: Store = store
    return lambda: given


@contextmanager
def reader_of(store: Store | str | os.PathLike[str] | None) -> Iterator[StoreReader]:
    """What the next run would find in its store, to be looked at: where nothing is kept yet, nothing is made.

    Raises:
        StoreError: it is a place that cannot be used.
    """
    place = (os.environ.get(STORE_VARIABLE) or DEFAULT_PLACE) if store is None else store
    if not isinstance(place, str | os.PathLike):
        yield place
        return
    path = None if place == "memory" else file_of(place, "store")
    if path is None or (path.parent.is_dir() and not path.exists()):
        yield MemoryStore()
        return
    found = _open.get(path)
    if found is not None and found.is_current():
        yield found
        return
    from metta_sweep.store import open_reader

    with closing(open_reader(path)) as reader:
        yield reader


def say_where(store: Store, row: RunRow) -> None:
    """Tell people where a run is kept and what it is called there: on the error output, once per run and process.

    It is an announcement and no more: where there is no error output, or nobody reads it, nobody is told.
    """
    path = getattr(store, "path", None)
    if path is None or row.run_id in _told:
        return
    _told[row.run_id] = None
    while len(_told) > _TOLD_AT_MOST:
        del _told[next(iter(_told))]
    named = repr(row.name) if row.name is not None else f"{row.run_id!r} (it has no name, so it does not go on by itself)"
    output = cast("TextIO | None", sys.stderr)
    if output is not None:
        with suppress(OSError, ValueError):  # nobody reads it any more, or it was closed
            output.write(f"metta_sweep: run {named} is kept in {path}\n")


def files_beside(store: Store) -> Path | None:
    """Where the files of the trials of a store's runs lie: ``metta_sweep.db-checkpoints``, say; None without a file."""
    path = getattr(store, "path", None)
    return None if path is None else Path(f"{path}-checkpoints")


def _default() -> Store:
    return _at(os.environ.get(STORE_VARIABLE) or DEFAULT_PLACE)


def _at(place: str | os.PathLike[str]) -> Store:
    if place == "memory":
        return MemoryStore()
    path = file_of(place, "store")
    found = _open.get(path)
    # results that somebody keeps still read from a file that was deleted meanwhile: what runs next is kept in a new one
    if found is None or not (found.is_current() or found.drives):
        from metta_sweep.store import SqliteStore

        found = _open[path] = SqliteStore(path)
    return found


if hasattr(os, "register_at_fork"):
    # a forked child opens files anew: those of its parent are the parent's
    os.register_at_fork(after_in_child=_open.clear)
