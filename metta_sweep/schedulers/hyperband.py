"""Hyperband: brackets of successive halving, from many trials of few epochs to few trials of all."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Never

from metta_sweep.core.distributions import Distribution, Integer, LogInteger
from metta_sweep.core.events import Event, Paused, Pick, Reported, Resume, Score, Stop
from metta_sweep.core.goal import Goal
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.errors import SchedulerError, refuse_unknown
from metta_sweep.schedulers.checks import check_count
from metta_sweep.schedulers.halving import Bracket, bracket_plans
from metta_sweep.schedulers.reported_values import higher_is_better, unjudgeable
from metta_sweep.schedulers.scheduler import Offer, Scheduler

__all__ = ["HyperbandScheduler"]

_OPTIONS: Final = ("max_epochs", "reduction_factor", "grace_period", "brackets")


class _Member:
    """What is kept of a trial until it has ended."""

    __slots__ = ("bracket", "value", "verdict_from")

    def __init__(self, bracket: Bracket) -> None:
        self.bracket = bracket
        self.value = 0.0
        """What it had at its rung, higher is better."""
        self.verdict_from: int | None = None
        """The step at which it came there and was told to pause."""


class HyperbandScheduler(Scheduler):
    """Hyperband: successive halving in rounds, in brackets that trade the number of trials for their epochs.

    A bracket starts a number of trials. All run to its first level and pause there; when the last of them has come, the best
    ``1 / reduction_factor`` run on to the next level and the others end as STOPPED; and so on up to ``max_epochs``, where who is
    left completes. A trial that fails is out; nobody waits for it. While a round waits for its last trial, free slots begin the
    next bracket, so a straggler holds up its own bracket only; give trials a time limit to bound that. When no more trials are to
    be had (the budget is spent, the optimizer has none left), the last bracket goes on with those that it has.

    ``max_epochs=81, reduction_factor=3`` makes five brackets: of 81 trials that start with 1 epoch, 34 with 3, 15 with 9, 8 with
    27, and 5 that run all 81; then again from the first. ``brackets=1`` is synchronous successive halving. Where rounds should not
    be waited for, ``ASHAScheduler(brackets=...)`` does without them.

    Wants 3 slots when the sweep does not say. A run that was killed and taken up decides as one that was not.

    Args:
        max_epochs: the epochs of a whole trial; an epoch is a step of ``report``, and the first report at or past a level counts.
        reduction_factor: one in so many goes on.
        grace_period: no trial ends before so many epochs.
        brackets: how many of the brackets are used, from the one with most trials on; None: all.

    SOURCE: Li et al. 2018, "Hyperband: a novel bandit-based approach to hyperparameter optimization", algorithm 1.

    Raises:
        SchedulerError: for settings that cannot be.
    """

    needs_reports = True
    needs_pauses = True

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "reduction_factor": Integer(2, 5),
        "grace_period": LogInteger(1, 9),
    }

    def __init__(
        self,
        max_epochs: int = 81,
        reduction_factor: int = 3,
        grace_period: int = 1,
        brackets: int | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown("HyperbandScheduler", unknown, _OPTIONS)
        self.max_epochs = check_count("HyperbandScheduler(max_epochs=)", max_epochs, example=81)
        self.reduction_factor = check_count("HyperbandScheduler(reduction_factor=)", reduction_factor, least=2, example=3)
        self.grace_period = check_count("HyperbandScheduler(grace_period=)", grace_period, example=1)
        if self.grace_period > self.max_epochs:
            raise SchedulerError(
                "HyperbandScheduler(grace_period=)",
                "no trial may end before its last epoch",
                found=self.grace_period,
                expected=f"at most max_epochs={self.max_epochs}",
                remedy="Write grace_period=1",
            )
        plans = bracket_plans(self.max_epochs, self.reduction_factor, self.grace_period)
        self.brackets = brackets
        if brackets is not None:
            self.brackets = check_count("HyperbandScheduler(brackets=)", brackets, example=1)
            if self.brackets > len(plans):
                raise SchedulerError(
                    "HyperbandScheduler(brackets=)",
                    "there are not so many brackets",
                    found=brackets,
                    expected=f"at most {len(plans)}, with these epochs and this reduction factor",
                    remedy="Leave brackets= out for all of them",
                )
        self._plans = plans[: self.brackets]
        self._goal = Goal()
        self._heard = False
        """Whether any report had the metric that decides."""
        self._made = 0
        """How many brackets there were so far."""
        self._open: list[Bracket] = []
        """Those that are not over, oldest first."""
        self._members: dict[str, _Member] = {}

    def for_run(self, setup: Setup) -> HyperbandScheduler:
        """A new one for the goal of the sweep."""
        fresh = copy.deepcopy(self)
        fresh._goal = setup.goal  # noqa: SLF001  # its own class
        return fresh

    # -- what happened ---------------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Remember who is where; decide when the last trial of a round has come."""
        if isinstance(event, Reported):
            self._report(event)
        elif isinstance(event, Pick):
            bracket = self._filling()
            bracket.start(event.trial_id)
            self._members[event.trial_id] = _Member(bracket)
        elif isinstance(event, Paused):
            member = self._members[event.trial_id]
            if member.verdict_from is not None:
                member.bracket.wait(event.trial_id, member.value)
        elif isinstance(event, Resume):
            self._resume(event)
        elif isinstance(event, Stop):
            self._dropped(event)
        elif isinstance(event, Score):
            self._ended(event.trial_id)

    def _filling(self) -> Bracket:
        """The bracket that new trials belong to."""
        if not self._open or self._open[-1].is_full:
            self._open.append(Bracket(self._plans[self._made % len(self._plans)], self.reduction_factor))
            self._made += 1
        return self._open[-1]

    def _report(self, event: Reported) -> None:
        value = higher_is_better(self._goal, event.metrics)
        if value is None:
            return
        self._heard = True
        member = self._members[event.trial_id]
        if member.verdict_from is None and member.bracket.level <= event.step < self.max_epochs:
            member.value, member.verdict_from = value, event.step

    def _resume(self, event: Resume) -> None:
        member = self._members[event.trial_id]
        if event.trial_id not in member.bracket.to_resume:
            member.bracket.close()
        member.bracket.resumed(event.trial_id)
        member.verdict_from = None

    def _dropped(self, event: Stop) -> None:
        member = self._members.get(event.trial_id or "")
        if member is not None and event.trial_id in member.bracket.values and event.reason == Verdict.STOP:
            member.bracket.close()

    def _ended(self, trial_id: str) -> None:
        bracket = self._members.pop(trial_id).bracket
        bracket.ended(trial_id)
        if bracket.is_over:
            self._open.remove(bracket)

    # -- what follows ----------------------------------------------------------------------------------------------------------

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """The level of its rung."""
        member = self._members[trial_id]
        target = member.bracket.level if member.verdict_from is None else member.verdict_from
        return max(step + 1, target)

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """COMPLETE at the last epoch; PAUSE at its rung."""
        if report.step >= self.max_epochs:
            return Verdict.COMPLETE
        member = self._members[trial.id]
        if member.verdict_from is not None:
            return Verdict.PAUSE if report.step >= member.verdict_from else Verdict.CONTINUE
        if not self._heard and report.step >= member.bracket.level:
            raise unjudgeable("HyperbandScheduler", self._goal, trial, report)
        return Verdict.CONTINUE

    def pick(self, offer: Offer) -> None:
        """Those that go on first, oldest bracket first; then new trials."""
        for bracket in self._open:
            self._go_on(offer, bracket, list(bracket.to_resume), list(bracket.to_drop))
        dry = False
        while offer.free and not dry:
            waiting = offer.next()
            if waiting is None:
                dry = True
                offer.wait(offer.why)
            else:
                offer.pick(waiting)
        if offer.idle and self._open and (not dry or not offer.busy):
            self._close(offer, self._open[-1])

    def _close(self, offer: Offer, bracket: Bracket) -> None:
        """No more trials are to be had: what is filled goes on with those that it has, once none of them runs."""
        following = None if bracket.is_full else bracket.closed_round()
        if following is not None:
            self._go_on(offer, bracket, following.promoted, following.dropped)

    def _go_on(self, offer: Offer, bracket: Bracket, promoted: Sequence[str], dropped: Sequence[str]) -> None:
        for place, trial_id in enumerate(promoted, 1):
            if not offer.idle:
                break
            offer.resume(trial_id, why=f"number {place} of those that go on")
        for trial_id in dropped:
            offer.end(trial_id, why="it is not among the best of its rung")
