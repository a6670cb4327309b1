"""From what a trial function gives to what its terminal event tells."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, cast

from metta_sweep.core.metrics import as_metrics
from metta_sweep.core.trial import Metric, TrialError
from metta_sweep.errors import TrialTimeout
from metta_sweep.executors.attempt import Attempt
from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.failure import error_name
from metta_sweep.executors.generators import STOPPED, drive, drive_async
from metta_sweep.executors.objective import BoundObjective
from metta_sweep.executors.pausing import restore

__all__ = ["awaitable", "in_thread", "metrics_of", "timeout_error"]


def in_thread(objective: BoundObjective, attempt: Attempt, context: TrialContext) -> Any:
    """Call a trial function in a worker thread, unless it was given up before; a generator runs to its end there."""
    try:
        if attempt.ended:
            return STOPPED
        if attempt.task.resume_step is not None:
            restore(attempt)
            if attempt.stopping:
                return STOPPED
        value = objective.call(context)
        return drive(attempt, context, value) if inspect.isgenerator(value) else value
    finally:
        attempt.left_thread()


def awaitable(attempt: Attempt, value: Any) -> Awaitable[Any]:
    """What to await for the result of what a trial function gave."""
    return cast("Awaitable[Any]", drive_async(attempt, attempt.context, value) if isinstance(value, AsyncGenerator) else value)


def metrics_of(attempt: Attempt, value: Any) -> dict[str, Metric] | None:
    """What the trial function returned; one that was asked to end may return nothing."""
    if value is STOPPED or (value is None and attempt.stopping):
        return None
    return as_metrics(value, attempt.task.address)


def timeout_error(attempt: Attempt) -> TrialError:
    """The error of an attempt that passed its time limit."""
    limit = attempt.task.resources.time_limit
    runs = "; its thread runs on, and holds its slot until it ends" if attempt.call is not None else ""
    message = f"{attempt.task.address} passed its time limit of {limit:g} s{runs}."
    kind = error_name(TrialTimeout)
    return TrialError(kind, message, f"{kind}: {message}\n")
