"""A goal that fits nothing that trials return is told at the first of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sweep_kit import run, sweep

from metta_sweep import FailurePolicy, MemoryStore, SweepResult, TrialContext, TrialState
from metta_sweep.errors import MetricError
from metta_sweep.experiments.sweep_run import SweepRun

ran: list[str] = []


async def two_metrics(trial: TrialContext) -> dict[str, float]:
    """Returns an accuracy and a cost."""
    ran.append(trial.id)
    await asyncio.sleep(1.0)
    return {"accuracy": trial.params["x"], "cost": 2.0}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"metric": "acuracy"}, r"trial\[0\]: it has no metric 'acuracy'.*Did you mean 'accuracy'\?.*the trial is kept"),
        ({}, r"trial\[0\]: it has 2 metrics \('accuracy', 'cost'\).*Write goal=\{'accuracy': 'maximize'\}"),
    ],
)
@pytest.mark.parametrize("slots", [1, 3])
def test_a_wrong_metric_costs_one_trial(settings: dict[str, Any], says: str, slots: int) -> None:
    """The run ends at its first completed trial with the error of the goal, whatever fails as a policy; that trial is kept."""
    ran.clear()
    store = MemoryStore()
    policy = FailurePolicy(tolerated_rate=1.0, retries=2)
    with pytest.raises(MetricError, match=says):
        run(sweep(two_metrics, name="it", store=store, slots=slots, failures=policy, **settings), 20)
    assert len(ran) == slots
    (row,) = store.runs()
    kinds = [event for record in store.records(row.run_id, kind="events") for event in (record.payload.decode(),)]
    assert sum("metta_sweep.errors.MetricError" in text for text in kinds) >= 1


def test_a_mended_function_goes_on() -> None:
    """With the metric returned, the run goes on: the trial without it has failed, for the reason that the error gave."""
    mended = False

    async def objective(x: float) -> dict[str, float]:
        return {"accuracy": x} if mended else {"acc": x}

    store = MemoryStore()
    for _ in range(2):
        with pytest.raises(MetricError, match="it has no metric 'accuracy'"):
            run(sweep(objective, name="it", store=store, metric="accuracy"), 4)
    mended = True
    result = run(sweep(objective, name="it", store=store, metric="accuracy"), 4)
    assert [trial.state for trial in result.trials] == [TrialState.FAILED] * 2 + [TrialState.COMPLETED] * 2
    error = result.trials[0].error
    assert error is not None
    assert error.message.startswith("trial[0]: it has no metric 'accuracy'")


def test_once_a_trial_had_the_metric_others_fail_alone() -> None:
    """A goal that has fitted is not at fault; also not in the next process."""

    async def objective(trial: TrialContext) -> dict[str, float]:
        return {"accuracy": 1.0} if trial.id in {"0", "3"} else {"acc": 1.0}

    def at(count: int) -> SweepResult:
        policy = FailurePolicy(tolerated_rate=1.0)
        return run(sweep(objective, name="it", store=store, slots=1, metric="accuracy", failures=policy), count)

    store = MemoryStore()
    assert [trial.state.value for trial in at(2).trials] == ["completed", "failed"]
    assert [trial.state.value for trial in at(4).trials] == ["completed", "failed", "failed", "completed"]


async def test_by_hand_it_ends_the_run_too() -> None:
    """An open run knows whether its goal has fitted."""
    experiment = sweep(two_metrics, store=MemoryStore(), metric="cost")
    async with experiment.open(0) as opened:
        assert isinstance(opened, SweepRun)
        assert opened.fit.fault_of({"cost": 1.0}, "trial[0]") is None
        assert opened.fit.fault_of({"loss": 1.0}, "trial[1]") is not None
        opened.fit.check()
