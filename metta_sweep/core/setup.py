"""What a strategy is told when a run begins."""

from __future__ import annotations

from typing import NamedTuple

from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace

__all__ = ["Setup"]


class Setup(NamedTuple):
    """The sweep that an optimizer or scheduler is about to serve."""

    search_space: SearchSpace | None
    """None for a sweep whose suggestions bring their own parameters."""
    goal: Goal
    seed: int
    """The seed of the sweep; strategies derive their own from it (``derive_seed(seed, "optimizer")``)."""
    slots: int
    branches: tuple[str, ...] = ()
    """The branches that the optimizer can be asked within, for the scheduler."""
