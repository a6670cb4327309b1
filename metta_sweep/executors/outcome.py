"""From what a trial function gives to what its terminal event tells."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Final, cast

from metta_sweep.core.metrics import as_metrics
from metta_sweep.core.trial import Metric, TrialError
from metta_sweep.errors import Interrupted, MetricError, TrialTimeout
from metta_sweep.executors.attempt import Attempt
from metta_sweep.executors.context import TrialContext, has_noticed, kept_metadata
from metta_sweep.executors.executor import Ended
from metta_sweep.executors.failure import error_name, trial_error
from metta_sweep.executors.generators import STOPPED, drive, drive_async
from metta_sweep.executors.objective import BoundObjective
from metta_sweep.executors.pausing import restore
from metta_sweep.here import here

__all__ = ["awaitable", "ended_of", "in_thread", "is_unrun", "metrics_of", "timeout_error"]

_INTERRUPTED: Final = error_name(Interrupted)
"""What an experiment raises that was ended inside a trial, since that one is to end."""


def in_thread(objective: BoundObjective, attempt: Attempt, context: TrialContext) -> Any:
    """Call a trial function in a worker thread, unless it was given up before; a generator runs to its end there."""
    try:
        if attempt.ended:
            return STOPPED
        if attempt.task.resume_step is not None:
            restore(attempt)
            if attempt.stopping:
                return STOPPED
        here.set(context)
        value = objective.call(context)
        return drive(attempt, context, value) if inspect.isgenerator(value) else value
    finally:
        attempt.left_thread()


def awaitable(attempt: Attempt, value: Any) -> Awaitable[Any]:
    """What to await for the result of what a trial function gave."""
    if isinstance(value, AsyncGenerator):
        return drive_async(attempt, attempt.context, value)
    return cast("Awaitable[Any]", value.__run_as_trial__() if is_unrun(value) else value)


def is_unrun(value: Any) -> bool:
    """Whether a trial function gave something to be run in its place: an experiment."""
    return hasattr(type(value), "__run_as_trial__")


def metrics_of(attempt: Attempt, value: Any) -> dict[str, Metric] | None:
    """What the trial function returned; one that was asked to end may return nothing."""
    if value is STOPPED or (value is None and attempt.stopping):
        return None
    return as_metrics(value, attempt.task.address)


def ended_of(attempt: Attempt, seconds: float, metrics: dict[str, Metric] | None, error: TrialError | None) -> Ended:
    """The terminal event of an attempt whose function has returned, raised, been cancelled or been given up."""
    metadata = None
    try:
        metadata = kept_metadata(attempt.context)
    except MetricError as wrong:
        error = error or trial_error(wrong)
    if attempt.timed_out:
        error = timeout_error(attempt)
    elif error is not None and (attempt.excused or (attempt.stopping and error.type == _INTERRUPTED)):
        metadata = {"error": f"{error.type}: {error.message}", **(metadata or {})}
        metrics = error = None
    if error is not None:
        metrics = None
    trial = attempt.task.trial
    ran_to_its_end = metrics is not None and not attempt.cut and not has_noticed(attempt.context)
    stopped = None if error is not None or ran_to_its_end else attempt.cause
    return Ended(trial.id, trial.attempt, seconds, metrics, error, stopped, metadata)


def timeout_error(attempt: Attempt) -> TrialError:
    """The error of an attempt that passed its time limit."""
    limit = attempt.task.resources.time_limit
    runs = "; its thread runs on, and holds its slot until it ends" if attempt.call is not None else ""
    message = f"{attempt.task.address} passed its time limit of {limit:g} s{runs}."
    kind = error_name(TrialTimeout)
    return TrialError(kind, message, f"{kind}: {message}\n")
