"""Random search."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from metta_sweep.core.distributions import Choice, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.errors import InvalidInput, OptimizerError, SearchSpaceError, SuggestionError, UnknownOption
from metta_sweep.optimizers import Optimizer, RandomOptimizer

SPACE = {"model": Choice({"svm": {"C": LogUniform(1e-2, 1e3)}, "none": {}}), "x": Uniform(0, 1)}


def setup(seed: int = 0, space: SearchSpace | None = None) -> Setup:
    """A sweep that an optimizer may serve."""
    return Setup(space, Goal(), seed, 3)


def test_a_suggestion_is_a_function_of_seed_and_index() -> None:
    """However suggestions are asked for, number i is the same; another seed gives others."""
    whole = RandomOptimizer(SPACE, seed=3).suggest(6)
    optimizer = RandomOptimizer(SPACE, seed=3)
    assert [optimizer.suggest(1, index=index)[0] for index in (5, 0, 3)] == [whole[5], whole[0], whole[3]]
    assert optimizer.suggest(2, index=2) == whole[2:4]
    assert RandomOptimizer(SPACE, seed=4).suggest(6) != whole
    assert {suggestion.origin for suggestion in whole} == {"random"}


def test_fixed_parameters_hold() -> None:
    """Within a branch every suggestion has its parameters, and the others are those of the same draw."""
    optimizer = RandomOptimizer(SPACE, seed=0)
    free, fixed = optimizer.suggest(8), optimizer.suggest(8, fixed={"model": "svm"})
    assert {suggestion.params["model"] for suggestion in fixed} == {"svm"}
    assert [suggestion.params["x"] for suggestion in fixed] == [suggestion.params["x"] for suggestion in free]


def test_what_is_left_out_comes_from_the_sweep() -> None:
    """Search space and seed come from the sweep unless given; the original stays as it is."""
    original, space = RandomOptimizer(), SearchSpace.of(SPACE)
    fresh = original.for_run(setup(seed=1, space=space))
    assert fresh.search_space is space
    assert fresh.suggest(3) == original.for_run(setup(seed=1, space=space)).suggest(3)
    assert fresh.suggest(3) != original.for_run(setup(seed=2, space=space)).suggest(3)
    assert original.search_space is None
    assert original.seed is None


def test_its_own_settings_win() -> None:
    """A search space and seed of its own are kept beside those of the sweep."""
    own = RandomOptimizer({"x": Uniform(0, 1)}, seed=7)
    fresh = own.for_run(setup(seed=1, space=SearchSpace.of(SPACE)))
    assert fresh.suggest(3) == own.suggest(3)


def test_a_subclass_keeps_what_it_added() -> None:
    """Attributes of a subclass are there in the copy for a run."""

    class Tagged(RandomOptimizer):
        def __init__(self, tag: str) -> None:
            super().__init__(seed=1)
            self.tag = tag

    fresh = Tagged("a").for_run(setup())
    assert isinstance(fresh, Tagged)
    assert fresh.tag == "a"


def test_it_describes_its_settings_only() -> None:
    """The description holds what it was given, and is the same in a run."""
    assert RandomOptimizer().describe() == {"class": "RandomOptimizer"}
    own = RandomOptimizer({"x": Uniform(0, 1)}, seed=7)
    described = {"class": "RandomOptimizer", "search_space": SearchSpace.of({"x": Uniform(0, 1)}).describe(), "seed": 7}
    assert own.describe() == own.for_run(setup()).describe() == copy.deepcopy(own).describe() == described
    assert RandomOptimizer().for_run(setup(space=SearchSpace.of(SPACE))).describe() == {"class": "RandomOptimizer"}


def test_an_optimizer_without_suggest_says_so() -> None:
    """A subclass that defines no ``suggest`` is refused with its name."""

    class Empty(Optimizer):
        pass

    with pytest.raises(OptimizerError, match="Empty: it has no suggest"):
        Empty().suggest(1)


@pytest.mark.parametrize(
    ("call", "error", "where", "found", "remedy"),
    [
        (lambda: RandomOptimizer(seed="0"), OptimizerError, "RandomOptimizer(seed=)", "0", "Leave it out"),  # type: ignore[arg-type]
        (lambda: RandomOptimizer(seed=True), OptimizerError, "RandomOptimizer(seed=)", True, "Leave it out"),
        (lambda: RandomOptimizer(seed=0.5), OptimizerError, "RandomOptimizer(seed=)", 0.5, "Leave it out"),  # type: ignore[arg-type]
        (lambda: RandomOptimizer(3), SearchSpaceError, "search_space", 3, "Write {'lr'"),  # type: ignore[arg-type]
        (lambda: RandomOptimizer({"x": 3}), SearchSpaceError, "search_space['x']", 3, "Constant(3)"),  # type: ignore[dict-item]
        (lambda: RandomOptimizer().suggest(1), OptimizerError, "RandomOptimizer", None, "Give search_space"),
        (lambda: RandomOptimizer(SPACE).suggest(1, fixed={"m": 1}), SuggestionError, "fixed", "m", "to fix a parameter"),
    ],
)
def test_malformed_settings_are_refused(call: Any, error: type[InvalidInput], where: str, found: Any, remedy: str) -> None:
    """A setting that it cannot use is refused with its name, the value found and the way to mend it."""
    with pytest.raises(error) as caught:
        call()
    assert caught.value.where == where
    assert caught.value.found is found or caught.value.found == found
    assert remedy in str(caught.value)


def test_options_that_it_does_not_have_are_refused() -> None:
    """How many trials there are is the sweep's to say."""
    with pytest.raises(UnknownOption, match=r"n_trials.*run\(budget=100\)"):
        RandomOptimizer(n_trials=5)  # type: ignore[arg-type]
