"""Seals: a digest beside each payload, over it and over what it is filed under. What was damaged, cut, swapped or moved shows.

A seal is no signature: it finds accidents, not forgery. What passes it is still only data, and is validated where it is used.
"""

from __future__ import annotations

from hashlib import blake2b
from math import nan
from struct import Struct
from struct import error as struct_error
from typing import Final

from metta_sweep.records import Checkpoint, Record, TrialRow

__all__ = ["UNREADABLE", "seal_cache", "seal_checkpoint", "seal_record", "seal_row"]

_RECORD: Final = Struct("<qqqdd").pack
_ROW: Final = Struct("<qqqdd").pack
_SIZE: Final = 16

UNREADABLE: Final = (TypeError, ValueError, AttributeError, ArithmeticError, struct_error)
"""What sealing raises for columns that hold something else than what is written there."""


def seal_record(run: int, record: Record) -> bytes:
    """The seal of a record of the run with this key: 16 bytes."""
    seq, count, address, kind, time, elapsed, payload = record
    head = _RECORD(run, seq, count, time + 0.0, elapsed + 0.0) + f"{address}\0{kind}\0".encode()
    return blake2b(head + payload, digest_size=_SIZE).digest()


def seal_row(run: int, row: TrialRow) -> bytes:
    """The seal of a trial's row: 16 bytes."""
    number, trial_id, branch, state, score, attempt, seconds, payload = row
    numbers = _ROW(run, number, attempt, _kept(score), _kept(seconds))
    texts = f"{trial_id}\0{'' if branch is None else '=' + branch}\0{state}\0".encode()
    return blake2b(numbers + texts + payload, digest_size=_SIZE).digest()


def seal_checkpoint(run: int, checkpoint: Checkpoint) -> bytes:
    """The seal of a checkpoint: 16 bytes."""
    address, inputs, schema, code, payload, digest = checkpoint
    head = f"{run}\0{address}\0{inputs}\0{schema}\0{code}\0{digest}\0".encode()
    return blake2b(head + payload, digest_size=_SIZE).digest()


def seal_cache(key: str, payload: bytes) -> bytes:
    """The seal of a cache entry: 16 bytes."""
    return blake2b(f"{key}\0".encode() + payload, digest_size=_SIZE).digest()


def _kept(value: float | None) -> float:
    """A number as SQLite gives it back: NaN is NULL there, and zero has no sign."""
    return nan if value is None or value != value else value + 0.0  # noqa: PLR0124  # only NaN differs from itself
