"""Every optimizer does what every optimizer must do."""

from __future__ import annotations

import pytest

from metta_sweep.core.search_space import SearchSpace
from metta_sweep.optimizers import (
    AxOptimizer,
    BayesianOptimizer,
    EvolutionOptimizer,
    GridOptimizer,
    NevergradOptimizer,
    Optimizer,
    OptunaOptimizer,
    Phase,
    Phases,
    PortfolioOptimizer,
    ProteinOptimizer,
    RandomOptimizer,
    SobolOptimizer,
)
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


class TestPortfolioOptimizer(OptimizerConformance):
    """Members that take turns, one of which learns."""

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With members of three kinds."""
        pytest.importorskip("optuna")
        members = {"tpe": OptunaOptimizer(n_startup_trials=4), "grid": GridOptimizer(resolution=9), "random": RandomOptimizer()}
        return PortfolioOptimizer(members, search_space, seed)


class TestPhases(OptimizerConformance):
    """Quasi-random points, and then a model."""

    learns_of_failures = False  # Optuna leaves failed trials out

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As Ax begins."""
        pytest.importorskip("optuna")
        pytest.importorskip("scipy")
        first = Phase(SobolOptimizer(), trials=4, min_observed=3)
        return Phases([first, Phase(OptunaOptimizer(n_startup_trials=4), max_parallel=8)], search_space, seed)


class TestPhasesWithinAPortfolio(OptimizerConformance):
    """One optimizer in another, two levels deep."""

    learns = False

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """A portfolio, phases and a portfolio."""
        inner = PortfolioOptimizer({"grid": GridOptimizer(order="shuffled"), "random": RandomOptimizer()})
        phases = Phases([Phase(RandomOptimizer(), trials=6, name="first"), Phase(inner, name="then")])
        return PortfolioOptimizer({"phases": phases, "random": RandomOptimizer()}, search_space, seed)


class TestEvolutionOptimizer(OptimizerConformance):
    """Aging evolution; random until its population is full."""

    history = 45

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With a population that is full soon."""
        return EvolutionOptimizer(search_space, population_size=8, tournament_size=4, seed=seed)


class TestBayesianOptimizer(OptimizerConformance):
    """A Gaussian process."""

    history = 14

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With few trials before the model."""
        pytest.importorskip("sklearn")
        return BayesianOptimizer(search_space, initial_trials=5, seed=seed)


class TestOptunaOptimizer(OptimizerConformance):
    """TPE, which is Optuna's default."""

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        pytest.importorskip("optuna")
        return OptunaOptimizer(search_space, seed=seed)


@pytest.mark.slow
class TestOptunaCmaEs(OptimizerConformance):
    """An evolution strategy, which keeps its state in its trials."""

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With another sampler."""
        pytest.importorskip("optuna")
        return OptunaOptimizer(search_space, "CMA-ES", seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestOptunaGp(OptimizerConformance):
    """A Gaussian process, which takes its time."""

    history = 12

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With another sampler."""
        pytest.importorskip("optuna")
        pytest.importorskip("torch")
        return OptunaOptimizer(search_space, "GP", seed=seed)


@pytest.mark.slow
class TestOptunaNsga(OptimizerConformance):
    """A genetic algorithm, which learns by generations."""

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With small generations."""
        pytest.importorskip("optuna")
        return OptunaOptimizer(search_space, "NSGA-II", seed=seed, population_size=8)


@pytest.mark.slow
class TestOptunaBruteForce(OptimizerConformance):
    """Everything once."""

    learns = False

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With a sampler that ends."""
        pytest.importorskip("optuna")
        return OptunaOptimizer(search_space, "BruteForce", seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestNevergradOptimizer(OptimizerConformance):
    """NGOpt, which is Nevergrad's default. Its first points are the same whatever it was told before."""

    learns = False

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        pytest.importorskip("nevergrad")
        return NevergradOptimizer(search_space, seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestNevergradEvolution(OptimizerConformance):
    """Differential evolution."""

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """With another method."""
        pytest.importorskip("nevergrad")
        return NevergradOptimizer(search_space, "TwoPointsDE", seed=seed)


class TestProteinOptimizer(OptimizerConformance):
    """Around the best trials."""

    history = 14

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        pytest.importorskip("sklearn")
        return ProteinOptimizer(search_space, seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestAxOptimizer(OptimizerConformance):
    """Sobol points, and then a model that takes its time."""

    history = 7

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """As its users do."""
        pytest.importorskip("ax")
        return AxOptimizer(search_space, seed=seed)
