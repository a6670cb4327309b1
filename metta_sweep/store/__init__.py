"""What is kept: in memory, or in a file of SQLite. Names are loaded when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metta_sweep.store.memory import MemoryStore as MemoryStore
    from metta_sweep.store.places import open_store as open_store
    from metta_sweep.store.sql.reader import SqliteReader as SqliteReader
    from metta_sweep.store.sql.reader import open_reader as open_reader
    from metta_sweep.store.sql.store import SqliteStore as SqliteStore

_HOMES = {
    "MemoryStore": "memory",
    "SqliteReader": "sql.reader",
    "SqliteStore": "sql.store",
    "open_reader": "sql.reader",
    "open_store": "places",
}

__all__ = ["MemoryStore", "SqliteReader", "SqliteStore", "open_reader", "open_store"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'metta_sweep.store' has no attribute {name!r}")
    value = getattr(import_module(f"metta_sweep.store.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
