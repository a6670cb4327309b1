"""Grid search."""

from __future__ import annotations

import copy
import itertools
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta_sweep import MemoryStore, SweepExperiment, TrialContext
from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.errors import InvalidInput, OptimizerError, SearchSpaceError, SuggestionError, UnknownOption
from metta_sweep.optimizers import GridOptimizer
from metta_sweep.optimizers.grid_values import values_of
from metta_sweep.optimizers.shuffle import Shuffle
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing import run_virtual

MODELS = {
    "model": Choice(
        {"svm": {"C": LogUniform(0.1, 10.0), "kernel": Choice(["rbf", "poly"])}, "forest": {"trees": Integer(1, 4)}, "none": {}}
    ),
    "scale": Choice([True, False]),
}


def all_of(optimizer: GridOptimizer, at_once: int = 7) -> list[dict[str, Any]]:
    """Everything that it suggests, asked for a few at a time."""
    found: list[dict[str, Any]] = []
    while True:
        suggestions = optimizer.suggest(at_once)
        if not suggestions:
            return found
        found += [suggestion.params for suggestion in suggestions]


def test_a_grid_is_the_product_of_its_values() -> None:
    """Every combination once, in the order of nested loops over names, the last one fastest."""
    grid = GridOptimizer({"b": Integer(1, 3), "a": Choice(["x", "y"]), "c": Constant(0)})
    expected = [{"b": b, "a": a, "c": 0} for a, b in itertools.product(["x", "y"], [1, 2, 3])]
    assert grid.size == 6
    assert all_of(grid) == expected
    assert list(expected[0]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("distribution", "resolution", "values"),
    [
        (Uniform(0.0, 1.0), 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Uniform(-1.0, 3.0), 2, [-1.0, 3.0]),
        (Uniform(-1.0, 3.0), 1, [1.0]),
        (LogUniform(1e-4, 1e-1), 4, [1e-4, 1e-3, 1e-2, 1e-1]),
        (Integer(1, 4), 10, [1, 2, 3, 4]),
        (Integer(0, 100), 5, [0, 25, 50, 75, 100]),
        (Integer(-2, 9), 3, [-2, 4, 9]),
        (Integer(0, 9), 1, [5]),
        (LogInteger(1, 512), 10, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]),
        (LogInteger(1, 20), 8, [1, 2, 3, 4, 6, 8, 13, 20]),
        (LogInteger(3, 3), 8, [3]),
    ],
)
def test_ranges_have_evenly_spread_values(distribution: Distribution, resolution: int, values: list[Any]) -> None:
    """Both bounds, and between them equal steps, of logarithms where the distribution is one of logarithms."""
    assert values_of(distribution, resolution) == pytest.approx(values, rel=1e-12)
    assert [type(value) for value in values_of(distribution, resolution)] == [type(value) for value in values]


@given(
    st.sampled_from([Integer, LogInteger]),
    st.integers(1, 2**62),
    st.integers(0, 2**62 - 1),
    st.integers(2, 50),
)
@settings(max_examples=200, deadline=None)
def test_whole_numbers_differ_and_lie_inside(kind: type[Any], lower: int, span: int, resolution: int) -> None:
    """As many as asked for where there are as many, in rising order, with both bounds."""
    values = values_of(kind(lower, lower + span), resolution)
    assert len(values) == min(resolution, span + 1)
    assert values == sorted(set(values))
    assert (values[0], values[-1]) == (lower, lower + span)


def test_a_range_of_two_floats_has_two_values() -> None:
    """Values that fall together are there once."""
    grid = GridOptimizer({"x": Uniform(1.0, 1.0000000000000002)}, resolution=10)
    assert [params["x"] for params in all_of(grid)] == [1.0, 1.0000000000000002]


def test_resolution_by_parameter() -> None:
    """Parameters that are not named have ten values; those of sub-spaces can be named."""
    grid = GridOptimizer({"x": Uniform(0, 1), "y": Uniform(0, 1)}, resolution={"x": 3})
    assert grid.size == 30
    assert GridOptimizer(MODELS, resolution={"C": 2}).size == 2 * (2 * 2 + 4 + 1)


