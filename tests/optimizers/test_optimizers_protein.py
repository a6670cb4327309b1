"""Cost-aware search around the best trials. The faults of the original that are mended have a test each, named for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from metta_sweep import SweepExperiment
from metta_sweep.core.distributions import Choice, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.errors import OptimizerError, UnknownOption
from metta_sweep.optimizers import ProteinOptimizer

pytest.importorskip("sklearn")

SPACE = SearchSpace.of({"x": Uniform(0.0, 1.0), "y": Uniform(0.0, 1.0)})


def trial(number: int, params: dict[str, Any], *, state: TrialState = TrialState.COMPLETED, **metrics: float) -> Trial:
    """A trial with these metrics."""
    return Trial(id=str(number), number=number, params=params, state=state, metrics=dict(metrics), score=metrics.get("score"))


def running(optimizer: ProteinOptimizer, goal: str = "maximize", space: SearchSpace = SPACE, seed: int = 0) -> ProteinOptimizer:
    """One for a run."""
    run = optimizer.for_run(Setup(space, Goal.of({"score": goal}), seed, 1))
    assert isinstance(run, ProteinOptimizer)
    return run


def told(optimizer: ProteinOptimizer, of: Callable[[dict[str, Any]], tuple[float, float]], count: int) -> ProteinOptimizer:
    """After ``count`` trials, each with its score and cost."""
    for number in range(count):
        (suggestion,) = optimizer.suggest(1, index=number)
        score, cost = of(suggestion.params)
        optimizer.observe(trial(number, suggestion.params, score=score, cost=cost), score)
    return optimizer


def test_the_first_suggestion_is_the_centre() -> None:
    """The geometric middle of logarithms; what is named in ``centre`` begins there."""
    space = SearchSpace.of(
        {"lr": LogUniform(1e-5, 1e-1), "x": Uniform(2.0, 4.0), "width": LogInteger(16, 1024), "n": Integer(1, 9)}
    )
    (suggestion,) = running(ProteinOptimizer(centre={"x": 2.5}), space=space).suggest(1)
    assert suggestion.params == {"lr": pytest.approx(1e-3), "x": 2.5, "width": 126, "n": 5}


@pytest.mark.slow
def test_the_search_gets_better_where_costs_are_equal() -> None:
    """It goes to the top of a hill."""
    run = told(running(ProteinOptimizer()), lambda p: (-((p["x"] - 0.8) ** 2) - (p["y"] - 0.1) ** 2, 1.0), 25)
    best = max(score for score in run._scores if score is not None)
    assert best > -0.005


@pytest.mark.slow
def test_suggestions_are_not_all_dear_when_scores_rise_with_cost() -> None:
    """The target cost varies: with it 0, a point at half the range of both is worth most, and the dearest one nothing."""
    run = told(running(ProteinOptimizer()), lambda p: (p["x"] - abs(p["y"] - 0.5), math.exp(6 * p["x"])), 30)
    late = [vector[0] for vector in run._vectors[8:]]
    assert min(late) < 0.5
    assert max(late) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("acquisition", ["naive", "EI", "UCB"])
def test_what_is_predicted_to_cost_too_much_is_left_out(acquisition: Any) -> None:
    """Whatever it promises."""
    run = running(ProteinOptimizer(max_suggestion_cost=20.0, acquisition=acquisition))
    run = told(run, lambda p: (p["x"], math.exp(6 * p["x"])), 16)
    limit = math.log(20.0) / 6
    assert max(vector[0] for vector in run._vectors[8:]) < limit + 0.1


@pytest.mark.slow
def test_a_masked_zero_does_not_beat_negative_scores() -> None:
    """The original gave dear candidates the score 0, which was more than any other where all scores are negative."""
    run = running(ProteinOptimizer(max_suggestion_cost=20.0, acquisition="UCB"))
    run = told(run, lambda p: (-1000.0 + p["x"], math.exp(6 * p["x"])), 16)
    assert max(vector[0] for vector in run._vectors[8:]) < math.log(20.0) / 6 + 0.1


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_where_everything_is_too_dear_the_cheapest_comes_first(unit: float) -> None:
    """Whatever the unit of the costs is: their logarithms may be negative."""
    run = running(ProteinOptimizer(max_suggestion_cost=unit * 1e-3, acquisition="UCB"))
    for number in range(8):
        x = 0.3 + number / 20
        run.observe(trial(number, {"x": x, "y": 0.5}, score=x, cost=unit * math.exp(6 * x)), x)
    (suggestion,) = run.suggest(1, index=8)
    assert suggestion.params["x"] < 0.1


def test_fixed_parameters_are_searched_around_the_best_that_have_them() -> None:
    """Also where a value is not exactly what its place in the model gives back, as logarithms are not."""
    space = SearchSpace.of({"lr": LogUniform(1e-5, 1e-1), "y": Uniform(-3.0, 0.7)})
    run = running(ProteinOptimizer(scale=0.01, acquisition="EI"), space=space)
    for number in range(8):
        y = -2.0 + number / 4
        lr = 0.0031 if number < 6 else 0.01
        run.observe(trial(number, {"lr": lr, "y": y}, score=y, cost=1.0), y)
    (suggestion,) = run.suggest(1, index=8, fixed={"lr": 0.0031})
    assert suggestion.params["lr"] == 0.0031
    assert suggestion.params["y"] == pytest.approx(-0.75, abs=0.02)


def test_the_best_liar_is_the_best_in_the_direction_of_the_goal() -> None:
    """The original took the maximum even when minimizing: here minimizing is maximizing the negative, for every liar."""
    for liar in ("best", "worst", "mean", "predicted"):
        batches = []
        for goal, sign in (("maximize", 1.0), ("minimize", -1.0)):
            run = running(ProteinOptimizer(liar=liar), goal)
            for number in range(6):
                x = number / 6
                run.observe(trial(number, {"x": x, "y": x * x}, score=sign * x, cost=1.0 + number), sign * x)
            batches.append(run.suggest(3, index=6))
        assert batches[0] == batches[1]


@pytest.mark.slow
def test_minimizing_does_not_reward_weight_zero() -> None:
    """The original turned the sign after the weight, and went where it is 0; here minimizing is maximizing the negative."""

    def of(params: dict[str, Any]) -> tuple[float, float]:
        return 5.0 + (params["x"] - 0.3) ** 2 + params["y"], 1.0 + params["x"]

    down = told(running(ProteinOptimizer(), "minimize"), of, 9)
    up = told(running(ProteinOptimizer(), "maximize"), lambda p: (-of(p)[0], of(p)[1]), 9)
    assert down._vectors == up._vectors
    assert min(score for score in down._scores if score is not None) < 5.3


def test_resampling_fires_although_the_optimizer_is_rebuilt() -> None:
    """The original was rebuilt at every call, and its counter with it. Here the number of the suggestion decides."""
    first = told(running(ProteinOptimizer(resample_every=8)), lambda p: (p["x"], 1.0 + p["y"]), 8)
    rebuilt = running(ProteinOptimizer(resample_every=8))
    for number, (vector, score) in enumerate(zip(first._vectors, first._scores, strict=True)):
        params = {"x": vector[0], "y": vector[1]}
        rebuilt.observe(trial(number, params, score=score or 0.0, cost=1.0 + vector[1]), score or 0.0)
    (again,) = rebuilt.suggest(1, index=8)
    assert again == first.suggest(1, index=8)[0]
    assert [again.params["x"], again.params["y"]] in first._vectors
    (new,) = rebuilt.suggest(1, index=9)
    assert [new.params["x"], new.params["y"]] not in first._vectors


def test_a_failure_is_told_and_is_no_success_of_score_zero() -> None:
    """With negative scores a failure that counts as 0 would be the best; here it is as bad as the worst."""
    run = running(ProteinOptimizer(initial_trials=3))
    for number in range(8):
        x = number / 8
        run.observe(trial(number, {"x": 0.1 * x, "y": 0.1}, score=-1.0 - x, cost=1.0), -1.0 - x)
    for number in range(8, 12):
        run.failed(trial(number, {"x": 0.9, "y": 0.9 + 0.01 * (number - 8)}, state=TrialState.FAILED))
    for suggestion in run.suggest(4, index=12):
        assert suggestion.params["x"] < 0.7 or suggestion.params["y"] < 0.7


def test_the_model_is_asked_before_there_are_ten_observations() -> None:
    """The original was random until then, whatever it was set to."""
    run = told(running(ProteinOptimizer(initial_trials=4)), lambda p: (p["x"], 1.0), 4)
    (suggestion,) = run.suggest(1, index=4)
    assert suggestion.origin == "protein"
    assert suggestion.params["x"] > 0.7


def test_a_batch_has_no_near_duplicates() -> None:
    """Trials in flight are kept clear of."""
    run = told(running(ProteinOptimizer()), lambda p: (-((p["x"] - 0.5) ** 2), 1.0), 10)
    batch = [suggestion.params for suggestion in run.suggest(6, index=10)]
    for place, one in enumerate(batch):
        for other in batch[:place]:
            assert max(abs(one["x"] - other["x"]), abs(one["y"] - other["y"])) >= 0.01


@pytest.mark.slow
def test_categories_are_no_ordered_integers() -> None:
    """The best option is found although it stands between the worst ones, and the order of options means nothing."""
    space = SearchSpace.of({"kind": Choice(["a", "b", "c", "d", "e"]), "x": Uniform(0.0, 1.0)})
    worth = {"a": 0.0, "b": 0.1, "c": 1.0, "d": 0.0, "e": 0.1}
    run = told(running(ProteinOptimizer(), space=space), lambda p: (worth[p["kind"]] + 0.1 * p["x"], 1.0), 24)
    assert run._encoding.width == 6
    late = [run._encoding.decode(vector)["kind"] for vector in run._vectors[16:]]
    assert late.count("c") >= 4


def test_the_seed_decides() -> None:
    """The original drew from global generators: the same seed gives the same search here, another one another."""

    def vectors(seed: int) -> list[list[float]]:
        return told(running(ProteinOptimizer(seed=seed)), lambda p: (p["x"], 1.0 + p["y"]), 6)._vectors

    assert vectors(1) == vectors(1)
    assert vectors(1) != vectors(2)


def test_costs_without_a_logarithm_do_no_harm() -> None:
    """The original took the logarithm of whatever came, and went on with NaN: zero, negative, equal and missing costs are fine."""
    for cost in (0.0, -1.0, 1e-300, 1e300):
        run = running(ProteinOptimizer(max_suggestion_cost=1e308))
        for number in range(6):
            metrics: dict[str, Any] = {"score": float(number), "cost": cost if number < 3 else 1.0}
            run.observe(trial(number, {"x": number / 9, "y": 0.5}, **metrics), float(number))
        (suggestion,) = run.suggest(1, index=6)
        SPACE.check(suggestion.params, "suggestion")
    run = running(ProteinOptimizer())
    for number in range(9):
        metrics = {"score": float(number)} if number % 2 else {"score": float(number), "cost": 3.0}
        run.observe(trial(number, {"x": number / 9, "y": 0.5}, **metrics), float(number))
    assert len(run.suggest(3, index=9)) == 3


def test_observations_of_one_place_replace_each_other() -> None:
    """Within 1e-6 the newer result counts."""
    run = told(running(ProteinOptimizer()), lambda p: (p["x"], 1.0), 6)
    run.observe(trial(6, {"x": 0.25, "y": 0.5}, score=1.0, cost=1.0), 1.0)
    run.observe(trial(7, {"x": 0.25 + 5e-7, "y": 0.5}, score=3.0, cost=2.0), 3.0)
    assert len(run._vectors) == len(run._scores) == len(run._costs) == 7
    assert run._scores[-1] == 3.0
    assert run._costs[-1] == 2.0


@pytest.mark.slow
def test_a_sweep_with_costs_in_batches() -> None:
    """Trials return a score and a cost; the goal names the score."""

    def objective(lr: float, width: int) -> dict[str, float]:
        return {"accuracy": -((math.log10(lr) + 3) ** 2) - (width - 200) ** 2 / 4e4, "cost": width / 10}

    sweep = SweepExperiment(
        optimizer=ProteinOptimizer({"lr": LogUniform(1e-5, 1e-1), "width": Integer(16, 512)}),
        objective=objective,
        goal={"accuracy": "maximize"},
        slots=3,
        seed=3,
        store="memory",
    )
    results = sweep.run(budget=18)
    assert len(results.trials) == 18
    assert results.best_score is not None
    assert results.best_score > -1.0


def test_follow_ups_outside_the_space_are_not_learnt() -> None:
    """They are told, and left out."""
    run = told(running(ProteinOptimizer()), lambda p: (p["x"], 1.0), 5)
    run.observe(trial(9, {"other": 1}, score=5.0), 5.0)
    assert len(run._costs) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"acquisition": "ei"}, "Did you mean 'EI'"),
        ({"max_suggestion_cost": 0}, "not above 0"),
        ({"cost_metric": ""}, "name of a metric"),
        ({"centre": 3}, "no mapping"),
        ({"scale": -1.0}, "not above 0"),
        ({"scale": {"x": "wide"}}, "not a number"),
        ({"resample_every": 1}, "below 2"),
        ({"initial_trials": 0}, "below 1"),
        ({"liar": "bes"}, "Did you mean 'best'"),
        ({"duplicates": 1}, "neither True nor False"),
        ({"centre": {"z": 1.0}}, "no parameter 'z'"),
        ({"centre": {"x": 3.0}}, "'x' lies outside Uniform"),
        ({"scale": {"xx": 1.0}}, "Did you mean 'x'"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    """When it is made, or where it depends on the space, when it gets one."""
    with pytest.raises(OptimizerError, match=message):
        ProteinOptimizer(SPACE, **options)


def test_unknown_options_are_refused() -> None:
    """With what was meant."""
    with pytest.raises(UnknownOption, match="Did you mean 'max_suggestion_cost'"):
        ProteinOptimizer(SPACE, max_sugestion_cost=3)  # type: ignore[arg-type]


def test_the_settings_are_described() -> None:
    """As JSON, for the definition of a kept run."""
    described = ProteinOptimizer({"x": Uniform(0.0, 1.0)}, scale={"x": 0.1}, centre={"x": 0.2}).describe()
    assert described["scale"] == {"x": 0.1}
    assert described["centre"] == {"x": 0.2}
    assert described["max_suggestion_cost"] == 10_800.0
