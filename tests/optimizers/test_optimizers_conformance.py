"""Every optimizer does what every optimizer must do."""

from __future__ import annotations

import pytest

from metta_sweep.core.search_space import SearchSpace
from metta_sweep.optimizers import GridOptimizer, Optimizer, RandomOptimizer, SobolOptimizer
from metta_sweep.testing import OptimizerConformance


class TestRandomOptimizer(OptimizerConformance):
    """Independent draws."""

    learns = False
    repeats = True

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        return RandomOptimizer(search_space, seed=seed)


class TestGridOptimizer(OptimizerConformance):
    """Nested loops."""

    learns = False
    seeded = False

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        return GridOptimizer(search_space, seed=seed)


class TestShuffledGridOptimizer(OptimizerConformance):
    """The same points in another order."""

    learns = False

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With other resolutions than the default."""
        return GridOptimizer(search_space, resolution=7, order="shuffled", seed=seed)


class TestSobolOptimizer(OptimizerConformance):
    """Quasi-random points."""

    learns = False

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        pytest.importorskip("scipy")
        return SobolOptimizer(search_space, seed=seed)


class TestPlainSobolOptimizer(OptimizerConformance):
    """The sequence without scrambling."""

    learns = False
    seeded = False

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        pytest.importorskip("scipy")
        return SobolOptimizer(search_space, seed=seed, scramble=False)
