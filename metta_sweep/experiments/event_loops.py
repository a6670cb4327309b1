"""Whether there is an event loop, and the end of tasks in one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from metta_sweep.experiments.tree.node import enclosing
from metta_sweep.threads import parent_loop

__all__ = ["end_task", "in_event_loop", "on_parent_loop"]

logger: Final = logging.getLogger("metta_sweep")


def in_event_loop(loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Whether this thread runs an event loop now: any one, or the given one."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return loop is None or running is loop


def on_parent_loop() -> bool:
    """Whether this is a worker thread of a trial or stage of an experiment: what it runs, the event loop of that one drives."""
    return parent_loop() is not None and enclosing() is not None


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
