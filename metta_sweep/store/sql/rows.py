"""What is kept, as the columns of its row, with its seal. The order is that of the statements."""

from __future__ import annotations

from metta_sweep.records import Checkpoint, Record, TrialRow
from metta_sweep.store.sql.sealing import seal_checkpoint, seal_record, seal_row

__all__ = ["checkpoint_values", "record_values", "row_values"]


def record_values(key: int, epoch: int, record: Record) -> tuple[object, ...]:
    """A record of the run with this key, written by its driver of that number."""
    seq, count, address, kind, time, elapsed, payload = record
    return key, seq, count, address, kind, time, elapsed, epoch, seal_record(key, record), payload


def row_values(key: int, row: TrialRow) -> tuple[object, ...]:
    """The row of an ended trial of that run."""
    number, trial_id, branch, state, score, attempt, seconds, payload = row
    shown = None if trial_id == str(number) else trial_id
    return key, number, shown, branch, state, score, attempt, seconds, seal_row(key, row), payload


def checkpoint_values(key: int, epoch: int, checkpoint: Checkpoint) -> tuple[object, ...]:
    """A checkpoint of that run, written by its driver of that number."""
    address, inputs, schema, code, payload, digest = checkpoint
    return key, address, inputs, schema, code, digest, epoch, seal_checkpoint(key, checkpoint), payload
