"""The sweeps and the custom strategies of the documentation run as written, with an objective and a search space."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from metta_sweep import (
    Choice,
    Integer,
    LogUniform,
    Optimizer,
    Resources,
    Scheduler,
    StopReason,
    Suggestion,
    SweepExperiment,
    Trial,
    TrialContext,
    TrialState,
)
from metta_sweep.core.events import Dispatch, Draw
from metta_sweep.optimizers import BayesianOptimizer
from metta_sweep.schedulers import SynchronousBatchScheduler
from metta_sweep.testing import run_virtual

SPACE: dict[str, Any] = {
    "learning_rate": LogUniform(1e-4, 1e-1),
    "batch_size": Choice([32, 64, 128, 256]),
    "hidden_size": Integer(64, 512),
}

CUSTOM = """
# Custom optimizer
class MyOptimizer(Optimizer):
    def suggest(self, n: int) -> list[Suggestion]:
        # Your suggestion logic
        return trials

    def observe(self, trial: Trial, result: float):
        # Update your model
        pass

# Custom scheduler
class MyScheduler(Scheduler):
    def should_stop(self, trial: Trial) -> bool:
        # Your stopping logic
        return False

    def allocate_resources(self, trial: Trial) -> Resources:
        # Your resource allocation
        return Resources(gpus=1, time_limit=3600)

# Use them like any other
experiment = SweepExperiment(
    optimizer=MyOptimizer(),
    scheduler=MyScheduler(),
    objective=objective,
)
"""


async def quality(learning_rate: float, batch_size: int, hidden_size: int) -> float:
    """Best in the middle."""
    await asyncio.sleep(1.0)
    return 1.0 - abs(learning_rate - 0.01) - abs(hidden_size - 256) / 1000 - batch_size / 10000


async def curve(learning_rate: float) -> AsyncIterator[dict[str, float]]:
    """A hundred epochs."""
    for epoch in range(1, 101):
        await asyncio.sleep(1.0)
        yield {"accuracy": (1.0 - abs(learning_rate - 0.01)) * (1.0 - 0.9**epoch)}


def test_custom_strategies_as_written(caplog: pytest.LogCaptureFixture) -> None:
    """An optimizer with two methods, a scheduler with two others: every trial gets its limit, and one warning tells of the GPU."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(1.0)
        return float(trial.resources.gpus)

    found = [Suggestion(params={"x": 1})]
    names: dict[str, Any] = {
        "Optimizer": Optimizer,
        "Resources": Resources,
        "Scheduler": Scheduler,
        "Suggestion": Suggestion,
        "SweepExperiment": SweepExperiment,
        "Trial": Trial,
        "trials": found,
        "objective": objective,
    }
    exec(CUSTOM, names)
    result = run_virtual(names["experiment"].arun(5))
    assert [(trial.state, trial.score) for trial in result.trials] == [(TrialState.COMPLETED, 1.0)] * 5
    assert {event.time_limit for event in result.trace if isinstance(event, Dispatch)} == {3600}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_bayesian_sweep_with_another_optimizer() -> None:
    """One line is another, the rest as written: in batches of ten, by expected improvement."""
    pytest.importorskip("sklearn")
    experiment = SweepExperiment(
        name="bayesian_sweep",
        optimizer=BayesianOptimizer(search_space=SPACE, acquisition="EI"),
        scheduler=SynchronousBatchScheduler(batch_size=10),
        objective=quality,
        seed=0,
    )
    result = run_virtual(experiment.arun(budget=20))
    assert len(result.trials) == 20
    assert [event.asked for event in result.trace if isinstance(event, Draw) and event.asked] == [10, 10]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")  # Ax and what it imports warn of each other's changes
def test_the_bayesian_sweep_as_written() -> None:
    """With Ax, where it is installed."""
    pytest.importorskip("ax")
    from metta_sweep.optimizers import AxOptimizer

    experiment = SweepExperiment(
        name="bayesian_sweep",
        optimizer=AxOptimizer(
            search_space={
                "learning_rate": LogUniform(1e-4, 1e-1),
                "batch_size": Choice([32, 64, 128, 256]),
                "hidden_size": Integer(64, 512),
            },
            acquisition="EI",  # Expected Improvement
        ),
        scheduler=SynchronousBatchScheduler(batch_size=10),
        objective=quality,
    )
    results = experiment.run(budget=20)
    assert len(results.trials) == 20
    assert results.stop_reason is StopReason.BUDGET_TRIALS


def test_the_asha_sweep_as_written() -> None:
    """With Optuna's TPE; the default budget is 100 trials, most of which end at the first rung."""
    pytest.importorskip("optuna")
    from metta_sweep.optimizers import OptunaOptimizer
    from metta_sweep.schedulers import ASHAScheduler

    search_space = {"learning_rate": LogUniform(1e-4, 1e-1)}
    experiment = SweepExperiment(
        name="asha_sweep",
        optimizer=OptunaOptimizer(search_space, sampler="TPE"),
        scheduler=ASHAScheduler(
            max_epochs=100,
            reduction_factor=3,  # Keep top 1/3 at each rung
            grace_period=10,  # Min epochs before pruning
        ),
        objective=curve,
        seed=0,
    )
    results = run_virtual(experiment.arun(30))
    steps = [trial.last_report.step for trial in results.trials if trial.last_report is not None]
    assert len(steps) == 30
    assert steps.count(10) >= 15
    assert max(steps) >= 30
