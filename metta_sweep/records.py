"""What is kept: the envelope and rows of the journal, and what a store and a recorder offer.

A *store* keeps runs. A *recorder* is what a running pipeline sees of it: what is recorded at this address, record this, where does
this loop go on. Payloads are JSON; nothing that reads them unpickles, evaluates or imports by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

__all__ = ["Checkpoint", "LoopState", "NullRecorder", "Record", "Recorder", "RunRow", "Store", "StoreReader", "TrialRow", "digest"]


class Record(NamedTuple):
    """The envelope: one output of one stage of a sweep, or one fact about the run itself."""

    seq: int
    """The number of its first event in the run; events are numbered without gaps from 0."""
    length: int
    """How many events it holds."""
    address: str
    """The execution that made it: ``sweep[17]/score``."""
    kind: str
    """``events``: a list of sweep events. ``start``: a process took the run up. ``end``: it left the run in order.
    ``alive``: it waits, and drives it still. ``warm``: what its optimizer began with. ``child``: what an experiment inside it used.
    ``headway``: what has got on inside it. Of a pipeline also ``budget``: what it may use; ``outputs``: which fields it gives;
    ``reads``: the digest of what the stage around it reads."""
    time: float
    """Wall clock, seconds since 1970: for people."""
    elapsed: float
    """Active seconds of the run in this process when the record was made, on the monotonic clock."""
    payload: bytes
    """JSON. A store that can be damaged keeps a digest beside it."""


class RunRow(NamedTuple):
    """One run in a store."""

    run_id: str
    name: str | None
    """The name of the experiment, for kept ones. Unique in a store. A child's is its root's name (or id), "/" and its address."""
    created: float
    """Wall clock, seconds since 1970."""
    tags: tuple[str, ...] = ()
    forked_from: str | None = None
    """The id of the run whose journal it began with; None for one that began empty."""


class TrialRow(NamedTuple):
    """The projection of one ended trial: what queries and ``results.trials`` read. Derived from the journal, written with it."""

    number: int
    id: str
    branch: str | None
    state: str
    score: float | None
    attempt: int
    seconds: float | None
    payload: bytes
    """JSON: what else a ``Trial`` holds."""


class Checkpoint(NamedTuple):
    """The recorded output of one stage of a kept pipeline."""

    address: str
    inputs: str
    """Digests of what the stage read; empty where that has no content which could be compared."""
    schema: str
    """Digest of its contract's schema."""
    code: str
    """Digest of its function's code."""
    payload: bytes
    """JSON: the contract's fields."""
    digest: str
    """Of the payload."""


class LoopState(NamedTuple):
    """Where a journalled loop goes on."""

    iteration: int
    """The number of the next iteration."""
    carry: Mapping[str, Any]
    """Values of the carried fields at its start."""


class StoreReader(Protocol):
    """What it takes to look at what a pipeline recorded: every store has it, and a reader of one."""

    def find_run(self, name: str) -> RunRow | None:
        """The run of that name (or, where no run has that name, of that id)."""
        ...

    def records(self, run_id: str, start: int = 0, kind: str | None = None) -> Iterator[Record]:
        """The records, in order."""
        ...

    def checkpoint_addresses(self, run_id: str) -> Sequence[str]:
        """The addresses at which something is kept."""
        ...

    def get_checkpoint(self, run_id: str, address: str) -> Checkpoint | None:
        """What is kept at an address."""
        ...

    def get_cache(self, key: str) -> bytes | None:
        """What is kept under a key."""
        ...

    def artifact_folder(self) -> Path:
        """Where the files lie that stages made."""
        ...


