"""The result bus: what happened and is not in the journal yet."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from operator import itemgetter

from metta_sweep.executors.executor import TrialEvent

__all__ = ["ResultBus"]

_order = itemgetter(0)


class ResultBus:
    """Events of trials, kept until they are acknowledged, with one waiter.

    Events that are there at one look come in the order in which their attempts were dispatched, those of one attempt as they
    happened.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._events: list[tuple[int, TrialEvent]] = []
        self._seen = 0
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve this event loop, from its own thread."""
        self._loop = loop
        self._thread = threading.get_ident()

    def close(self) -> None:
        """Let go of the timer. What is not acknowledged can still be peeked."""
        self._disarm()

    def append(self, order: int, event: TrialEvent) -> None:
        """Add an event of the attempt that was dispatched as number ``order``. Only from the loop's thread."""
        self._events.append((order, event))
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def peek(self) -> Sequence[TrialEvent]:
        """All events, in order of dispatch."""
        events = self._events
        if len(events) != self._seen:
            events.sort(key=_order)
            self._seen = len(events)
        return [event for _, event in events]

    def acknowledge(self, count: int) -> list[TrialEvent]:
        """Forget the first ``count`` events of the last ``peek``, and return them."""
        if not 0 <= count <= self._seen:
            raise ValueError(f"acknowledge({count}): the last peek showed {self._seen} events that are not acknowledged.")
        events = [event for _, event in self._events[:count]]
        del self._events[:count]
        self._seen -= count
        return events

    async def wait(self, until: float | None = None) -> None:
        """Return as soon as there is an event or a wake, or at ``until`` (seconds on the event loop's clock)."""
        if self._events or self._woken:
            self._woken = False
            return
        loop = asyncio.get_running_loop()
        if until is None:
            if self._timer is not None:
                self._disarm()
        elif until <= loop.time():
            await asyncio.sleep(0)
            return
        elif until != self._until:
            self._disarm()
            self._until = until
            self._timer = loop.call_at(until, self._expired)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._woken = False

    def wake(self) -> None:
        """Make the running ``wait`` return, or the next one if none runs. Safe from any thread."""
        if threading.get_ident() == self._thread:
            self._wake()
        elif self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:
                if not self._loop.is_closed():
                    raise

    def _wake(self) -> None:
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expired(self) -> None:
        self._timer = self._until = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._until = None
