"""What each optimizer makes of earlier trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import pytest

from metta_sweep.core.distributions import Choice, Integer, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Suggestion, Trial, TrialError, TrialState
from metta_sweep.errors import OptimizerError
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
)
from metta_sweep.optimizers.seen import params_key

CUBE = SearchSpace.of({"x": Uniform(0, 1), "y": Uniform(0, 1), "z": Uniform(0, 1)})
FEW = SearchSpace.of({"a": Integer(0, 3), "b": Choice(["p", "q", "r"])})
DOWN = Goal("minimize")
RANDOM = 0.36
"""The loss of a random point of the cube, in the median."""


def loss(params: dict[str, Any]) -> float:
    """The squared distance from a point of the cube."""
    return float((params["x"] - 0.2) ** 2 + (params["y"] - 0.7) ** 2 + (params["z"] - 0.4) ** 2)


def done(number: int, params: dict[str, Any], score: float, **metrics: float) -> Trial:
    """A completed trial."""
    return Trial(
        id=f"old-{number}",
        number=number,
        params=params,
        state=TrialState.COMPLETED,
        score=score,
        metrics={"score": score, **metrics},
    )


def failed(number: int, params: dict[str, Any]) -> Trial:
    """A failed one."""
    return Trial(
        id=f"old-{number}", number=number, params=params, state=TrialState.FAILED, error=TrialError("ValueError", "no", "")
    )


def stopped(number: int, params: dict[str, Any]) -> Trial:
    """One that a verdict stopped."""
    return Trial(id=f"old-{number}", number=number, params=params, state=TrialState.STOPPED, reason="verdict")


def in_the_cube(count: int, seed: int = 50) -> list[Trial]:
    """Completed trials at random points of the cube."""
    points = [CUBE.sample_at(seed, number) for number in range(count)]
    return [done(number, params, loss(params)) for number, params in enumerate(points)]


def begun(optimizer: Any, space: SearchSpace = CUBE, goal: Goal = DOWN, seed: int = 0) -> Any:
    """The optimizer of a run."""
    return optimizer.for_run(Setup(space, goal, seed, 1))


def suggested(optimizer: Any, count: int) -> list[dict[str, Any]]:
    """What it suggests, one at a time, with what ``index`` says."""
    found: list[Suggestion] = []
    indexed = isinstance(optimizer, BayesianOptimizer | RandomOptimizer)
    for _ in range(count):
        keywords: dict[str, Any] = {"index": len(found)} if indexed else {}
        found += optimizer.suggest(1, **keywords)
    return [suggestion.params for suggestion in found]


# -- near what was good ------------------------------------------------------------------------------------------------------------


def _portfolio() -> Optimizer:
    return PortfolioOptimizer({"tpe": OptunaOptimizer(), "evolution": EvolutionOptimizer(population_size=8)})


def _phases() -> Optimizer:
    return Phases([Phase(EvolutionOptimizer(population_size=8), trials=3), Phase(OptunaOptimizer())])


@pytest.mark.parametrize(
    ("library", "make", "of"),
    [
        ("metta_sweep", lambda: EvolutionOptimizer(population_size=8), 8),
        ("sklearn", BayesianOptimizer, 3),
        ("sklearn", ProteinOptimizer, 3),
        ("optuna", OptunaOptimizer, 8),
        ("cmaes", lambda: OptunaOptimizer(sampler="CMA-ES"), 8),
        ("cmaes", lambda: OptunaOptimizer(sampler="CMA-ES", n_startup_trials=15), 8),
        ("optuna", lambda: OptunaOptimizer(sampler="NSGA-II", population_size=6), 24),
        ("nevergrad", NevergradOptimizer, 4),
        ("nevergrad", lambda: NevergradOptimizer(method="OnePlusOne"), 4),
        ("optuna", _portfolio, 8),
        ("optuna", _phases, 8),
    ],
    ids=[
        "evolution",
        "bayesian",
        "protein",
        "TPE",
        "CMA-ES",
        "CMA-ES later",
        "NSGA-II",
        "NGOpt",
        "OnePlusOne",
        "portfolio",
        "phases",
    ],
)
def test_the_search_begins_near_what_was_good(library: str, make: Callable[[], Optimizer], of: int) -> None:
    """After 20 earlier trials its first suggestion is better than a random one, in the median of some seeds."""
    pytest.importorskip(library)
    first = []
    for seed in range(of):
        optimizer = begun(make(), seed=seed)
        optimizer.warm_start(in_the_cube(20, seed=50 + seed))
        first.append(loss(suggested(optimizer, 1)[0]))
    assert median(first) < 0.8 * RANDOM, first


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ax_begins_near_what_was_good() -> None:
    """After one more point of its own, as its client does with trials that are attached."""
    pytest.importorskip("ax")
    optimizer = begun(AxOptimizer())
    optimizer.warm_start(in_the_cube(20))
    (own,) = suggested(optimizer, 1)
    optimizer.observe(done(20, own, loss(own)), loss(own))
    assert loss(suggested(optimizer, 1)[0]) < RANDOM / 4


# -- one by one --------------------------------------------------------------------------------------------------------------------


def test_random_search_and_a_queue_go_on_as_they_would() -> None:
    """There is nothing to learn for them, and they may repeat themselves."""
    for make in (RandomOptimizer, lambda: SuggestionQueue([trial.params for trial in in_the_cube(3)])):
        told, untold = begun(make()), begun(make())
        told.warm_start(in_the_cube(5, seed=0))
        assert suggested(told, 3) == suggested(untold, 3)


def test_a_grid_passes_over_points_that_were_tried() -> None:
    """In both orders, with parameters fixed too; whatever became of the trials."""
    for order in ("given", "shuffled"):
        whole = [params_key(params) for params in suggested(begun(GridOptimizer(order=order), FEW), 12)]
        tried = [{"a": 0, "b": "q"}, {"b": "r", "a": 2}, {"a": 3, "b": "p"}]
        optimizer = begun(GridOptimizer(order=order), FEW)
        optimizer.warm_start([done(0, tried[0], 1.0), failed(1, tried[1]), stopped(2, tried[2])])
        assert [item.params["a"] for item in optimizer.suggest(4, fixed={"b": "q"})] in (
            [1, 2, 3],
            [1, 3, 2],
            [3, 2, 1],
            [2, 3, 1],
            [2, 1, 3],
            [3, 1, 2],
        )
        left = [params_key(item.params) for item in optimizer.suggest(12)]
        missing = {params_key(params) for params in tried} | {params_key({"a": a, "b": "q"}) for a in range(4)}
        assert left == [key for key in whole if key not in missing]


def test_a_sobol_sequence_begins_where_it_begins() -> None:
    """It leaves out the points that were tried."""
    pytest.importorskip("scipy")
    whole = suggested(begun(SobolOptimizer(), FEW), 12)
    optimizer = begun(SobolOptimizer(), FEW)
    optimizer.warm_start([done(0, whole[0], 1.0), failed(1, whole[4])])
    assert suggested(optimizer, 6) == [whole[1], whole[2], whole[3], *whole[5:8]]


def test_evolution_takes_the_best_as_its_population() -> None:
    """As many as fit, the worst first to leave; a failed trial is worse than any other, and one that was stopped is none."""
    trials = in_the_cube(9)
    optimizer = begun(EvolutionOptimizer(population_size=5))
    optimizer.warm_start([*trials, failed(9, CUBE.sample_at(1, 0)), stopped(10, CUBE.sample_at(1, 1))])
    ranked = sorted([trial.score or 0.0 for trial in trials])
    assert [member.scores[0] for member in optimizer._population] == ranked[:5][::-1]
    few = begun(EvolutionOptimizer(population_size=5))
    few.warm_start([trials[0], failed(9, CUBE.sample_at(1, 0)), trials[1]])
    assert few._population[0].scores is None


def test_earlier_trials_spare_evolution_random_points() -> None:
    """As many as they are; trials in flight count as ever."""
    plain = [params_key(params) for params in suggested(begun(EvolutionOptimizer(population_size=6)), 6)]
    optimizer = begun(EvolutionOptimizer(population_size=6))
    optimizer.warm_start(in_the_cube(4))
    found = [params_key(params) for params in suggested(optimizer, 6)]
    assert found[:2] == plain[:2]
    assert not set(found[2:]) & set(plain)


def test_evolution_takes_the_best_of_several_objectives() -> None:
    """By fronts and crowding."""
    goal = Goal.of({"up": "maximize", "down": "minimize"})
    optimizer = begun(EvolutionOptimizer(population_size=2), goal=goal)
    values = [(0.0, 1.0), (1.0, 0.0), (0.5, 2.0), (2.0, 0.5)]
    trials = [
        replace(done(number, CUBE.sample_at(1, number), up), metrics={"up": up, "down": down})
        for number, (up, down) in enumerate(values)
    ]
    optimizer.warm_start(trials)
    assert {member.scores for member in optimizer._population} == {(1.0, 0.0), (2.0, 0.5)}


@pytest.mark.parametrize("make", [BayesianOptimizer, ProteinOptimizer], ids=["bayesian", "protein"])
def test_a_model_is_asked_as_soon_as_it_knows_enough(make: Callable[[], Any]) -> None:
    """Earlier trials count for its initial ones, failed ones too; those that were stopped do not."""
    pytest.importorskip("sklearn")
    optimizer = begun(make())
    wanted = optimizer.initial_trials
    optimizer.warm_start([*in_the_cube(wanted - 2), stopped(90, CUBE.sample_at(1, 0)), failed(91, CUBE.sample_at(1, 1))])
    assert optimizer.suggest(1, index=0)[0].origin == f"{optimizer.origin}/initial"
    optimizer.warm_start(in_the_cube(1, seed=3))
    assert optimizer.suggest(1, index=0)[0].origin == optimizer.origin


def test_protein_learns_what_earlier_trials_cost() -> None:
    """As of its own."""
    pytest.importorskip("sklearn")
    optimizer = begun(ProteinOptimizer(), goal=Goal("minimize", "score"))
    optimizer.warm_start([done(number, trial.params, 1.0, cost=float(number + 1)) for number, trial in enumerate(in_the_cube(3))])
    assert optimizer._costs == [1.0, 2.0, 3.0]


def test_optuna_counts_earlier_trials_as_startup_trials() -> None:
    """TPE samples from its model at once, as after ``add_trial``."""
    pytest.importorskip("optuna")
    told, untold = (begun(OptunaOptimizer(n_startup_trials=12)) for _ in range(2))
    told.warm_start(in_the_cube(11))
    assert suggested(told, 1) == suggested(untold, 1)
    told, untold = (begun(OptunaOptimizer(n_startup_trials=12)) for _ in range(2))
    told.warm_start(in_the_cube(12))
    assert suggested(told, 1) != suggested(untold, 1)


def test_failed_trials_are_told_the_worst_of_all_earlier_ones() -> None:
    """Wherever they stand among them; without any result, that they failed."""
    pytest.importorskip("optuna")
    points = [trial.params for trial in in_the_cube(4)]
    optimizer = begun(OptunaOptimizer())
    optimizer.warm_start([failed(0, points[0]), done(1, points[1], 3.0), failed(2, points[2]), done(3, points[3], 5.0)])
    assert [trial.value for trial in optimizer._study.trials] == [3.0, 5.0, 5.0, 5.0]
    alone = begun(OptunaOptimizer())
    alone.warm_start([failed(0, points[0])])
    assert [trial.state.name for trial in alone._study.trials] == ["FAIL"]
    other = begun(OptunaOptimizer(failures="fail"))
    other.warm_start([done(1, points[1], 3.0), failed(0, points[0])])
    assert [trial.state.name for trial in other._study.trials] == ["COMPLETE", "FAIL"]


def test_cma_es_begins_as_optunas_with_source_trials() -> None:
    """The suggestions are the library's, with choices beside the numbers, too; fewer than ten trials give its centre."""
    optuna = pytest.importorskip("optuna")
    pytest.importorskip("cmaes")
    space = SearchSpace.of({**dict(CUBE.top), "kind": Choice(["a", "b"]), "one": Integer(3, 3)})

    def after(count: int, **options: Any) -> Any:
        optimizer = begun(OptunaOptimizer(sampler="CMA-ES", **options), space)
        given = [replace(trial, params={**trial.params, "kind": "a", "one": 3}) for trial in in_the_cube(count)]
        optimizer.warm_start(given)
        assert len(suggested(optimizer, 9)) == 9
        return optimizer._study.sampler

    sources = after(12)._source_trials
    assert [(trial.params, trial.value) for trial in sources] == [(trial.params, trial.score) for trial in in_the_cube(12)]
    few = after(9)
    best = min(in_the_cube(9), key=lambda trial: trial.score or 0.0)
    assert (few._x0, few._source_trials) == (best.params, None)
    assert after(12, sigma0=0.2)._source_trials is None
    assert isinstance(few, optuna.samplers.CmaEsSampler)
    nested = SearchSpace.of({"m": Choice({"s": {"k": Uniform(0, 1)}, "n": {}}), "x": Uniform(0, 1)})
    conditional = begun(OptunaOptimizer(sampler="CMA-ES"), nested)
    conditional.warm_start([done(number, nested.sample_at(1, number), float(number)) for number in range(12)])
    assert len(suggested(conditional, 9)) == 9


