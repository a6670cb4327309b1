"""Ending attempts that did not end when they were asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from metta_sweep.executors.attempt import Attempt

__all__ = ["LAST_GRACE", "Cutting"]

LAST_GRACE: Final = 1.0
"""Seconds that a cancelled coroutine has for its cleaning up, before it is given up."""


class Cutting:
    """Cancels coroutines, and gives up what cannot be cancelled.

    Args:
        end: tells that an attempt has ended.
        give_up: tells that an attempt has ended, although it runs on.
    """

    def __init__(self, end: Callable[[Attempt], None], give_up: Callable[[Attempt], None]) -> None:
        self._end = end
        self._give_up = give_up

    def time_up(self, attempt: Attempt) -> None:
        """Its time limit is over."""
        attempt.limit = None
        if not attempt.ended:
            attempt.timed_out = attempt.cause in (None, "pause")
            attempt.ask()
            self.cut(attempt)

    def cut(self, attempt: Attempt) -> None:
        """End it now."""
        if attempt.timer is not None:
            attempt.timer.cancel()
            attempt.timer = None
        if attempt.ended:
            return
        if attempt.instead is not None:
            attempt.cause = attempt.instead
        if attempt.handle is None or attempt.cut:
            self._give_up(attempt)
            return
        attempt.cut = True
        attempt.handle.cancel()
        if attempt.begun:
            attempt.timer = attempt.loop.call_later(LAST_GRACE, self.cut, attempt)
        else:
            self._end(attempt)

    def cut_to_pause(self, attempt: Attempt) -> None:
        """Cancel a coroutine that was asked to pause. Whatever comes of it, it is not given up: its directory may be in use."""
        if attempt.instead is not None:
            self.cut(attempt)
            return
        attempt.timer = None
        if attempt.ended or attempt.cut or attempt.handle is None:
            return
        attempt.cut = True
        attempt.handle.cancel()
        if attempt.begun:
            attempt.timer = attempt.loop.call_later(LAST_GRACE, self._swallowed, attempt)
        else:
            self._end(attempt)

    def _swallowed(self, attempt: Attempt) -> None:
        """It swallowed its cancellation, and runs on: what is asked of it later holds."""
        attempt.timer = None
        attempt.cut = False
        if attempt.instead is not None:
            self.cut(attempt)
