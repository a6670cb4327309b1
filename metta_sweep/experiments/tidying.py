"""When checkpoints may go: after the journal that made them unneeded has been committed, so that what it names is always there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metta_sweep.core.events import Event, Reported
from metta_sweep.executors.executor import Executor, keeps_checkpoints
from metta_sweep.experiments.fold import SweepState

__all__ = ["Tidying"]

_FEW: Final = 64
"""Trials in flight up to which every commit is followed by a word to the executor."""
_SHARE: Final = 4
"""Beyond, it is told after one fact for so many trials, so that what a word costs does not grow with them."""


class Tidying:
    """Tells an executor which checkpoints are needed: those that trials in flight paused with, or go on from."""

    def __init__(self, executor: Executor, state: SweepState) -> None:
        self._executor = executor if keeps_checkpoints(executor) else None
        self._state = state
        self._kept = any(live.checkpoint is not None for live in state.live.values())
        """Whether there ever was a pause."""
        self._due = False
        self._facts = 0
        """What happened since the last word, reports aside."""

    def recorded(self, facts: Sequence[Event]) -> None:
        """These have joined the journal, and may not be committed yet."""
        if not self._kept:
            if not self._state.paused:
                return
            self._kept = True
        self._due = True
        self._facts += sum([type(fact) is not Reported for fact in facts])

    def committed(self) -> None:
        """All that was recorded has been committed."""
        if not self._due or self._executor is None:
            return
        live = self._state.live
        if len(live) > _FEW and self._facts * _SHARE < len(live):
            return
        self._facts = 0
        self._due = bool(self._state.unscored)  # they leave by their scores, which may be the last records of the run
        self._executor.keep_only({one.checkpoint for one in live.values() if one.checkpoint is not None})
