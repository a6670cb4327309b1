"""Worker threads, and the way back from them to the event loop that started the call.

Python cannot end a thread. So a call whose result nobody waits for any more is *abandoned*: its thread runs on, keeps its place
under the limit until it ends, is listed as leaked, and what it returns is dropped. Workers are daemons: they never hold the exit
of the process, as the threads of ``concurrent.futures`` and anyio do.
"""

# ruff: noqa: SLF001  # a pool, its workers and its calls are one thing
from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

__all__ = [
    "Leaked",
    "ThreadCall",
    "WorkerThreads",
    "awaited_threads",
    "call_abandoned",
    "parent_loop",
    "run_on_parent_loop",
    "shared_workers",
]

T = TypeVar("T")
Done = Callable[[Any, Exception | None], None]
"""Called on the event loop with the result and None, or with None and the error."""

IDLE_SECONDS: Final = 5.0
"""How long a worker without work is kept."""


class Leaked(NamedTuple):
    """A call that was abandoned and whose thread still runs."""

    name: str
    """What was called."""
    thread: str
    """The name of its thread, as debuggers show it."""
    since: float
    """When it was abandoned, on ``time.monotonic()``."""


class ThreadCall:
    """One call in a worker thread, or on its way into one."""

    __slots__ = (
        "_context",
        "_done",
        "_fn",
        "_inner",
        "_pool",
        "_since",
        "abandoned",
        "ended",
        "loop",
        "name",
        "thread",
    )

    def __init__(self, pool: WorkerThreads, loop: asyncio.AbstractEventLoop, fn: Callable[[], Any], done: Done, name: str) -> None:
        self._pool = pool
        self._fn = fn
        self._done = done
        self._context = contextvars.copy_context()
        self._inner: Future[Any] | None = None
        self._since = 0.0
        self.thread = ""
        self.loop = loop
        self.name = name
        self.abandoned = False
        """Nobody waits for the result any more. Code that runs long may look here through ``call_abandoned()``."""
        self.ended = False
        """The function has returned or raised, or will never be called."""

    def abandon(self) -> None:
        """Wait for the result no more: ``done`` is not called. A call that waits for a free thread never begins."""
        self._pool._abandon(self)

    def _run(self) -> None:
        result: Any = None
        error: Exception | None = None
        try:
            result = self._context.run(self._fn)
        except BaseException as raised:  # noqa: BLE001  # becomes the error of the call, and the worker lives on
            error = _as_error(raised, self.name)
        if not self._pool._ended(self):
            _call_on(self.loop, self._deliver, result, error)

    def _deliver(self, result: Any, error: Exception | None) -> None:
        awaited_threads(self.loop).discard(self)
        if not self.abandoned:
            self._context.run(self._done, result, error)  # what that starts runs where the function ran


