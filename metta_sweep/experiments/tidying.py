"""When checkpoints may go: after the journal that made them unneeded has been committed, so that what it names is always there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metta_sweep.core.events import Event, Paused, Reported
from metta_sweep.executors.executor import Executor, KeepsCheckpoints
from metta_sweep.experiments.fold import SweepState

__all__ = ["Tidying"]

_FEW: Final = 64
"""Trials in flight up to which every commit is followed by a word to the executor."""
_SHARE: Final = 4
"""Beyond, it is told after one fact for so many trials, so that what a word costs does not grow with them."""


class Tidying:
    """Tells an executor which checkpoints are needed: those that trials in flight paused with, or go on from."""

    def __init__(self, executor: Executor, state: SweepState) -> None:
        self._executor = executor if isinstance(executor, KeepsCheckpoints) else None
        self._state = state
        self._kept = any(live.checkpoint is not None for live in state.live.values())
        """Whether there ever were checkpoints."""
        self._due = False
        self._facts = 0
        """What happened since the last word, reports aside."""

    def recorded(self, facts: Sequence[Event]) -> None:
        """These have joined the journal, and may not be committed yet."""
        self._kept = self._kept or any(type(fact) is Paused for fact in facts)
        self._due = self._kept
        if self._due:
            self._facts += sum([type(fact) is not Reported for fact in facts])

    def committed(self) -> None:
        """All that was recorded has been committed."""
        if not self._due or self._executor is None:
            return
        live = self._state.live
        if len(live) > _FEW and self._facts * _SHARE < len(live):
            return
        self._due, self._facts = False, 0
        self._executor.keep_only({one.checkpoint for one in live.values() if one.checkpoint is not None})
