"""From what users write for ``store=`` to a store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from metta_sweep.errors import StoreError
from metta_sweep.records import RunRow, Store
from metta_sweep.store import MemoryStore, open_store
from metta_sweep.store.places import file_of

__all__ = ["DEFAULT_PLACE", "STORE_VARIABLE", "files_beside", "resolve_store", "say_where"]

STORE_VARIABLE: Final = "METTA_SWEEP_STORE"
"""The environment variable that names the store of experiments that were given none."""
DEFAULT_PLACE: Final = "metta_sweep.db"
"""Where experiments are kept when nothing else is said: a file in the working directory."""

_METHODS: Final = ("create_run", "find_run", "append", "records", "trial_rows", "put_checkpoint", "get_checkpoint")
_told: Final[set[str]] = set()
_open: Final[WeakValueDictionary[Path, Store]] = WeakValueDictionary()
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


def say_where(store: Store, row: RunRow) -> None:
    """Tell people where a run is kept and what it is called there: on the error output, once per run and process."""
    path = getattr(store, "path", None)
    if path is None or row.run_id in _told:
        return
    _told.add(row.run_id)
    named = repr(row.name) if row.name is not None else f"{row.run_id!r} (it has no name, so it does not go on by itself)"
    sys.stderr.write(f"metta_sweep: run {named} is kept in {path}\n")


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
    if found is None:
        found = _open[path] = open_store(path)
    return found
