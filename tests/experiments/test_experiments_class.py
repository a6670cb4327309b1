"""Sweeps that say in their class what others give to the constructor, and what cannot be changed afterwards."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from sweep_kit import SPACE, run

from metta_sweep import FailurePolicy, MemoryStore, StopReason, SweepExperiment, Uniform, hooks
from metta_sweep.errors import BudgetError, OptimizerError
from metta_sweep.optimizers import RandomOptimizer, SuggestionQueue
from metta_sweep.schedulers import IterationScheduler

seen: list[Any] = []


class Whole(SweepExperiment):
    """Says all of it."""

    search_space = SPACE
    optimizer = SuggestionQueue([{"x": 0.5}, {"x": 0.25}])
    scheduler = IterationScheduler(c=0.5)
    goal = "minimize"
    metric = "loss"
    slots = 2
    seed = 3
    grace = 1.0
    failures = FailurePolicy(retries=1)
    hooks: Mapping[str, Mapping[str, Any]] = {"pick": hooks(after=seen.append)}
    tags = ("night",)

    async def objective(self, x: float) -> dict[str, float]:
        """Two metrics."""
        return {"loss": x, "gain": 1 - x}


def test_attributes_of_the_class_count() -> None:
    """Search space, optimizer, scheduler, goal and the rest work as if the constructor had been given them."""
    seen.clear()
    experiment = Whole()
    result = run(experiment)
    assert (result.best_score, result.stop_reason, result.seed) == (0.25, StopReason.QUEUE_EMPTY, 3)
    assert (experiment.slots, experiment.grace, experiment.failures.retries, experiment.tags) == (2, 1.0, 1, ("night",))
    assert isinstance(result.scheduler, IterationScheduler)
    assert result.scheduler.c == 0.5
    assert seen


def test_the_constructor_wins() -> None:
    """What it is given counts, and the class stays as it is."""
    other: SweepExperiment = Whole(
        optimizer=RandomOptimizer(), goal={"gain": "maximize"}, metric="gain", slots=1, search_space={"x": Uniform(0, 2)}
    )
    assert (other.goal.metric, other.slots, other.search_space.names) == ("gain", 1, ("x",))
    assert Whole.goal == "minimize"
    assert isinstance(Whole().optimizer, SuggestionQueue)


def test_attributes_of_the_class_are_checked() -> None:
    """A bad one is the error that the constructor would have given."""

    class NoSlots(SweepExperiment):
        slots = 0

    class Uncalled(SweepExperiment):
        optimizer = RandomOptimizer  # type: ignore[assignment]

    with pytest.raises(BudgetError, match="slots"):
        NoSlots()
    with pytest.raises(OptimizerError, match=r"Write RandomOptimizer\(\)"):
        Uncalled()


@pytest.mark.parametrize("name", ["goal", "slots", "search_space", "objective", "metric", "store", "name", "seed", "hooks", "tags"])
def test_what_was_checked_cannot_be_changed(name: str) -> None:
    """The error names the attribute, the value, and the constructor."""
    experiment = SweepExperiment(search_space=SPACE, store=MemoryStore())
    with pytest.raises(AttributeError, match=rf"SweepExperiment\.{name} cannot be set to 'minimize'.*SweepExperiment\({name}="):
        setattr(experiment, name, "minimize")


def test_what_a_subclass_adds_can_be_changed() -> None:
    """Only what the constructor takes is fixed; copies are as free, and as fixed."""

    class Counts(Whole):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.calls = 0

    experiment = copy.deepcopy(Counts())
    experiment.calls += 1
    assert experiment.calls == 1
    with pytest.raises(AttributeError, match=r"Counts\.goal"):
        experiment.goal = "maximize"
