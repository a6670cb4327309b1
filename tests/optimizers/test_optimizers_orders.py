"""Orders of items in sweeps: which optimizers search them, and how."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from random import Random
from statistics import mean
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from metta_sweep import Choice, MemoryStore, Permutation, SweepExperiment, SweepResult, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import MissingExtra, OptimizerError
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
    SuggestionQueue,
    Supports,
)
from metta_sweep.optimizers.mutation import crossed, mutated
from metta_sweep.optimizers.nevergrad_space import NevergradSpace
from metta_sweep.optimizers.orders import of_both, reordered
from metta_sweep.optimizers.seen import SeenParams, point_at, size_of

TASKS = ["add", "multiply", "divide", "negate"]
EIGHT = Permutation(list(range(8)))
SPACE = {"order": Permutation(TASKS), "rate": Uniform(0.0, 1.0)}


class Plan(BaseModel):
    """A search space as a model."""

    order: Annotated[list[str], Permutation(TASKS)]


class Plain(RandomOptimizer):
    """Says that it searches no orders."""

    supports = Supports(most_ordered=0)


def misplaced(order: list[Any]) -> float:
    """How far the items are from where they should be, its sign turned."""
    return -float(sum(abs(place - item) for place, item in enumerate(order)))


def run(optimizer: Optimizer | None, space: Any = None, budget: int = 30, **options: Any) -> SweepResult:
    """A sweep whose best point is the order as it was given."""

    def objective(order: list[str], rate: float = 0.5) -> float:
        return misplaced([TASKS.index(task) for task in order]) - abs(rate - 0.5)

    given = {"store": "memory", "slots": 1, "seed": 0, **options}
    return SweepExperiment(objective=objective, search_space=space or SPACE, optimizer=optimizer, **given).run(budget)


# -- children ----------------------------------------------------------------------------------------------------------------------


def test_a_stretch_of_one_parent_stays_and_the_rest_follows_the_other_one() -> None:
    """The example of order crossover: 4 5 6 7 stay in their places, 9 3 8 2 1 come after them and round the end."""
    nine = Permutation([1, 2, 3, 4, 5, 6, 7, 8, 9])

    class Cut(Random):
        def sample(self, *_: Any, **__: Any) -> list[Any]:
            return [7, 3]

    one, other = [1, 2, 3, 4, 5, 6, 7, 8, 9], [4, 5, 2, 1, 8, 7, 6, 9, 3]
    assert of_both(nine, one, other, Cut()) == [2, 1, 8, 4, 5, 6, 7, 9, 3]


def test_children_of_two_orders_are_orders_of_both() -> None:
    """Every child has all items; some are of neither parent; of equal parents it is the parent."""
    rng = Random(0)
    for _ in range(300):
        one, other = EIGHT.order(rng.randrange(EIGHT.count)), EIGHT.order(rng.randrange(EIGHT.count))
        assert EIGHT.contains(of_both(EIGHT, one, other, rng))
        assert of_both(EIGHT, one, one, rng) == one
    pair = {"order": EIGHT.order(0)}, {"order": EIGHT.order(EIGHT.count - 1)}
    level = SearchSpace({"order": EIGHT}).top
    made = [crossed(level, *pair, rng)["order"] for _ in range(50)]
    assert any(order not in (pair[0]["order"], pair[1]["order"]) for order in made)


def test_a_changed_order_has_two_items_swapped_or_one_moved() -> None:
    """Never the same order; both kinds of change come up, and every item takes part."""
    rng, base = Random(0), list(range(8))
    kinds: Counter[str] = Counter()
    touched: set[int] = set()
    for _ in range(400):
        made = reordered(EIGHT, base, rng)
        different = [place for place in range(8) if made[place] != base[place]]
        touched.update(different)
        kinds["swap" if len(different) == 2 else "move"] += 1
        without = [[item for item in order if item != left] for left in base for order in (base, made)]
        assert len(different) == 2 or any(without[2 * left] == without[2 * left + 1] for left in base)
        assert EIGHT.contains(made)
        assert made != base
    assert touched == set(base)
    assert kinds["swap"] > 200 > kinds["move"] > 100  # a move by one place is a swap, too


def test_an_order_is_changed_as_one_parameter_among_others() -> None:
    """One parameter on average; the parent's list is left alone, and what is fixed stays."""
    rng, space = Random(1), SearchSpace.of({**SPACE, "kind": Choice([1, 2])})
    parent = {"order": list(TASKS), "rate": 0.5, "kind": 1}
    made = [mutated(space.top, parent, rng, scale=0.1) for _ in range(200)]
    for child in made:
        space.check(child, "child")
        assert child["order"] is not parent["order"]
    assert 40 < sum(child["order"] != TASKS for child in made) < 160
    assert parent["order"] == TASKS
    assert all(mutated(space.top, parent, rng, scale=0.1, fixed={"order": TASKS})["order"] == TASKS for _ in range(20))


