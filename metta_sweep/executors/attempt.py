"""One attempt of a trial that the local executor runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import get_ident
from typing import Any, Protocol

from metta_sweep.core.trial import Metric
from metta_sweep.executors.bus import ResultBus
from metta_sweep.executors.context import TrialContext, ask_to_stop
from metta_sweep.executors.directories import TrialDirectories
from metta_sweep.executors.executor import ReportMade, StopCause, TrialTask
from metta_sweep.threads import ThreadCall

__all__ = ["Attempt", "Host"]


class Host(Protocol):
    """What an attempt needs of its executor."""

    loop: asyncio.AbstractEventLoop
    thread: int
    bus: ResultBus
    directories: TrialDirectories


class Attempt:
    """What is known of one attempt. Touched from the event loop's thread only, but for ``send`` and ``directory``."""

    __slots__ = (
        "begun",
        "call",
        "cause",
        "context",
        "cut",
        "directories",
        "ended",
        "handle",
        "host",
        "in_thread",
        "instead",
        "limit",
        "loop",
        "order",
        "resume",
        "since",
        "started",
        "step",
        "task",
        "timed_out",
        "timer",
    )

    def __init__(self, host: Host, task: TrialTask, order: int) -> None:
        self.host = host
        self.task = task
        self.order = order
        """Its number among all that were dispatched."""
        # an attempt that is given up outlives its run, and its executor may serve another one then
        self.loop = host.loop
        self.directories = host.directories
        self.started = host.loop.time()
        self.context = TrialContext(task, self.send, self.directory)
        self.handle: asyncio.Task[None] | None = None
        self.call: ThreadCall | None = None
        self.in_thread = False
        """Whether its function is in a worker thread, or on its way into one."""
        self.begun = False
        """Whether its task has made its first step: one that is cancelled before runs no line."""
        self.cause: StopCause | None = None
        """Why it was asked to stop."""
        self.instead: StopCause | None = None
        """Of one that was asked to pause: what it ends by if it does not come to it in time."""
        self.timed_out = False
        self.cut = False
        """Whether its task was cancelled."""
        self.ended = False
        """Whether its terminal event is on the bus: nothing follows it."""
        self.since = 0.0
        """When it was given up while it still ran."""
        self.limit: asyncio.TimerHandle | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.step: int | None = None
        self.resume: Callable[[bool], None] | None = None
        """Of a generator that waits for the verdict on ``step``: goes on (True) or ends it there (False)."""

    def give(self, devices: tuple[int, ...]) -> None:
        """Give it GPUs, before it starts."""
        self.task = self.task._replace(devices=devices)
        self.context = TrialContext(self.task, self.send, self.directory)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self.cause is not None or self.timed_out

    @property
    def excused(self) -> bool:
        """Whether what it raises now is no failure: time is up, the run ends, or it was cancelled in the midst."""
        ends = ("deadline", "interrupt")
        return self.cause in ends or self.instead in ends or (self.cause is not None and self.cut)

    @property
    def over(self) -> bool:
        """Whether its code has really ended. One that was given up holds its slot until then."""
        return not self.in_thread and (self.handle is None or self.handle.done() or self.loop.is_closed())

    def left_thread(self) -> None:
        """Its function has returned or raised; called in its thread, when its loop may be gone."""
        self.in_thread = False
        if self.ended:
            self.host.bus.wake()

    def send(self, step: int, metrics: dict[str, Metric]) -> None:
        """Put a report on the bus, from any thread."""
        if get_ident() == self.host.thread:
            self.reported(step, metrics)
        elif not self.ended:
            self.call_soon(self.reported, step, metrics)

    def reported(self, step: int, metrics: dict[str, Metric]) -> None:
        """Put a report on the bus."""
        if not self.ended:
            trial = self.task.trial
            self.host.bus.append(self.order, ReportMade(trial.id, trial.attempt, step, metrics))

    def yielded(self, step: int, metrics: dict[str, Metric], resume: Callable[[bool], None]) -> None:
        """Put a report on the bus that its generator waits for the verdict on."""
        self.reported(step, metrics)
        if self.ended or self.stopping:
            resume(False)
        else:
            self.step, self.resume = step, resume

    def decide(self, go_on: bool) -> None:
        """Wake the generator, if it waits."""
        resume = self.resume
        if resume is not None:
            self.step = self.resume = None
            resume(go_on)

    def ask(self, cause: StopCause | None = None) -> None:
        """Ask the trial to end. The first cause counts; what comes after the verdict to pause, if it does not pause in time."""
        if not self.stopping:
            self.cause = cause
        elif self.cause == "pause" and self.instead is None and cause != "pause":
            self.instead = cause
        ask_to_stop(self.context)
        self.decide(go_on=False)

    def cut_after(self, grace: float, cut: Callable[[Attempt], None]) -> None:
        """Cut it after so many seconds, unless it is to be cut before."""
        if grace <= 0:
            cut(self)
            return
        if self.cut:
            return
        if self.timer is not None:
            if self.timer.when() <= self.loop.time() + grace:
                return
            self.timer.cancel()
        self.timer = self.loop.call_later(grace, cut, self)

    def release(self) -> None:
        """Cancel its timers, and let go of the context, which refers to the attempt: nothing is left for the garbage collector."""
        del self.context
        if self.limit is not None:
            self.limit.cancel()
            self.limit = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def call_soon(self, callback: Callable[..., None], *args: Any) -> bool:
        """Call on the event loop, from another thread; False when the loop has closed."""
        try:
            self.loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            return False
        return True

    def directory(self) -> Path:
        """The directory of its trial."""
        return self.directories.of(self.task.trial.id, self.task.trial.number)
