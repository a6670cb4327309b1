"""What a running pipeline tells its listeners: one stream, for logs, journals and drawings."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = [
    "BranchTaken",
    "HookFailed",
    "LoopIterationStarted",
    "PipelineEvent",
    "PipelineListener",
    "StageFailed",
    "StageFinished",
    "StageRetried",
    "StageReused",
    "StageStarted",
]


class StageStarted(NamedTuple):
    """A stage is about to run."""

    address: str
    stage: str


class StageFinished(NamedTuple):
    """A stage's output was validated and recorded."""

    address: str
    stage: str
    seconds: float
    attempts: int


class StageReused(NamedTuple):
    """A stage was not run: its recorded output still holds."""

    address: str
    stage: str
    source: str = "checkpoint"
    """Where the output was: ``"checkpoint"`` of this run, or ``"cache"``, which runs share."""


class StageRetried(NamedTuple):
    """An attempt failed and another follows."""

    address: str
    stage: str
    attempt: int
    """The attempt that failed, from 1."""
    error: BaseException
    delay: float
    """Seconds until the next attempt."""


class StageFailed(NamedTuple):
    """A stage failed for good."""

    address: str
    stage: str
    error: BaseException
    attempts: int


class HookFailed(NamedTuple):
    """An observer raised. The run goes on, unless hooks are strict."""

    address: str
    stage: str
    hook: str
    error: BaseException


class LoopIterationStarted(NamedTuple):
    """A loop begins an iteration."""

    address: str
    iteration: int


class BranchTaken(NamedTuple):
    """A branch chose its way."""

    address: str
    taken: str
    """``then`` or ``otherwise``; empty when nothing runs."""


PipelineEvent = (
    StageStarted | StageFinished | StageReused | StageRetried | StageFailed | HookFailed | LoopIterationStarted | BranchTaken
)
PipelineListener = Callable[[PipelineEvent], None]
