"""The median stopping rule: a trial ends early when even its best is worse than the middle of the others."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar, Final, Never

from metta_sweep.core.distributions import Choice, Distribution, LogInteger
from metta_sweep.core.events import Event, Reported, Result, Score
from metta_sweep.core.goal import Goal
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.errors import SchedulerError, refuse_unknown
from metta_sweep.schedulers.checks import check_choice, check_count
from metta_sweep.schedulers.median_rules import MEDIAN_RULES, LearningCurve, MedianOf, MedianRule
from metta_sweep.schedulers.reported_values import higher_is_better, unjudgeable
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["MedianStoppingScheduler"]

_OPTIONS: Final = ("grace_period", "min_trials", "max_epochs", "rule")


class MedianStoppingScheduler(Scheduler):
    """Stops a trial whose best value so far is strictly worse than the median of what others had at the same step.

    Slots are filled as they free, in the order of suggestions. It needs no checkpoints, makes no assumption about the shape of
    learning curves, and stops at most the worse half: less than successive halving, and later. It keeps the reports of trials that
    completed (by Ray's rule, of all). What was decided at a report is decided once, so that a run that was killed and taken up
    decides as one that was not.

    Args:
        grace_period: the first step at which a trial may be stopped.
        min_trials: with how many others it must be compared at least.
        max_epochs: the step at which a trial is complete; None: trials end by themselves.
        rule: with what a trial is compared. ``"vizier"``: with the averages, up to the step, of all trials that completed.
            ``"ray"``: with the averages, from the grace period to the step, of all others that came so far; its users have
            ``min_trials=3``. ``"optuna"``: with what trials that completed had at the very step, once ``min_trials`` did; its
            users have ``grace_period=0`` (``n_warmup_steps``) and ``min_trials=5`` (``n_startup_trials``).

    SOURCE: Golovin et al. 2017, "Google Vizier: a service for black-box optimization", section 3.1.

    Raises:
        SchedulerError: for settings that cannot be.
    """

    needs_reports = True

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "grace_period": LogInteger(1, 25),
        "min_trials": LogInteger(2, 20),
        "rule": Choice(["vizier", "ray", "optuna"]),
    }

    def __init__(
        self,
        grace_period: int = 1,
        min_trials: int = 5,
        max_epochs: int | None = None,
        rule: MedianRule = "vizier",
        **unknown: Never,
    ) -> None:
        refuse_unknown("MedianStoppingScheduler", unknown, _OPTIONS)
        self.grace_period = check_count("MedianStoppingScheduler(grace_period=)", grace_period, least=0, example=1)
        self.min_trials = check_count("MedianStoppingScheduler(min_trials=)", min_trials, example=5)
        self.max_epochs = max_epochs
        if max_epochs is not None:
            self.max_epochs = check_count("MedianStoppingScheduler(max_epochs=)", max_epochs, example=100)
            if self.grace_period > self.max_epochs:
                raise SchedulerError(
                    "MedianStoppingScheduler(grace_period=)",
                    "the first step at which trials may be stopped lies past the last epoch",
                    found=self.grace_period,
                    expected=f"at most max_epochs={self.max_epochs}",
                    remedy="Write grace_period=1, say",
                )
        check_choice("MedianStoppingScheduler(rule=)", rule, tuple(MEDIAN_RULES))
        self.rule: MedianRule = rule
        self._begin(Goal())

    def _begin(self, goal: Goal) -> None:
        self._goal = goal
        self._heard = False
        """Whether any report had the metric that decides."""
        self._curves: dict[str, LearningCurve] = {}
        self._stopped_at: dict[str, int] = {}
        """The step at which a running trial was told to stop."""
        self._median: MedianOf = MEDIAN_RULES[self.rule](self.grace_period, self.min_trials, self._curves, goal.sign)

    def for_run(self, setup: Setup) -> MedianStoppingScheduler:
        """A new one for the goal of the sweep."""
        fresh = copy.deepcopy(self)
        fresh._begin(setup.goal)  # noqa: SLF001  # its own class
        return fresh

    def apply(self, event: Event) -> None:
        """Decide at each report; remember the curves of those that complete."""
        if isinstance(event, Reported):
            self._report(event)
        elif isinstance(event, Result):
            curve = self._curves.get(event.trial_id)
            if curve is not None and event.stopped in (None, Verdict.COMPLETE):
                self._median.completed(curve)
        elif isinstance(event, Score):
            self._stopped_at.pop(event.trial_id, None)
            if self.rule != "ray":
                self._curves.pop(event.trial_id, None)

    def _report(self, event: Reported) -> None:
        value = higher_is_better(self._goal, event.metrics)
        self._heard = self._heard or value is not None
        if value is None or event.trial_id in self._stopped_at:
            return
        curve = self._curves.get(event.trial_id)
        if curve is None:
            curve = self._curves[event.trial_id] = LearningCurve()
        if not curve.add(event.step, value) or event.step < self.grace_period:
            return
        median = self._median.at(event.step, curve)
        if median is not None and curve.best < median:
            self._stopped_at[event.trial_id] = event.step

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """Every step from the grace period on."""
        return max(self.grace_period, step + 1)

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """COMPLETE at the last epoch; STOP from the step on at which it was decided."""
        if self.max_epochs is not None and report.step >= self.max_epochs:
            return Verdict.COMPLETE
        stopped_at = self._stopped_at.get(trial.id)
        if stopped_at is not None and report.step >= stopped_at:
            return Verdict.STOP
        if not self._heard and report.step >= self.grace_period:
            raise unjudgeable("MedianStoppingScheduler", self._goal, trial, report)
        return Verdict.CONTINUE
