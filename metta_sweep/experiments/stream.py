"""A run as a stream of updates, for ``for`` and ``async for``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from metta_sweep.core.trial import Trial
from metta_sweep.errors import NotAwaited
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.signals import Signals

__all__ = ["SweepUpdate", "Updates", "left_runs_ended"]


class SweepUpdate(NamedTuple):
    """How far a run is. What it tells of is in the journal."""

    trials: int
    """Trials that have ended so far."""
    running: tuple[str, ...]
    """Ids of the trials that run now."""
    best: Trial | None
    phase: str | None
    """The origin of the suggestion that was picked last: which optimizer, and which phase of it."""
    report: Any = None
    """What ``report_results(state)`` of the sweep returned."""
    results: SweepResult | None = None
    """The result of the run: in the last update only."""


class Updates:
    """One update per wait that brought completions, and one at the end. Leaving the loop early ends the run in order.

    Outside an event loop use ``for``; trials that are coroutines then run while the next update is waited for. Inside one use
    ``async for``. A slow consumer holds the run up: nothing is dropped.
    """

    def __init__(self, start: Callable[[], AsyncGenerator[SweepUpdate, None]], spelled: str) -> None:
        self._start = start
        self._spelled = spelled

    def __aiter__(self) -> AsyncIterator[SweepUpdate]:
        return _Following(self._start())

    def __iter__(self) -> Iterator[SweepUpdate]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._blocking()
        raise NotAwaited(
            f"inside an event loop {self._spelled} is an asynchronous stream. Write `async for update in {self._spelled}`."
        )

    def _blocking(self) -> Iterator[SweepUpdate]:
        updates = self._start()
        with Signals() as signals:
            try:
                while True:
                    update = signals.run(lambda: _next(updates))
                    if update is None:
                        return
                    yield update
            finally:
                signals.run(lambda: _close(updates))


class _Following(AsyncIterator[SweepUpdate]):
    """One ``async for``. When it is left early, its run is ended at once, and not when a garbage collector finds the time."""

    def __init__(self, updates: AsyncGenerator[SweepUpdate, None]) -> None:
        self._updates = updates
        self._loop = asyncio.get_running_loop()
        self._over = False

    async def __anext__(self) -> SweepUpdate:
        try:
            return await anext(self._updates)
        except BaseException:
            self._over = True
            raise

    async def aclose(self) -> None:
        """End the run, as leaving the loop does."""
        self._over = True
        await self._updates.aclose()

    def __del__(self) -> None:
        if not self._over and _in_loop(self._loop):
            task = self._loop.create_task(self._updates.aclose())
            _ending.add(task)
            task.add_done_callback(_ending.discard)


def _in_loop(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


_ending: set[asyncio.Task[None]] = set()
"""Runs that were left early and have not ended yet."""


async def left_runs_ended() -> None:
    """Wait until the runs of this event loop that were left early have ended, so that they can go on."""
    loop = asyncio.get_running_loop()
    ending = [task for task in _ending if task.get_loop() is loop]
    if ending:
        await asyncio.wait(ending)


async def _next(updates: AsyncGenerator[SweepUpdate, None]) -> SweepUpdate | None:
    return await anext(updates, None)


async def _close(updates: AsyncGenerator[SweepUpdate, None]) -> None:
    await updates.aclose()
