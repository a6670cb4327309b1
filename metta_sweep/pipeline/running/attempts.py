"""The attempts of one stage: a deadline for each, and where its function runs."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from metta_sweep.errors import BuildError, ContractError, StageProcessError
from metta_sweep.pipeline.retry import Retry
from metta_sweep.pipeline.running.deadline import Deadline, Limit
from metta_sweep.pipeline.running.run import Scope
from metta_sweep.pipeline.stage_context import StageContext
from metta_sweep.threads import awaited_threads, call_abandoned, shared_workers

if TYPE_CHECKING:
    from metta_sweep.pipeline.running.processes import ProcessCall

__all__ = ["Attempt", "ThreadedCall", "worth_retrying"]

logger: Final = logging.getLogger("metta_sweep")

Place = Literal["loop", "thread", "process"]
"""Where a stage function runs: coroutines on the event loop, others in a thread or a process."""


class ThreadedCall:
    """A stage function for a thread, which calls it; and a way to wait for its end after it was given up."""

    def __init__(self, fn: Callable[[], Any], ended: Callable[[ThreadedCall], None]) -> None:
        self._fn = fn
        self._loop = asyncio.get_running_loop()
        self._told = ended
        self._ended = asyncio.Event()
        self.running = False
        """The thread is in the function now."""

    def __call__(self) -> Any:
        """Call the function, in the thread; not at all, when it was given up before it began."""
        self.running = True  # before the look at whether it was given up: who gives it up looks here after
        try:
            return None if call_abandoned() else self._fn()
        finally:
            self.running = False
            try:
                self._loop.call_soon_threadsafe(self._end)
            except RuntimeError:
                if not self._loop.is_closed():
                    raise

    async def ended(self) -> None:
        """Wait until the thread is done with it."""
        awaited, wait = awaited_threads(self._loop), object()
        awaited.add(wait)
        try:
            await self._ended.wait()
        finally:
            awaited.discard(wait)

    def _end(self) -> None:
        self._ended.set()
        self._told(self)


class Attempt:
    """Runs the function of one stage once, in time.

    Args:
        name: the stage's name.
        call: calls the stage function for a scope.
        place: where it runs.
        timeout: seconds; None: as long as it takes.
        needs_context: a ``StageContext`` is made for each attempt.
        process: for ``place="process"``: how the function is called there.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[Scope], Any],
        *,
        place: Place,
        timeout: float | None,
        needs_context: bool,
        process: ProcessCall | None = None,
    ) -> None:
        self._name = name
        self._call = call
        self._place = place
        self._needs_context = needs_context
        self._process = process
        ended = "its process was ended" if place == "process" else "it was cancelled"
        self._limit = None if timeout is None else Limit(name, timeout, ended=ended)

    async def run(self, scope: Scope, address: str, number: int) -> Any:
        """The raw output. Raises ``StageTimeout`` at the deadline, whatever the function does.

        A thread that an attempt, or an iteration of a loop, before this one left behind is waited for first, and a process is made
        ready: that takes nothing off the timeout.
        """
        if scope.run.leaks:
            for before in scope.run.leaks_before(address):
                await self._thread_ended(address, number, before)
        scope.node = self._name
        try:
            if self._process is not None:
                async with self._process.worker(address) as worker:
                    return await self._in_time(scope, address, number, functools.partial(self._process.run, worker))
            if self._place == "thread":
                return await self._in_time(scope, address, number, self._in_thread)
            if self._limit is None:
                scope.attempt_context = self._context(scope, address, number, None)
                return await self._call(scope)
            with Deadline(self._limit, scope, address) as deadline:
                scope.attempt_context = self._context(scope, address, number, deadline)
                return await self._call(scope)
        finally:
            scope.attempt_context = None

    async def _in_time(self, scope: Scope, address: str, number: int, elsewhere: Callable[..., Any]) -> Any:
        if self._limit is None:
            scope.attempt_context = self._context(scope, address, number, None)
            return await elsewhere(scope, address)
        with Deadline(self._limit, scope, address) as deadline:
            scope.attempt_context = self._context(scope, address, number, deadline)
            return await elsewhere(scope, address)

    def _context(self, scope: Scope, address: str, number: int, deadline: Deadline | None) -> StageContext | None:
        if not self._needs_context:
            return None
        enclosing = scope.deadline if deadline is None else deadline.enclosing
        return StageContext(address, scope.run, number, deadline, enclosing)

    async def _in_thread(self, scope: Scope, address: str) -> Any:
        leaks, context = scope.run.leaks, scope.attempt_context

        def ended(call: ThreadedCall) -> None:
            if leaks.get(address) is call:
                del leaks[address]

        call = ThreadedCall(functools.partial(self._call, scope), ended)
        try:
            raw = await shared_workers().run(call, name=self._name)
        except asyncio.CancelledError:
            if context is not None:
                context.cancel()
            if call.running:
                leaks[address] = call
                logger.warning(
                    "stage %r at %s: its thread still runs and cannot be ended; it holds its worker until the function returns. "
                    "Check StageContext.check_cancelled() in it, or have it ended with timeout_mode='process'",
                    self._name,
                    address,
                )
            raise
        return await raw if inspect.isawaitable(raw) else raw

    async def _thread_ended(self, address: str, number: int, before: ThreadedCall) -> None:
        logger.warning(
            "stage %r at %s: attempt %d waits for the thread of the one before, which still runs after it was given up",
            self._name,
            address,
            number,
        )
        await before.ended()


def worth_retrying(error: Exception, policy: Retry) -> bool:
    """Whether another attempt may help: contract and build errors stay what they are.

    An error of a process is known by the names of its classes: it is matched by them.
    """
    if isinstance(error, ContractError | BuildError):
        return False
    if isinstance(error, policy.on):
        return True
    kinds = policy.on if isinstance(policy.on, tuple) else (policy.on,)
    return isinstance(error, StageProcessError) and any(error.is_a(kind) for kind in kinds)
