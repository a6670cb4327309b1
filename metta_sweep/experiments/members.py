"""The members of a sweep: optimizer, scheduler and search space, checked against each other."""

from __future__ import annotations

from typing import Any

from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import OptimizerError, SchedulerError
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.schedulers import FIFOScheduler
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["members_of"]


def members_of(
    optimizer: Optimizer | Scheduler | None, scheduler: Scheduler | None, space: SearchSpace | None
) -> tuple[Optimizer, Scheduler, SearchSpace | None]:
    """Optimizer, scheduler and search space of a sweep, with defaults, checked against each other."""
    if isinstance(optimizer, Scheduler) and optimizer.proposes:
        scheduler = _only_scheduler(optimizer, scheduler)
        optimizer = None
        # where it stands in place of the optimizer, what it explores is what is searched
        space = getattr(scheduler, "search_space", None) if space is None else space
    chosen = RandomOptimizer() if optimizer is None else _checked_optimizer(optimizer)
    planned = FIFOScheduler() if scheduler is None else _checked_scheduler(scheduler)
    own = getattr(chosen, "search_space", None)
    own_space = None if own is None else SearchSpace.of(own)
    if own_space is not None and space is not None and own_space != space:
        raise OptimizerError(
            f"SweepExperiment(optimizer={type(chosen).__name__}(...))",
            "the optimizer has another search space than the sweep",
            found=", ".join(own_space.names),
            expected=f"that of the sweep: {', '.join(space.names)}",
            remedy="Give the search space to one of them only",
        )
    return chosen, planned, space if space is not None else own_space


def _only_scheduler(proposing: Scheduler, scheduler: Scheduler | None) -> Scheduler:
    """The scheduler that stands where an optimizer is."""
    if scheduler is not None and scheduler is not proposing:
        kind = type(proposing).__name__
        raise SchedulerError(
            "SweepExperiment(scheduler=)",
            f"{kind} stands in place of the optimizer, and schedules as well",
            found=scheduler,
            expected="one scheduler",
            remedy=f"Leave scheduler= out, or write scheduler={kind}(...) and another optimizer=",
        )
    return proposing


def _checked_optimizer(optimizer: Any) -> Optimizer:
    if isinstance(optimizer, type) or not callable(getattr(optimizer, "suggest", None)):
        raise OptimizerError(
            "SweepExperiment(optimizer=)",
            "a class is no optimizer" if isinstance(optimizer, type) else "it has no suggest() method",
            found=optimizer,
            expected="an instance of Optimizer",
            remedy=f"Write {optimizer.__name__}()" if isinstance(optimizer, type) else _meant_as_optimizer(optimizer),
        )
    if not isinstance(optimizer, Optimizer):
        raise OptimizerError(
            "SweepExperiment(optimizer=)",
            f"{type(optimizer).__name__} is not derived from Optimizer",
            found=optimizer,
            expected="an instance of Optimizer",
            remedy=f"Write class {type(optimizer).__name__}(Optimizer)",
        )
    return optimizer


def _checked_scheduler(scheduler: Any) -> Scheduler:
    if not isinstance(scheduler, Scheduler):
        raise SchedulerError(
            "SweepExperiment(scheduler=)",
            "a class is no scheduler" if isinstance(scheduler, type) else "it is no scheduler",
            found=scheduler,
            expected="an instance of Scheduler",
            remedy=f"Write {scheduler.__name__}()" if isinstance(scheduler, type) else _meant_as_scheduler(scheduler),
        )
    return scheduler


def _meant_as_optimizer(value: Any) -> str:
    if isinstance(value, Scheduler):
        return f"It is a scheduler: write scheduler={type(value).__name__}(...)"
    if isinstance(value, str) or type(value).__module__.startswith("optuna."):
        return "Write RandomOptimizer(), BayesianOptimizer() or OptunaOptimizer(sampler='TPE'), say"
    return "Define suggest(self, n) and observe(self, trial, result)"


def _meant_as_scheduler(value: Any) -> str:
    if isinstance(value, Optimizer):
        return f"It is an optimizer: write optimizer={type(value).__name__}(...)"
    if isinstance(value, str):
        return "Write ASHAScheduler(max_epochs=100) or SynchronousBatchScheduler(batch_size=10), say"
    if isinstance(value, list | tuple):
        return "Give one scheduler; for several sweeps make several experiments"
    return "Derive its class from Scheduler"
