"""From what users write for ``store=`` to a store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from metta_sweep.errors import StoreError
from metta_sweep.records import Store
from metta_sweep.store import MemoryStore, open_store
from metta_sweep.store.places import file_of

__all__ = ["DEFAULT_PLACE", "STORE_VARIABLE", "resolve_store"]

STORE_VARIABLE: Final = "METTA_SWEEP_STORE"
"""The environment variable that names the store of experiments that were given none."""
DEFAULT_PLACE: Final = "metta_sweep.db"
"""Where experiments are kept when nothing else is said: a file in the working directory."""

_METHODS: Final = ("create_run", "find_run", "append", "records", "trial_rows", "put_checkpoint", "get_checkpoint")
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
