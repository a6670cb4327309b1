"""Generators as trial functions: each ``yield`` is a report that waits for its verdict; the last one is the result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from queue import Empty, SimpleQueue
from typing import Any, Final

from metta_sweep.core.metrics import as_metrics
from metta_sweep.core.trial import Metric
from metta_sweep.errors import MetricError
from metta_sweep.executors.attempt import Attempt
from metta_sweep.executors.context import TrialContext, checked_step, first_step, merged_mapping

__all__ = ["STOPPED", "drive", "drive_async"]

STOPPED: Final = object()
"""Instead of a result: the generator was ended at a yield."""

_LOOK_AGAIN: Final = 1.0
"""Seconds after which a thread that waits for a verdict looks whether there is a loop that could bring it."""


class _Yields:
    """Turns what a generator yields into reports, numbering those that bring no step."""

    def __init__(self, attempt: Attempt, context: TrialContext) -> None:
        self.where = f"yield of {attempt.task.address}"
        self.attempt = attempt
        self.context = context
        self.step: int | None = None
        self.last: dict[str, Metric] | None = None

    def report(self, value: Any) -> tuple[int, dict[str, Metric]]:
        step, metrics = merged_mapping(value)
        if step is not None:
            step = checked_step(step, self.where)
        else:
            step = first_step(self.context) if self.step is None else self.step + 1
        self.step = step
        self.last = as_metrics(metrics, self.where)
        return step, self.last

    def result(self, returned: Any) -> Any:
        if returned is not None:
            return returned
        if self.last is None and self.attempt.task.trial.reports:
            return self.attempt.task.trial.reports[-1].metrics  # it goes on after its last step: nothing was left to do
        if self.last is None:
            raise MetricError(f"{self.where}: the generator ended without a metric. Yield or return at least one.")
        return self.last


def drive(attempt: Attempt, context: TrialContext, generator: Generator[Any, Any, Any]) -> Any:
    """Run a generator to its end, in a worker thread; its result, or ``STOPPED``."""
    yields = _Yields(attempt, context)
    verdict: SimpleQueue[bool] = SimpleQueue()
    try:
        while True:
            try:
                value = next(generator)
            except StopIteration as stop:
                return yields.result(stop.value)
            step, metrics = yields.report(value)
            if not attempt.call_soon(attempt.yielded, step, metrics, verdict.put) or not _verdict(attempt, verdict):
                return STOPPED
    finally:
        generator.close()


def _verdict(attempt: Attempt, verdict: SimpleQueue[bool]) -> bool:
    while True:
        try:
            return verdict.get(timeout=_LOOK_AGAIN)
        except Empty:
            if attempt.loop.is_closed():
                return False


async def drive_async(attempt: Attempt, context: TrialContext, generator: AsyncGenerator[Any, None]) -> Any:
    """Run an async generator to its end; its result, or ``STOPPED``."""
    yields = _Yields(attempt, context)
    try:
        async for value in generator:
            verdict: asyncio.Future[bool] = attempt.loop.create_future()
            attempt.yielded(*yields.report(value), _Resume(verdict))
            if not await verdict:
                return STOPPED
        return yields.result(None)
    finally:
        await generator.aclose()


class _Resume:
    """Sets the verdict, unless nobody waits for it any more."""

    __slots__ = ("_verdict",)

    def __init__(self, verdict: asyncio.Future[bool]) -> None:
        self._verdict = verdict

    def __call__(self, go_on: bool) -> None:
        if not self._verdict.done():
            self._verdict.set_result(go_on)
