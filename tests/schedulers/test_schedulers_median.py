"""The median stopping rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from statistics import fmean, median
from typing import Any

import pytest

from metta_sweep.core.events import Reported
from metta_sweep.errors import MetricError, SchedulerError
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments import SweepExperiment, SweepResult
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import MedianStoppingScheduler
from metta_sweep.schedulers.median_rules import LearningCurve, pairwise_sum
from metta_sweep.testing import run_virtual


def run(scheduler: MedianStoppingScheduler, curves: Sequence[Sequence[float]], slots: int = 1, **options: Any) -> SweepResult:
    """A sweep in which trial ``i`` reports ``curves[i]``, step by step from 1."""

    def objective(trial: TrialContext) -> Iterator[float]:
        yield from curves[trial.params["i"]]

    experiment = SweepExperiment(
        objective=objective,
        optimizer=SuggestionQueue([{"i": number} for number in range(len(curves))]),
        scheduler=scheduler,
        store="memory",
        slots=slots,
        seed=1,
        **options,
    )
    return run_virtual(experiment.arun())


def steps(results: SweepResult) -> list[int]:
    """How far each trial came."""
    found = dict.fromkeys((trial.id for trial in results.trials), 0)
    for event in results.trace:
        if isinstance(event, Reported):
            found[event.trial_id] = event.step
    return list(found.values())


def test_a_trial_whose_best_is_below_the_median_of_averages_is_stopped() -> None:
    """Averages of those that completed, up to the same step; its own best counts, not its last."""
    curves = [[0.2, 0.4, 0.6], [0.4, 0.6, 0.8], [0.6, 0.8, 1.0], [0.45, 0.4, 0.3], [0.1, 0.9, 0.9]]
    results = run(MedianStoppingScheduler(min_trials=3), curves)

    assert steps(results) == [3, 3, 3, 2, 1]
    assert [trial.state.value for trial in results.trials] == ["completed"] * 3 + ["stopped"] * 2


def test_equal_to_the_median_is_good_enough() -> None:
    """Only what is strictly worse is stopped."""
    results = run(MedianStoppingScheduler(min_trials=1), [[0.5, 0.5]] * 4)
    assert steps(results) == [2] * 4


def test_trials_that_were_stopped_are_no_measure() -> None:
    """Only those that completed count."""
    results = run(MedianStoppingScheduler(min_trials=1), [[0.5, 0.5], [0.1, 0.1], [0.1, 0.1], [0.4, 0.4]])
    assert steps(results) == [2, 1, 1, 1]


def test_nobody_is_stopped_before_the_grace_period_nor_with_too_few_others() -> None:
    """Both have to be."""
    curves = [[0.9] * 5, [0.1] * 5, [0.1] * 5]
    assert steps(run(MedianStoppingScheduler(min_trials=1, grace_period=3), curves)) == [5, 3, 3]
    assert steps(run(MedianStoppingScheduler(min_trials=3), curves)) == [5, 5, 5]
    assert steps(run(MedianStoppingScheduler(min_trials=1, rule="optuna", grace_period=0), curves)) == [5, 1, 1]


def test_less_may_be_better() -> None:
    """By the goal's direction."""
    curves = [[0.5, 0.4], [0.6, 0.3], [0.4, 0.3]]
    results = run(MedianStoppingScheduler(min_trials=1), curves, goal="minimize")
    assert steps(results) == [2, 1, 2]


def test_a_last_epoch_may_be_set() -> None:
    """Trials are complete there, however long their function would go on."""
    results = run(MedianStoppingScheduler(max_epochs=2), [[0.5] * 9] * 2)
    assert steps(results) == [2, 2]
    assert [trial.reason for trial in results.trials] == ["complete"] * 2


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_of_vizier_as_plainly_as_it_can_be_written(seed: int) -> None:
    """Random curves of different lengths, one after the other: each is stopped where the plain rule says so."""
    random = Random(seed)
    curves = [[random.randint(0, 64) / 64 for _ in range(random.randint(1, 12))] for _ in range(30)]
    completed: list[list[float]] = []
    expected: list[int] = []
    for curve in curves:
        for step in range(1, len(curve) + 1):
            averages = [fmean(other[:step]) for other in completed]
            if len(averages) >= 4 and max(curve[:step]) < median(averages):
                expected.append(step)
                break
        else:
            expected.append(len(curve))
            completed.append(curve)

    assert steps(run(MedianStoppingScheduler(min_trials=4), curves)) == expected


def test_reports_that_come_again_are_known() -> None:
    """A curve takes each step once."""
    curve = LearningCurve()
    assert [curve.add(step, value) for step, value in ((1, 0.5), (2, 0.75), (1, 0.9), (2, 0.1), (4, 0.625))] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert (curve.best, curve.average(0), curve.average(2), curve.average(9)) == (0.75, None, 0.625, 0.625)


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_equal_curves_stop_nobody_although_sums_are_rounded(value: float, goal: str) -> None:
    """``(0.1 + 0.1 + 0.1) / 3`` is more than 0.1: an average is no better than the best of what it is of."""
    results = run(MedianStoppingScheduler(min_trials=1), [[value] * 12] * 4, goal=goal)
    assert steps(results) == [12] * 4


@pytest.mark.parametrize("count", [1, 7, 8, 17, 128, 129, 300, 1000])
def test_sums_are_those_of_numpy(count: int) -> None:
    """To the last bit, of the whole and of a part."""
    numpy: Any = pytest.importorskip("numpy")
    random = Random(count)
    values = [random.gauss(0.0, 1.0) for _ in range(count + 5)]
    assert pairwise_sum(values, 0, count) == float(numpy.sum(values[:count]))
    assert pairwise_sum(values, 3, count + 3) == float(numpy.sum(values[3 : count + 3]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grace_period": -1}, "grace_period"),
        ({"min_trials": 0}, "min_trials"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"grace_period": 11, "max_epochs": 10}, "past the last epoch"),
        ({"rule": "vizer"}, "Did you mean 'vizier'"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    """When the scheduler is made."""
    with pytest.raises(SchedulerError, match=message):
        MedianStoppingScheduler(**options)


def test_a_metric_that_no_report_has_is_an_error() -> None:
    """At the first report that is to be judged."""
    with pytest.raises(MetricError, match="no metric 'accuracy'"):
        run(MedianStoppingScheduler(), [[0.5, 0.5]], goal={"accuracy": "maximize"})


def test_its_settings_are_told() -> None:
    """As part of what a kept run is."""
    assert MedianStoppingScheduler(rule="ray", min_trials=3).describe() == {
        "class": "MedianStoppingScheduler",
        "grace_period": 1,
        "min_trials": 3,
        "max_epochs": None,
        "rule": "ray",
    }
