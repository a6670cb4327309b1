"""Bayesian optimization with Gaussian processes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from metta_sweep import SweepExperiment
from metta_sweep.core.distributions import Choice, Constant, Integer, LogUniform, Uniform
from metta_sweep.core.given import remade
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Metric, Trial, TrialState
from metta_sweep.errors import MissingExtra, OptimizerError, SuggestionError, UnknownOption
from metta_sweep.optimizers import BayesianOptimizer
from metta_sweep.optimizers.acquisition import ExpectedImprovement, UpperConfidenceBound, Worth
from metta_sweep.optimizers.gaussian_process import GaussianProcess, fit_hyperparameters, most_telling, standardized

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

SPACE = SearchSpace.of({"x": Uniform(0.0, 1.0), "y": Uniform(0.0, 1.0)})


def trial(number: int, params: dict[str, Any], state: TrialState = TrialState.COMPLETED, metric: Metric = 0.0) -> Trial:
    """A trial that has ended."""
    return Trial(id=str(number), number=number, params=params, state=state, metrics={"score": metric})


def running(optimizer: BayesianOptimizer, goal: str = "maximize", space: SearchSpace = SPACE, seed: int = 0) -> BayesianOptimizer:
    """One for a run."""
    run = optimizer.for_run(Setup(space, Goal.of({"score": goal}), seed, 1))
    assert isinstance(run, BayesianOptimizer)
    return run


def told(run: BayesianOptimizer, of: Callable[[dict[str, Any]], float], count: int) -> list[dict[str, Any]]:
    """The parameters of ``count`` trials, one after another."""
    found = []
    for number in range(count):
        (suggestion,) = run.suggest(1, index=number)
        score = of(suggestion.params)
        run.observe(trial(number, suggestion.params, metric=score), score)
        found.append(suggestion.params)
    return found


def branin(params: dict[str, Any]) -> float:
    """Its minimum is 0.397887."""
    first, second = 15 * params["x"] - 5, 15 * params["y"]
    bend = second - 5.1 / (4 * math.pi**2) * first**2 + 5 / math.pi * first - 6
    return float(bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(first) + 10)


def test_the_minimum_of_a_smooth_function_is_found_to_some_digits() -> None:
    """In 32 trials, where random search is some tenths away."""
    run = running(BayesianOptimizer(), "minimize")
    assert min(map(branin, told(run, branin, 32))) < 0.41


@pytest.mark.slow
@pytest.mark.parametrize("acquisition", ["EI", "UCB"])
def test_mixed_and_conditional_spaces_are_searched(acquisition: Any) -> None:
    """The best alternative is found, and the best values of what is under it."""
    alternatives = Choice({"a": {"u": Uniform(0.0, 1.0)}, "b": {"u": Uniform(0.0, 1.0), "n": Integer(1, 50)}, "c": {}})
    space = SearchSpace.of({"kind": alternatives, "lr": LogUniform(1e-5, 1e-1), "fixed": Constant(1)})

    def of(params: dict[str, Any]) -> float:
        score = {"a": 0.0, "b": 1.0, "c": 0.5}[params["kind"]] - (math.log10(params["lr"]) + 3) ** 2
        return score - (abs(params["n"] - 30) / 50 + (params["u"] - 0.2) ** 2 if params["kind"] == "b" else 0.0)

    run = running(BayesianOptimizer(acquisition=acquisition), space=space)
    assert max(map(of, told(run, of, 40))) > 0.95


def test_whole_numbers_are_searched_exactly() -> None:
    """The best of a thousand whole numbers, and no number twice."""
    space = SearchSpace.of({"n": Integer(1, 1000)})
    tried = [
        params["n"]
        for params in told(running(BayesianOptimizer(initial_trials=4), space=space), lambda p: -((p["n"] - 617) ** 2), 16)
    ]
    assert 617 in tried
    assert len(set(tried)) == len(tried)


def test_a_suggestion_is_a_function_of_what_was_told() -> None:
    """A fresh copy that is told the same suggests the same, without being asked before."""
    first = running(BayesianOptimizer(initial_trials=4), "minimize")
    params = told(first, branin, 7)
    second = running(BayesianOptimizer(initial_trials=4), "minimize")
    for number, item in enumerate(params):
        second.observe(trial(number, item), branin(item))
    flying = [trial(7, {"x": 0.5, "y": 0.5}, TrialState.RUNNING)]
    assert second.suggest(2, index=8, pending=flying) == first.suggest(2, index=8, pending=flying)


def test_trials_in_flight_are_kept_clear_of() -> None:
    """Suggestions of a batch lie apart."""
    run = running(BayesianOptimizer(initial_trials=4))
    told(run, lambda p: -((p["x"] - 0.5) ** 2), 6)
    batch = [suggestion.params for suggestion in run.suggest(4, index=6)]
    for place, one in enumerate(batch):
        for other in batch[:place]:
            assert math.dist((one["x"], one["y"]), (other["x"], other["y"])) > 0.01


def test_every_other_suggestion_goes_for_the_best_score_while_trials_are_in_flight() -> None:
    """It lies where the best score is predicted, unless a trial in flight is there; the one after it is for what is not known."""
    run = running(BayesianOptimizer(), "minimize")
    told(run, branin, 14)
    process, _ = run.process([])
    rng = np.random.default_rng(0)
    highest = float(process.predict(rng.random((2000, 2)))[0].max())

    def suggested(index: int, flying: dict[str, Any]) -> Any:
        (suggestion,) = run.suggest(1, index=index, pending=[trial(14, flying, TrialState.RUNNING)])
        return np.array([[suggestion.params["x"], suggestion.params["y"]]])

    afar = {"x": 0.01, "y": 0.01}
    best, after = suggested(16, afar), suggested(17, afar)
    (mean, other), (deviation, more) = process.predict(np.concatenate([best, after]))
    assert mean > max(highest, other) - 1e-9
    assert more > deviation
    elsewhere = suggested(16, {"x": float(best[0, 0]), "y": float(best[0, 1])})
    assert float(np.linalg.norm((elsewhere - best) / process.hyperparameters.lengths)) > 0.02


@pytest.mark.parametrize(("liar", "lowest", "highest"), [("predicted", -0.3, 0.05), ("worst", -1.1, -0.6), ("best", -0.01, 0.01)])
def test_a_trial_in_flight_has_a_pretend_score(liar: Any, lowest: float, highest: float) -> None:
    """By default the one that the model predicts for it: the model stays what it is, and becomes sure of it there."""
    run = running(BayesianOptimizer(liar=liar))
    for number in range(11):
        run.observe(trial(number, {"x": number / 10, "y": 0.5}), -float(number) / 10)
    place = np.array([[0.05, 0.5]])
    before, unsure = run.process([])[0].predict(place)
    process, values = run.process([[0.05, 0.5]])
    after, sure = process.predict(place)
    spread = values.max() - values.min()
    assert len(values) == 11
    assert float(sure[0]) < float(unsure[0])
    assert lowest <= (float(after[0]) - float(values.max())) / spread <= highest
    if liar == "predicted":
        assert float(after[0]) == pytest.approx(float(before[0]), abs=1e-3)


def test_a_failure_counts_as_the_worst_seen() -> None:
    """Where everything failed is not where it looks next."""
    run = running(BayesianOptimizer(initial_trials=4))
    for number in range(6):
        run.observe(trial(number, {"x": 0.1 + 0.02 * number, "y": 0.3}), -5.0 - number)
    for number in range(6):
        run.failed(trial(number, {"x": 0.1, "y": 0.4 + 0.1 * number}, TrialState.FAILED))
    values, _ = run.values(12)
    assert values[6:].tolist() == [values[5]] * 6


def test_only_failures_are_followed_by_random_points() -> None:
    """There is nothing to learn from them, and the search goes on."""
    run = running(BayesianOptimizer(initial_trials=2))
    for number in range(6):
        (suggestion,) = run.suggest(1, index=number)
        run.failed(trial(number, suggestion.params, TrialState.FAILED))
        assert suggestion.origin == "bayesian/initial"


def test_standard_errors_are_known_noise() -> None:
    """A lucky score with a large error is not taken for a peak."""
    points = [(number / 10, 0.5) for number in range(11)]

    def at_the_spike(error: float) -> float:
        run = running(BayesianOptimizer())
        for number, (x, y) in enumerate(points):
            score = 3.0 if number == 5 else -abs(x - 0.5)
            run.observe(trial(number, {"x": x, "y": y}, metric=(score, error if number == 5 else 1e-3)), score)
        process, _ = run.process([])
        return float(process.predict(np.array([[0.5, 0.5]]))[0][0])

    assert at_the_spike(50.0) < 1.5 < at_the_spike(1e-3)


def test_parameters_that_are_fixed_stay_so() -> None:
    """Suggestions within a branch, by the model too."""
    space = SearchSpace.of({"kind": Choice(["a", "b", "c"]), "x": Uniform(0.0, 1.0)})
    run = running(BayesianOptimizer(initial_trials=3), space=space)
    told(run, lambda p: p["x"] + (p["kind"] == "a"), 5)
    for suggestion in run.suggest(2, index=5, fixed={"kind": "c"}):
        assert suggestion.params["kind"] == "c"
        assert suggestion.origin == "bayesian"
    with pytest.raises(SuggestionError, match="no parameter 'knd'"):
        run.suggest(1, index=9, fixed={"knd": "c"})


def test_a_used_up_space_ends() -> None:
    """Each point once; with ``duplicates`` there is no end."""
    space = SearchSpace.of({"n": Integer(1, 3), "kind": Choice(["a", "b"])})
    run = running(BayesianOptimizer(initial_trials=3), space=space)
    assert len({tuple(params.values()) for params in told(run, lambda p: p["n"], 6)}) == 6
    assert run.suggest(2, index=6) == []
    repeating = running(BayesianOptimizer(initial_trials=3, duplicates=True), space=space)
    assert len(told(repeating, lambda p: p["n"], 8)) == 8


def test_many_observations_are_thinned() -> None:
    """The better half is kept, and an even sample of the others."""
    kept = most_telling(np.arange(1000.0), 100)
    assert len(kept) == 100
    assert set(range(950, 1000)) <= set(kept.tolist())
    assert min(kept) == 0
    assert most_telling(np.arange(5.0), 100) == slice(None)


def test_one_disaster_does_not_flatten_everything_else() -> None:
    """What lies far off on the bad side is drawn in; huge and equal scores stay finite."""
    scores = np.array([1.0, 2.0, 3.0, 4.0, -1e12])
    values, _, _ = standardized(scores)
    assert values[3] - values[0] > 0.1
    assert np.isfinite(standardized(np.array([1e308, -1e308, 0.0]))[0]).all()
    assert standardized(np.array([7.0, 7.0]))[0].tolist() == [0.0, 0.0]


def test_predictions_have_right_gradients() -> None:
    """Those of mean and deviation, and of both acquisition functions, are those of finite differences."""
    rng = np.random.default_rng(0)
    points = rng.random((15, 3))
    values = np.sin(5 * points).sum(axis=1)
    process = GaussianProcess(points, values, fit_hyperparameters(points, values))
    point = np.array([0.3, 0.6, 0.2])
    mean, deviation, mean_slope, deviation_slope = process.predict_with_gradients(point)
    assert [mean, deviation] == pytest.approx([float(part[0]) for part in process.predict(point[None])], rel=1e-6)
    functions: list[Worth] = [ExpectedImprovement(2.0), ExpectedImprovement(40.0, 0.1), UpperConfidenceBound(2.0)]
    for worth in functions:
        value, by_mean, by_deviation = worth.slopes(mean, deviation)
        assert value == pytest.approx(float(worth.of(np.array([mean]), np.array([deviation]))[0]))
        slope = by_mean * mean_slope + by_deviation * deviation_slope
        for axis in range(3):
            step = 1e-5 * np.eye(3)[axis]
            up, down = (float(worth.of(*process.predict((point + sign * step)[None]))[0]) for sign in (1, -1))
            assert slope[axis] == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-4)


def test_the_logarithm_of_the_improvement_is_right_far_below_the_best() -> None:
    """Where the improvement itself is 0 in floats."""
    z = np.array([-1e6, -1e3, -40.0, -1.0, 0.0, 3.0])
    logs = ExpectedImprovement(0.0).of(z, np.ones(6))
    assert np.isfinite(logs).all()
    assert (np.diff(logs) > 0).all()
    assert logs[2] == pytest.approx(-0.5 * 1600 - 0.5 * math.log(2 * math.pi) - 2 * math.log(40), abs=2e-3)
    assert logs[4] == pytest.approx(math.log(1 / math.sqrt(2 * math.pi)))


def test_more_exploration_looks_farther_from_what_is_known() -> None:
    """A large one goes to the empty corner."""

    def first(**options: Any) -> dict[str, Any]:
        run = running(BayesianOptimizer(initial_trials=3, **options))
        for number, (x, y) in enumerate([(0.1, 0.1), (0.2, 0.1), (0.1, 0.2), (0.2, 0.2), (0.15, 0.12)]):
            run.observe(trial(number, {"x": x, "y": y}), -((x - 0.15) ** 2) - (y - 0.15) ** 2)
        return run.suggest(1, index=5)[0].params

    near, far = first(acquisition="UCB", exploration=0.0), first(acquisition="UCB", exploration=100.0)
    assert max(near["x"], near["y"]) < 0.3 < max(far["x"], far["y"])


def test_it_runs_in_a_sweep_with_several_slots() -> None:
    """With an objective that is a coroutine, and a failure among its trials."""

    async def objective(x: float, y: float) -> float:
        if x > 0.9:
            raise ValueError("diverged")
        return (x - 0.4) ** 2 + (y - 0.6) ** 2

    sweep = SweepExperiment(
        search_space=SPACE,
        optimizer=BayesianOptimizer(initial_trials=5),
        objective=objective,
        goal="minimize",
        slots=4,
        seed=1,
        store="memory",
    )
    results = sweep.run(budget=14)
    assert len(results.trials) == 14
    assert results.best_score is not None
    assert results.best_score < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"acquisition": "ei"}, "Did you mean 'EI'"),
        ({"acquisition": 3}, "'EI' or 'UCB'"),
        ({"exploration": -1.0}, "below 0"),
        ({"initial_trials": 0}, "below 1"),
        ({"liar": "bes"}, "Did you mean 'best'"),
        ({"duplicates": 1}, "neither True nor False"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    """At once."""
    with pytest.raises(OptimizerError, match=message):
        BayesianOptimizer(**options)


def test_one_like_it_has_the_defaults_of_its_other_settings() -> None:
    """What was left out, and follows from what was changed, is chosen anew."""
    other = remade(BayesianOptimizer(initial_trials=3), {"acquisition": "UCB"})
    assert (other.initial_trials, other.exploration) == (3, BayesianOptimizer(acquisition="UCB").exploration)


def test_unknown_options_are_refused() -> None:
    """With what was meant."""
    with pytest.raises(UnknownOption, match="Did you mean 'acquisition'"):
        BayesianOptimizer(aquisition="EI")  # type: ignore[arg-type]


def test_a_missing_library_is_refused_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "sklearn.gaussian_process", None)
    with pytest.raises(MissingExtra, match=r"BayesianOptimizer needs scikit-learn.*extra 'bayesian'"):
        BayesianOptimizer()


def test_its_libraries_are_imported_when_it_is_made() -> None:
    """Importing the room imports neither numpy nor scikit-learn."""
    code = "import sys, metta_sweep.optimizers; sys.exit(any(name in sys.modules for name in ('numpy', 'scipy', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
