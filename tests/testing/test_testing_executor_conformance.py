"""The conformance suite of executors notices executors that do not conform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import SkipTest

import pytest

from metta_sweep.executors import Capabilities, Ended, Executor, ReportMade, SimulatedExecutor, StopCause, TrialEvent, TrialTask
from metta_sweep.testing import ExecutorConformance


class TellsTwice(SimulatedExecutor):
    """Each attempt ends twice."""

    def peek(self) -> Sequence[TrialEvent]:
        """Ends are doubled as they are seen first."""
        for event in super().peek():
            if type(event) is Ended and event.metadata is None:
                self._bus.append(0, event._replace(metadata={}))
        return super().peek()


class Forgets(SimulatedExecutor):
    """What was seen once is not seen again."""

    def peek(self) -> Sequence[TrialEvent]:
        """Acknowledges by itself."""
        events = super().peek()
        super().acknowledge(len(events))
        return events

    def acknowledge(self, count: int) -> None:
        """Was done."""


class StartsAgain(SimulatedExecutor):
    """Forgets what it has started when it ends."""

    def start(self, task: TrialTask) -> None:
        """Whatever was started before."""
        known = self._attempts.get(task.trial.id)
        if known is not None and known.ended:
            del self._attempts[task.trial.id]
        super().start(task)


class Hurries(SimulatedExecutor):
    """Does not wait for verdicts."""

    def peek(self) -> Sequence[TrialEvent]:
        """Answers by itself."""
        events = super().peek()
        for event in events:
            if type(event) is ReportMade:
                super().answer(event.trial_id, event.step)
        return events


class NamesNoCause(SimulatedExecutor):
    """Whatever it is told to stop for, it says that it was the verdict."""

    def stop(self, trial_id: str, cause: StopCause, grace: float) -> None:
        """For the verdict."""
        super().stop(trial_id, "verdict", grace)


class LosesFiles(SimulatedExecutor):
    """Claims that it can pause, and keeps nothing."""

    def start(self, task: TrialTask) -> None:
        """Whatever it goes on from."""
        super().start(task._replace(checkpoint=None))


class WakesEarly(SimulatedExecutor):
    """Waits for half as long as it should."""

    async def wait(self, until: float | None = None) -> None:
        """Too short."""
        await super().wait(None if until is None else until / 2.0)


class Admits(SimulatedExecutor):
    """Lets itself be prepared in the midst of a run."""

    def _refuse_open(self) -> None:
        pass


class Abandons(SimulatedExecutor):
    """Leaves without a word about what runs."""

    async def __aexit__(self, *exc: object) -> None:
        """Forgets it first."""
        self._attempts.clear()
        await super().__aexit__(*exc)


class StopsNothing(SimulatedExecutor):
    """Cannot stop, and says so."""

    capabilities = Capabilities(streams=True, stops=False, isolates=False, survives_driver=False, pauses=False)

    def stop(self, trial_id: str, cause: StopCause, grace: float) -> None:
        """Nothing happens."""


def verdict_of(kind: Callable[..., Executor], test: str) -> Any:
    """Run one test of the suite on such executors."""

    class Suite(ExecutorConformance):
        epoch = 10.0

        def make_executor(self) -> Executor:
            return kind(seconds=self.epoch)

    suite = Suite()
    suite.setup_method()
    try:
        return getattr(suite, test)()
    finally:
        suite.teardown_method()


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (TellsTwice, "test_a_result_is_told_once"),
        (Forgets, "test_what_is_not_acknowledged_stays"),
        (StartsAgain, "test_an_attempt_is_started_once"),
        (Hurries, "test_a_generator_waits_for_its_verdict"),
        (NamesNoCause, "test_a_trial_can_be_stopped_at_a_report"),
        (Abandons, "test_leaving_ends_what_runs"),
        (LosesFiles, "test_a_checkpoint_outlives_the_executor"),
        (LosesFiles, "test_a_trial_may_go_on_from_another_ones_checkpoint"),
        (WakesEarly, "test_waiting_ends_at_its_time"),
        (Admits, "test_it_serves_one_run_at_a_time"),
    ],
)
def test_a_faulty_executor_is_noticed(kind: type[SimulatedExecutor], test: str) -> None:
    """By the test that is made for the fault; a sound one passes it."""
    verdict_of(SimulatedExecutor, test)
    with pytest.raises(AssertionError):
        verdict_of(kind, test)


def test_what_is_not_claimed_is_skipped() -> None:
    """An executor that says that it can neither stop nor pause is not asked to."""
    with pytest.raises(SkipTest, match="stops=False"):
        verdict_of(StopsNothing, "test_a_trial_can_be_stopped_at_a_report")