def test_sub_spaces_are_there_under_their_option_only() -> None:
    """Their grids add up; every point is one of the space."""
    grid = GridOptimizer(MODELS, resolution=3)
    found = all_of(grid)
    assert len(found) == grid.size == 2 * (3 * 2 + 3 + 1)
    assert len({str(sorted(params.items())) for params in found}) == len(found)
    for params in found:
        SearchSpace.of(MODELS).check(params, "grid")


def test_a_huge_grid_is_not_listed() -> None:
    """10**18 points: the first ones come at once, in either order."""
    space = {f"x{number}": Uniform(0, 1) for number in range(18)}
    orders: list[Literal["given", "shuffled"]] = ["given", "shuffled"]
    for order in orders:
        grid = GridOptimizer(space, order=order, seed=1)
        assert grid.size == 10**18
        assert len(grid.suggest(50)) == 50


def test_a_shuffled_grid_has_the_same_points_in_another_order() -> None:
    """Another order for each seed."""
    given_order = all_of(GridOptimizer(MODELS, resolution=4))
    shuffled = [all_of(GridOptimizer(MODELS, resolution=4, order="shuffled", seed=seed)) for seed in (1, 2, 1)]
    assert shuffled[0] == shuffled[2] != shuffled[1]
    assert shuffled[0] != given_order
    for found in shuffled:
        assert sorted(map(str, map(sorted_items, found))) == sorted(map(str, map(sorted_items, given_order)))


def sorted_items(params: dict[str, Any]) -> list[tuple[str, Any]]:
    """The parameters by name."""
    return sorted(params.items())


@given(st.integers(0, 300), st.integers(-5, 2**63))
@settings(max_examples=60, deadline=None)
def test_a_shuffle_is_a_permutation(size: int, seed: int) -> None:
    """Every number once, whatever the size; there is no place beyond it."""
    shuffle = Shuffle(size, seed)
    assert sorted(map(shuffle.at, range(size))) == list(range(size))
    for place in (-1, size):
        with pytest.raises(IndexError):
            shuffle.at(place)


def test_a_shuffle_looks_random() -> None:
    """No correlation of neighbours, the same for sizes beyond 64 bits."""
    for size in (1000, 10**30):
        shuffle = Shuffle(size, 3)
        places = [shuffle.at(place) / size for place in range(1000)]
        assert sum(places) / 1000 == pytest.approx(0.5, abs=0.04)
        products = sum((one - 0.5) * (other - 0.5) for one, other in itertools.pairwise(places)) / 999
        assert products == pytest.approx(0, abs=0.015)


def test_branches_are_walked_apart_and_meet_nowhere() -> None:
    """With a choice fixed, its part of the grid; what was suggested so, or before, is not suggested again."""
    grid = GridOptimizer(MODELS, resolution=3)
    found = [suggestion.params for suggestion in grid.suggest(3)]
    for option in ("none", "svm", "forest", "none"):
        some = grid.suggest(2, fixed={"model": option})
        assert all(suggestion.params["model"] == option for suggestion in some)
        found += [suggestion.params for suggestion in some]
    found += all_of(grid)
    assert grid.suggest(1, fixed={"model": "svm"}) == []
    assert len({str(sorted_items(params)) for params in found}) == len(found) == grid.size


def test_a_fixed_value_need_not_be_on_the_grid() -> None:
    """The other parameters have their grid."""
    grid = GridOptimizer({"x": Uniform(0, 1), "y": Uniform(0, 1)}, resolution=2)
    assert [suggestion.params for suggestion in grid.suggest(9, fixed={"x": 0.3})] == [{"x": 0.3, "y": 0.0}, {"x": 0.3, "y": 1.0}]


def test_a_sweep_without_a_budget_tries_the_whole_grid() -> None:
    """And ends because the optimizer has no more."""

    async def objective(trial: TrialContext) -> float:
        return float(trial.params["x"])

    grid = GridOptimizer({"x": Uniform(0, 1), "n": Integer(1, 15)})
    sweep = SweepExperiment(optimizer=grid, objective=objective, store=MemoryStore(), seed=0)
    result = run_virtual(sweep.arun())
    assert (len(result.trials), result.stop_reason) == (100, "optimizer_exhausted")