# -- optimizers --------------------------------------------------------------------------------------------------------------------


def searching(name: str) -> Optimizer:
    """One that searches orders."""
    made: dict[str, Callable[[], Optimizer]] = {
        "random": RandomOptimizer,
        "grid": lambda: GridOptimizer(resolution=2),
        "sobol": SobolOptimizer,
        "evolution": lambda: EvolutionOptimizer(population_size=8, tournament_size=4),
        "bayesian": lambda: BayesianOptimizer(initial_trials=5),
        "protein": ProteinOptimizer,
        "optuna": OptunaOptimizer,
        "nevergrad": lambda: NevergradOptimizer(method="OnePlusOne"),
        "queue": lambda: SuggestionQueue([{"order": TASKS[::-1], "rate": 0.5}, {"order": tuple(TASKS), "rate": 0.1}]),
        "portfolio": lambda: PortfolioOptimizer({"evolution": EvolutionOptimizer(), "random": RandomOptimizer()}),
        "phases": lambda: Phases([Phase(RandomOptimizer(), trials=6), Phase(EvolutionOptimizer(population_size=4))]),
    }
    try:
        return made[name]()
    except MissingExtra as missing:
        pytest.skip(str(missing))


EACH = ["random", "grid", "sobol", "evolution", "bayesian", "protein", "optuna", "nevergrad", "queue", "portfolio", "phases"]


@pytest.mark.parametrize("name", EACH)
def test_it_searches_orders(name: str) -> None:
    """All trials are orders of the items as lists, of several kinds, and the best one is what scores best."""
    results = run(searching(name), budget=14)
    space = SearchSpace.of(SPACE)
    for trial in results.trials:
        space.check({**trial.params, "order": list(trial.params["order"])}, "trial")
        assert isinstance(trial.params["order"], list)
    assert len({tuple(trial.params["order"]) for trial in results.trials}) > 1
    assert results.best_score == max(trial.score for trial in results.trials if trial.score is not None)


@pytest.mark.parametrize("kind", [AxOptimizer, Plain])
def test_one_that_does_not_search_orders_is_refused_when_the_sweep_is_made(kind: type[Optimizer]) -> None:
    """With the parameter, and the optimizers that do; also as a member, and when it is given the space itself."""
    try:
        optimizer = kind()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    with pytest.raises(
        OptimizerError, match=r"does not search orders, such as 'order'.*Optimizers that do: .*EvolutionOptimizer"
    ) as no:
        run(optimizer)
    assert kind.__name__ not in str(no.value).split("Optimizers that do")[1]
    with pytest.raises(OptimizerError, match="its member 'one'"):
        run(PortfolioOptimizer({"one": optimizer, "random": RandomOptimizer()}))


@pytest.mark.slow
def test_ax_refuses_orders_that_it_is_given_itself() -> None:
    """When it is asked, where there is no sweep that would have refused them."""
    pytest.importorskip("ax")
    with pytest.raises(OptimizerError, match="it knows no Permutation"):
        AxOptimizer(SPACE).suggest(1)


