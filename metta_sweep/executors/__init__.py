"""Where trials run: the only room that starts trial functions."""

from __future__ import annotations

from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.executor import Capabilities, Ended, Executor, ReportMade, StopCause, TrialEvent, TrialTask
from metta_sweep.executors.local import LocalExecutor

__all__ = [
    "Capabilities",
    "Ended",
    "Executor",
    "LocalExecutor",
    "ReportMade",
    "StopCause",
    "TrialContext",
    "TrialEvent",
    "TrialTask",
]
