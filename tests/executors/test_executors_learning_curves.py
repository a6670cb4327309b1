"""Learning curves: power laws, recorded ones, and functions, as trial functions."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from executor_runs import events_of, told
from simulated_kit import sweep

from metta_sweep import Choice
from metta_sweep.errors import InvalidInput, MetricError
from metta_sweep.executors import Ended, LearningCurve, PowerLaw, ReportMade, TabularCurves, simulated
from metta_sweep.executors.executor import TrialTask
from metta_sweep.executors.learning_curves import SimulatedTraining
from metta_sweep.testing.executor_driver import task_of

TABLE: dict[float, list[Any]] = {
    0.1: [0.9, 0.5, 0.4],
    0.01: [{"loss": 0.9, "accuracy": 0.2}, {"loss": (0.8, 0.1), "accuracy": 0.3}],
}


def draws(params: Mapping[str, Any], step: int, rng: Random) -> dict[str, float]:
    """Numbers of every kind."""
    return {"uniform": rng.random(), "normal": rng.gauss(), "whole": float(rng.randrange(1000)), "choice": rng.choice([0.25, 0.5])}


def reports(training: SimulatedTraining, task: TrialTask) -> list[tuple[int, dict[str, Any]]]:
    """What one attempt reports, on the local executor."""
    return [(event.step, event.metrics) for event in events_of(training, task) if isinstance(event, ReportMade)]


def end(training: SimulatedTraining, task: TrialTask) -> Ended:
    """How one attempt ends."""
    last = events_of(training, task)[-1]
    assert isinstance(last, Ended)
    return last


def test_a_power_law_comes_to_its_limit() -> None:
    """Without noise it is the formula; each number may be a function of the parameters."""
    curve = PowerLaw(limit=lambda params: params["x"], scale=2.0, rate=1.0, metric="error")

    assert reports(simulated(curve, epochs=3), task_of(x=0.5)) == [
        (1, {"error": 2.5}),
        (2, {"error": 1.5}),
        (3, {"error": 0.5 + 2.0 / 3.0}),
    ]


def test_noise_is_normal_and_has_the_width_that_was_asked_for() -> None:
    """Over many steps, and independent from step to step."""
    curve = PowerLaw(limit=0.0, scale=0.0, noise=0.5)
    values = [metrics["loss"] for _, metrics in reports(simulated(curve, epochs=2000), task_of())]

    assert abs(statistics.fmean(values)) < 0.05
    assert 0.46 < statistics.stdev(values) < 0.54
    assert abs(statistics.correlation(values[1:], values[:-1])) < 0.08


@pytest.mark.parametrize("step", range(7))
def test_a_curve_goes_on_after_any_step(step: int) -> None:
    """With the numbers that it would have had: nothing is carried from step to step."""
    training = simulated(draws, epochs=7)
    whole = reports(training, task_of())

    assert reports(training, task_of(attempt=2, resume_step=step)) == whole[step:]


def test_trials_have_noise_of_their_own() -> None:
    """By their seeds; another attempt of one has the same."""
    training = simulated(draws, epochs=3)

    assert reports(training, task_of(0)) == reports(training, task_of(0, attempt=2))
    assert reports(training, task_of(0)) != reports(training, task_of(1))


def test_random_numbers_are_as_random_as_any() -> None:
    """Whole numbers and choices come from the step's own numbers as well, evenly."""
    found = [metrics for _, metrics in reports(simulated(draws, epochs=1000), task_of())]

    assert 450 < statistics.fmean(one["whole"] for one in found) < 550
    assert 430 < sum(one["choice"] == 0.25 for one in found) < 570
    assert len({one["uniform"] for one in found}) == 1000


def test_a_recorded_curve_is_played_back() -> None:
    """Row by row, as long as it is; plain numbers get the name of the metric."""
    training = simulated(TabularCurves(TABLE))

    assert reports(training, task_of(lr=0.1)) == [(1, {"loss": 0.9}), (2, {"loss": 0.5}), (3, {"loss": 0.4})]
    assert reports(training, task_of(lr=0.01))[1] == (2, {"loss": (0.8, 0.1), "accuracy": 0.3})
    assert end(training, task_of(lr=0.1)).metrics == {"loss": 0.4}


