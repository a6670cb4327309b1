"""What a process that takes a run up notes about it, read back. Whatever is in the payload: a note, or one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from metta_sweep.core.budget import Budget
from metta_sweep.core.goal import Goal
from metta_sweep.errors import StoreError, a_kind
from metta_sweep.records import Record

__all__ = ["NO_SWEEPS", "StartNote", "read_start"]

NO_SWEEPS: Final = ("experiment", "pipeline")
"""The kinds of kept runs without trials: a class with a pipeline, and a pipeline that was run by hand."""
_GOAL_UNKNOWN: Final[Mapping[str, Any]] = {"direction": "maximize", "metric": None}


class StartNote(NamedTuple):
    """What one process noted."""

    seed: int
    budget: Budget
    """Empty for a run that is no sweep."""
    goal: Goal
    definition: Mapping[str, Any]
    code: object
    """The digest of the trial function's code, where it was noted."""
    provenance: Mapping[str, Any]

    @property
    def is_sweep(self) -> bool:
        """Whether the run has trials."""
        return self.definition.get("kind") not in NO_SWEEPS


def read_start(run_id: str, record: Record) -> StartNote:
    """The note in a record of kind ``start``.

    Raises:
        StoreError: it is no such note.
    """
    try:
        return _note_in(record.payload)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StoreError(
            f"run {run_id!r}, the record of a start before event {record.seq}",
            f"its payload is no note of a start ({error!s:.200})",
            remedy="The journal is damaged. Start over with fresh=True: this one is kept beside it",
        ) from error


def _note_in(payload: bytes) -> StartNote:
    from pydantic_core import from_json

    note = from_json(payload)
    # a pipeline that was kept by hand has no definition but its kind
    seed, definition, provenance = note["seed"], note.get("definition", {"kind": "pipeline"}), note.get("provenance", {})
    for name, value, kind in (("seed", seed, int), ("definition", definition, Mapping), ("provenance", provenance, Mapping)):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"its {name} is {a_kind(value)}")
    budget = {} if definition.get("kind") in NO_SWEEPS else note["budget"]
    goal = Goal(**(definition.get("goal") or _GOAL_UNKNOWN))
    return StartNote(seed, Budget(**budget), goal, definition, note.get("code"), provenance)
