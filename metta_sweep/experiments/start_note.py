"""What a process that takes a run up notes about it, read back. Whatever is in the payload: a note, or one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from metta_sweep.core.budget import Budget
from metta_sweep.core.goal import Goal
from metta_sweep.errors import a_kind
from metta_sweep.experiments.forking import Fork, kept_fork
from metta_sweep.pipeline.keeping.recording import read_note, seed_and_definition
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
    fork: Fork | None = None
    """That the run, or one that it is a fork of, is a fork."""
    reads: str = ""
    """The digest of what the stage read in which it ran; empty outside of kept stages."""
    question: str = ""
    """The digest of what it asked there: of its trial function, with all that this closes over, and its definition."""

    @property
    def is_sweep(self) -> bool:
        """Whether the run has trials."""
        return self.definition.get("kind") not in NO_SWEEPS


def read_start(run_id: str, record: Record) -> StartNote:
    """The note in a record of kind ``start``.

    Raises:
        StoreError: it is no such note.
    """
    return read_note(run_id, record, _note_in, "Start over with fresh=True")


def _note_in(note: Any) -> StartNote:
    seed, definition = seed_and_definition(note)
    provenance = note.get("provenance", {})
    if not isinstance(provenance, Mapping):
        raise TypeError(f"its provenance is {a_kind(provenance)}")
    budget = {} if definition.get("kind") in NO_SWEEPS else note["budget"]
    goal = Goal.from_description(definition.get("goal") or _GOAL_UNKNOWN)
    reads = _text(note.get("reads", ""))
    reads, question = _text(note.get("reads", "")), _text(note.get("question", ""))
    return StartNote(seed, Budget(**budget), goal, definition, note.get("code"), provenance, kept_fork(note), reads, question)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a digest in it is {a_kind(value)}")
    return value