@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("lr", 0.1),
        (["lr"], (0.1,)),
        (("lr", "depth"), (0.1, 3)),
        (None, (3, 0.1)),
        (lambda params: f"{params['lr']}/{params['depth']}", "0.1/3"),
    ],
)
def test_rows_are_found_by_parameters(key: Any, row: Any) -> None:
    """One, several in the order given, all in the order of the search space, or by a function of them."""
    training = simulated(TabularCurves({row: [1.0, 2.0]}, key=key))

    assert end(training, task_of(depth=3, lr=0.1)).metrics == {"loss": 2.0}


def test_what_was_not_recorded_fails_the_trial() -> None:
    """An unknown configuration, with a guess; and a step past the last one."""
    curves = TabularCurves({"adam": [0.5], "sgd": [0.6]}, key="optimizer")

    assert "no curve of 'adams' was recorded, among 2. Did you mean adam?" in told(
        end(simulated(curves), task_of(optimizer="adams"))
    )
    assert "steps 1 to 1" in told(end(simulated(curves, epochs=2), task_of(optimizer="sgd")))


@pytest.mark.parametrize("key", ["rate", ["rate"]])
def test_a_key_that_is_no_parameter_is_told(key: Any) -> None:
    """With those that there are."""
    curves = TabularCurves({0.1: [0.9]}, key=key)
    with pytest.raises(MetricError, match=r"no parameter 'rate'. (Did you mean|It has) 'lr'"):
        curves({"lr": 0.1}, 1, Random(0))


def test_a_sweep_over_a_table_finds_its_best_row() -> None:
    """In simulated time."""
    curves = TabularCurves({0.1: [0.9, 0.5], 0.01: [0.9, 0.2], 0.001: [0.9, 0.7]})
    result = sweep(simulated(curves), 20, search_space={"lr": Choice([0.1, 0.01, 0.001])}, metric="loss")

    assert (result.best_params, result.best_score) == ({"lr": 0.01}, 0.2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: simulated(0.5), "no learning curve"),  # type: ignore[arg-type]
        (lambda: simulated(draws), "no end of its own"),
        (lambda: simulated(draws, epochs=0), "epochs"),
        (lambda: PowerLaw(limit="low"), "limit"),  # type: ignore[arg-type]
        (lambda: PowerLaw(limit=0.0, noise=float("nan")), "noise"),
        (lambda: PowerLaw(limit=0.0, metric=""), "metric"),
        (lambda: PowerLaw(limit=0.0, nois=0.1), "noise"),  # type: ignore[arg-type]
        (lambda: TabularCurves({}), "no curves"),
        (lambda: TabularCurves({1: []}), "no curve"),
        (lambda: TabularCurves({1: "0.5"}), "no curve"),
        (lambda: TabularCurves([0.5]), "no curves"),  # type: ignore[arg-type]
        (lambda: PowerLaw(0.1, noise=-0.1), r"PowerLaw\(noise=\).*below 0"),
        (lambda: TabularCurves({1: iter([0.5])}), "no curve"),  # type: ignore[dict-item]
        (lambda: TabularCurves({1: [0.5]}, key=3), r"TabularCurves\(key=\).*names no parameters"),  # type: ignore[arg-type]
        (lambda: TabularCurves({1: [0.5]}, key=[]), "names no parameters"),
        (lambda: simulated(PowerLaw, epochs=3), "a class is no learning curve"),  # type: ignore[arg-type]
    ],
)
def test_curves_that_cannot_be_are_refused(make: Any, said: str) -> None:
    """When they are made, saying what is wrong."""
    with pytest.raises(InvalidInput, match=said):
        make()


def test_a_function_is_a_learning_curve() -> None:
    """For type checkers too; what it gives may be a bare metric."""
    curve: LearningCurve = lambda params, step, rng: 1.0 / step  # noqa: E731  # as users write it

    assert reports(simulated(curve, epochs=2), task_of()) == [(1, {"score": 1.0}), (2, {"score": 0.5})]
