"""The virtual clock."""

from __future__ import annotations

import asyncio
import time

import pytest

from metta_sweep.testing.virtual import NothingToWaitFor, VirtualLoop, run_virtual
from metta_sweep.threads import shared_workers


def test_sleeping_takes_no_time() -> None:
    """The clock starts at 0.0 and jumps from timer to timer."""

    async def main() -> tuple[float, float]:
        start = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return start, asyncio.get_running_loop().time()

    assert run_virtual(main()) == (0.0, 3600.0)


def test_order_is_that_of_time() -> None:
    """Sleepers wake in the order of their timers."""

    async def main() -> list[int]:
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        await asyncio.gather(*(sleeper(seconds) for seconds in (300, 20, 1000, 1)))
        return woken

    assert run_virtual(main()) == [1, 20, 300, 1000]


def test_timeouts_are_virtual() -> None:
    """``asyncio.timeout`` goes by the virtual clock."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(61)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(60)


def test_far_times_still_pass() -> None:
    """Where floats are coarser than the clock's resolution, timers are still reached."""

    async def main() -> float:
        await asyncio.sleep(1e9)
        await asyncio.sleep(1e-3)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(1e9)


def test_a_deadlock_is_told() -> None:
    """When nothing can ever happen, the error names the tasks and where they wait."""

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await asyncio.create_task(forever(), name="the stuck one")

    with pytest.raises(NothingToWaitFor, match=r"the stuck one at .*forever, .*test_testing_virtual\.py:\d+"):
        run_virtual(main())


def test_the_clock_waits_for_threads() -> None:
    """While a worker thread is busy, time passes as it really does: a timer of an hour does not cut it."""

    def works() -> str:
        time.sleep(0.005)
        return "done"

    async def main() -> tuple[str, str, float]:
        async with asyncio.timeout(3600):
            ours = await shared_workers().run(works)
            theirs = await asyncio.to_thread(works)
        return ours, theirs, asyncio.get_running_loop().time()

    ours, theirs, seconds = run_virtual(main())

    assert (ours, theirs) == ("done", "done")
    assert 0.005 < seconds < 3600


def test_an_abandoned_thread_does_not_hold_the_clock() -> None:
    """Once nobody waits for a call, the clock jumps again."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await shared_workers().run(lambda: time.sleep(0.05))
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(3600, abs=1)


def test_errors_pass_through() -> None:
    """An exception of the coroutine is raised as it is."""

    async def main() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run_virtual(main())


def test_it_can_be_a_loop_factory() -> None:
    """``asyncio.Runner`` takes the loop's class."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(asyncio.sleep(7, "slept")) == "slept"
        assert runner.get_loop().time() == pytest.approx(7)
