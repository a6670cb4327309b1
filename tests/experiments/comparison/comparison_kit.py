"""What the tests of comparisons share: sides that are quick, and views of comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from metta_sweep import MemoryStore, Optimizer, SweepExperiment, Uniform
from metta_sweep.experiments import Comparison, ComparisonExperiment
from metta_sweep.optimizers import RandomOptimizer

SPACE = {"x": Uniform(0.0, 1.0)}


async def identity(x: float) -> float:
    """The parameter itself."""
    return x


async def failing(x: float) -> float:
    """Never a score."""
    raise ArithmeticError(f"no score at {x:.1f}")


def side(optimizer: Optimizer | None = None, objective: Callable[..., Any] | None = identity, **settings: Any) -> SweepExperiment:
    """A sweep of ``x`` with one slot; random search unless said otherwise."""
    given: dict[str, Any] = {"search_space": SPACE, "slots": 1, "optimizer": optimizer or RandomOptimizer(), **settings}
    return SweepExperiment(objective=objective, **given)


def template(**settings: Any) -> SweepExperiment:
    """The same without an objective."""
    return side(objective=None, **settings)


def two() -> dict[str, SweepExperiment]:
    """Random search against itself."""
    return {"a": side(), "b": side()}


def comparison(
    experiments: Mapping[str, Any] | None = None, repeats: int = 6, budget: int | None = 3, **options: Any
) -> Comparison:
    """A comparison in memory, with seed 0 unless said otherwise."""
    made: dict[str, Any] = {"store": MemoryStore(), "seed": 0, **options}
    return ComparisonExperiment(experiments=experiments or two(), repeats=repeats, budget=budget, **made).run()


def essence(compared: Comparison) -> list[tuple[Any, ...]]:
    """What a crash, or another process, must not change of the runs."""
    return [
        (run.problem, run.repeat, run.side, run.score, run.trials, run.seed, run.run, run.error, run.curve) for run in compared.runs
    ]
