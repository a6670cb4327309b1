"""The result bus."""

from __future__ import annotations

import asyncio
import threading

import pytest

from metta_sweep.executors.bus import ResultBus
from metta_sweep.executors.executor import Ended, ReportMade
from metta_sweep.testing.virtual import NothingToWaitFor, run_virtual


def opened() -> ResultBus:
    """A bus of the running loop."""
    bus = ResultBus()
    bus.open(asyncio.get_running_loop())
    return bus


def end(number: int) -> Ended:
    """The end of a trial."""
    return Ended(str(number), 1, 0.0)


async def test_events_come_in_order_of_dispatch() -> None:
    """Sorted by dispatch; those of one attempt as they happened."""
    bus = opened()
    report = ReportMade("1", 1, 1, {})
    bus.append(2, end(2))
    bus.append(1, report)
    bus.append(1, end(1))

    assert bus.peek() == [report, end(1), end(2)]
    assert bus.peek() == [report, end(1), end(2)]


async def test_only_what_was_seen_is_forgotten() -> None:
    """An event that came after the last peek survives the acknowledgement, wherever it sorts."""
    bus = opened()
    bus.append(5, end(5))
    bus.peek()
    bus.append(1, end(1))

    assert bus.acknowledge(1) == [end(5)]
    assert bus.peek() == [end(1)]


async def test_more_than_was_seen_cannot_be_acknowledged() -> None:
    """It would lose events."""
    bus = opened()
    bus.append(1, end(1))

    with pytest.raises(ValueError, match="showed 0 events"):
        bus.acknowledge(1)


def test_waiting_ends_at_the_time_given() -> None:
    """Also when the same or another time is given again, and when it has passed already."""

    async def main() -> list[float]:
        bus, loop = opened(), asyncio.get_running_loop()
        times: list[float] = []
        loop.call_later(1, bus.wake)
        for until in (5.0, 5.0, 5.0, 9.0):
            await bus.wait(until)
            times.append(loop.time())
        return times

    assert run_virtual(main()) == pytest.approx([1.0, 5.0, 5.0, 9.0])


def test_waiting_without_a_time_leaves_no_timer() -> None:
    """A wait without ``until`` is not ended by the timer of an earlier one."""

    async def main() -> float:
        bus, loop = opened(), asyncio.get_running_loop()
        loop.call_later(1, bus.wake)
        await bus.wait(5.0)
        loop.call_later(10, bus.append, 1, end(1))
        await bus.wait()
        return loop.time()

    assert run_virtual(main()) == pytest.approx(11)


def test_a_wake_is_not_lost() -> None:
    """One that comes just before the wait makes it return."""

    async def main() -> None:
        bus = opened()
        bus.wake()
        await bus.wait()
        await bus.wait()

    with pytest.raises(NothingToWaitFor):
        run_virtual(main())


async def test_a_wake_comes_from_any_thread() -> None:
    """It is handed to the loop's own thread."""
    bus = opened()
    threading.Thread(target=bus.wake).start()

    await asyncio.wait_for(bus.wait(), 10)
