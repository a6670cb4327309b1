"""Trials that are tried again, and what runs inside them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from metta_sweep import FailurePolicy, LocalExecutor, MemoryStore, Resources, SweepExperiment, TrialContext, Uniform
from metta_sweep.testing.virtual import run_virtual

SPACE = {"x": Uniform(0.0, 1.0)}


def sweep(objective: Any, **options: Any) -> SweepExperiment:
    """A sweep over one parameter."""
    return SweepExperiment(objective=objective, search_space=SPACE, **options)


async def flaky(trial: TrialContext) -> float:
    """Fails on the first attempt."""
    await asyncio.sleep(1.0)
    if trial.attempt == 1:
        raise RuntimeError("once")
    return 1.0


async def timed(main: Coroutine[Any, Any, Any]) -> tuple[dict[str, int], float]:
    """How the trials ended, and after how many seconds all were over."""
    results = await main
    return dict(results.states), asyncio.get_running_loop().time()


@pytest.mark.timeout(20)
def test_an_attempt_that_is_due_while_others_have_the_slots_waits_for_one() -> None:
    """It does not look again and again, which would keep all others from running, and itself from ever having a slot."""

    async def long(x: float) -> float:
        await asyncio.sleep(10.0)
        return x

    async def outer(trial: TrialContext) -> float:
        if trial.number:
            inner = sweep(long, slots=4).run(budget=8)
        else:
            inner = sweep(flaky, failures=FailurePolicy(retries=2, backoff=0.5)).run(budget=2)
        return (await inner).best_score or 0.0

    states, seconds = run_virtual(timed(sweep(outer, store=MemoryStore(), slots=2).arun(budget=2)))
    assert states == {"completed": 2}
    assert seconds <= 50


@pytest.mark.timeout(20)
def test_an_attempt_that_is_due_while_the_gpus_are_taken_waits_for_them() -> None:
    """A flat sweep as well: the trial that has the GPU runs on meanwhile, and the attempt has it afterwards."""

    async def on_gpu(trial: TrialContext) -> float:
        if trial.number == 0:
            return await flaky(trial)
        await asyncio.sleep(100.0)
        return 1.0

    experiment = sweep(
        on_gpu,
        slots=4,
        executor=LocalExecutor(gpus=1),
        resources=Resources(gpus=1),
        failures=FailurePolicy(retries=2, backoff=0.5),
        store=MemoryStore(),
    )
    assert run_virtual(timed(experiment.arun(budget=2))) == ({"completed": 2}, 102.0)
