"""Attempts that were given up, and hold their slots until their code really ends."""

from __future__ import annotations

import logging
import time
from typing import Final

from metta_sweep.executors.attempt import Attempt
from metta_sweep.threads import Leaked

__all__ = ["Leaks"]

_log: Final = logging.getLogger("metta_sweep")


class Leaks:
    """What was given up and still runs. Outlives the runs of its executor, and their event loops.

    A thread may end when the loop that it would tell has closed, so each look asks the attempts.
    """

    def __init__(self) -> None:
        self._attempts: set[Attempt] = set()

    def __len__(self) -> int:
        return len(self._held()) if self._attempts else 0

    def add(self, attempt: Attempt) -> None:
        """Count it from now on."""
        attempt.since = time.monotonic()
        self._attempts.add(attempt)

    def discard(self, attempt: Attempt) -> bool:
        """It has ended. Returns whether it was counted."""
        counted = attempt in self._attempts
        self._attempts.discard(attempt)
        return counted

    def listed(self) -> tuple[Leaked, ...]:
        """Those that still run, longest first; their names are addresses."""
        held = sorted(self._held(), key=lambda attempt: attempt.since)
        return tuple(Leaked(it.task.address, "" if it.call is None else it.call.thread, it.since) for it in held)

    def warn(self, attempt: Attempt) -> None:
        """Tell people of one that was given up, unless it ends by itself: a call that has not begun sees that it comes too late."""
        call = attempt.call
        if attempt.over or (call is not None and not call.thread):
            return
        _log.warning(
            "%s was given up %.3g s after its start: %s, and holds its slot until it ends (%d held)",
            attempt.task.address,
            attempt.loop.time() - attempt.started,
            "its coroutine will not be cancelled" if call is None else f"its thread {call.thread} runs on",
            len(self),
        )

    def _held(self) -> set[Attempt]:
        self._attempts = {attempt for attempt in self._attempts if not attempt.over}
        return self._attempts