def test_nevergrad_is_told_of_points_that_it_did_not_ask_for() -> None:
    """Completed and failed ones; of those that were stopped nothing."""
    pytest.importorskip("nevergrad")
    optimizer = begun(NevergradOptimizer(method="DE"))
    optimizer.warm_start([*in_the_cube(4), failed(5, CUBE.sample_at(1, 0)), stopped(6, CUBE.sample_at(1, 1))])
    told = optimizer._whole.optimizer
    assert (told.num_tell, told.num_tell_not_asked, told.num_ask) == (5, 5, 0)


# -- several behind one ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["portfolio", "phases"])
def test_all_of_several_are_told_and_repeat_nothing(kind: str) -> None:
    """With points that earlier trials tried they do not stand in for one another, and the space is used up without them."""
    inner: dict[str, Optimizer] = {"random": RandomOptimizer(), "grid": GridOptimizer(), "evolution": EvolutionOptimizer()}
    several = (
        PortfolioOptimizer(inner)
        if kind == "portfolio"
        else Phases([Phase(inner["random"], trials=3), Phase(inner["grid"], trials=2), Phase(inner["evolution"])])
    )
    optimizer = begun(several, FEW)
    tried = [{"a": a, "b": "q"} for a in range(4)]
    optimizer.warm_start([done(number, params, 1.0) for number, params in enumerate(tried)])
    found = []
    for number in range(20):
        for suggestion in optimizer.suggest(1, pending=[]):
            found.append(suggestion.params)
            trial = replace(done(number, suggestion.params, 0.5), origin=suggestion.origin)
            optimizer.observe(trial, 0.5)
    assert len({params_key(params) for params in found}) == len(found) == 8
    assert all(params["b"] != "q" for params in found)
    assert optimizer.remaining == 0
    evolution = optimizer.optimizers["evolution"]
    assert len(evolution._population) == 12


