"""Where trials run: the only room that starts trial functions."""

from __future__ import annotations

from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.executor import Capabilities, Ended, Executor, OwnTime, ReportMade, StopCause, TrialEvent, TrialTask
from metta_sweep.executors.learning_curves import LearningCurve, PowerLaw, TabularCurves, simulated
from metta_sweep.executors.local import LocalExecutor
from metta_sweep.executors.simulated_executor import SimulatedExecutor
from metta_sweep.executors.simulation.cost import SimulatedFailure

__all__ = [
    "Capabilities",
    "Ended",
    "Executor",
    "LearningCurve",
    "LocalExecutor",
    "OwnTime",
    "PowerLaw",
    "ReportMade",
    "SimulatedExecutor",
    "SimulatedFailure",
    "StopCause",
    "TabularCurves",
    "TrialContext",
    "TrialEvent",
    "TrialTask",
    "simulated",
]
