"""What a sweep was defined with."""

from __future__ import annotations

from typing import Any, NamedTuple

from metta_sweep.core.failures import FailurePolicy
from metta_sweep.core.goal import Goal
from metta_sweep.core.resources import Resources
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.executors.executor import Executor
from metta_sweep.experiments.strategies import branches_of
from metta_sweep.experiments.warm_start import WarmStart
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["Blueprint"]


class Blueprint(NamedTuple):
    """What a sweep was defined with, checked."""

    owner: object
    """The sweep that it was made of."""
    name: str | None
    label: str
    """What run ids begin with."""
    objective: Any
    search_space: SearchSpace | None
    optimizer: Optimizer
    scheduler: Scheduler
    executor: Executor
    goal: Goal
    failures: FailurePolicy
    seed: int | None
    slots: int
    slots_given: bool
    """Whether somebody said how many; otherwise it is the scheduler's wish."""
    own_store: object
    """The store that the sweep was given, or its place; None when it was given none."""
    grace: float | None
    resources: Resources
    tags: tuple[str, ...]
    warm_start: WarmStart | None
    """What its optimizer knows when it begins."""
    definition: dict[str, Any]
    """As it is kept: plain JSON values."""
    code: str | None
    """The digest of the trial function's code."""

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The branches there are, where the scheduler picks between the alternatives of a choice, or the optimizer has its own."""
        name = self.scheduler.branch_by
        if name is None:
            return branches_of(self.optimizer)
        return () if self.search_space is None else self.search_space.alternatives(name)
