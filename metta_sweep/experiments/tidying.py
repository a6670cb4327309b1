"""When checkpoints may go: after the journal that made them unneeded has been committed, so that what it names is always there."""

from __future__ import annotations

from collections.abc import Sequence

from metta_sweep.core.events import Event, Paused
from metta_sweep.executors.executor import Executor, KeepsCheckpoints
from metta_sweep.experiments.fold import SweepState

__all__ = ["Tidying"]


class Tidying:
    """Tells an executor which checkpoints are needed: those that trials in flight paused with, or go on from."""

    def __init__(self, executor: Executor, state: SweepState) -> None:
        self._executor = executor if isinstance(executor, KeepsCheckpoints) else None
        self._state = state
        self._kept = any(live.checkpoint is not None for live in state.live.values())
        """Whether there ever were checkpoints."""
        self._due = False

    def recorded(self, facts: Sequence[Event]) -> None:
        """These have joined the journal, and may not be committed yet."""
        self._kept = self._kept or any(type(fact) is Paused for fact in facts)
        self._due = self._kept

    def committed(self) -> None:
        """All that was recorded has been committed."""
        if self._due and self._executor is not None:
            self._due = False
            self._executor.keep_only({live.checkpoint for live in self._state.live.values() if live.checkpoint is not None})
