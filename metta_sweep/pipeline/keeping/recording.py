"""Keeping the outputs of stages in a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from metta_sweep.clock import wall_time
from metta_sweep.errors import DefinitionChanged
from metta_sweep.records import Checkpoint, LoopState, Record, Store

__all__ = ["BY_HAND", "StoreRecorder"]

BY_HAND: Final = {"kind": "pipeline"}
"""What a kept run is when nothing else is said: a pipeline that somebody runs by hand."""


class StoreRecorder:
    """Keeps every stage of a pipeline in a store, under its address.

    Args:
        store: holds the run.
        run_id: the run; empty for one that is looked at before it exists.
    """

    keeps = True
    needs_inputs = True

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self._run_id = run_id

    @property
    def run_id(self) -> str:
        """The id of the run in the store."""
        return self._run_id

    @property
    def folder(self) -> Path:
        """Where files are kept that stages make."""
        return self.store.artifact_folder()

    def settle_seed(self, given: int | None, definition: Mapping[str, Any]) -> int:
        """The seed of the run: the one given now, else the one it had before, else one drawn now. It is kept with the run.

        Raises:
            DefinitionChanged: the run is of another kind.
        """
        from pydantic_core import to_json

        kept = self.kept_seed(definition)
        seed = given if given is not None else kept if kept is not None else int.from_bytes(os.urandom(4), "big")
        if seed != kept:
            payload = to_json({"version": 1, "seed": seed, "definition": definition})
            record = Record(self.store.end_of(self._run_id), 0, "", "start", wall_time(), 0.0, payload)
            self.store.append(self._run_id, (record,))
        return seed

    def kept_seed(self, definition: Mapping[str, Any]) -> int | None:
        """The seed that the run had before; None: there was no run before.

        Raises:
            DefinitionChanged: the run is of another kind.
        """
        from pydantic_core import from_json

        kept: int | None = None
        for record in self.store.records(self._run_id):
            if record.kind == "start":
                note = from_json(record.payload)
                kept = note["seed"]
                _check_kind(note.get("definition", BY_HAND), definition)
        return kept

    def recorded(self, address: str) -> Checkpoint | None:
        """What is recorded at an address. Raises ``DamagedPayload`` for what is not what was written there."""
        return self.store.get_checkpoint(self._run_id, address) if self._run_id else None

    def record(self, address: str, output: object, checkpoint: Checkpoint | None) -> None:
        """Keep the output of a stage."""
        if checkpoint is not None:
            self.store.put_checkpoint(self._run_id, checkpoint)

    def loop_state(self, address: str) -> LoopState | None:
        """Loops are replayed: their stages are reused one by one."""
        return None


def _check_kind(kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    if kept.get("kind") != given.get("kind"):
        raise DefinitionChanged(
            f"the run of this name was kept by something else: kind: kept {kept.get('kind')!r}, given {given.get('kind')!r}. "
            "Give this one another name."
        )