def test_several_that_may_repeat_themselves_do() -> None:
    """With ``duplicates=True`` what earlier trials tried may be suggested."""
    optimizer = begun(PortfolioOptimizer({"random": RandomOptimizer()}, duplicates=True), FEW)
    optimizer.warm_start([done(a, {"a": a, "b": b}, 1.0) for a in range(4) for b in "pqr"])
    assert len(optimizer.suggest(5)) == 5


def test_members_are_told_of_follow_ups_outside_the_space_one_by_one() -> None:
    """Those of others come by ``warm_start`` where they fit, and by ``observe`` where they do not: nothing is refused in a run."""

    class Warm(RandomOptimizer):
        def __init__(self) -> None:
            super().__init__()
            self.told: list[tuple[str, str]] = []

        def warm_start(self, trials: Iterable[Trial]) -> None:
            """Note them."""
            self.told += [("warm", trial.id) for trial in trials]

        def observe(self, trial: Trial, result: Any) -> None:
            """Note it."""
            self.told.append(("observe", trial.id))

    optimizer = begun(PortfolioOptimizer({"warm": Warm(), "inner": PortfolioOptimizer({"evolution": EvolutionOptimizer()})}), FEW)
    points: list[dict[str, Any]] = [{"a": 1, "b": "p"}, {"follow": "up"}]
    for number, params in enumerate(points):
        optimizer.observe(replace(done(number, params, 1.0), origin="somebody"), 1.0)
    assert optimizer.optimizers["warm"].told == [("warm", "old-0"), ("observe", "old-1")]
    assert len(optimizer.optimizers["inner"].optimizers["evolution"]._population) == 1


