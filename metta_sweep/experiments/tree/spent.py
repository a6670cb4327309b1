"""What an experiment has used that ran inside another one, as the journal of that one keeps it."""

from __future__ import annotations

from typing import Any

from metta_sweep.core.budget import Spend
from metta_sweep.pipeline.keeping.recording import read_note
from metta_sweep.records import Record

__all__ = ["read_spent", "spent_payload"]


def spent_payload(spend: Spend) -> bytes:
    """The spend as JSON."""
    from pydantic_core import to_json

    return to_json({"version": 1, "spend": spend._asdict()})


def read_spent(record: Record) -> Spend:
    """The spend in a record of kind ``child``. Raises ``StoreError`` when it is none."""
    return read_note(record.address, record, _spend_in, "Start over with fresh=True")


def _spend_in(note: Any) -> Spend:
    spend = note["spend"]
    return Spend(int(spend["trials"]), float(spend["seconds"]), float(spend["cost"]))
