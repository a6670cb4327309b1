"""The writing end of a run's journal: records gather, and are committed together just before the run would wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from metta_sweep.clock import crash_point, wall_time
from metta_sweep.records import Record, Store, TrialRow

__all__ = ["MAX_GATHERED", "MAX_SECONDS", "JournalWriter"]

MAX_GATHERED: Final = 512
"""Records that gather at most before they are committed."""
MAX_SECONDS: Final = 0.01
"""Seconds for which records gather at most."""


class JournalWriter:
    """Numbers events, gathers records and commits them: when ``flush`` is called, after 512 of them, or after 10 ms.

    Nothing is committed by a timer: what a busy loop gathers is committed in line with it, and one that is about to wait flushes.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._records: list[Record] = []
        self._rows: list[TrialRow] = []
        self._ids: set[str] = set()
        self._began = 0.0
        self.clock: Callable[[], float] | None = None
        """By which records gather; None: by the active seconds of the run."""
        self.noted = 0.0
        """Active seconds of the run in this process at its last record."""
        self.failed = False
        """Whether the last append failed: what had gathered is not kept, as after a crash."""
        self.seq = store.end_of(run_id)
        """The number of the next event."""

    def add(self, address: str, count: int, elapsed: float, payload: bytes, rows: Sequence[TrialRow]) -> bool:
        """Take a record of ``count`` events. Returns whether it is time to flush."""
        now = elapsed if self.clock is None else self.clock()
        if not self._records:
            self._began = now
        self._records.append(Record(self.seq, count, address, "events", wall_time(), elapsed, payload))
        self.noted = elapsed
        self._rows.extend(rows)
        self._ids.update([row.id for row in rows])
        self.seq += count
        return len(self._records) >= MAX_GATHERED or now - self._began >= MAX_SECONDS

    def start(self, payload: bytes, warm: bytes | None = None) -> None:
        """Commit the fact that a process takes the run up; of its first one with what the optimizer knows from the beginning."""
        notes = [Record(self.seq, 0, "", "start", wall_time(), 0.0, payload)]
        if warm is not None:
            notes.append(Record(self.seq, 0, "", "warm", wall_time(), 0.0, warm))
        self._store.append(self._run_id, notes)

    def alive(self, elapsed: float) -> None:
        """Commit the fact that this process drives the run still, with all that has gathered."""
        self.noted = elapsed
        self._records.append(Record(self.seq, 0, "", "alive", wall_time(), elapsed, b"[]"))
        self.flush()

    def note(self, kind: str, payload: bytes, elapsed: float, address: str = "") -> None:
        """Take a note about what runs inside the run. It is committed with what comes next."""
        self._records.append(Record(self.seq, 0, address, kind, wall_time(), elapsed, payload))

    def end(self, elapsed: float, payload: bytes) -> None:
        """Commit the fact that a process leaves the run in order, with all that has gathered."""
        self._records.append(Record(self.seq, 0, "", "end", wall_time(), elapsed, payload))
        self.flush()

    def flush(self) -> None:
        """Commit what has gathered. When this returns it is as durable as the store promises."""
        if not self._records:
            return
        crash_point("append.before")
        self.failed = True
        self._store.append(self._run_id, self._records, self._rows)
        self.failed = False
        self._records, self._rows = [], []
        self._ids.clear()
        crash_point("append.after")

    def has_ended(self, trial_id: str) -> bool:
        """Whether a trial of that id has ended, committed or not."""
        return trial_id in self._ids or self._store.trial_row(self._run_id, trial_id) is not None
