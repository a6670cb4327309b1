"""Keeping the outputs of stages in a store."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from metta_sweep.clock import wall_time
from metta_sweep.errors import DefinitionChanged, StoreError, a_kind, message_of
from metta_sweep.records import Checkpoint, LoopState, Record, RunRow, Store

__all__ = ["BY_HAND", "StoreRecorder", "ending_of", "keep_aside", "open_kept", "read_note", "seed_and_definition", "why_of"]

T = TypeVar("T")

BY_HAND: Final = {"kind": "pipeline"}
"""What a kept run is when nothing else is said: a pipeline that somebody runs by hand."""


_ENDING: Final = re.compile(rb'\{"ended":"(done|failed|cancelled)"[,}]')

_REMEMBERED: Final = 1 << 16
"""Addresses of a new run that are remembered, so that nothing is looked for where nothing can be: some 10 MB at most."""


def open_kept(
    store: Store, name: str | None, seed: int | None, definition: Mapping[str, Any], *, fresh: bool = False
) -> tuple[StoreRecorder, int]:
    """Become the driver of the run of that name, or of a new one; of a new one in any case where ``fresh`` says so.

    Returns:
        Its recorder, and its seed: the one given now, else the one it had before, else one drawn now.

    Raises:
        RunInUse: somebody drives it.
        DefinitionChanged: it is of another kind.
    """
    row = store.find_run(name) if name is not None else None
    if row is not None and fresh:
        keep_aside(store, row)
        row = None
    if row is None:
        row = RunRow(os.urandom(16).hex(), name, wall_time())
        settled = _drawn() if seed is None else seed
        try:
            store.begin_run(row, (Record(0, 0, "", "start", wall_time(), 0.0, _start_note(settled, definition)),))
            return StoreRecorder(store, row.run_id, new=True), settled
        except StoreError:
            row = store.find_run(name) if name is not None else None
            if row is None:
                raise
    # another process may have begun it a moment ago
    store.acquire(row.run_id)
    try:
        kept = StoreRecorder(store, row.run_id)
        return kept, kept.settle_seed(seed, definition)
    except BaseException:
        store.release(row.run_id)
        raise


def keep_aside(store: Store, row: RunRow) -> None:
    """Free the name of a run: it is kept as ``name@1``, or with the next number that is free, and its descendants with it.

    Raises:
        RunInUse: somebody drives it, or one of them.
    """
    store.acquire(row.run_id)
    try:
        number = 1
        while store.find_run(f"{row.name}@{number}") is not None or store.runs(under=f"{row.name}@{number}"):
            number += 1
        store.rename_run(row.run_id, f"{row.name}@{number}")
    finally:
        store.release(row.run_id)


class StoreRecorder:
    """Keeps every stage of a pipeline in a store, under its address.

    Args:
        store: holds the run.
        run_id: the run; empty for one that is looked at before it exists.
        new: nothing is recorded for it yet.
    """

    keeps = True
    needs_inputs = True

    def __init__(self, store: Store, run_id: str, *, new: bool = False) -> None:
        self.store = store
        self._run_id = run_id
        self._all: set[str] | None = set() if new else None
        """Every address at which something is recorded; None: the store must be asked."""
        self._ended: bytes | None = None
        """The note of how the run ended, as its journal has it; None: it goes on."""
        self.elapsed: Callable[[], float] = float
        """Active seconds of the run, over all the times it was taken up, for what is noted."""

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
        kept = self.kept_seed(definition)
        seed = given if given is not None else kept if kept is not None else _drawn()
        if seed != kept:
            self.note("start", _start_note(seed, definition))
        else:
            self._ended = _note_of_end(self.store, self._run_id)
        return seed

    def note_end(self, how: Literal["done", "failed", "cancelled"], error: BaseException | None = None) -> None:
        """Keep how the run has ended. One that had ended so before, and has recorded nothing since, has it kept already.

        Args:
            how: it ended.
            error: with which it failed.
        """
        why = {} if how != "failed" or error is None else {"why": f"{type(error).__name__}: {message_of(error)}"}
        # JSON escapes what UTF-8 cannot hold
        ending = json.dumps({"ended": how, **why}, separators=(",", ":")).encode()
        if self._ended != ending:
            self.note("end", ending, length=1)
            self._ended = ending

    def note(self, kind: str, payload: bytes, *, address: str = "", length: int = 0) -> None:
        """Append a note. Endings count as events, so that the last one is found without reading those before."""
        self._ended = None  # an end that is not the last note is none
        at = self.store.end_of(self._run_id)
        self.store.append(self._run_id, (Record(at, length, address, kind, wall_time(), self.elapsed(), payload),))

    def kept_seed(self, definition: Mapping[str, Any]) -> int | None:
        """The seed that the run had before; None: there was no run before.

        Raises:
            DefinitionChanged: the run is of another kind.
            StoreError: what is kept of its start is no such thing.
        """
        kept: int | None = None
        for record in self.store.records(self._run_id, kind="start"):
            kept, before = read_note(self._run_id, record, seed_and_definition, "Run under another name")
            _check_kind(before, definition)
        return kept

    def recorded(self, address: str) -> Checkpoint | None:
        """What is recorded at an address. Raises ``DamagedPayload`` for what is not what was written there."""
        if not self._run_id or (self._all is not None and address not in self._all):
            return None
        return self.store.get_checkpoint(self._run_id, address)

    def record(self, address: str, output: object, checkpoint: Checkpoint | None) -> None:
        """Keep the output of a stage."""
        if checkpoint is None:
            return
        if self._ended is not None:
            self.note("alive", b"{}", length=1)  # what was at an end goes on again
        known = self._all
        if known is not None:  # before it is known to be kept: who looks for it then asks the store
            known.add(address)
            if len(known) > _REMEMBERED:
                self._all = None
        self.store.put_checkpoint(self._run_id, checkpoint)

    def loop_state(self, address: str) -> LoopState | None:
        """Loops are replayed: their stages are reused one by one."""
        return None


def _drawn() -> int:
    return int.from_bytes(os.urandom(4), "big")


def _start_note(seed: int, definition: Mapping[str, Any]) -> bytes:
    """What a run says of itself when it is taken up."""
    from pydantic_core import to_json

    return to_json({"version": 1, "seed": seed, "definition": definition})


def ending_of(store: Store, run_id: str) -> str | None:
    """How a run ended that is no sweep: ``done``, ``failed`` or ``cancelled``; None where it goes on, or was broken off."""
    payload = _note_of_end(store, run_id)
    if payload is None:
        return None
    found = _ENDING.match(payload)
    return "done" if found is None else found[1].decode()


def why_of(store: Store, run_id: str) -> str | None:
    """With which error a run that is no sweep failed: its class and what it says; None where that is not known."""
    payload = _note_of_end(store, run_id)
    if payload is None or _ENDING.match(payload) is None:
        return None
    try:
        why = json.loads(payload).get("why")
    except ValueError:  # it has been noted that it ended: what else a damaged note says is not known
        return None
    return why.encode("utf-8", "backslashreplace").decode() if isinstance(why, str) else None


def _note_of_end(store: Store, run_id: str) -> bytes | None:
    last: Record | None = None
    for last in store.records(run_id, max(0, store.end_of(run_id) - 1)):  # noqa: B007  # the last one
        pass
    return None if last is None or last.kind != "end" else last.payload


def read_note(run_id: str, record: Record, read: Callable[[Any], T], remedy: str) -> T:
    """What ``read`` makes of the note in a record of a start, a JSON value. Raises ``StoreError`` when it is no such note."""
    from pydantic_core import from_json

    try:
        return read(from_json(record.payload))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StoreError(
            f"run {run_id!r}, the record of a start before event {record.seq}",
            f"its payload is no note of a start ({error!s:.200})",
            remedy=f"The journal is damaged. {remedy}: this one is kept beside it",
        ) from error


def seed_and_definition(note: Any) -> tuple[int, Mapping[str, Any]]:
    """What every note of a start holds. A pipeline that was kept by hand has no definition but its kind."""
    seed, definition = note["seed"], note.get("definition", BY_HAND)
    if type(seed) is not int or not isinstance(definition, Mapping):
        raise TypeError(f"its seed is {a_kind(seed)}, its definition {a_kind(definition)}")
    return seed, definition


def _check_kind(kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    if kept.get("kind") != given.get("kind"):
        raise DefinitionChanged(
            f"the run of this name was kept by something else: kind: kept {kept.get('kind')!r}, given {given.get('kind')!r}. "
            "Give this one another name."
        )
