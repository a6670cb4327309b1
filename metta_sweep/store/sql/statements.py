"""The statements of the hot path, in SQL that SQLite and PostgreSQL share but for the mark of a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["ADD_RECORD", "SET_CACHE", "SET_CHECKPOINT", "SET_ROW"]

_RECORD: Final = ("run", "seq", "count", "address", "kind", "time", "elapsed", "epoch", "seal", "payload")
_ROW: Final = ("run", "number", "id", "branch", "state", "score", "attempt", "seconds", "seal", "payload")
_CHECKPOINT: Final = ("run", "address", "inputs", "schema", "code", "digest", "epoch", "seal", "payload")


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  # names from here


def _upsert(table: str, columns: Sequence[str], keys: int = 2) -> str:
    """Insert; where there is a row with the same values of the first columns, replace the others of it."""
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns[keys:])
    return f"{_insert(table, columns)} ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {changes}"


ADD_RECORD: Final = _insert("records", _RECORD)
SET_ROW: Final = _upsert("trials", _ROW)
SET_CHECKPOINT: Final = _upsert("checkpoints", _CHECKPOINT)
SET_CACHE: Final = _upsert("cache", ("key", "created", "seal", "payload"), keys=1)
