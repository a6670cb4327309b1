"""Trials that are tried again, and what runs inside them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from metta_sweep import (
    Experiment,
    FailurePolicy,
    LocalExecutor,
    MemoryStore,
    Pipeline,
    Resources,
    SweepExperiment,
    TrialContext,
    Uniform,
)
from metta_sweep.errors import RunInUse
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


async def slow(x: float) -> float:
    """Takes a second, and a while to end when it is cancelled."""
    try:
        await asyncio.sleep(1.0)
    except asyncio.CancelledError:
        await asyncio.sleep(0.05)
        raise
    return x


async def brief(x: float) -> float:
    """Takes a moment, and another one to end when it is cancelled."""
    try:
        await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        await asyncio.sleep(0.02)
        raise
    return x


async def test_an_attempt_waits_for_what_the_one_before_left_running() -> None:
    """A thread is given up at its time limit while the experiment inside it ends: the next attempt takes that one up afterwards."""

    def outer(trial: TrialContext) -> float:
        return sweep(brief, name="inner", slots=1).run(budget=8).best_score or 0.0

    store = MemoryStore()
    failures, resources = FailurePolicy(retries=50), Resources(time_limit=0.15)
    results = await sweep(outer, name="root", store=store, slots=1, resources=resources, failures=failures).arun(budget=1)
    assert results.states == {"completed": 1}
    row = store.find_run("root/trial[0]>inner")
    assert row is not None
    assert len(list(store.trial_rows(row.run_id))) == 8


def test_what_an_attempt_left_behind_is_ended_before_the_next_one_runs_it_again() -> None:
    """A task that nobody waits for holds the address of the experiment that the next attempt runs."""
    store = MemoryStore()

    async def outer(trial: TrialContext) -> float:
        inner = sweep(slow, name="inner", slots=1)
        if trial.attempt == 1:
            left.append(asyncio.create_task(inner.arun(budget=4)))
            await asyncio.sleep(2.5)
            raise RuntimeError("left it behind")
        return float(len((await inner.run(budget=4)).trials))

    left: list[asyncio.Task[Any]] = []
    experiment = sweep(outer, name="root", store=store, failures=FailurePolicy(retries=1), slots=1)
    assert run_virtual(experiment.arun(budget=1)).best_score == 4.0
    assert left[0].cancelled()


def test_a_stage_that_keeps_a_stream_open_is_refused_and_not_cancelled() -> None:
    """Its attempts share a task: the second one is told that the run is in use, and the whole run is not ended for it."""
    kept: list[Any] = []

    class Keeps(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("search", self.search).through(found=int, retry=1)

        async def search(self) -> int:
            if not kept:
                kept.append(sweep(flaky, name="inner", slots=1).stream(budget=3))
                await anext(kept[0])
                raise RuntimeError("left it open")
            return len((await sweep(flaky, name="inner", slots=1).run(budget=3)).trials)

    async def main() -> None:
        try:
            await Keeps(name="it", store=MemoryStore()).arun()
        finally:
            await kept[0].aclose()

    with pytest.raises(RunInUse, match="it/search>inner"):
        run_virtual(main())


def test_a_stage_waits_for_what_its_last_attempt_still_ends() -> None:
    """Its thread was given up at its time limit; the experiment inside is being cancelled when the next attempt runs it."""

    class Limited(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("search", self.search).through(found=int, timeout=0.2, retry=50)

        def search(self) -> int:
            return len(sweep(brief, name="inner", slots=1).run(budget=8).trials)

    assert Limited(name="it", store=MemoryStore()).run()["found"] == 8
