"""A virtual clock: an event loop on which waiting takes no time.

```python
async def main() -> float:
    await asyncio.sleep(3600)
    return asyncio.get_running_loop().time()

assert run_virtual(main()) == 3600.0
```

Whatever measures and waits by the event loop (``asyncio.sleep``, ``asyncio.timeout``, ``loop.call_later``, a whole sweep) becomes
virtual, and deterministic. ``time.sleep`` and ``time.monotonic`` stay what they are: while a worker thread of the package or of
``asyncio.to_thread`` is busy, or something reads from a socket or pipe, the clock goes on in real time.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple

__all__ = ["NothingToWaitFor", "VirtualLoop", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PATIENCE: Final = 0.05
"""Real seconds that a thread which nobody knows of has to call back, before a loop without timers is said to be stuck."""
_SHOWN: Final = 20


class NothingToWaitFor(RuntimeError):
    """Nothing is ready, no timer is set and no thread is busy: real time would stand still for ever as well."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0.0 and jumps to the next timer as soon as nothing else is left to do."""

    def __init__(self) -> None:
        self._now = 0.0
        self.awaited_threads: set[object] = set()
        """What stands for each worker thread of the package that somebody waits for; who waits adds and removes it."""
        self._executor_calls: set[asyncio.Future[Any]] = set()
        self._joining = False
        self._real = selectors.DefaultSelector()
        super().__init__(_JumpingSelector(self._real, self))
        self._own_files = len(self._real.get_map())

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call in a thread of ``executor``; the clock goes on in real time until it has returned."""
        future = super().run_in_executor(executor, func, *args)
        self._executor_calls.add(future)
        future.add_done_callback(self._executor_calls.discard)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's signature
        """End the threads of ``asyncio.to_thread``; the clock goes on in real time until they have."""
        shutdown: Any = super().shutdown_default_executor
        self._joining = True
        try:
            await (shutdown() if timeout is None else shutdown(timeout))
        finally:
            self._joining = False

    def pass_time(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, for files, threads or the next timer: what the loop calls when nothing is ready."""
        if timeout is not None and timeout <= 0:
            return self._real.select(0)
        if self.awaited_threads or self._executor_calls or self._joining or len(self._real.get_map()) > self._own_files:
            return self._wait_really(timeout)
        events = self._real.select(0)
        if events:
            return events
        if timeout is None:
            events = self._real.select(_PATIENCE)
            if not events:
                raise NothingToWaitFor(self._story())
            return events
        self._advance(timeout)
        return []

    def _wait_really(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        before = time.monotonic()
        events = self._real.select(timeout)
        self._advance(time.monotonic() - before)
        return events

    def _advance(self, seconds: float) -> None:
        self._now = max(self._now + seconds, math.nextafter(self._now, math.inf))
        # asyncio's own: a timer is due within it, also where floats have become coarser than that
        self._clock_resolution = max(1e-9, 4 * math.ulp(self._now))

    def _story(self) -> str:
        waiting = sorted(f"{task.get_name()} at {_place(task)}" for task in asyncio.all_tasks(self))
        shown = "\n".join(f"  {line}" for line in waiting[:_SHOWN]) or "  no task"
        more = f"\n  and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        return f"nothing is ready, no timer is set and no thread is busy; at {self._now:g} s these wait for ever:\n{shown}{more}"


class _JumpingSelector(selectors.BaseSelector):
    """Files as ever; waiting is the loop's."""

    def __init__(self, real: selectors.BaseSelector, loop: VirtualLoop) -> None:
        self._files = real
        self._loop = loop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._files.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._files.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._loop.pass_time(timeout)

    def get_map(self) -> Any:
        return self._files.get_map()

    def close(self) -> None:
        self._files.close()


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a virtual clock, as ``asyncio.run`` does on the real one.

    Raises:
        NothingToWaitFor: all tasks wait for something that cannot happen; the message names them.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def _place(task: asyncio.Task[Any]) -> str:
    stack = task.get_stack(limit=1)
    if not stack:
        return "its start"
    frame = stack[-1]
    return f"{frame.f_code.co_qualname}, {frame.f_code.co_filename}:{frame.f_lineno}"