class _Worker(threading.Thread):
    """A thread that takes calls from its inbox, and ends when none came for a while."""

    def __init__(self, pool: WorkerThreads, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.pool = pool
        self.inbox: SimpleQueue[ThreadCall | None] = SimpleQueue()

    def run(self) -> None:
        while True:
            try:
                call = self.inbox.get(timeout=IDLE_SECONDS)
            except Empty:
                if self.pool._retire(self):
                    return
                continue
            while call is not None:
                _here.call = call
                call.thread = self.name
                call._run()
                _here.call = None
                call = self.pool._next(self)
            if self.pool.closed:
                return


class WorkerThreads:
    """Daemon threads that run blocking calls. Safe to use from several event loops.

    Args:
        limit: how many calls run at once, abandoned ones included; further ones wait, first come, first served. None: any number.
        name: what the threads' names begin with.
    """

    def __init__(self, limit: int | None = None, name: str = "metta_sweep") -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"WorkerThreads(limit=): at least one call must be able to run; found {limit!r}.")
        self.limit = limit
        self.name = name
        self.closed = False
        self._numbers = itertools.count(1)
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        """Without threads and calls: at first, and in a forked process, which has none of the other one's threads."""
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._queue: deque[ThreadCall] = deque()
        self._leaked: set[ThreadCall] = set()
        self._busy = 0

    @property
    def busy(self) -> int:
        """How many threads are running a call, abandoned calls included."""
        return self._busy

    @property
    def leaked(self) -> tuple[Leaked, ...]:
        """Abandoned calls whose threads still run, longest first."""
        with self._lock:
            calls = sorted(self._leaked, key=lambda call: call._since)
        return tuple(Leaked(call.name, call.thread, call._since) for call in calls)

    async def run(self, fn: Callable[[], T], *, name: str | None = None) -> T:
        """Call ``fn`` in a thread, with the caller's context variables, and return or raise what it does.

        When the wait is cancelled, or times out, the call is abandoned. ``SystemExit``, ``KeyboardInterrupt``, ``StopIteration``
        and cancellations that ``fn`` raises come as a ``RuntimeError`` with the original as its cause: they are about the thread.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: Any, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        call = self.submit(fn, done, name=name)
        try:
            return await future
        finally:
            if not call.ended:
                call.abandon()

    def submit(self, fn: Callable[[], Any], done: Done, *, name: str | None = None) -> ThreadCall:
        """Call ``fn`` in a thread; ``done(result, error)`` follows on the running event loop, unless the call is abandoned."""
        if self.closed:
            raise RuntimeError(f"the worker threads {self.name!r} are closed.")
        loop = asyncio.get_running_loop()
        call = ThreadCall(self, loop, fn, done, name or getattr(fn, "__qualname__", None) or type(fn).__qualname__)
        with self._lock:
            if self.limit is not None and self._busy >= self.limit:
                self._queue.append(call)
                awaited_threads(loop).add(call)
                return call
            self._busy += 1
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            worker = self._begun()
        awaited_threads(loop).add(call)
        worker.inbox.put(call)
        return call

    def _begun(self) -> _Worker:
        worker = _Worker(self, f"{self.name}-{next(self._numbers)}")
        try:
            worker.start()
        except RuntimeError:  # the system has no room for another thread
            with self._lock:
                self._busy -= 1
            raise
        return worker

    def close(self) -> None:
        """Take no more calls. Idle threads end now, the others with their calls; calls that wait are abandoned."""
        with self._lock:
            self.closed = True
            idle, self._idle = self._idle, []
            waiting = list(self._queue)
        for worker in idle:
            worker.inbox.put(None)
        for call in waiting:
            call.abandon()

    def _next(self, worker: _Worker) -> ThreadCall | None:
        """The call that has waited longest; None: the worker is idle now."""
        with self._lock:
            if self._queue:
                return self._queue.popleft()
            self._busy -= 1
            if not self.closed:
                self._idle.append(worker)
            return None

    def _retire(self, worker: _Worker) -> bool:
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)
                return True
            return False

    def _ended(self, call: ThreadCall) -> bool:
        """Take note of its end, and return whether the call was abandoned before."""
        with self._lock:
            call.ended = True
            self._leaked.discard(call)
            return call.abandoned

    def _abandon(self, call: ThreadCall) -> None:
        with self._lock:
            if call.abandoned:
                return
            call.abandoned = True
            if call in self._queue:
                self._queue.remove(call)
                call.ended = True
            if not call.ended:
                call._since = time.monotonic()
                self._leaked.add(call)
            inner = call._inner
        awaited_threads(call.loop).discard(call)
        if inner is not None:
            inner.cancel()


class _Here(threading.local):
    call: ThreadCall | None = None


def _begin_anew() -> None:
    _here.call = None
    for pool in _pools:
        pool._begin()


_here: Final = _Here()
_pools: Final[weakref.WeakSet[WorkerThreads]] = weakref.WeakSet()
_shared: Final = WorkerThreads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def shared_workers() -> WorkerThreads:
    """The worker threads that everything in the process shares; without a limit, since calls may wait for one another."""
    return _shared


def parent_loop() -> asyncio.AbstractEventLoop | None:
    """In a worker thread: the event loop that started this call. None in any other thread."""
    call = _here.call
    return None if call is None else call.loop


def call_abandoned() -> bool:
    """In a worker thread: whether nobody waits for this call any more. False in any other thread."""
    call = _here.call
    return call is not None and call.abandoned


def run_on_parent_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """In a worker thread: run a coroutine on the event loop that started this call, with this call's context, and wait for it.

    When the call is abandoned, the coroutine is cancelled.

    The seam for an experiment inside a trial of another one.
    """
    call = _here.call
    if call is None:
        coroutine.close()
        raise RuntimeError("run_on_parent_loop() works in a worker thread only; inside an event loop await the coroutine.")
    future = asyncio.run_coroutine_threadsafe(coroutine, call.loop)
    call._inner = future
    if call.abandoned:
        future.cancel()
    try:
        return future.result()
    finally:
        call._inner = None


def _as_error(raised: BaseException, name: str) -> Exception:
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration | StopAsyncIteration):
        return raised
    error = RuntimeError(f"{name} raised {type(raised).__name__}({raised}) in its thread")
    error.__cause__ = raised
    return error


def _call_on(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise


def awaited_threads(loop: asyncio.AbstractEventLoop) -> set[object]:
    """What stands for each thread that somebody on a loop waits for: a virtual clock must not jump meanwhile. Others keep none."""
    kept: set[object] = getattr(loop, "awaited_threads", set())
    return kept
