"""Every optimizer does what every optimizer must do."""

from __future__ import annotations

from metta_sweep.core.search_space import SearchSpace
from metta_sweep.optimizers import Optimizer, RandomOptimizer
from metta_sweep.testing import OptimizerConformance


class TestRandomOptimizer(OptimizerConformance):
    """Independent draws."""

    learns = False
    repeats = True

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        return RandomOptimizer(search_space, seed=seed)