def test_a_sweep_with_branches_tries_each() -> None:
    """A scheduler that picks branches asks within them."""

    async def objective(trial: TrialContext) -> float:
        return 0.9 if trial.params["model"] == "svm" else 0.1

    sweep = SweepExperiment(
        search_space=MODELS,
        optimizer=GridOptimizer(resolution=5),
        scheduler=IterationScheduler(branch_by="model"),
        objective=objective,
        store=MemoryStore(),
        seed=0,
    )
    result = run_virtual(sweep.arun(20))
    assert {trial.branch for trial in result.trials} == {"svm", "forest", "none"}
    assert len({str(sorted_items(trial.params)) for trial in result.trials}) == 20


def test_it_describes_its_settings_only() -> None:
    """What it was given, the same in a run."""
    own = GridOptimizer(resolution={"x": 3}, order="shuffled", seed=7)
    described = {"class": "GridOptimizer", "resolution": {"x": 3}, "order": "shuffled", "seed": 7}
    space = SearchSpace.of({"x": Uniform(0, 1)})
    assert own.describe() == own.for_run(Setup(space, Goal(), 0, 1)).describe() == copy.deepcopy(own).describe() == described


@pytest.mark.parametrize(
    ("call", "error", "where", "remedy"),
    [
        (lambda: GridOptimizer(resolution=0), OptimizerError, "GridOptimizer(resolution=)", "Write 10"),
        (lambda: GridOptimizer(resolution=2.5), OptimizerError, "GridOptimizer(resolution=)", "Write 10"),  # type: ignore[arg-type]
        (lambda: GridOptimizer(resolution={"x": True}), OptimizerError, "GridOptimizer(resolution=)['x']", "Write 10"),
        (
            lambda: GridOptimizer({"learning_rate": Uniform(0, 1)}, resolution={"learning_rat": 3}),
            OptimizerError,
            "GridOptimizer(resolution=)",
            "Did you mean 'learning_rate'?",
        ),
        (
            lambda: GridOptimizer(MODELS, resolution={"scale": 3}),
            OptimizerError,
            "GridOptimizer(resolution=)['scale']",
            "Leave it out",
        ),
        (
            lambda: GridOptimizer({"always": Constant(1)}, resolution={"always": 3}),
            OptimizerError,
            "GridOptimizer(resolution=)['always']",
            "Leave it out",
        ),
        (lambda: GridOptimizer(order="shufled"), OptimizerError, "GridOptimizer(order=)", "Did you mean 'shuffled'?"),  # type: ignore[arg-type]
        (lambda: GridOptimizer(order=None), OptimizerError, "GridOptimizer(order=)", "Write 'given'"),  # type: ignore[arg-type]
        (lambda: GridOptimizer(seed="0"), OptimizerError, "GridOptimizer(seed=)", "Leave it out"),  # type: ignore[arg-type]
        (lambda: GridOptimizer(3), SearchSpaceError, "search_space", "Write {'lr'"),  # type: ignore[arg-type]
        (lambda: GridOptimizer(resolutoin=3), UnknownOption, "GridOptimizer", "Did you mean 'resolution'?"),  # type: ignore[arg-type]
        (lambda: GridOptimizer().suggest(1), OptimizerError, "GridOptimizer", "Give search_space"),
        (lambda: GridOptimizer(MODELS).suggest(1, fixed={"m": 1}), SuggestionError, "fixed", "to fix a parameter"),
    ],
)
def test_malformed_settings_are_refused(call: Any, error: type[InvalidInput], where: str, remedy: str) -> None:
    """With what is wrong, and the way to mend it."""
    with pytest.raises(error) as caught:
        call()
    assert caught.value.where == where
    assert remedy in str(caught.value)


def test_a_resolution_that_does_not_fit_the_sweeps_space_is_refused_when_the_run_begins() -> None:
    """The space is known only then."""
    with pytest.raises(OptimizerError, match="no parameter 'z'"):
        GridOptimizer(resolution={"z": 3}).for_run(Setup(SearchSpace.of(MODELS), Goal(), 0, 1))
