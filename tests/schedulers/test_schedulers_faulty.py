"""The conformance suite finds what is wrong with schedulers that are wrong in one way each."""

from __future__ import annotations

import random
from typing import Any

import pytest

from metta_sweep.core.events import Event, Reported, Score
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.schedulers import ASHAScheduler, Offer, Scheduler
from metta_sweep.testing import SchedulerConformance


class Stops(Scheduler):
    """Right: stops a trial at step 3 whose value is worse than that of the trial before it."""

    needs_reports = True

    def __init__(self) -> None:
        self.sign = 1
        self.last = 0.0
        self.stopped: dict[str, int] = {}

    def for_run(self, setup: Setup) -> Scheduler:
        """Its sign is the goal's."""
        fresh = type(self)()
        fresh.sign = setup.goal.sign
        return fresh

    def apply(self, event: Event) -> None:
        """Decide at step 3."""
        if isinstance(event, Reported) and event.step == 3 and event.trial_id not in self.stopped:
            value = self.sign * float(event.metrics["score"])  # type: ignore[arg-type]
            self.stopped[event.trial_id] = 3 if value < self.last else 10_000
            self.last = value
        elif isinstance(event, Score):
            self.stopped.pop(event.trial_id, None)

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """As it was decided."""
        return Verdict.STOP if report.step >= self.stopped.get(trial.id, 10_000) else Verdict.CONTINUE


class OneAtATime(Stops):
    """Leaves slots idle."""

    def pick(self, offer: Offer) -> None:
        """Only when nothing runs."""
        if not offer.busy:
            waiting = offer.next()
            if waiting is not None:
                offer.pick(waiting)


class TossesCoins(Stops):
    """Uses global randomness."""

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Sometimes."""
        return Verdict.STOP if random.random() < 0.2 else Verdict.CONTINUE


class CountsQuestions(Stops):
    """Changes when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Every seventh time."""
        self.asked += 1
        return Verdict.STOP if self.asked % 7 == 0 else Verdict.CONTINUE


class KeepsItsRun(Stops):
    """Serves a run itself."""

    def for_run(self, setup: Setup) -> Scheduler:
        """No copy."""
        return self


class CountsReports(Stops):
    """Takes a report that comes again for a new one."""

    def __init__(self) -> None:
        super().__init__()
        self.reports = 0

    def apply(self, event: Event) -> None:
        """Decide at the seventh, fourteenth, ... report."""
        if isinstance(event, Reported):
            self.reports += 1
            if self.reports % 7 == 0:
                self.stopped.setdefault(event.trial_id, event.step)
        elif isinstance(event, Score):
            self.stopped.pop(event.trial_id, None)


class MoreIsBetter(Stops):
    """Knows no goal but one."""

    def for_run(self, setup: Setup) -> Scheduler:
        """Its sign stays."""
        return type(self)()


class JudgesWhatItDoesNotTell(Stops):
    """Says that it judges step 5, and decides at step 3."""

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """Wrong."""
        return 5 if step < 5 else None


class PassesOverLevels(ASHAScheduler):
    """Tells the next level of its rungs, though a trial that skipped one is judged there at its next report."""

    def __init__(self) -> None:
        super().__init__(max_epochs=9, grace_period=1)

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """Wrong."""
        return next((level for level in (1, 3) if level > step), max(9, step + 1))


class CannotBeDescribed(Stops):
    """Its settings are no JSON."""

    def describe(self) -> dict[str, Any]:
        """An object."""
        return {"settings": object()}


class Right(SchedulerConformance):
    """The suite."""

    scheduler: type[Scheduler] = Stops

    def make_scheduler(self) -> Scheduler:
        """The one under test."""
        return type(self).scheduler()


FAULTS = [
    (OneAtATime, "test_slots_are_filled_and_never_more"),
    (TossesCoins, "test_the_same_seed_gives_the_same_trace"),
    (CountsQuestions, "test_decisions_follow_from_the_events_alone"),
    (KeepsItsRun, "test_a_run_leaves_its_scheduler_as_it_was"),
    (CountsReports, "test_reports_that_come_again_change_nothing"),
    (CountsReports, "test_a_killed_run_goes_on_as_if_nothing_had_happened"),
    (MoreIsBetter, "test_minimizing_is_maximizing_the_negative"),
    (JudgesWhatItDoesNotTell, "test_reports_that_it_does_not_judge_change_nothing"),
    (PassesOverLevels, "test_trials_that_report_seldom_are_judged_at_the_same_reports"),
    (CannotBeDescribed, "test_its_description_is_json_and_says_the_same_again"),
]


@pytest.mark.parametrize(("scheduler", "test"), FAULTS)
def test_a_fault_is_found(scheduler: type[Scheduler], test: str) -> None:
    """By the test whose name says what is wrong; a scheduler that is right passes it."""
    getattr(type("Right", (Right,), {"scheduler": Stops})(), test)()
    wrong = type("Wrong", (Right,), {"scheduler": scheduler})()
    with pytest.raises((AssertionError, TypeError)):
        getattr(wrong, test)()


def test_the_suite_says_what_is_missing() -> None:
    """A subclass that makes no scheduler."""
    with pytest.raises(NotImplementedError):
        SchedulerConformance().test_every_trial_is_settled_in_the_end()


def test_the_suite_runs_each_kind_of_scheduler_alone() -> None:
    """It can be driven without pytest, test by test."""
    suite: Any = type("Suite", (Right,), {"scheduler": ASHAScheduler})()
    for name in ("test_every_trial_is_settled_in_the_end", "test_equal_metrics_are_borne"):
        getattr(suite, name)()
