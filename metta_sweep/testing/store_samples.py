"""What tests put into stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from metta_sweep.records import Checkpoint, Record, TrialRow, digest

__all__ = ["RUN", "make_checkpoint", "make_record", "make_row", "refused"]

RUN: Final = "digits-1"
"""The id of the run that there is from the start; its name is ``digits``."""


def make_record(seq: int, count: int = 1, payload: bytes = b'[["wait","why",0,1]]', address: str = "") -> Record:
    """A record as a sweep makes them."""
    return Record(seq, count, address or f"sweep[{seq}]/score", "events" if count else "start", 1.7e9 + seq, 0.25 * seq, payload)


def make_row(number: int, trial_id: str | None = None, score: float | None = 0.5, state: str = "completed") -> TrialRow:
    """The row of an ended trial."""
    return TrialRow(number, str(number) if trial_id is None else trial_id, "svm", state, score, 1, 0.125, b'[{"C":1.5},{},null]')


def make_checkpoint(address: str, payload: bytes) -> Checkpoint:
    """A checkpoint as a pipeline makes it."""
    return Checkpoint(address, "in", "schema", "code", payload, digest(payload))


@contextmanager
def refused(error: type[Exception]) -> Iterator[None]:
    """The block must raise the error."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")
