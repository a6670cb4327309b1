"""What optimizers support, and the refusal of what they do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from metta_sweep import MemoryStore, SweepExperiment
from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import OptimizerError
from metta_sweep.optimizers import Optimizer, Phase, Phases, PortfolioOptimizer, RandomOptimizer, Supports
from metta_sweep.optimizers.supports import check_supported

SEVERAL = Goal.of({"accuracy": "maximize", "latency": "minimize"})
CONDITIONAL = {"model": Choice({"svm": {"C": Uniform(0, 1)}, "none": {}})}


def lacks(supports: Supports, space: Mapping[str, Distribution] | None, goal: Goal | None = None) -> str | None:
    """What is asked for and not supported."""
    return supports.lacks(None if space is None else SearchSpace.of(space), goal or Goal())


@pytest.mark.parametrize(
    ("supports", "space", "lacking"),
    [
        (Supports(conditional=False), CONDITIONAL, "sub-spaces under a Choice, such as the one with 'C'"),
        (Supports(categorical=False), {"x": Uniform(0, 1), "kind": Choice([1, 2])}, "choices, such as 'kind'"),
        (Supports(categorical=False), CONDITIONAL, "choices, such as 'model'"),
        (Supports(continuous=False), {"lr": LogUniform(1, 2)}, "continuous parameters, such as 'lr': LogUniform(1.0, 2.0)"),
        (Supports(continuous=False), CONDITIONAL, "continuous parameters, such as 'C'"),
        (Supports(integers=False), {"n": LogInteger(1, 2)}, "whole numbers, such as 'n': LogInteger(1, 2)"),
        (Supports(most_parameters=1), {"a": Integer(1, 2), "b": Integer(1, 2)}, "a space of 2 parameters (it searches up to 1)"),
    ],
)
def test_what_is_lacking_is_named(supports: Supports, space: dict[str, Any], lacking: str) -> None:
    """With the parameter that asks for it."""
    found = lacks(supports, space)
    assert found is not None
    assert found.startswith(lacking)


def test_what_is_not_asked_for_is_not_lacking() -> None:
    """A member that supports little is fine for a space that asks for little, and so is any where there is no space."""
    little = Supports(False, False, False, False, False, 1)
    assert lacks(little, {"always": Constant(1)}) is None
    assert lacks(little, None) is None
    assert lacks(Supports(False, True, False, False, False), {"model": Choice({"svm": {}, "none": {}})}) is None
    assert lacks(Supports(), {**CONDITIONAL, "n": Integer(1, 2)}, SEVERAL) is None


def test_several_objectives_are_named() -> None:
    """All of them."""
    assert lacks(Supports(several_objectives=False), None, SEVERAL) == "a goal with several objectives (accuracy, latency)"
    assert lacks(Supports(several_objectives=False), None) is None


class Narrow(RandomOptimizer):
    """Searches floats only."""

    supports = Supports(conditional=False, categorical=False, integers=False, several_objectives=False)


class Depends(RandomOptimizer):
    """What it supports depends on how it is made."""

    def __init__(self, seed: int | None = None, floats: bool = True) -> None:
        super().__init__(seed=seed)
        self.floats = floats

    @property
    def supports(self) -> Supports:  # type: ignore[override]
        """Floats, or not."""
        return Supports(continuous=self.floats)


def sweep(optimizer: Optimizer, space: Mapping[str, Distribution], goal: Any = "maximize", **options: Any) -> SweepExperiment:
    """A sweep, made and not run."""
    return SweepExperiment(
        search_space=space, optimizer=optimizer, goal=goal, **{"objective": lambda trial: 0.0, "store": MemoryStore(), **options}
    )


def test_an_unsupported_space_is_refused_when_the_sweep_is_made() -> None:
    """Before anything is written; the message names the parameter and optimizers that do."""
    with pytest.raises(OptimizerError) as caught:
        sweep(Narrow(), {"x": Uniform(0, 1), "layers": Integer(1, 3)})
    text = str(caught.value)
    assert text.startswith("SweepExperiment(optimizer=Narrow(...)): it does not search whole numbers, such as 'layers'")
    assert "found 'x, layers'" in text
    assert "Optimizers that do: " in text


def test_the_member_that_is_at_fault_is_named() -> None:
    """Of optimizers that are made of others, at any depth."""
    inner = PortfolioOptimizer({"any": RandomOptimizer(), "floats": Narrow()})
    made = Phases([Phase(RandomOptimizer(), trials=5), Phase(inner, name="then")])
    with pytest.raises(
        OptimizerError, match=r"Phases\(\.\.\.\)\): its member 'then/floats' \(Narrow\) does not search whole numbers"
    ):
        sweep(made, {"x": Uniform(0, 1), "layers": Integer(1, 3)})


def test_an_unsupported_goal_is_refused_when_the_sweep_is_made() -> None:
    """Though the space is fine."""
    with pytest.raises(OptimizerError, match=r"several objectives \(accuracy, latency\)"):
        sweep(Narrow(), {"x": Uniform(0, 1)}, {"accuracy": "maximize", "latency": "minimize"})
    sweep(Narrow(), {"x": Uniform(0, 1)})


def test_what_is_supported_may_depend_on_the_settings() -> None:
    """A property is asked of the optimizer as it was made."""
    sweep(Depends(), {"x": Uniform(0, 1)})
    with pytest.raises(OptimizerError, match="continuous parameters, such as 'x'"):
        sweep(Depends(floats=False), {"x": Uniform(0, 1)})


def test_the_optimizers_that_do_are_those_that_search_by_themselves() -> None:
    """No queue, no abstract class, no composition of others; a member that lacks the same is not among them."""
    listed = listed_for({"n": Integer(1, 3), **CONDITIONAL}, Goal())
    assert {"RandomOptimizer", "GridOptimizer", "SobolOptimizer", "EvolutionOptimizer"} <= set(listed)
    assert {"Optimizer", "SuggestionQueue", "Supports", "PortfolioOptimizer", "Phases", "Phase"}.isdisjoint(listed)
    many = {f"x{number}": Integer(1, 2) for number in range(21202)}
    assert "SobolOptimizer" not in listed_for(many, Goal())


def listed_for(space: Mapping[str, Distribution], goal: Goal) -> list[str]:
    """The names that a refusal lists."""

    class Nothing(RandomOptimizer):
        supports = Supports(integers=False)

    with pytest.raises(OptimizerError) as caught:
        check_supported(Nothing(), SearchSpace.of(space), goal)
    return str(caught.value).removesuffix(".").split("Optimizers that do: ")[1].split(", ")


def test_an_optimizer_that_declares_nothing_supports_everything() -> None:
    """One of a user's own need not know of it."""

    class Own:
        def suggest(self, n: int) -> list[dict[str, float]]:
            """One point."""
            return [{"x": 0.5}] * n

    check_supported(Own(), SearchSpace.of(CONDITIONAL), SEVERAL)
