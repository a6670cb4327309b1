"""Ax as an optimizer."""

from __future__ import annotations

import importlib.util
import logging
import random
import subprocess
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import pytest

from metta_sweep.core.distributions import Choice, Constant, Integer, LogInteger, LogUniform, Uniform
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, TrialState
from metta_sweep.errors import InvalidInput, MissingExtra, OptimizerError, UnknownOption
from metta_sweep.experiments import SweepExperiment
from metta_sweep.optimizers import AxOptimizer

needs_ax = pytest.mark.skipif(importlib.util.find_spec("ax") is None, reason="Ax is not installed")

SPACE = {
    "lr": LogUniform(1e-4, 1e-1),
    "x": Uniform(-1, 1),
    "batch": Choice([32, 64, 128]),
    "hidden": Integer(64, 512),
    "width": LogInteger(8, 512),
    "act": Choice(["relu", "tanh", "gelu"]),
    "flag": Choice([True, None, [1]]),
    "always": Constant("a"),
}
NESTED = {
    "model": Choice(
        {"svm": {"C": LogUniform(1e-2, 1e2), "kernel": Choice({"rbf": {"g": Uniform(0, 1)}})}, "net": {"C": Integer(1, 5)}}
    ),
    "x": Uniform(0, 1),
}
FLAT = {"x": Uniform(-1, 1), "y": Uniform(0, 1)}


def worth(params: Mapping[str, Any]) -> float:
    """Something to maximize."""
    return float(-((params["x"] - 0.3) ** 2) - params.get("y", 0.0) - (params.get("act") == "relu"))


def trial(number: int, params: dict[str, Any], state: TrialState = TrialState.COMPLETED, **more: Any) -> Trial:
    """A trial as the optimizer is told of it."""
    return Trial(id=str(number), number=number, index=number, params=params, state=state, **more)


def drive(optimizer: AxOptimizer, n: int, sign: int = 1) -> list[dict[str, Any]]:
    """The parameters of ``n`` trials, one at a time."""
    found: list[dict[str, Any]] = []
    for number in range(n):
        for suggestion in optimizer.suggest(1):
            found.append(suggestion.params)
            score = sign * worth(suggestion.params)
            optimizer.observe(trial(number, suggestion.params, metrics={"score": score}, score=score), score)
    return found


