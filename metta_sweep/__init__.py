"""metta_sweep: composable machine-learning experiments.

What to try (optimizers), when and how long (schedulers), how it flows (pipelines) and where it runs (executors), over one journal.
Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metta_sweep.core.branch import BranchStats as BranchStats
    from metta_sweep.core.budget import Budget as Budget
    from metta_sweep.core.budget import Spend as Spend
    from metta_sweep.core.budget import StopReason as StopReason
    from metta_sweep.core.distributions import Choice as Choice
    from metta_sweep.core.distributions import Constant as Constant
    from metta_sweep.core.distributions import Integer as Integer
    from metta_sweep.core.distributions import LogInteger as LogInteger
    from metta_sweep.core.distributions import LogUniform as LogUniform
    from metta_sweep.core.distributions import Permutation as Permutation
    from metta_sweep.core.distributions import Uniform as Uniform
    from metta_sweep.core.distributions import Variants as Variants
    from metta_sweep.core.failures import FailurePolicy as FailurePolicy
    from metta_sweep.core.resources import Resources as Resources
    from metta_sweep.core.search_space import SearchSpace as SearchSpace
    from metta_sweep.core.trial import Report as Report
    from metta_sweep.core.trial import Suggestion as Suggestion
    from metta_sweep.core.trial import Trial as Trial
    from metta_sweep.core.trial import TrialState as TrialState
    from metta_sweep.core.trial import Verdict as Verdict
    from metta_sweep.executors.context import TrialContext as TrialContext
    from metta_sweep.executors.local import LocalExecutor as LocalExecutor
    from metta_sweep.experiments.comparison.comparing import compare as compare
    from metta_sweep.experiments.comparison.experiment import ComparisonExperiment as ComparisonExperiment
    from metta_sweep.experiments.curriculum import CurriculumExperiment as CurriculumExperiment
    from metta_sweep.experiments.experiment import Experiment as Experiment
    from metta_sweep.experiments.experiment_result import ExperimentResult as ExperimentResult
    from metta_sweep.experiments.hybrid import HybridExperiment as HybridExperiment
    from metta_sweep.experiments.meta import MetaExperiment as MetaExperiment
    from metta_sweep.experiments.optimizer_optimizer import OptimizerOptimizer as OptimizerOptimizer
    from metta_sweep.experiments.result import SweepResult as SweepResult
    from metta_sweep.experiments.sweep import SweepExperiment as SweepExperiment
    from metta_sweep.optimizers.optimizer import Optimizer as Optimizer
    from metta_sweep.pipeline import Artifact as Artifact
    from metta_sweep.pipeline import Cache as Cache
    from metta_sweep.pipeline import Context as Context
    from metta_sweep.pipeline import ItemFailure as ItemFailure
    from metta_sweep.pipeline import Pipeline as Pipeline
    from metta_sweep.pipeline import Plan as Plan
    from metta_sweep.pipeline import ResumePlan as ResumePlan
    from metta_sweep.pipeline import Retry as Retry
    from metta_sweep.pipeline import StageContext as StageContext
    from metta_sweep.pipeline import fields as fields
    from metta_sweep.pipeline import hooks as hooks
    from metta_sweep.pipeline import ref as ref
    from metta_sweep.schedulers.scheduler import Scheduler as Scheduler
    from metta_sweep.store.memory import MemoryStore as MemoryStore
    from metta_sweep.store.sql.store import SqliteStore as SqliteStore

__version__ = "0.1.0"

_HOMES = {
    "Artifact": "pipeline",
    "BranchStats": "core.branch",
    "Budget": "core.budget",
    "Cache": "pipeline",
    "Choice": "core.distributions",
    "ComparisonExperiment": "experiments.comparison.experiment",
    "Constant": "core.distributions",
    "Context": "pipeline",
    "CurriculumExperiment": "experiments.curriculum",
    "Experiment": "experiments.experiment",
    "ExperimentResult": "experiments.experiment_result",
    "FailurePolicy": "core.failures",
    "HybridExperiment": "experiments.hybrid",
    "Integer": "core.distributions",
    "ItemFailure": "pipeline",
    "LocalExecutor": "executors.local",
    "LogInteger": "core.distributions",
    "LogUniform": "core.distributions",
    "MemoryStore": "store.memory",
    "MetaExperiment": "experiments.meta",
    "Optimizer": "optimizers.optimizer",
    "OptimizerOptimizer": "experiments.optimizer_optimizer",
    "Permutation": "core.distributions",
    "Pipeline": "pipeline",
    "Plan": "pipeline",
    "Report": "core.trial",
    "Resources": "core.resources",
    "ResumePlan": "pipeline",
    "Retry": "pipeline",
    "Scheduler": "schedulers.scheduler",
    "SearchSpace": "core.search_space",
    "Spend": "core.budget",
    "SqliteStore": "store.sql.store",
    "StageContext": "pipeline",
    "StopReason": "core.budget",
    "Suggestion": "core.trial",
    "SweepExperiment": "experiments.sweep",
    "SweepResult": "experiments.result",
    "Trial": "core.trial",
    "TrialContext": "executors.context",
    "TrialState": "core.trial",
    "Uniform": "core.distributions",
    "Variants": "core.distributions",
    "Verdict": "core.trial",
    "compare": "experiments.comparison.comparing",
    "fields": "pipeline",
    "hooks": "pipeline",
    "ref": "pipeline",
}

__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604  # names of strings


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'metta_sweep' has no attribute {name!r}{_where_it_is(name)}")
    value = getattr(import_module(f"metta_sweep.{home}"), name)
    globals()[name] = value
    return value


def _where_it_is(name: str) -> str:
    for room in ("optimizers", "schedulers", "store", "experiments", "errors", "testing"):
        if name in getattr(import_module(f"metta_sweep.{room}"), "__all__", ()):
            return f". It is in metta_sweep.{room}: from metta_sweep.{room} import {name}"
    from metta_sweep.errors import did_you_mean

    guess = did_you_mean(name, _HOMES)
    return "" if guess is None or name.startswith("_") else f". Did you mean {guess!r}?"


def __dir__() -> list[str]:
    return __all__