class Store(Protocol):
    """Keeps runs. Appended means committed: what ``append`` was given is durable, to the store's promise, when it returns."""

    def create_run(self, row: RunRow) -> None:
        """Add a run. Raises ``StoreError`` when its id or name is taken."""
        ...

    def begin_run(self, row: RunRow, records: Sequence[Record] = ()) -> None:
        """Add a run, become its one driver, and append its first records: all or nothing.

        Raises ``StoreError`` when its id or name is taken, or the records do not begin a journal.
        """
        ...

    def find_run(self, name: str) -> RunRow | None:
        """The run of that name (or, where no run has that name, of that id)."""
        ...

    def runs(self, under: str | None = None) -> Sequence[RunRow]:
        """All runs, oldest first; or only the descendants of the run with that name: those whose names begin with it and "/"."""
        ...

    def rename_run(self, run_id: str, name: str) -> None:
        """Give a run another name, and its descendants names that begin with it: all or nothing.

        Raises ``StoreError`` when one of the new names is taken, ``RunInUse`` when somebody drives a descendant.
        """
        ...

    def fork_run(self, source_run_id: str, row: RunRow) -> None:
        """Add a run with all that is kept of another one (records, rows of trials, checkpoints), byte for byte: all or nothing.

        It says in ``forked_from`` whence it came, and nobody drives it. The source may be driven, by this process too: what it has
        not yet appended is not copied. Neither are its descendants.

        Raises ``StoreError`` when there is no such source, or the id or name of the new run is taken; ``DamagedPayload`` when the
        source is damaged.
        """
        ...

    def acquire(self, run_id: str) -> None:
        """Become the one driver of a run. Raises ``RunInUse``, naming the process, when it has one that lives."""
        ...

    def release(self, run_id: str) -> None:
        """Stop being its driver."""
        ...

    def append(self, run_id: str, records: Sequence[Record], rows: Sequence[TrialRow] = ()) -> None:
        """Append records and set projection rows, all or nothing."""
        ...

    def records(self, run_id: str, start: int = 0, kind: str | None = None) -> Iterator[Record]:
        """The records, in order, from the one that holds or follows event number ``start``; all, or those of one kind."""
        ...

    def end_of(self, run_id: str) -> int:
        """The number that the next event of the run gets."""
        ...

    def trial_rows(self, run_id: str, start: int = 0, stop: int | None = None) -> Iterator[TrialRow]:
        """Rows of ended trials with ``start <= number < stop``, by number."""
        ...

    def trial_row(self, run_id: str, trial_id: str) -> TrialRow | None:
        """The row of the ended trial of that id."""
        ...

    def put_checkpoint(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Keep the output of a stage; replaces what was kept at its address."""
        ...

    def get_checkpoint(self, run_id: str, address: str) -> Checkpoint | None:
        """What is kept at an address."""
        ...

    def checkpoint_addresses(self, run_id: str) -> Sequence[str]:
        """The addresses at which something is kept, sorted; whether it is intact shows when it is read."""
        ...

    def put_cache(self, key: str, payload: bytes) -> None:
        """Keep what every run of this store may use again; replaces what was kept under the key."""
        ...

    def get_cache(self, key: str) -> bytes | None:
        """What is kept under a key. Raises ``DamagedPayload`` where it is not what was written there."""
        ...

    def artifact_folder(self) -> Path:
        """Where the files lie that stages made, by their content. It may not exist yet; it lives as long as the store does."""
        ...

    def close(self) -> None:
        """Let go of what the store holds open. It is not used afterwards."""
        ...


class Recorder(Protocol):
    """What a running pipeline sees of where it is kept."""

    @property
    def keeps(self) -> bool:
        """Whether anything is kept: False lets the runner leave out addresses, digests and calls."""
        ...

    @property
    def needs_inputs(self) -> bool:
        """Whether it keeps outputs with digests of what their stages read, and is asked for them (a sweep's does not)."""
        ...

    def recorded(self, address: str) -> Checkpoint | None:
        """What is recorded at this address, whatever it is worth now. Raises ``DamagedPayload`` where it is damaged."""
        ...

    def record(self, address: str, output: object, checkpoint: Checkpoint | None) -> None:
        """Record a stage's validated output, before the next stage starts.

        ``checkpoint`` is its JSON form, where ``needs_inputs`` asked for it.
        """
        ...

    def loop_state(self, address: str) -> LoopState | None:
        """Where the loop at this address goes on, when it is journalled; None: it starts at 0, and stages are reused."""
        ...


class NullRecorder:
    """Keeps nothing."""

    keeps = False
    needs_inputs = False

    def recorded(self, address: str) -> Checkpoint | None:
        """Nothing is recorded."""
        return None

    def record(self, address: str, output: object, checkpoint: Checkpoint | None) -> None:
        """Forget it."""

    def loop_state(self, address: str) -> LoopState | None:
        """Loops start at 0."""
        return None


def digest(payload: bytes) -> str:
    """The digest that travels with a payload: BLAKE2b, 128 bits, hexadecimal."""
    return hashlib.blake2b(payload, digest_size=16).hexdigest()