def plain(n: int, acquisition: str, objective: str = "score") -> list[dict[str, Any]]:
    """What Ax's client suggests by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import botorch.acquisition
        from ax.api.client import Client
        from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
        from ax.api.utils.generation_strategy_dispatch import choose_generation_strategy
        from ax.api.utils.structs import GenerationStrategyDispatchStruct

        client = Client(random_seed=3)
        client.configure_experiment(
            parameters=[
                RangeParameterConfig(name="x", bounds=(-1, 1), parameter_type="float"),
                RangeParameterConfig(name="lr", bounds=(1e-4, 1e-1), parameter_type="float", scaling="log"),
                ChoiceParameterConfig(name="batch", values=[32, 64, 128], parameter_type="int", is_ordered=True),
                ChoiceParameterConfig(name="act", values=["relu", "tanh"], parameter_type="str", is_ordered=False),
            ]
        )
        client.configure_optimization(objective=objective)
        client.set_generation_strategy(
            choose_generation_strategy(
                GenerationStrategyDispatchStruct(initialization_budget=5, initialization_random_seed=3),
                botorch_acqf_class=getattr(botorch.acquisition, acquisition),
            )
        )
        found = []
        for _ in range(n):
            for number, params in client.get_next_trials(1).items():
                found.append(dict(params))
                client.complete_trial(number, {"score": worth(params) * (-1 if objective == "-score" else 1)})
    return found


PLAIN = {"x": Uniform(-1, 1), "lr": LogUniform(1e-4, 1e-1), "batch": Choice([32, 64, 128]), "act": Choice(["relu", "tanh"])}


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("acquisition", "name"), [("EI", "qLogNoisyExpectedImprovement"), ("UCB", "qUpperConfidenceBound")])
def test_one_at_a_time_it_suggests_what_ax_does(acquisition: str, name: str) -> None:
    """Three suggestions of the model after the five before it, equal to those of the client driven by hand."""
    assert drive(AxOptimizer(PLAIN, acquisition, seed=3), 8) == plain(8, name)


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_minimizing_is_maximizing_of_the_opposite() -> None:
    """The sign is in the objective that Ax is given."""
    fresh = AxOptimizer(PLAIN, seed=3).for_run(Setup(None, Goal("minimize"), 0, 1))
    assert drive(fresh, 7, -1) == drive(AxOptimizer(PLAIN, seed=3), 7) == plain(7, "qLogNoisyExpectedImprovement", "-score")


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("space", [SPACE, NESTED])
def test_every_space_is_searched(space: Any) -> None:
    """Choices of anything, sub-spaces that share names, constants: what it suggests lies inside, before the model and after."""
    optimizer = AxOptimizer(space, seed=1)
    fixed: dict[str, Any] = {"model": "svm", "x": 0.9} if "model" in space else {"batch": 128, "flag": None, "lr": 3e-3}
    for n in (0, 7):
        for params in drive(optimizer, n):
            SearchSpace.of(space).check(params, "suggestion")
        [suggestion] = optimizer.suggest(1, fixed=fixed)
        assert {name: suggestion.params[name] for name in fixed} == fixed
        SearchSpace.of(space).check(suggestion.params, "suggestion")


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_happens_to_trials_is_told() -> None:
    """Failures as the worst seen, stopped trials with their last report, points of others, huge results; and it goes on."""
    optimizer = AxOptimizer(FLAT, seed=0, initial_trials=4)
    for number in range(9):
        [suggestion] = optimizer.suggest(1)
        params = suggestion.params
        match number % 5:
            case 0 | 3:
                optimizer.failed(trial(number, params, TrialState.FAILED))
            case 1:
                optimizer.observe(trial(number, params, metrics={"score": 0.5}, score=0.5), 0.5)
            case 2:
                optimizer.stopped(trial(number, params, TrialState.STOPPED, reports=(Report(3, {"score": 0.25}),)))
            case _:
                optimizer.observe(trial(number, params, metrics={"score": -1e300}, score=-1e300), -1e300)
    optimizer.warm_start([trial(20, {"x": 1.0, "y": 0.0}, metrics={"score": 2.0}, score=2.0)])
    optimizer.observe(trial(21, {"z": 0}, score=1.0), 1.0)
    experiment = optimizer._client._experiment
    told = [found.status.name for found in experiment.trials.values()]
    assert told == [
        "ABANDONED", "COMPLETED", "EARLY_STOPPED", "COMPLETED", "COMPLETED",
        "COMPLETED", "COMPLETED", "EARLY_STOPPED", "COMPLETED", "COMPLETED",
    ]  # fmt: skip
    assert experiment.lookup_data().df["mean"].tolist()[:4] == [0.5, 0.25, 0.5, -1e100]
    assert len(optimizer.suggest(2)) == 2


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_standard_errors_are_told() -> None:
    """Of all results or of none, as Ax takes them: failures have those of the result before, and later ones change nothing."""

    def errors(first: Any) -> list[float]:
        optimizer = AxOptimizer(FLAT, seed=0, initial_trials=3)
        for number, metric in enumerate((first, None, (0.25, 0.2), 0.5)):
            [suggestion] = optimizer.suggest(1)
            if metric is None:
                optimizer.failed(trial(number, suggestion.params, TrialState.FAILED))
            else:
                mean = metric[0] if isinstance(metric, tuple) else metric
                optimizer.observe(trial(number, suggestion.params, metrics={"score": metric}, score=mean), mean)
        found: list[float] = optimizer._client._experiment.lookup_data().df["sem"].tolist()
        return found

    assert errors((0.5, 0.1)) == [0.1, 0.1, 0.2, 0.2]
    assert all(error != error for error in errors(0.5))  # NaN: to be inferred


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_several_objectives() -> None:
    """All are told, each in its direction; the model's suggestions come after the first five."""
    goal = Goal.of({"accuracy": "maximize", "latency": "minimize"})
    optimizer = AxOptimizer(FLAT, seed=1).for_run(Setup(None, goal, 0, 1))
    for number in range(7):
        [suggestion] = optimizer.suggest(1)
        params = suggestion.params
        SearchSpace.of(FLAT).check(params, "suggestion")
        result = {"latency": params["x"] ** 2 + params["y"], "accuracy": params["x"]}
        optimizer.observe(trial(number, params, metrics=result, score=params["x"]), result)
    assert optimizer._client._experiment.optimization_config.objective.is_multi_objective


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_finite_space_is_used_up() -> None:
    """Every point once, and then nothing more; a space of one point has no model at all."""
    optimizer = AxOptimizer({"x": Integer(0, 2), "act": Choice(["relu", "tanh"])}, seed=0)
    found = drive(optimizer, 9)
    assert len(found) == len({tuple(params.items()) for params in found}) == 6
    one = AxOptimizer({"x": Constant(0.5), "y": Integer(2, 2)}, seed=0)
    assert drive(one, 3) == [{"x": 0.5, "y": 2}]


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ax_is_quiet_and_leaves_the_generators_alone(caplog: pytest.LogCaptureFixture) -> None:
    """No log lines, no warnings, and the process's draws are as without it."""
    import torch

    random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), torch.get_rng_state().tolist()
    with caplog.at_level(logging.DEBUG):
        first = drive(AxOptimizer(FLAT, seed=0), 6)
    assert not [record for record in caplog.records if record.name.startswith(("ax", "botorch"))]
    assert (random.getstate(), torch.get_rng_state().tolist()) == before
    torch.manual_seed(2)
    assert drive(AxOptimizer(FLAT, seed=0), 6) == first


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_first_suggestion_says_nothing() -> None:
    """Ax speaks while it is imported: nothing of that reaches the terminal of a fresh process."""
    lines = [
        "from metta_sweep.core.distributions import Uniform",
        "from metta_sweep.optimizers import AxOptimizer",
        "assert AxOptimizer({'x': Uniform(0, 1)}, seed=0).suggest(1)",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout + done.stderr == ""


@needs_ax
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_sweep_as_its_users_write_it() -> None:
    """The documentation's example, with batches and slots."""
    sweep = SweepExperiment(
        name="hyperparams",
        optimizer=AxOptimizer(
            search_space={
                "learning_rate": LogUniform(1e-4, 1e-1),
                "batch_size": Choice([32, 64, 128, 256]),
                "hidden_size": Integer(64, 512),
            },
            acquisition="EI",
        ),
        objective=lambda learning_rate, batch_size, hidden_size: -abs(learning_rate - 0.01) - hidden_size / 1e3 - batch_size / 1e4,
        slots=4,
        seed=0,
        store="memory",
    )
    results = sweep.run(budget=10)
    assert len(results.trials) == 10
    assert {found.origin for found in results.trials} == {"ax EI"}


@needs_ax
def test_it_describes_its_settings() -> None:
    """Acquisition function and initial trials; the same in a run. Nothing of Ax is imported for that."""
    described = {"class": "AxOptimizer", "acquisition": "UCB", "initial_trials": 5, "duplicates": False}
    assert AxOptimizer(acquisition="UCB").describe() == described
    assert AxOptimizer(acquisition="UCB").for_run(Setup(SearchSpace.of(FLAT), Goal(), 0, 1)).describe() == described


@needs_ax
@pytest.mark.parametrize(
    ("call", "error", "where", "remedy"),
    [
        (lambda: AxOptimizer(acquisition="ucb"), OptimizerError, "AxOptimizer(acquisition=)", "Did you mean 'UCB'?"),
        (lambda: AxOptimizer(acquisition=3), OptimizerError, "AxOptimizer(acquisition=)", "Write acquisition='EI'"),  # type: ignore[arg-type]
        (lambda: AxOptimizer(acquisition=int), OptimizerError, "AxOptimizer(acquisition=)", "Write acquisition='EI'"),
        (lambda: AxOptimizer(initial_trials=0), OptimizerError, "AxOptimizer(initial_trials=)", "Write initial_trials=5"),
        (lambda: AxOptimizer(aquisition="EI"), UnknownOption, "AxOptimizer", "Did you mean 'acquisition'?"),  # type: ignore[arg-type]
        (lambda: AxOptimizer().suggest(1), OptimizerError, "AxOptimizer", "Give search_space"),
    ],
)
def test_malformed_settings_are_refused(call: Any, error: type[InvalidInput], where: str, remedy: str) -> None:
    """With the name of the setting, and the way to mend it."""
    with pytest.raises(error) as caught:
        call()
    assert caught.value.where == where
    assert remedy in str(caught.value)


@needs_ax
def test_several_objectives_need_an_acquisition_function_for_them() -> None:
    """Refused when the sweep is made."""
    goal = {"accuracy": "maximize", "latency": "minimize"}
    with pytest.raises(OptimizerError, match="does not search a goal with several objectives"):
        SweepExperiment(optimizer=AxOptimizer(FLAT, "UCB"), objective=lambda x, y: {"accuracy": x, "latency": y}, goal=goal)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the optimizer is made."""
    monkeypatch.setitem(sys.modules, "ax", None)
    with pytest.raises(MissingExtra, match=r"needs ax-platform, which is not installed.*'ax'") as caught:
        AxOptimizer()
    assert caught.value.extra == "ax"
