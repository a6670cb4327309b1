"""Experiments: the composition root, where what is tried, when, how it flows and where it runs come together.

Experiments that are made of others are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.experiment_result import ExperimentResult
from metta_sweep.experiments.outputs import FannedOut, Happened, Picked, Scored
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.stages import dispatch, fan_out, pick, score
from metta_sweep.experiments.stream import SweepUpdate, Updates
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.experiments.sweep_run import SweepRun

if TYPE_CHECKING:
    from metta_sweep.experiments.comparison import Comparison as Comparison
    from metta_sweep.experiments.comparison import ComparisonExperiment as ComparisonExperiment
    from metta_sweep.experiments.comparison import compare as compare
    from metta_sweep.experiments.curriculum import CurriculumExperiment as CurriculumExperiment
    from metta_sweep.experiments.hybrid import Candidate as Candidate
    from metta_sweep.experiments.hybrid import HybridExperiment as HybridExperiment
    from metta_sweep.experiments.meta import MetaExperiment as MetaExperiment
    from metta_sweep.experiments.optimizer_optimizer import OptimizerOptimizer as OptimizerOptimizer
    from metta_sweep.experiments.optimizer_optimizer import TriedConfig as TriedConfig
    from metta_sweep.experiments.tasks import TaskResults as TaskResults
    from metta_sweep.experiments.tasks import TaskRound as TaskRound

_LATE = {
    "Candidate": "hybrid",
    "Comparison": "comparison",
    "ComparisonExperiment": "comparison",
    "CurriculumExperiment": "curriculum",
    "HybridExperiment": "hybrid",
    "MetaExperiment": "meta",
    "OptimizerOptimizer": "optimizer_optimizer",
    "TaskResults": "tasks",
    "TaskRound": "tasks",
    "TriedConfig": "optimizer_optimizer",
    "compare": "comparison",
}

__all__ = [  # noqa: PLE0604  # names of strings
    "Experiment",
    "ExperimentResult",
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
    *_LATE,
]


def __getattr__(name: str) -> Any:
    home = _LATE.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
