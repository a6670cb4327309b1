"""A run as a stream of updates, for ``for`` and ``async for``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, Self

from metta_sweep.core.budget import StopReason
from metta_sweep.core.trial import TERMINAL_STATES, Trial
from metta_sweep.errors import NotAwaited
from metta_sweep.experiments.event_loops import end_task, in_event_loop, on_parent_loop, run_on_parents
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.signals import Signals
from metta_sweep.experiments.sweep_run import SweepRun
from metta_sweep.experiments.tree.joining import tell_parent
from metta_sweep.experiments.tree.node import inside
from metta_sweep.pipeline import Plan

__all__ = ["SweepUpdate", "Updates", "drive", "follow", "left_runs_ended"]

Report = Callable[[SweepState], Any]
"""``report_results`` of a sweep."""


class SweepUpdate(NamedTuple):
    """How far a run is. What it tells of is in the journal."""

    trials: int
    """Trials that have ended so far."""
    running: tuple[str, ...]
    """Ids of the trials that run now."""
    best: Trial | None
    """The trial with the best score so far."""
    phase: str | None
    """The origin of the suggestion that was picked last: which optimizer, and which phase of it."""
    report: Any = None
    """What ``report_results(state)`` of the sweep returned."""
    results: SweepResult | None = None
    """The result of the run: in the last update only."""
    front: int | None = None
    """How many trials no other dominates, with several objectives (``best`` is None then); None with one."""


class Updates(AsyncIterator[SweepUpdate], Iterator[SweepUpdate]):
    """One update per wait that brought completions, and one at the end. Leaving the loop early ends the run in order.

    Outside an event loop use ``for``; trials that are coroutines then run while the next update is waited for. Inside one use
    ``async for``. A slow consumer holds the run up: nothing is dropped.

    It is an iterator as a generator is one: nothing runs before the first update is asked for, and whoever keeps it beyond the loop
    ends the run with ``close()`` or ``aclose()``, or ``with closing(...)`` and ``async with aclosing(...)`` of ``contextlib``.
    """

    def __init__(self, start: Callable[[], AsyncGenerator[SweepUpdate, None]], spelled: str, resume: str | None = None) -> None:
        self._start = start
        self._spelled = spelled
        self._resume = resume
        self._over = False
        self._awaited: AsyncGenerator[SweepUpdate, None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._blocking: Generator[SweepUpdate, None, None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SweepUpdate:
        if self._over:
            raise StopAsyncIteration
        if self._awaited is None:
            self._loop = asyncio.get_running_loop()
            self._awaited = self._start()
        try:
            return await anext(self._awaited)
        except BaseException:
            self._over = True
            raise

    async def aclose(self) -> None:
        """End the run, as leaving the loop does. Returns when it has ended; does nothing when it ended before."""
        self._over = True
        if self._awaited is not None:
            await self._awaited.aclose()

    def __iter__(self) -> Self:
        self._refuse_in_a_loop(f"Write `async for update in {self._spelled}`.")
        return self

    def __next__(self) -> SweepUpdate:
        self._refuse_in_a_loop(f"Write `await anext({self._spelled})`.")
        if self._over:
            raise StopIteration
        if self._blocking is None:
            self._blocking = _on_parent_loop(self._start) if on_parent_loop() else _blocking(self._start, self._resume)
        return next(self._blocking)

    def close(self) -> None:
        """The same as ``aclose()``, where there is no event loop."""
        if self._awaited is not None and not self._over:
            self._refuse_in_a_loop("Write `await updates.aclose()`.")
        self._over = True
        if self._blocking is not None:
            self._blocking.close()

    def _refuse_in_a_loop(self, remedy: str) -> None:
        if in_event_loop():
            raise NotAwaited(f"inside an event loop {self._spelled} is an asynchronous stream. {remedy}")

    def __del__(self) -> None:
        """Ends at once a run that was left early, and not when a garbage collector finds the time."""
        if self._awaited is None or self._loop is None or self._over or not in_event_loop(self._loop):
            return
        task = self._loop.create_task(self._awaited.aclose())
        _ending.add(task)
        task.add_done_callback(_ending.discard)


def _blocking(start: Callable[[], AsyncGenerator[SweepUpdate, None]], resume: str | None) -> Generator[SweepUpdate, None, None]:
    with Signals(resume=resume) as signals:
        # it opens the store, which may make a database
        updates = start()
        try:
            while True:
                update = signals.run(lambda: _next(updates))
                if update is None:
                    return
                yield update
        finally:
            signals.run(lambda: _close(updates))


def _on_parent_loop(start: Callable[[], AsyncGenerator[SweepUpdate, None]]) -> Generator[SweepUpdate, None, None]:
    """In a worker thread of a trial or stage: the run is driven by the event loop of that one."""
    updates = start()
    try:
        while (update := run_on_parents(_next(updates))) is not None:
            yield update
    finally:
        run_on_parents(_close(updates))


async def drive(run: SweepRun, plan: Plan) -> SweepResult:
    """Run a plan on an open run, to its end. What its trials run, runs inside it.

    Raises:
        Interrupted: it ran in a stage of another experiment, and that one ends before its time.
    """
    with inside(run.node):
        await plan.run(recorder=run.recorder, seed=run.seed, inputs={"sweep": run})
    results = run.result()
    if results.stop_reason is StopReason.INTERRUPTED:
        tell_parent(run.node)
    return results


async def follow(opened: AbstractAsyncContextManager[SweepRun], plan: Plan, report: Report) -> AsyncGenerator[SweepUpdate, None]:
    """Run a plan on the run that ``opened`` opens, and tell on the way. Left early, it ends the run; what ends the run, ends it."""
    async with opened as run:
        following = _Following(run, report)
        run.follower = following
        driver = asyncio.create_task(drive(run, plan))
        driver.add_done_callback(lambda _: following.over())
        try:
            while (update := await following.next()) is not None:
                yield update
        except BaseException:
            await end_task(driver)
            raise
        results = await driver
        yield following.update()._replace(results=results)


_AHEAD: Final = 1
"""How many updates may wait to be taken before the run waits."""


class _Following:
    """The follower of a run for which a stream is read. What is told is committed before."""

    def __init__(self, run: SweepRun, report: Report) -> None:
        self._run = run
        self._report = report
        self._updates: asyncio.Queue[SweepUpdate | None] = asyncio.Queue()
        self._taken = asyncio.Event()
        self._taken.set()
        self._told = _ended(run.state)

    def fanned_out(self) -> None:
        """Make an update of the completions since the last one. An error of ``report_results`` ends the run."""
        ended = _ended(self._run.state)
        if ended > self._told:
            self._told = ended
            self._run.recorder.flush()
            self._updates.put_nowait(self.update())
            if self._updates.qsize() > _AHEAD:
                self._taken.clear()

    @property
    def behind(self) -> bool:
        """Whether more than one update has not been taken."""
        return not self._taken.is_set()

    async def caught_up(self) -> None:
        """Wait until all but one have been taken."""
        await self._taken.wait()

    def over(self) -> None:
        """There will be no further update."""
        self._updates.put_nowait(None)

    async def next(self) -> SweepUpdate | None:
        """The next update; None after the last one."""
        update = await self._updates.get()
        if self._updates.qsize() <= _AHEAD:
            self._taken.set()
        return update

    def update(self) -> SweepUpdate:
        """How far the run is now."""
        state = self._run.state
        front = None if state.front is None else len(state.front)
        return SweepUpdate(_ended(state), tuple(state.running), state.best, state.phase, self._report(state), None, front)


def _ended(state: SweepState) -> int:
    return sum(state.ended[kind] for kind in TERMINAL_STATES)


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
