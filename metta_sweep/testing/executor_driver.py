"""Drives an executor as a sweep does, for tests of executors."""

# ruff: noqa: S101  # of tests

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest import SkipTest

from metta_sweep.core.resources import Resources
from metta_sweep.core.trial import Trial
from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.executor import Ended, Executor, ReportMade, TrialEvent, TrialTask, has_own_time

__all__ = ["Drive", "ExecutorCase", "Objective", "drive", "refused", "task_of"]

T = TypeVar("T")
PATIENCE: Final = 30.0
"""Real seconds after which an executor that never answers fails its test."""
Objective = Callable[[TrialContext], Any]
Decide = Callable[[ReportMade], None]


def task_of(
    number: int = 0,
    *,
    attempt: int = 1,
    time_limit: float | None = None,
    resume_step: int | None = None,
    checkpoint: str | None = None,
    **params: Any,
) -> TrialTask:
    """One attempt of the trial of that number."""
    trial = Trial(id=str(number), number=number, params=params, attempt=attempt)
    address = f"trial[{number}]" if attempt == 1 else f"trial[{number}]#{attempt}"
    return TrialTask(trial, 100 + number, Resources(time_limit=time_limit), address, resume_step, checkpoint)


def drive(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in an event loop of its own."""
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


class Drive:
    """One open executor, and what it has told.

    Args:
        executor: it.
        epoch: seconds of an epoch, on the executor's clock.
    """

    def __init__(self, executor: Executor, epoch: float) -> None:
        self.executor = executor
        self.epoch = epoch
        self.events: list[TrialEvent] = []
        """Everything that was acknowledged."""

    def now(self) -> float:
        """The executor's clock."""
        executor = self.executor
        return executor.clock() if has_own_time(executor) else asyncio.get_running_loop().time()

    def work(self) -> None:
        """Let an epoch pass in a trial function: really, unless the executor counts it by itself."""
        if not has_own_time(self.executor):
            time.sleep(self.epoch)

    def epochs(self, trial: TrialContext) -> Iterator[dict[str, Any]]:
        """A trial function that reports a loss after each of many epochs."""
        for step in range(trial.resume_step + 1, 1000):
            self.work()
            yield {"step": step, "loss": 1.0 / step}

    def start(self, *tasks: TrialTask) -> None:
        """Start attempts."""
        for task in tasks:
            self.executor.start(task)

    async def until_ended(self, count: int = 1, decide: Decide | None = None) -> list[Ended]:
        """Look, acknowledge and decide until ``count`` attempts have ended; by default every report is answered with going on."""
        ends: list[Ended] = []
        while len(ends) < count:
            for event in await self.look():
                if isinstance(event, Ended):
                    ends.append(event)
                elif decide is None:
                    self.executor.answer(event.trial_id, event.step)
                else:
                    decide(event)
        assert len(ends) == count, f"{len(ends)} terminal events of {count} attempts: {ends}"
        return ends

    async def until_report(self) -> ReportMade:
        """Look until there is a report; it is acknowledged, and not answered."""
        while True:
            for event in await self.look():
                if isinstance(event, ReportMade):
                    return event

    async def look(self) -> list[TrialEvent]:
        """Wait, look and acknowledge, as a sweep does."""
        await self.executor.wait()
        events = list(self.executor.peek())
        self.executor.acknowledge(len(events))
        self.events += events
        return events

    async def rest(self, epochs: int = 3) -> list[TrialEvent]:
        """What happens in so many epochs while nobody decides anything; it is acknowledged."""
        until = self.now() + epochs * self.epoch
        found: list[TrialEvent] = []
        while self.now() < until:
            await self.executor.wait(until)
            events = list(self.executor.peek())
            self.executor.acknowledge(len(events))
            found += events
        self.events += found
        return found

    async def all_seen(self, count: int) -> list[TrialEvent]:
        """Everything that can be seen once ``count`` attempts have ended; nothing is acknowledged."""
        while sum(isinstance(event, Ended) for event in self.executor.peek()) < count:
            await self.executor.wait(self.now() + self.epoch)
            await asyncio.sleep(0)
        return list(self.executor.peek())


class ExecutorCase:
    """What the tests of one executor share: a folder for each test, and one open executor that is driven."""

    epoch = 0.01
    """Seconds of an epoch of the trial functions. An executor that counts time by itself counts so many for each."""
    root: Path

    def make_executor(self) -> Executor:
        """A new executor, with at least four slots, that runs nothing."""
        raise NotImplementedError

    def setup_method(self) -> None:
        """A folder for each test."""
        self.root = Path(tempfile.mkdtemp(prefix="executor-conformance-"))

    def teardown_method(self) -> None:
        """Remove it."""
        shutil.rmtree(self.root, ignore_errors=True)

    def run(self, objective: Objective | None, main: Callable[[Drive], Awaitable[None]], executor: Executor | None = None) -> Drive:
        """Open an executor on a trial function (None: one that reports epochs without an end), and drive it."""
        it = Drive(self.make_executor() if executor is None else executor, self.epoch)

        async def opened() -> None:
            it.executor.prepare(it.epochs if objective is None else objective, None, run_id="run", root=self.root)
            async with it.executor:
                await main(it)

        drive(opened())
        return it

    def needs(self, capability: str) -> None:
        """Skip the test where the executor does not claim to be able to do it."""
        if not getattr(self.make_executor().capabilities, capability):
            raise SkipTest(f"its capabilities say {capability}=False")


@contextmanager
def refused(error: type[Exception]) -> Iterator[None]:
    """The block must raise this."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")
