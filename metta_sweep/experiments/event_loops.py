"""Whether there is an event loop, and the end of tasks in one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from metta_sweep.experiments.tree.node import enclosing
from metta_sweep.threads import parent_loop, run_on_parent_loop

__all__ = ["at_home", "end_task", "in_event_loop", "on_parent_loop", "run_on_parents"]

T = TypeVar("T")

logger: Final = logging.getLogger("metta_sweep")


def in_event_loop(loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Whether this thread runs an event loop now: any one, or the given one."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return loop is None or running is loop


def on_parent_loop() -> bool:
    """Whether this thread, which runs no event loop, works for a trial or stage, whose loop drives what it runs."""
    node = enclosing()
    return node is not None and node.loop.is_running()


def run_on_parents(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the event loop of the experiment inside which this thread works, and wait for it."""
    node = enclosing()
    if node is None or parent_loop() is node.loop:
        return run_on_parent_loop(coroutine)
    return asyncio.run_coroutine_threadsafe(coroutine, node.loop).result()


async def at_home(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it on the event loop that drives the experiment inside which the caller is: trees of experiments have one."""
    node = enclosing()
    if node is None or node.loop is asyncio.get_running_loop():
        return await main()
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(main(), node.loop))


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, however long its cleaning up takes.

    A cancellation of the one who waits is passed on to the task, and raised when it has ended. What the task raises by itself is
    logged as a warning: there is nobody left to raise it to.
    """
    passed_on: asyncio.CancelledError | None = None
    while not task.done():
        task.cancel()
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancelled:
            passed_on = cancelled
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.warning("a run that nobody waits for any more ended with %s: %s", type(error).__name__, error, exc_info=error)
    if passed_on is not None:
        raise passed_on
