"""Aging evolution."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta_sweep.core.distributions import Choice, Constant, Distribution, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Trial
from metta_sweep.errors import InvalidInput, OptimizerError, SuggestionError, UnknownOption
from metta_sweep.optimizers import EvolutionOptimizer, Optimizer, RandomOptimizer
from metta_sweep.optimizers.mutation import crossed, mutated
from metta_sweep.optimizers.seen import params_key
from metta_sweep.testing import OptimizerDriver

MODELS = SearchSpace.of(
    {
        "model": Choice(
            {"svm": {"C": LogUniform(1e-2, 1e3), "k": Choice({"r": {"g": Uniform(0, 1)}, "l": {}})}, "forest": {"C": Integer(1, 9)}}
        ),
        "n": LogInteger(1, 64),
        "kind": Choice([True, 1, [1, {"a": None}], None]),
        "always": Constant({"x": [1]}),
        "one": Choice(["only"]),
    }
)
BRANIN = {"x": Uniform(-5.0, 10.0), "y": Uniform(0.0, 15.0)}
ACKLEY = {f"x{number}": Uniform(-32.768, 32.768) for number in range(10)}


def branin(params: Mapping[str, Any]) -> float:
    """The function of Branin above its minimum."""
    x, y = params["x"], params["y"]
    bowl = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return float(bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816)


def ackley(params: Mapping[str, Any]) -> float:
    """The function of Ackley, whose minimum is 0."""
    values = list(params.values())
    squares, waves = [x * x for x in values], [math.cos(2 * math.pi * x) for x in values]
    count = len(values)
    return -20 * math.exp(-0.2 * math.sqrt(sum(squares) / count)) - math.exp(sum(waves) / count) + 20 + math.e


def regret(
    optimizer: Optimizer, space: Mapping[str, Distribution], function: Callable[[Mapping[str, Any]], float], trials: int, seed: int
) -> float:
    """How far the best of so many trials is from the minimum, which is 0."""
    searched, goal = SearchSpace.of(space), Goal("minimize")
    driver = OptimizerDriver(optimizer.for_run(Setup(searched, goal, seed, 1)), searched, goal)
    return min(map(function, driver.drive(trials, value=function)))


@pytest.mark.parametrize(
    ("space", "function", "trials", "factor"),
    [(BRANIN, branin, 80, 0.5), (ACKLEY, ackley, 100, 0.95)],
    ids=["Branin", "Ackley"],
)
def test_it_finds_better_points_than_random_search(space: Any, function: Any, trials: int, factor: float) -> None:
    """The median of 21 seeds, though one trial in nine fails."""
    ours = median(regret(EvolutionOptimizer(), space, function, trials, seed) for seed in range(21))
    at_random = median(regret(RandomOptimizer(), space, function, trials, seed) for seed in range(21))
    assert ours < factor * at_random


@given(st.integers(0, 10**6), st.floats(0.001, 1.0))
@settings(max_examples=150, deadline=None)
def test_a_child_lies_inside_and_differs_from_its_parent(seed: int, scale: float) -> None:
    """Whatever changes, with exactly the parameters of its alternatives, and no value that belongs to its parent."""
    parent = MODELS.sample_at(seed, 0)
    before = copy.deepcopy(parent)
    child = mutated(MODELS.top, parent, Random(seed), scale=scale)
    MODELS.check(child, "child")
    assert params_key(child) != params_key(parent)
    child["always"]["x"].append(2)
    assert parent == before


@given(st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_a_child_of_two_lies_inside_and_has_nothing_else(seed: int) -> None:
    """Every value is that of one of its parents."""
    one, other = MODELS.sample_at(seed, 0), MODELS.sample_at(seed, 1)
    child = crossed(MODELS.top, one, other, Random(seed))
    MODELS.check(child, "child")
    assert all(child[name] in [parent[name] for parent in (one, other) if name in parent] for name in child)


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_child_has_what_is_fixed(seed: int) -> None:
    """Also where its parent is of another alternative; what only that one has is drawn."""
    parent = MODELS.sample_at(seed, 0)
    fixed = {"model": "svm", "k": "r", "n": 5}
    child = mutated(MODELS.top, parent, Random(seed), scale=0.3, fixed=fixed)
    MODELS.check(child, "child")
    assert {name: child[name] for name in fixed} == fixed


def test_one_parameter_changes_on_average() -> None:
    """At least one; and what cannot change is never the one."""
    space = SearchSpace.of({**{f"x{number}": Uniform(0, 1) for number in range(8)}, "always": Constant(0), "n": Integer(2, 2)})
    parent = space.sample_at(0, 0)
    changed = []
    for seed in range(500):
        child = mutated(space.top, parent, Random(seed), scale=0.1)
        changed.append(sum(child[name] != parent[name] for name in child))
    assert min(changed) == 1
    assert 1.1 < sum(changed) / 500 < 1.6


def test_a_whole_number_moves_by_one_at_least() -> None:
    """A step too small to reach the next one goes there, and back inside at the ends."""
    space = SearchSpace.of({"n": Integer(1, 3)})
    for start, reached in ((1, {2}), (2, {1, 3}), (3, {2})):
        assert {mutated(space.top, {"n": start}, Random(seed), scale=1e-6)["n"] for seed in range(20)} == reached


def test_steps_are_small_where_the_scale_is() -> None:
    """In the quantiles of the distribution: a tenth of them is a decade of five, twice, or so."""
    space = SearchSpace.of({"lr": LogUniform(1e-5, 1.0)})
    moved = [abs(math.log10(mutated(space.top, {"lr": 1e-2}, Random(seed), scale=0.1)["lr"]) + 2) for seed in range(300)]
    assert 0.25 < median(moved) < 0.45
    assert max(moved) < 2.5


def told(optimizer: EvolutionOptimizer, space: SearchSpace, scores: Mapping[float, float | None]) -> EvolutionOptimizer:
    """The optimizer for a run, told of trials at these places; None is a failure."""
    run = optimizer.for_run(Setup(space, Goal(), 0, 1))
    for number, (place, score) in enumerate(scores.items()):
        trial = Trial(id=str(number), number=number, params={"x": place}, score=score)
        if score is None:
            run.failed(trial)
        else:
            run.observe(trial, score)
    return run


LINE = SearchSpace.of({"x": Uniform(0, 1)})


def test_parents_are_the_better_ones() -> None:
    """With a large tournament and small steps every child is near the best, by results alone and not by age."""
    run = told(
        EvolutionOptimizer(population_size=4, tournament_size=60, mutation_scale=0.01, crossover=0),
        LINE,
        {0.1: 1.0, 0.3: 9.0, 0.6: 2.0, 0.9: 3.0},
    )
    assert all(abs(suggestion.params["x"] - 0.3) < 0.06 for suggestion in run.suggest(20))


def test_the_oldest_leaves_the_population_however_good_it_is() -> None:
    """So that a lucky result does not rule for ever."""
    scores = {0.3: 9.0, 0.1: 1.0, 0.6: 2.0, 0.9: 3.0, 0.8: 1.0}
    run = told(EvolutionOptimizer(population_size=4, tournament_size=60, mutation_scale=0.01, crossover=0), LINE, scores)
    assert all(abs(suggestion.params["x"] - 0.9) < 0.06 for suggestion in run.suggest(20))


def test_a_failure_is_never_a_parent() -> None:
    """However few others there are; and with none, points are random."""
    only_one = {0.1: None, 0.3: -50.0, 0.6: None, 0.9: None}
    settings_ = {"population_size": 4, "tournament_size": 1, "mutation_scale": 0.01, "crossover": 0.0}
    run = told(EvolutionOptimizer(**settings_), LINE, only_one)  # type: ignore[arg-type]
    assert all(abs(suggestion.params["x"] - 0.3) < 0.06 for suggestion in run.suggest(20))
    lost = told(EvolutionOptimizer(**settings_), LINE, dict.fromkeys(only_one))  # type: ignore[arg-type]
    found = [suggestion.params["x"] for suggestion in lost.suggest(40)]
    assert min(found) < 0.2 < 0.8 < max(found)


@pytest.mark.parametrize(("crossover", "mixed"), [(0.0, range(1)), (0.5, range(17, 34)), (1.0, range(40, 60))])
def test_crossover_is_how_likely_a_child_has_two_parents(crossover: float, mixed: range) -> None:
    """Parents are drawn with replacement: of two, half the children of two parents have the same one twice."""
    space = SearchSpace.of({f"x{number}": Uniform(0, 1) for number in range(20)})
    optimizer = EvolutionOptimizer(population_size=2, tournament_size=1, mutation_scale=0.01, crossover=crossover)
    run = optimizer.for_run(Setup(space, Goal(), 0, 1))
    for number, place in enumerate((0.2, 0.8)):
        run.observe(Trial(id=str(number), number=number, params=dict.fromkeys(space.names, place), score=1.0), 1.0)
    low = [sum(value < 0.5 for value in suggestion.params.values()) for suggestion in run.suggest(200)]
    assert 100 * sum(0 < count < 20 for count in low) // 200 in mixed
    assert 0.35 < sum(low) / 20 / 200 < 0.65


def test_trials_outside_the_space_teach_nothing() -> None:
    """A follow-up of a scheduler, or a trial of an earlier experiment with other parameters."""
    run = told(EvolutionOptimizer(population_size=2), LINE, {7.0: 1.0, 8.0: 2.0, 9.0: 3.0})
    assert run.suggest(5) == EvolutionOptimizer(population_size=2).for_run(Setup(LINE, Goal(), 0, 1)).suggest(5)


def test_the_order_of_writing_does_not_matter() -> None:
    """Two spaces that differ in it are equal, so a run may go on with either."""
    written = dict(MODELS.top)
    spaces = [SearchSpace.of(written), SearchSpace.of(dict(reversed(written.items())))]
    setups = [Setup(space, Goal(), 3, 1) for space in spaces]
    one, other = (OptimizerDriver(EvolutionOptimizer(population_size=5).for_run(setup), spaces[0]).drive(40) for setup in setups)
    assert one == other
    assert list(one[-1]) != list(other[-1])


def test_the_first_suggestions_are_random_and_the_same_for_any_slots() -> None:
    """Until the population is full, or as many were suggested as it has."""
    space = SearchSpace.of(BRANIN)
    one, many = (EvolutionOptimizer(seed=4).for_run(Setup(space, Goal(), 0, 1)) for _ in range(2))
    found = [one.suggest(1)[0] for _ in range(20)]
    assert found == many.suggest(20)


def test_with_several_objectives_it_spreads_along_the_front() -> None:
    """Of two objectives at odds it finds both ends, and hardly ever what is bad at both."""
    space = SearchSpace.of({"x": Uniform(0, 1), "bad": Uniform(0, 1)})
    goal = Goal.of({"a": "maximize", "b": "minimize"})
    optimizer = EvolutionOptimizer(population_size=20, seed=0).for_run(Setup(space, goal, 0, 1))
    driver = OptimizerDriver(optimizer, space, goal)
    found: list[dict[str, Any]] = []
    for _ in range(150):
        for trial in driver.ask(1):
            x, bad = trial.params["x"], trial.params["bad"]
            driver.complete(trial, {"a": x - bad, "b": x**2 + bad})
            found.append(trial.params)
    late = found[-50:]
    assert median(params["bad"] for params in late) < 0.15
    assert min(params["x"] for params in late) < 0.2
    assert max(params["x"] for params in late) > 0.8


def test_it_describes_its_settings_only() -> None:
    """What it was given, the same in a run."""
    own = EvolutionOptimizer(population_size=9, crossover=0, seed=7)
    described = {
        "class": "EvolutionOptimizer",
        "population_size": 9,
        "tournament_size": 10,
        "mutation_scale": 0.3,
        "crossover": 0.0,
        "duplicates": False,
        "seed": 7,
    }
    run = own.for_run(Setup(LINE, Goal(), 0, 1))
    run.suggest(3)
    assert own.describe() == run.describe() == copy.deepcopy(own).describe() == described


@pytest.mark.parametrize(
    ("settings_", "where"),
    [
        ({"population_size": 1}, "EvolutionOptimizer(population_size=)"),
        ({"population_size": 20.0}, "EvolutionOptimizer(population_size=)"),
        ({"tournament_size": 0}, "EvolutionOptimizer(tournament_size=)"),
        ({"mutation_scale": 0}, "EvolutionOptimizer(mutation_scale=)"),
        ({"mutation_scale": 1.5}, "EvolutionOptimizer(mutation_scale=)"),
        ({"mutation_scale": float("nan")}, "EvolutionOptimizer(mutation_scale=)"),
        ({"crossover": -0.1}, "EvolutionOptimizer(crossover=)"),
        ({"crossover": "half"}, "EvolutionOptimizer(crossover=)"),
        ({"duplicates": 1}, "EvolutionOptimizer(duplicates=)"),
        ({"seed": "a"}, "EvolutionOptimizer(seed=)"),
    ],
)
def test_malformed_settings_are_refused(settings_: dict[str, Any], where: str) -> None:
    """When it is made, with what is allowed and a remedy."""
    with pytest.raises(OptimizerError) as caught:
        EvolutionOptimizer(**settings_)
    assert caught.value.where == where
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("call", "error", "remedy"),
    [
        (lambda: EvolutionOptimizer(populaton_size=3), UnknownOption, "Did you mean 'population_size'?"),  # type: ignore[arg-type]
        (lambda: EvolutionOptimizer().suggest(1), OptimizerError, "Give search_space"),
        (lambda: EvolutionOptimizer(LINE).suggest(1, fixed={"m": 1}), SuggestionError, "to fix a parameter"),
        (lambda: EvolutionOptimizer(LINE).suggest(1, fixed={"x": 3}), SuggestionError, "Fix a value that the search space has"),
    ],
)
def test_what_it_cannot_do_is_refused(call: Any, error: type[InvalidInput], remedy: str) -> None:
    """With the way to mend it."""
    with pytest.raises(error) as caught:
        call()
    assert remedy in str(caught.value)