def test_nevergrad_sorts_items_by_a_number_of_each() -> None:
    """An order becomes a candidate that gives the order again; fixed orders have one value."""
    pytest.importorskip("nevergrad")
    level = SearchSpace.of(SPACE).top
    space = NevergradSpace(level, {})
    for number in range(24):
        params = {"order": SPACE["order"].from_unit((number + 0.5) / 24), "rate": 0.5}
        assert space.params(space.candidate(params).value)["order"] == params["order"]
    fixed = NevergradSpace(level, {"order": TASKS})
    assert fixed.params(fixed.candidate({"order": TASKS, "rate": 0.25}).value)["order"] == TASKS


def test_optuna_searches_orders_of_five_items_and_refuses_six() -> None:
    """All 120 orders of five are choices of Optuna, of six it would learn nothing; a portfolio can no more than its members."""
    pytest.importorskip("optuna")
    five, six = SearchSpace.of({"order": Permutation(list("abcde"))}), Permutation(list("abcdef"))
    assert {len(item.params["order"]) for item in OptunaOptimizer(five).suggest(20)} == {5}
    with pytest.raises(
        OptimizerError, match=r"orders of 6 items \(it searches those of up to 5\).*Optimizers that do: Bayes"
    ) as no:
        run(OptunaOptimizer(), {"order": six})
    assert "OptunaOptimizer" not in str(no.value).split("Optimizers that do")[1]
    with pytest.raises(OptimizerError, match="orders of 6 items"):
        run(PortfolioOptimizer({"tpe": OptunaOptimizer(), "random": RandomOptimizer()}), {"order": six})
    with pytest.raises(OptimizerError, match="no Permutation of more than 5 items"):
        OptunaOptimizer({"order": six}).suggest(1)


def test_what_an_optimizer_of_ones_own_does_not_support_is_named() -> None:
    """A limit of items, or none at all."""
    space = SearchSpace.of(SPACE)
    assert Supports(most_ordered=4).lacks(space, Goal()) is None
    assert (Supports(most_ordered=3).lacks(space, Goal()) or "").startswith("orders of 4 items (it searches those of up to 3)")
    assert (Supports(most_ordered=0).lacks(space, Goal()) or "").startswith("orders, such as 'order'")


def test_the_grid_has_every_order_once() -> None:
    """N! of them, in the order of their numbers or shuffled; a resolution is for ranges only."""
    space = {"order": Permutation(["a", "b", "c"]), "kind": Choice([1, 2])}
    points = [suggestion.params for suggestion in GridOptimizer(space).suggest(99)]
    assert points == [{"order": list(order), "kind": kind} for kind in (1, 2) for order in permutations("abc")]
    shuffled = [suggestion.params for suggestion in GridOptimizer(space, order="shuffled", seed=1).suggest(99)]
    assert shuffled != points
    assert sorted(map(str, shuffled)) == sorted(map(str, points))
    assert GridOptimizer({"order": Permutation(list(range(18)))}).size == 6_402_373_705_728_000
    with pytest.raises(OptimizerError, match="'order' is no range"):
        GridOptimizer(space, resolution={"order": 3})


def test_points_of_orders_are_counted_and_remembered() -> None:
    """A finite space with an order has a size, points by number, and is used up when all were seen."""
    space = SearchSpace.of({"order": Permutation(["a", "b", "c"]), "kind": Choice({"x": {"then": Permutation([1, 2])}, "y": {}})})
    assert size_of(space) == 18
    points = [point_at(space, number) for number in range(18)]
    seen = SeenParams(space)
    for point in points:
        space.check(point, "point")
        assert not seen.used_up()
        assert seen.add(point)
        assert not seen.add(json.loads(json.dumps(point)))
    assert seen.used_up()
    assert size_of(space, {"order": ["a", "b", "c"]}) == 3
    assert size_of(SearchSpace.of(SPACE)) is None


