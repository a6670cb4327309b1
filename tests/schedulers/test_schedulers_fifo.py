"""First in, first out."""

from __future__ import annotations

import pytest
from scheduler_driver import Driver, queue, setup_for

from metta_sweep.errors import UnknownOption
from metta_sweep.schedulers import FIFOScheduler


def test_slots_are_filled_in_the_order_of_suggestions() -> None:
    """Whatever the branches, the suggestion that waited longest starts."""
    driver = Driver(FIFOScheduler(), queue("a", "a", "b"), slots=2)
    assert [pick.suggestion for pick in driver.pick()] == [0, 1]
    driver.finish(driver.running[1], 0.1)
    assert [pick.suggestion for pick in driver.pick()] == [2]


def test_idle_slots_say_why() -> None:
    """Where nothing is left to start, the reason of the offer is noted."""
    driver = Driver(FIFOScheduler(), queue("a"), slots=2)
    driver.pick()
    assert [event.why for event in driver.of("wait")] == ["nothing left"]


def test_nothing_is_decided_after_a_result() -> None:
    """It neither prunes nor triggers nor follows up."""
    driver = Driver(FIFOScheduler(), queue("a", "a", "a", "a"))
    driver.run(lambda trial: 1.0 if trial.number else 0.0, 10)
    assert {event.kind for event in driver.events} == {"draw", "pick", "score", "wait"}


def test_settings_are_none() -> None:
    """It wants three slots, and unknown options are refused by name."""
    assert FIFOScheduler().default_slots == 3
    assert FIFOScheduler().describe() == {"class": "FIFOScheduler"}
    with pytest.raises(UnknownOption, match="batch_size"):
        FIFOScheduler(batch_size=3)  # type: ignore[arg-type]


def test_a_subclass_is_copied_for_each_run() -> None:
    """A subclass may keep state: each run gets its own."""

    class Mine(FIFOScheduler):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

    mine = Mine()
    fresh = mine.for_run(setup_for())
    assert isinstance(fresh, Mine)
    assert fresh.seen is not mine.seen
