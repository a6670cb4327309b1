"""Deadlines: at its time the task that runs a stage is cancelled, and that cancellation becomes a ``StageTimeout``."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple

from metta_sweep.errors import StageTimeout

if TYPE_CHECKING:
    from metta_sweep.pipeline.run import Scope

__all__ = ["Deadline", "Limit"]

logger: Final = logging.getLogger("metta_sweep")

STUBBORN_SECONDS: Final = 1.0
"""How long after its cancellation a coroutine may clean up before a warning says that it holds the run."""


class Limit(NamedTuple):
    """How long a stage may take."""

    stage: str
    seconds: float
    hook: str = "timeout"
    """``timeout``: each attempt; ``total_timeout``: all attempts, with the delays between them."""
    ended: str = "it was cancelled"
    """What happens to its function at the deadline, unless its thread runs on."""


class Deadline:
    """A block that ends at its time. It does what ``asyncio.timeout`` does, at less cost, and tells more.

    Whatever the block does at its deadline or later - it returns, or raises something else -, ``StageTimeout`` is raised. A
    cancellation by somebody else goes through.
    """

    __slots__ = ("_address", "_cancelling", "_handle", "_limit", "_loop", "_scope", "_task", "enclosing", "expired", "when")

    def __init__(self, limit: Limit, scope: Scope, address: str) -> None:
        self._limit = limit
        self._scope = scope
        self._address = address
        self._loop = asyncio.get_running_loop()
        self.enclosing = scope.deadline
        """When what encloses the stage times out; None: never."""
        self.expired = False
        """The deadline has passed, and the task was cancelled."""
        self.when: float | None = self._loop.time() + limit.seconds
        """By the clock of the event loop; None: there is no deadline any more."""

    def __enter__(self) -> Deadline:
        task = asyncio.current_task(self._loop)
        if task is None or self.when is None:
            raise RuntimeError("a deadline needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._handle = self._loop.call_at(self.when, self._expire)
        enclosing = self.enclosing
        self._scope.deadline = self.when if enclosing is None else min(enclosing, self.when)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._handle.cancel()
        self._scope.deadline = self.enclosing
        if not self.expired:
            return
        cancelled = isinstance(error, asyncio.CancelledError)
        if self._task.uncancel() > self._cancelling:
            if cancelled or error is None or isinstance(error, Exception):
                raise asyncio.CancelledError from error
            return
        if cancelled or error is None:
            raise self._error() from None
        if isinstance(error, Exception):
            raise self._error() from error

    def disarm(self) -> None:
        """Take the deadline away, unless it has passed."""
        if not self.expired:
            self.when = None
            self._handle.cancel()

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()
        self._handle = self._loop.call_later(STUBBORN_SECONDS, self._warn)

    def _warn(self) -> None:
        logger.warning(
            "stage %r at %s was cancelled at its %s of %g s and still runs %g s later: it does not let itself be cancelled, and "
            "holds the run until it ends. Nothing can end a coroutine; what it returns will not be used",
            self._limit.stage,
            self._address,
            self._limit.hook,
            self._limit.seconds,
            STUBBORN_SECONDS,
        )

    def _error(self) -> StageTimeout:
        limit = self._limit
        over = "" if limit.hook == "timeout" else f" over all attempts ({limit.hook})"
        running = self._scope.run.leaks_within(self._address)
        if running == (self._address,):
            still = (
                "its thread still runs and keeps its place until it ends; check StageContext.check_cancelled() in it, or "
                "have it ended with timeout_mode='process'"
            )
        elif running:
            still = f"threads still run and keep their places until they end: {', '.join(running)}"
        else:
            still = limit.ended
        return StageTimeout(
            f"stage {limit.stage!r} at {self._address} did not end within {limit.seconds:g} s{over}: {still}.", running
        )
