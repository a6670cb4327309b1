"""Events as JSON values, as lines for people, and as log messages."""

from __future__ import annotations

import re
from logging import DEBUG, INFO, getLogger
from typing import Any, Final

from metta_sweep.errors import message_of
from metta_sweep.pipeline.contracts.typeforms import brief
from metta_sweep.pipeline.events import (
    BranchTaken,
    HookFailed,
    LoopIterationStarted,
    PipelineEvent,
    StageFailed,
    StageFinished,
    StageRetried,
    StageReused,
    StageStarted,
)

__all__ = ["event_line", "event_to_dict", "log_event", "log_failure", "log_retry", "logs_events"]

_log: Final = getLogger("metta_sweep")
_WORD: Final = re.compile(r"(?<!^)(?=[A-Z])")


def event_to_dict(event: PipelineEvent) -> dict[str, Any]:
    """An event as JSON values: ``{"event": "stage_failed", "address": "train", "error": {"type": ..., "message": ...}, ...}``."""
    return {"event": _kind(event), **{name: _plain(value) for name, value in event._asdict().items()}}


def event_line(event: PipelineEvent) -> str:
    """An event in words, its address first: ``train: finished in 0.12 s``."""
    return f"{event.address}: {_words(event)}"


def logs_events() -> bool:
    """Whether somebody wants every event in the log: it is on DEBUG."""
    return _log.isEnabledFor(DEBUG)


def log_event(event: PipelineEvent) -> None:
    """A listener that logs what is not logged where it happens, on DEBUG."""
    if not isinstance(event, StageRetried | StageFailed | HookFailed):
        _log.debug("%s", event_line(event))


def log_retry(address: str, attempt: int, error: BaseException, delay: float) -> None:
    """Log that an attempt failed and another follows, on WARNING."""
    _log.warning("%s: %s", address, _retried(attempt, error, delay))


def log_failure(address: str, error: BaseException, attempts: int) -> None:
    """Log that a stage failed for good, on INFO: the error itself is raised to whoever runs the pipeline."""
    if _log.isEnabledFor(INFO):
        _log.info("%s: %s", address, _failed(error, attempts))


def _kind(event: PipelineEvent) -> str:
    return _WORD.sub("_", type(event).__name__).lower()


def _words(event: PipelineEvent) -> str:
    match event:
        case StageStarted():
            return "started"
        case StageFinished(seconds=seconds, attempts=attempts):
            return f"finished in {seconds:.3g} s" + (f", after {attempts} attempts" if attempts > 1 else "")
        case StageReused(source=source):
            return "reused, its recorded output still holds" if source == "checkpoint" else "reused, from the cache"
        case StageRetried(attempt=attempt, error=error, delay=delay):
            return _retried(attempt, error, delay)
        case StageFailed(error=error, attempts=attempts):
            return _failed(error, attempts)
        case HookFailed(hook=hook, error=error):
            return f"its hook {hook!r} raised {_error(error)}"
        case LoopIterationStarted(iteration=iteration):
            return f"iteration {iteration} begins"
        case BranchTaken(taken=taken):
            return f"goes the way {taken!r}" if taken else "goes neither way"


def _retried(attempt: int, error: BaseException, delay: float) -> str:
    when = f"in {delay:.3g} s" if delay else "at once"
    return f"attempt {attempt} failed, another follows {when}: {_error(error)}"


def _failed(error: BaseException, attempts: int) -> str:
    return f"failed{f' after {attempts} attempts' if attempts > 1 else ''}: {_error(error)}"


def _error(error: BaseException) -> str:
    return f"{type(error).__name__}: {message_of(error)}"


def _plain(value: object) -> Any:
    if isinstance(value, BaseException):
        return {"type": type(value).__name__, "message": message_of(value)}
    return value if value is None or isinstance(value, str | int | float | bool) else brief(value)
