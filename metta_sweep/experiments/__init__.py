"""Experiments: the composition root, where what is tried, when, how it flows and where it runs come together."""

from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.outputs import FannedOut, Happened, Picked, Scored
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.stages import dispatch, fan_out, pick, score
from metta_sweep.experiments.stream import SweepUpdate, Updates
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.experiments.sweep_run import SweepRun

__all__ = [
    "Experiment",
    "FannedOut",
    "Happened",
    "Picked",
    "Scored",
    "SweepExperiment",
    "SweepResult",
    "SweepRun",
    "SweepUpdate",
    "Updates",
    "dispatch",
    "fan_out",
    "pick",
    "score",
]
