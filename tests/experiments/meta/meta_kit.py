"""What the tests of meta-experiments share: small experiments to copy, and a way to run them."""

from __future__ import annotations

from typing import Any

from metta_sweep import Choice, MetaExperiment, SweepExperiment, SweepResult, Uniform
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing.virtual import run_virtual

SPACE = {"x": Uniform(0.0, 1.0), "arm": Choice(["a", "b"])}


async def worth(x: float, arm: str) -> float:
    """Best at x = 0.3 of arm b."""
    return (1 - (x - 0.3) ** 2) * (0.5 if arm == "a" else 0.8)


def base(**settings: Any) -> SweepExperiment:
    """A sweep over two arms by the iteration scheduler, one trial at a time."""
    made: dict[str, Any] = {
        "objective": worth,
        "search_space": SPACE,
        "scheduler": IterationScheduler(branch_by="arm"),
        "slots": 1,
        **settings,
    }
    return SweepExperiment(**made)


def meta(**settings: Any) -> MetaExperiment:
    """A meta-experiment of ``base()`` whose copies have 5 trials, one copy at a time, with seed 0."""
    given: dict[str, Any] = {"base": base(), "base_budget": 5, "slots": 1, "seed": 0, "store": "memory", **settings}
    return MetaExperiment(**given)


def run(experiment: SweepExperiment, budget: Any = None, **options: Any) -> SweepResult:
    """Run it on a virtual clock."""
    return run_virtual(experiment.arun(budget, **options))