# -- of one's own ------------------------------------------------------------------------------------------------------------------


class Plain(Optimizer):
    """Does no more than it must."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Any]] = []

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """Somewhere."""
        return [{"a": 0, "b": "p"}] * n

    def observe(self, trial: Trial, result: Any) -> None:
        """Note it."""
        self.told.append(("observe", trial.id, result))

    def failed(self, trial: Trial) -> None:
        """Note it."""
        self.told.append(("failed", trial.id, None))

    def stopped(self, trial: Trial) -> None:
        """Note it."""
        self.told.append(("stopped", trial.id, None))


def test_an_optimizer_of_ones_own_is_told_as_of_trials_that_end() -> None:
    """In their order, with the values of all objectives where there are several."""
    point = {"a": 1, "b": "p"}
    trials: Sequence[Trial] = [stopped(0, point), done(1, point, 2.0), failed(2, point)]
    optimizer = begun(Plain(), FEW)
    optimizer.warm_start(iter(trials))
    assert optimizer.told == [("stopped", "old-0", None), ("observe", "old-1", 2.0), ("failed", "old-2", None)]
    several = begun(Plain(), FEW, Goal.of({"score": "maximize", "cost": "minimize"}))
    several.warm_start([done(1, point, 2.0, cost=3.0)])
    assert several.told == [("observe", "old-1", {"score": 2.0, "cost": 3.0})]
    anywhere = Plain()
    anywhere.warm_start([done(0, {"whatever": 1}, 1.0)])
    assert anywhere.told == [("observe", "old-0", 1.0)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, ["is no list of trials", "results.trials"]),
        ("trials", ["is no list of trials"]),
        (done(0, {"a": 1, "b": "p"}, 1.0), ["is no list of trials", "Put it in a list"]),
        ([{"a": 1}], ["Plain.warm_start(trials)[0]", "is no trial"]),
        ([done(0, {"a": 1, "b": "p"}, 1.0), done(1, {"a": 9, "b": "p"}, 1.0)], ["[1] (trial 'old-1')", "'a' = 9", "Integer(0, 3)"]),
        ([done(0, {"a": 1}, 1.0)], ["'b' is missing"]),
        ([done(0, {"a": 1, "b": "p"}, float("nan"))], ["without a finite score"]),
    ],
)
def test_what_is_no_trial_of_the_space_is_refused(given: Any, words: list[str]) -> None:
    """With what, where, found, expected and the remedy; nothing is learned."""
    optimizer = begun(Plain(), FEW)
    with pytest.raises(OptimizerError) as refused:
        optimizer.warm_start(given)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert optimizer.told == []


@pytest.mark.parametrize("make", [EvolutionOptimizer, GridOptimizer, OptunaOptimizer, SobolOptimizer, BayesianOptimizer])
def test_one_without_a_search_space_says_so(make: Callable[[], Any]) -> None:
    """Before it is given to a sweep."""
    for library in ("optuna", "scipy", "sklearn"):
        pytest.importorskip(library)
    with pytest.raises(OptimizerError, match="no search space"):
        make().warm_start(in_the_cube(1))
