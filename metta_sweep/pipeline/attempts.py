"""The attempts of one stage: a timeout for each, and the policy that says how many there are."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, Final

from metta_sweep.errors import BuildError, ContractError, StageTimeout
from metta_sweep.pipeline.retry import Retry
from metta_sweep.pipeline.run import Scope
from metta_sweep.pipeline.stage_context import StageContext
from metta_sweep.threads import shared_workers

__all__ = ["Attempt", "ThreadedCall", "worth_retrying"]

logger: Final = logging.getLogger("metta_sweep")


class ThreadedCall:
    """A stage function for a thread, which calls it; and a way to wait for its end after it was given up."""

    def __init__(self, fn: Callable[[], Any]) -> None:
        self._fn = fn
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()

    def __call__(self) -> Any:
        """Call the function, in the thread."""
        try:
            return self._fn()
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._ended.set)

    async def ended(self) -> None:
        """Wait until the thread is done with it."""
        await self._ended.wait()


class Attempt:
    """Runs the function of one stage once, in time. ``leaked`` holds what still runs after a timeout.

    Args:
        name: the stage's name.
        call: calls the stage function for a scope.
        threaded: the function is synchronous and runs in a thread.
        timeout: seconds; None: as long as it takes.
        needs_context: a ``StageContext`` is made for each attempt.
    """

    def __init__(
        self, name: str, call: Callable[[Scope], Any], *, threaded: bool, timeout: float | None, needs_context: bool
    ) -> None:
        self._name = name
        self._call = call
        self._threaded = threaded
        self._timeout = timeout
        self._needs_context = needs_context

    async def run(self, scope: Scope, address: str, number: int, leaked: list[ThreadedCall]) -> Any:
        """The raw output. Raises ``StageTimeout`` at the deadline, whatever the function does.

        The thread of an attempt before this one is waited for first: that takes nothing off the timeout.
        """
        if leaked:
            await self._thread_ended(address, number, leaked)
        if self._timeout is None:
            context = StageContext(address, scope.run.seed, number) if self._needs_context else None
            return await self._outcome(scope, context, leaked)
        timeout = asyncio.timeout(self._timeout)
        context = StageContext(address, scope.run.seed, number, timeout) if self._needs_context else None
        try:
            async with timeout:
                raw = await self._outcome(scope, context, leaked)
        except TimeoutError:
            if not timeout.expired():
                raise
            raise self._timed_out(address, leaked) from None
        if timeout.expired():
            raise self._timed_out(address, leaked)
        return raw

    async def _outcome(self, scope: Scope, context: StageContext | None, leaked: list[ThreadedCall]) -> Any:
        scope.node = self._name
        scope.attempt_context = context
        try:
            if not self._threaded:
                raw = self._call(scope)
            else:
                raw = await self._in_thread(scope, context, leaked)
            return await raw if inspect.isawaitable(raw) else raw
        finally:
            scope.attempt_context = None

    async def _in_thread(self, scope: Scope, context: StageContext | None, leaked: list[ThreadedCall]) -> Any:
        call = ThreadedCall(functools.partial(self._call, scope))
        try:
            return await shared_workers().run(call, name=self._name)
        except asyncio.CancelledError:
            leaked.append(call)
            if context is not None:
                context.cancel()
            raise

    async def _thread_ended(self, address: str, number: int, leaked: list[ThreadedCall]) -> None:
        logger.warning(
            "stage %r at %s: attempt %d waits for the thread of the one before, which still runs after its timeout of %g s",
            self._name,
            address,
            number,
            self._timeout or 0.0,
        )
        await leaked[-1].ended()
        leaked.clear()

    def _timed_out(self, address: str, leaked: list[ThreadedCall]) -> StageTimeout:
        still = (
            "its thread still runs and keeps its place until it ends; check StageContext.check_cancelled() in it"
            if leaked
            else "it was cancelled"
        )
        return StageTimeout(f"stage {self._name!r} at {address} did not end within {self._timeout:g} s: {still}.")


def worth_retrying(error: Exception, policy: Retry) -> bool:
    """Whether another attempt may help: contract and build errors stay what they are."""
    return not isinstance(error, ContractError | BuildError) and isinstance(error, policy.on)
