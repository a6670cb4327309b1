"""Ctrl-C and SIGTERM while a blocking call drives runs: the first ends them in order, the second cancels, the third exits."""

from __future__ import annotations

import asyncio
import atexit
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from metta_sweep.core.budget import StopReason
from metta_sweep.executors import LocalExecutor
from metta_sweep.store.memory import MemoryStore

if TYPE_CHECKING:
    from metta_sweep.experiments.sweep_run import SweepRun

__all__ = ["Signals", "attached", "command_line", "how_to_go_on", "run_blocking"]

T = TypeVar("T")

_CAUGHT: Final = (signal.SIGINT, signal.SIGTERM)
_LAST_WAIT: Final = 1.0
"""Seconds that tasks which are left behind get to end when they are cancelled. Those that do not are given up."""
_CANCELLING: Final = "Cancelling what still runs; once more exits at once."

_current: Final[ContextVar[Signals | None]] = ContextVar("metta_sweep_signals", default=None)
_unfinished: Final[dict[str, str]] = {}
"""By run: the last line that the process prints, when a signal ended the run before its time."""


class Signals:
    """What SIGINT and SIGTERM do while runs are driven: ``with Signals() as signals: signals.run(main)``.

    The first one interrupts the runs that are open: nothing new starts, running trials get their grace, and the result is
    returned. The second cancels what still runs: ``KeyboardInterrupt`` follows, or ``SystemExit(143)`` for SIGTERM. The third ends
    the process at once, with status 130 or 143. Nothing is installed outside the main thread, nor over handlers of the user's.

    Args:
        resume: the command that goes on with what was ended; by default that of this process.
        say: shows a line to the user; by default on the standard error.
        graceful: whether the first signal ends runs in order; False for what cannot be ended so: it begins with the second step.
        kept_as: the name under which what cannot be ended in order is kept; None when it is not kept.
        at_exit: whether the command is the last line that the process prints; False when the caller prints it.
        afterwards: handles these signals once the runs are over, for a process that has nothing else to do; by default what did
            so before.
    """

    def __init__(
        self,
        *,
        resume: str | None = None,
        say: Callable[[str], None] | None = None,
        graceful: bool = True,
        kept_as: str | None = None,
        at_exit: bool = True,
        afterwards: Callable[[int, FrameType | None], None] | None = None,
    ) -> None:
        self.resume = resume if resume is not None else command_line()
        self.ended_early: dict[str, str] = {}
        """By the id of each run that a signal ended before its time: the command that goes on with it, or why it cannot go on."""
        self._say = say or _to_stderr
        self._steps = 0 if graceful else 1
        self._kept_as = kept_as
        self._at_exit = at_exit
        self._afterwards = afterwards
        self._runs: list[SweepRun] = []
        self._told: set[str] = set()
        """Runs of which the user has been told that they end."""
        self._before: dict[int, Any] = {}
        self._runner: asyncio.Runner | None = None
        self._task: asyncio.Task[Any] | None = None
        self._driving = False
        self._asked = False
        self._cancelled = False
        self._last: int = signal.SIGINT

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        if threading.current_thread() is not threading.main_thread():
            # what a worker thread of a trial drives belongs to the signals of that trial's run
            return self
        token = _current.set(self)
        try:
            # what is driven sees these signals; the code around it does not
            self._runner.get_loop()
        finally:
            _current.reset(token)
        for number in _CAUGHT:
            before = signal.getsignal(number)
            if before in (signal.default_int_handler, signal.SIG_DFL) or _is_ours(before):
                self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._runner is not None:
                self._driving = True
                _close(self._runner)
        finally:
            self._runner = None
            for number, before in self._before.items():
                signal.signal(number, self._afterwards or before)
            self._before.clear()

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine to its end. May be called several times: they share one event loop."""
        if self._runner is None:
            raise RuntimeError("Signals.run() works inside `with Signals() as signals:` only.")
        self._driving = True
        try:
            return self._runner.run(self._main(main))
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            if self._kept_as is not None:
                _unfinished[self._kept_as] = f"Interrupted. To go on, run:\n{self.resume}"
            raise self._exit() from None
        finally:
            self._driving = False
            self._task = None

    @property
    def cancelled(self) -> bool:
        """Whether the second signal has come."""
        return self._cancelled

    def last_lines(self) -> list[str]:
        """What is to be printed last, when ``at_exit`` is False: nothing, unless a signal ended something before its time."""
        if self._cancelled and not self.ended_early:
            return [self.resume]
        return list(self.ended_early.values())

    def add(self, run: SweepRun) -> None:
        """Take care of an open run. Safe from any thread."""
        self._runs.append(run)
        _unfinished.pop(run.run_id, None)
        if self._asked and run.state.stop is None:
            run.interrupt()

    def remove(self, run: SweepRun) -> None:
        """The run is closed."""
        self._runs.remove(run)
        stop = run.state.stop
        if not (self._cancelled or run.interrupted) or (stop is not None and stop.reason != StopReason.INTERRUPTED):
            return
        line = self.resume if _is_kept(run) else _not_kept(run)
        self.ended_early[run.run_id] = line
        if self._at_exit:
            _unfinished[run.run_id] = line

    async def _main(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._task = asyncio.current_task()
        return await main()

    def _caught(self, number: int, frame: FrameType | None) -> None:
        """Runs between two byte codes of whatever the main thread does: it only notes, says so, and wakes."""
        self._last = number
        self._steps += 1
        if self._steps > 2:
            _end_process(number, self.resume)
        self._asked = self._steps == 1
        if self._steps == 2:
            self._cancelled = True
            if not self._driving:
                raise self._exit()
        if self._asked and self._say is _to_stderr:
            # a trial that holds the event loop keeps the next step from being taken: the word comes before
            for run in list(self._runs):
                if run.state.stop is None and _written_at_once(_farewell(run)):
                    self._told.add(run.run_id)
        if self._runner is not None:
            self._runner.get_loop().call_soon_threadsafe(self._act, self._steps)

    def _act(self, step: int) -> None:
        """On the event loop: one step of ending."""
        if step == 1:
            for run in list(self._runs):
                if run.state.stop is None:
                    run.interrupt()
                    if run.run_id not in self._told:
                        self._say(_farewell(run))
        elif self._task is None and self._driving and self._runner is not None:
            # it is about to begin
            self._runner.get_loop().call_soon(self._act, step)
        elif self._task is not None and not self._task.done():
            self._say(_CANCELLING)
            self._task.cancel()

    def _exit(self) -> BaseException:
        return KeyboardInterrupt() if self._last == signal.SIGINT else SystemExit(128 + self._last)


@contextmanager
def attached(run: SweepRun) -> Iterator[None]:
    """While a run is open, signals reach it, where somebody takes care of them."""
    signals = _current.get()
    if signals is None:
        yield
        return
    signals.add(run)
    try:
        yield
    finally:
        signals.remove(run)


def run_blocking(
    main: Callable[[], Coroutine[Any, Any, T]], *, graceful: bool, kept_as: str | None = None, resume: str | None = None
) -> T:
    """Run a coroutine to its end, in a new event loop, with signals taken care of."""
    with Signals(graceful=graceful, kept_as=kept_as, resume=resume) as signals:
        return signals.run(main)


def _close(runner: asyncio.Runner) -> None:
    """Close an event loop. Tasks that swallow their cancellation do not hold it, as ``Runner.close()`` alone would let them."""
    loop = runner.get_loop()
    if not loop.run_until_complete(_stubborn()):
        runner.close()
        return
    # nothing more is to be said of tasks that are dropped while they are pending
    loop.set_exception_handler(lambda loop, context: None)
    loop.run_until_complete(_asyncgens_closed())
    asyncio.set_event_loop(None)
    loop.close()


async def _stubborn() -> set[asyncio.Task[Any]]:
    """Cancel what is left on this loop, and give it a moment. Returns what has not ended then."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if not left:
        return set()
    _, pending = await asyncio.wait(left, timeout=_LAST_WAIT)
    return pending