@pytest.mark.parametrize("name", ["sobol", "evolution", "optuna", "portfolio", "bayesian"])
def test_no_order_is_suggested_twice_and_the_space_is_used_up(name: str) -> None:
    """Params that hold lists are compared by value."""
    results = run(searching(name), {"order": Permutation(TASKS[:3])}, budget=50)
    found = [tuple(trial.params["order"]) for trial in results.trials]
    assert sorted(found) == sorted(permutations(TASKS[:3]))
    assert results.stop_reason == "optimizer_exhausted"


def best_found(optimizer: Optimizer, seed: int, trials: int, items: int = 8) -> float:
    """The best score of a search for the sorted order."""
    space = {"order": Permutation(list(range(items)))}
    sweep = SweepExperiment(objective=misplaced, search_space=space, optimizer=optimizer, slots=1, seed=seed, store="memory")
    results = sweep.run(trials)
    assert results.best_score is not None
    return results.best_score


def test_evolution_finds_better_orders_than_random_search() -> None:
    """Over ten seeds, by a wide margin."""
    random = mean(best_found(RandomOptimizer(), seed, 120) for seed in range(10))
    evolution = mean(best_found(EvolutionOptimizer(), seed, 120) for seed in range(10))
    assert evolution > random + 3.0


def test_a_model_finds_the_order_that_random_search_does_not() -> None:
    """One of 720 in 25 trials: orders whose items are near their places are near in the model, too."""
    pytest.importorskip("sklearn")
    assert best_found(BayesianOptimizer(initial_trials=8), 0, 25, items=6) == 0.0
    assert best_found(RandomOptimizer(), 0, 25, items=6) <= -4.0


# -- what is kept ------------------------------------------------------------------------------------------------------------------


def test_orders_are_kept_and_go_on(tmp_path: Path) -> None:
    """In a file; a resumed run has the trials of one that ran through; another order of the items is another definition."""
    from metta_sweep.errors import DefinitionChanged

    kept = {"name": "kept", "store": str(tmp_path / "kept.db")}
    first = run(EvolutionOptimizer(population_size=4), budget=6, **kept)
    again = run(EvolutionOptimizer(population_size=4), budget=12, **kept)
    whole = run(EvolutionOptimizer(population_size=4), budget=12)
    assert [trial.params for trial in first.trials] == [trial.params for trial in whole.trials][:6]
    assert [trial.params for trial in again.trials] == [trial.params for trial in whole.trials]
    with pytest.raises(DefinitionChanged, match=r"search_space\.order\.items: kept \['add'"):
        run(EvolutionOptimizer(population_size=4), {**SPACE, "order": Permutation(TASKS[::-1])}, budget=12, **kept)


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_orders_stand_in_frames_as_json(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text in polars, whose columns have one type; as they are in pandas."""
    pytest.importorskip(library)
    if library == "pandas":
        monkeypatch.setitem(__import__("sys").modules, "polars", None)
    results = run(RandomOptimizer(), budget=3)
    params = results.to_frame()["params"].to_list() if library == "polars" else list(results.to_frame()["params"])
    shown = [json.loads(row["order"]) if isinstance(row["order"], str) else row["order"] for row in params]
    assert shown == [trial.params["order"] for trial in results.trials]
    assert json.loads(results.to_json())["best_params"]["order"] == (results.best_params or {})["order"]


def test_a_trial_cannot_change_what_is_kept_of_its_order() -> None:
    """What a trial does to its list is its own affair."""

    def spoil(order: list[str]) -> float:
        order.clear()
        return 0.0

    store = MemoryStore()
    results = SweepExperiment(objective=spoil, search_space={"order": Permutation(TASKS)}, store=store, slots=1, seed=0).run(5)
    assert all(sorted(trial.params["order"]) == sorted(TASKS) for trial in results.trials)


def test_a_model_gets_the_order_as_a_list() -> None:
    """Annotated fields, as for every distribution."""

    def objective(config: Plan) -> float:
        return misplaced([TASKS.index(task) for task in config.order])

    results = SweepExperiment(objective=objective, search_space=Plan, store="memory", slots=1, seed=0).run(10)
    assert sorted((results.best_params or {})["order"]) == sorted(TASKS)
