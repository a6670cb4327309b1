"""A run as a stream of its events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from metta_sweep.errors import NotAwaited, message_of
from metta_sweep.pipeline.events import PipelineEvent, PipelineListener

if TYPE_CHECKING:
    from metta_sweep.pipeline.plan import PipelineResult

__all__ = ["PlanStream"]

_ROOM: Final = 256
"""Events that wait for their reader before the run waits, too."""


class PlanStream:
    """The events of one run, as they happen: ``async for event in plan.stream(n=3)``. Afterwards ``result`` is there.

    Nothing runs before the first event is asked for. A slow reader holds the run up, between two stages: no event is dropped, and
    few are kept. For the timeouts of what encloses these stages that time counts. An error of the run is raised where the events
    end. Leaving the loop early cancels the run; leave it by way of ``async with plan.stream(n=3) as events:`` to wait until it has
    ended.

    Args:
        start: runs the plan with a listener.
    """

    def __init__(self, start: Callable[[PipelineListener], Coroutine[Any, Any, PipelineResult]]) -> None:
        self._start = start
        self.waiting: deque[PipelineEvent] = deque()
        """Events that nobody has read yet."""
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._task: asyncio.Task[PipelineResult] | None = None
        self._closed = False

    @property
    def result(self) -> PipelineResult:
        """What the run left behind. Raises ``NotAwaited`` before the events have ended, and the error of a run that failed."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            raise NotAwaited(
                "plan.stream(): there is no result yet; found a run that has not ended, or was left early. Read all events first."
            )
        return self._task.result()

    def __call__(self, event: PipelineEvent) -> None:
        """Take an event: the stream is a listener of its run."""
        self.waiting.append(event)
        self._news.set()

    async def has_room(self) -> None:
        """Wait until the reader has caught up. The run waits for it before each stage."""
        while len(self.waiting) >= _ROOM and not self._closed:
            self._room.clear()
            await self._room.wait()

    async def __aiter__(self) -> AsyncGenerator[PipelineEvent, None]:
        """The events, to the end of the run."""
        try:
            while (event := await self._next()) is not None:
                yield event
        finally:
            await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self.aclose()
        except Exception as failure:
            if error is None or failure is error:
                raise
            error.add_note(f"the run failed as well: {type(failure).__name__}: {message_of(failure)}")

    async def aclose(self) -> None:
        """Cancel the run if it has not ended, and wait for it. Raises its error, if it failed and nobody has seen that yet."""
        task = self._task
        if self._closed or task is None:
            self._closed = True
            return
        self._closed = True
        self._room.set()
        left = not task.done()
        if left:
            task.cancel()
            await self._end_of(task)
        self.waiting.clear()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _next(self) -> PipelineEvent | None:
        """The next event; None after the last one."""
        if self._closed:
            return None
        if self._task is None:
            self._task = asyncio.create_task(self._start(self))
            self._task.add_done_callback(lambda _: self._news.set())
        while not self.waiting:
            if self._task.done():
                self._closed = True
                self._task.result()
                return None
            self._news.clear()
            await self._news.wait()
        event = self.waiting.popleft()
        self._room.set()
        return event

    @staticmethod
    async def _end_of(task: asyncio.Task[PipelineResult]) -> None:
        """Wait for a cancelled run, also where this wait is cancelled in its turn."""
        cancelled = False
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
