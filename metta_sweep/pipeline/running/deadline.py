"""Deadlines: at its time the task that runs a stage is cancelled, and that cancellation becomes a ``StageTimeout``."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from metta_sweep.errors import StageTimeout

if TYPE_CHECKING:
    from metta_sweep.pipeline.running.run import Scope

__all__ = ["Deadline", "Limit", "Watch"]

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


class Watch:
    """The deadlines of one run, under one timer: it is set anew only for one that is earlier, or when it goes off."""

    __slots__ = ("_active", "_armed", "_count", "_handle", "_heap", "_loop")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heap: list[tuple[float, int, Deadline]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._armed = math.inf
        self._active = 0
        self._count = 0

    def add(self, deadline: Deadline, seconds: float) -> float:
        """Watch a deadline. Returns when it is, by the clock of the event loop."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        self._active += 1
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, deadline))
        if when < self._armed:
            self._arm(loop, when)
        return when

    def remove(self) -> None:
        """A deadline that was watched is over."""
        self._active -= 1
        if not self._active:
            self._heap.clear()
        elif len(self._heap) > 64 + 2 * self._active:
            self._heap = [entry for entry in self._heap if not entry[2].over]
            heapq.heapify(self._heap)

    def close(self) -> None:
        """The run has ended."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle, self._armed = None, math.inf

    def _arm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = when
        self._handle = loop.call_at(when, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Expire what is due, and wait for what is next."""
        heap = self._heap
        now = max(loop.time(), self._armed)  # clocks are coarse: a timer may go off a little early
        self._handle, self._armed = None, math.inf
        while heap and (heap[0][2].over or heap[0][0] <= now):
            deadline = heapq.heappop(heap)[2]
            if not deadline.over:
                deadline.expire()
        if heap:
            self._arm(loop, heap[0][0])


class Deadline:
    """A block that ends at its time. It does what ``asyncio.timeout`` does, at less cost, and tells more.

    Whatever the block does at its deadline or later - it returns, or raises something else -, ``StageTimeout`` is raised. A
    cancellation by somebody else goes through.
    """

    __slots__ = ("_address", "_cancelling", "_limit", "_scope", "_task", "enclosing", "expired", "over", "when")

    def __init__(self, limit: Limit, scope: Scope, address: str) -> None:
        self._limit = limit
        self._scope = scope
        self._address = address
        self.enclosing = scope.deadline
        """When what encloses the stage times out; None: never."""
        self.expired = False
        """The deadline has passed, and the task was cancelled."""
        self.over = False
        """The block has ended, or its deadline was taken away."""
        self.when: float | None = None
        """By the clock of the event loop; None: there is no deadline."""

    def __enter__(self) -> Self:
        scope = self._scope
        watch = scope.run.watch
        self._task = task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task")
        self._cancelling = task.cancelling()
        self.when = when = watch.add(self, self._limit.seconds)
        enclosing = self.enclosing
        scope.deadline = when if enclosing is None or when < enclosing else enclosing
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._scope.deadline = self.enclosing
        if not self.over:
            self.over = True
            self._scope.run.watch.remove()
        if self.expired:
            self._settle(error)

    def disarm(self) -> None:
        """Take the deadline away, unless it has passed."""
        if not self.expired and not self.over:
            self.when = None
            self.over = True
            self._scope.run.watch.remove()

    def expire(self) -> None:
        """Cancel the task: the deadline has passed."""
        self.expired = True
        if self._task is not None:
            self._task.cancel()
            asyncio.get_running_loop().call_later(STUBBORN_SECONDS, self._warn)

    def _settle(self, error: BaseException | None) -> None:
        """Raise what the end of the block comes to, after its deadline has passed."""
        cancelled = isinstance(error, asyncio.CancelledError)
        usual = error is None or cancelled or isinstance(error, Exception)
        if self._task is not None and self._task.uncancel() > self._cancelling:
            if usual and not cancelled:
                raise asyncio.CancelledError from error
        elif usual:
            raise self._error() from (None if cancelled else error)

    def _warn(self) -> None:
        if self.over:
            return
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
                "its thread still runs and cannot be ended; it holds its worker until the function returns; "
                "check StageContext.check_cancelled() in it, or have it ended with timeout_mode='process'"
            )
        elif running:
            still = f"threads still run and hold their workers until their functions return: {', '.join(running)}"
        else:
            still = limit.ended
        return StageTimeout(
            f"stage {limit.stage!r} at {self._address} did not end within {limit.seconds:g} s{over}: {still}.", running
        )
