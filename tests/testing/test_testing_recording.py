"""Hooks that remember, and pipelines under the virtual clock."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metta_sweep.errors import StageTimeout
from metta_sweep.pipeline import Pipeline, Retry, StageFinished
from metta_sweep.testing import RecordingHooks, run_virtual


async def train(n: int) -> float:
    return n / 2


async def test_hooks_are_remembered_in_their_order() -> None:
    """Each call with its hook, its stage and what it got."""
    told = RecordingHooks()
    plan = (
        Pipeline(n=int).stage("train", train).through(float, **told.hooks("train")).with_global_hooks(**told.global_hooks()).build()
    )
    await plan.run(n=3)
    assert told.order == [
        ("global before", "train"),
        ("before", "train"),
        ("validate", "train"),
        ("after", "train"),
        ("metrics", "train"),
        ("global after", "train"),
    ]
    assert told.data("after") == [1.5]
    assert told.data("metrics", "train") == [{"train": 1.5}]
    assert told.data("before")[0].n == 3
    told.clear()
    assert told.calls == []


async def test_global_hooks_know_the_address() -> None:
    """Where a stage runs many times, each time is told apart."""

    async def step(i: int) -> int:
        return i + 1

    told = RecordingHooks()
    loop = Pipeline().loop_while(lambda ctx: ctx.i < 2, carry={"i": 0}).stage("step", step).through(i=int).end_loop()
    await loop.with_global_hooks(**told.global_hooks()).build().run()
    assert [call.address for call in told.calls if call.hook == "global after"] == ["loop[0]/step", "loop[1]/step"]
    assert {call.stage for call in told.calls} == {"step"}
    assert told.data("global after", "loop[1]/step") == [2]


async def test_errors_are_remembered_and_stand() -> None:
    """The handler gets the error, and replaces nothing."""

    async def broken() -> int:
        raise ValueError("mine")

    told = RecordingHooks()
    plan = Pipeline().stage("broken", broken).through(int, **told.hooks("broken")).build()
    with pytest.raises(ValueError, match="mine"):
        await plan.run()
    assert [repr(error) for error in told.data("on_error")] == ["ValueError('mine')"]


def test_timeouts_of_stages_are_virtual() -> None:
    """Five minutes pass at once, and are told as five minutes."""

    async def hangs() -> None:
        await asyncio.sleep(3600)

    async def main() -> float:
        plan = Pipeline().stage("hangs", hangs).through(None, timeout=300).build()
        with pytest.raises(StageTimeout, match="within 300 s"):
            await plan.run()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(300)


def test_back_off_of_retries_is_virtual() -> None:
    """10, 20 and 40 seconds between four attempts, of which each has its own deadline."""
    starts: list[float] = []

    async def flaky() -> int:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) == 2:
            await asyncio.sleep(99)
        if len(starts) < 4:
            raise ConnectionError("down")
        return 1

    async def main() -> Any:
        return await Pipeline().stage("flaky", flaky).through(int, retry=Retry(3, backoff=10), timeout=5).build().run()

    assert run_virtual(main()).flaky == 1
    assert starts == pytest.approx([0, 10, 35, 75])


def test_durations_of_stages_are_virtual() -> None:
    """What events, profile and result tell as seconds is what passed on the virtual clock."""

    async def naps() -> int:
        await asyncio.sleep(40)
        return 1

    async def main() -> tuple[float, float, float]:
        plan = Pipeline().stage("naps", naps).through(int, profile=True).build()
        async with plan.stream() as events:
            finished = [event.seconds async for event in events if isinstance(event, StageFinished)]
        return finished[0], events.result.profile["naps"].total, events.result.seconds

    assert run_virtual(main()) == pytest.approx((40, 40, 40))