async def _asyncgens_closed() -> None:
    closing = asyncio.ensure_future(asyncio.get_running_loop().shutdown_asyncgens())
    await asyncio.wait({closing}, timeout=_LAST_WAIT)


def command_line() -> str:
    """The command that started this process, quoted for a shell."""
    return shlex.join(sys.orig_argv)


def how_to_go_on(*, more: int | None, fresh: bool) -> str:
    """The same command, where that goes on. With ``more`` or ``fresh`` it would add or start over again: it says so."""
    again = ["fresh=True, which starts over"] if fresh else []
    if more is not None:
        again.append(f"more={more}, which adds again")
    if not again:
        return command_line()
    return f"To go on with this run, take out {' and '.join(again)}; then: {command_line()}"


def _is_ours(handler: object) -> bool:
    return isinstance(getattr(handler, "__self__", None), Signals)


def _is_kept(run: SweepRun) -> bool:
    return run.name is not None and not isinstance(run.store, MemoryStore)


def _not_kept(run: SweepRun) -> str:
    if run.name is None:
        return f"The run {run.run_id} cannot be resumed, since it has no name: give the experiment name=..."
    return f"The run {run.name} cannot be resumed, since it was kept in memory only: give the experiment a store on disk."


def _farewell(run: SweepRun) -> str:
    # those that have just been started are not in the journal yet
    executor = run.executor
    count = executor.busy - executor.leaked_slots if isinstance(executor, LocalExecutor) else len(run.state.running)
    running = "1 running trial gets" if count == 1 else f"{count} running trials get"
    what = f"interrupted, nothing new starts; {running} up to {run.grace:g} s"
    return f"{run.name or run.run_id}: {what}. Once more cancels, a third time exits at once."


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _written_at_once(line: str) -> bool:
    """Write a line from within a signal handler, past all buffers, which may be in use. False where there is no such way."""
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    with suppress(OSError):
        os.write(number, f"{line}\n".encode(errors="backslashreplace"))
    return True


@atexit.register  # early: those that come later are called before
def _last_line() -> None:
    for line in dict.fromkeys(_unfinished.values()):
        _to_stderr(line)
    _unfinished.clear()


def _end_process(number: int, resume: str) -> None:
    """End at once, whatever runs: not even buffers are flushed."""
    # a display on a terminal may have hidden the cursor
    shown = "\x1b[?25h" if os.isatty(2) else ""
    os.write(2, f"{shown}\n{resume}\n".encode())
    os._exit(128 + number)
