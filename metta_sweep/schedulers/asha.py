"""Asynchronous successive halving: many trials start, few run to their end."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Mapping
from math import exp
from typing import Any, ClassVar, Final, Literal, Never

from metta_sweep.core.distributions import Distribution, Integer, LogInteger
from metta_sweep.core.events import Event, Paused, Pick, Reported, Result, Resume, Score
from metta_sweep.core.goal import Goal
from metta_sweep.core.seeds import derive_seed, unit_floats
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.errors import SchedulerError, refuse_unknown
from metta_sweep.schedulers.asha_rules import RULES, Rule, ValuesAtLevels
from metta_sweep.schedulers.checks import check_choice, check_count
from metta_sweep.schedulers.reported_values import higher_is_better, unjudgeable
from metta_sweep.schedulers.rungs import Place, Rung, bracket_shares, rung_levels
from metta_sweep.schedulers.scheduler import Offer, Scheduler

__all__ = ["ASHAScheduler"]

Mode = Literal["promotion", "stopping"]

_MODES: Final = ("promotion", "stopping")
_OPTIONS: Final = ("max_epochs", "reduction_factor", "grace_period", "mode", "rule", "brackets")


class _Member:
    """What is kept of a trial until it has ended."""

    __slots__ = ("attempt", "bracket", "known", "place", "reached", "rung", "seen", "verdict_from")

    def __init__(self, bracket: int) -> None:
        self.attempt = 1
        self.bracket = bracket
        self.known = -1
        """The last step of the attempts before this one: up to there its reports are known."""
        self.reached = -1
        """The last step of any attempt."""
        self.rung = 0
        """The rung that it comes to next, in promotion."""
        self.seen = 0
        """The levels at which it was noted, as bits, when trials are stopped."""
        self.place: Place | None = None
        """Where it waits to be promoted."""
        self.verdict_from: int | None = None
        """The step at which it was told to pause or stop; what it reports from there on is told the same."""

    def is_new(self, attempt: int, step: int) -> bool:
        """Take note of a report. False when an attempt before this one came as far: a level it skipped is not noted by that."""
        if attempt != self.attempt:
            self.attempt, self.known = attempt, self.reached
        self.reached = max(self.reached, step)
        return step > self.known


class ASHAScheduler(Scheduler):
    """Asynchronous successive halving: at each rung only the best ``1 / reduction_factor`` of the trials run on.

    Rungs are at ``grace_period * reduction_factor**k`` epochs, as far as that is below ``max_epochs``; an epoch is a step of
    ``report``, and the first report at or past a level counts. Who reaches ``max_epochs`` has completed.

    *Promotion* (the paper's): a trial pauses at each rung. When a slot frees, the rungs are looked at from the top, and the best
    trial that is among the best ``floor(n / reduction_factor)`` of the ``n`` that came to its rung goes on; only where there is
    none a new trial starts. A trial that would be the next to go on at the very moment when it comes to a rung goes on without
    having been stopped. When the budget of trials is spent, promotions go on. Trials that were never promoted stay paused; a larger
    budget may take them up. With ``n`` rungs it takes ``reduction_factor**n`` trials until one completes: 27 by default.

    *Stopping*: a trial is judged once, when it comes to a rung, and either runs on or is stopped for good. So one trial at least
    completes, and nothing needs checkpoints.

    Wants 3 slots when the sweep does not say. What was decided at a report is decided once, so that a run that was killed and
    taken up decides as one that was not.

    Args:
        max_epochs: the epochs of a whole trial.
        reduction_factor: one in so many goes on at each rung.
        grace_period: the first rung, in epochs.
        mode: ``"promotion"`` or ``"stopping"``. By default promotion for the paper's rule, else stopping.
        rule: how "among the best" is decided when trials are stopped. ``"paper"`` and ``"optuna"``: within the best
            ``floor(n / reduction_factor)``, itself counted, or the best so far. ``"ray"``: not below the
            ``1 - 1 / reduction_factor`` quantile of those before it. ``"syne_tune"``: at most one in ``reduction_factor`` is
            strictly better, itself counted. The last two let the first at a rung run on, and note a report at the highest level
            that it reaches, while the others note it at each. Their users set ``grace_period=1``; Optuna's and Ray's
            ``reduction_factor=4``.
        brackets: how many brackets share the trials; bracket ``b`` begins at rung ``b``. Each trial's is drawn from the run's seed:
            by ``"ray"`` and ``"syne_tune"`` with weights ``exp(rungs)``, else such that each bracket spends about as many epochs
            as another, as in Hyperband.

    SOURCE: Li et al. 2020, "A system for massively parallel hyperparameter tuning", algorithm 2.

    Raises:
        SchedulerError: for settings that cannot be, and a rule that has no promotion.
    """

    needs_reports = True

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "reduction_factor": Integer(2, 5),
        "grace_period": LogInteger(1, 25),
    }

    def __init__(
        self,
        max_epochs: int = 100,
        reduction_factor: int = 3,
        grace_period: int = 10,
        mode: Mode | None = None,
        rule: Rule = "paper",
        brackets: int = 1,
        **unknown: Never,
    ) -> None:
        refuse_unknown("ASHAScheduler", unknown, _OPTIONS)
        self.max_epochs = check_count("ASHAScheduler(max_epochs=)", max_epochs, example=100)
        self.reduction_factor = check_count("ASHAScheduler(reduction_factor=)", reduction_factor, least=2, example=3)
        self.grace_period = check_count("ASHAScheduler(grace_period=)", grace_period, example=10)
        check_choice("ASHAScheduler(rule=)", rule, tuple(RULES))
        if mode is not None:
            check_choice("ASHAScheduler(mode=)", mode, _MODES)
        self.rule: Rule = rule
        self.mode: Mode = mode or ("promotion" if rule == "paper" else "stopping")
        self.brackets = check_count("ASHAScheduler(brackets=)", brackets, example=1)
        self._check()
        self.needs_pauses = self.mode == "promotion"
        self._goal = Goal()
        self._seed = 0
        self._heard = False
        """Whether any report had the metric that decides."""
        self._unjudged = 0
        """Trials that ran to their end and never came to a rung."""
        levels = rung_levels(self.grace_period, self.reduction_factor, self.max_epochs)
        self._levels = [levels[bracket:] for bracket in range(self.brackets)]
        self._members: dict[str, _Member] = {}
        self._ready: set[str] = set()
        """Paused trials that can go on."""
        self._rungs = [[Rung(level) for level in bracket] for bracket in self._levels]
        self._from_the_top = sorted((rung for bracket in self._rungs for rung in bracket), key=lambda rung: -rung.level)
        self._values = [ValuesAtLevels(bracket, self.rule, self.reduction_factor) for bracket in self._levels]
        self._bounds = _cumulated(self._shares())

    def _check(self) -> None:
        if self.mode == "promotion" and self.rule != "paper":
            raise SchedulerError(
                "ASHAScheduler(mode=)",
                f"the rule {self.rule!r} stops trials, and promotes none",
                found="promotion",
                expected="mode='stopping', or rule='paper'",
                remedy="Leave mode= out",
            )
        if self.grace_period > self.max_epochs:
            raise SchedulerError(
                "ASHAScheduler(grace_period=)",
                "the first rung lies past the last epoch",
                found=self.grace_period,
                expected=f"at most max_epochs={self.max_epochs}",
                remedy=f"Write grace_period={max(1, self.max_epochs // self.reduction_factor)}, say",
            )
        most = len(rung_levels(self.grace_period, self.reduction_factor, self.max_epochs)) + 1
        if self.brackets > most:
            raise SchedulerError(
                "ASHAScheduler(brackets=)",
                "there are more brackets than rungs to begin at",
                found=self.brackets,
                expected=f"at most {most}: the last of so many lets its trials run to their end",
                remedy=f"Write brackets={most}, or a smaller grace_period",
            )

    def _shares(self) -> list[float]:
        lengths = [len(bracket) for bracket in self._levels]
        if self.rule in ("ray", "syne_tune"):
            weights = [exp(length - lengths[0]) for length in lengths]
            return [weight / sum(weights) for weight in weights]
        return bracket_shares(lengths, self.reduction_factor)

    def for_run(self, setup: Setup) -> ASHAScheduler:
        """A new one for the goal and the seed of the sweep."""
        fresh = copy.deepcopy(self)
        fresh._goal = setup.goal  # noqa: SLF001  # its own class
        fresh._seed = derive_seed(setup.seed, "brackets")  # noqa: SLF001
        return fresh

    # -- what happened ---------------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Decide at each report that comes to a rung; remember who can go on, and forget who has ended."""
        if isinstance(event, Reported):
            self._report(event)
        elif isinstance(event, Pick):
            self._members[event.trial_id] = _Member(self._bracket_of(event.number))
        elif isinstance(event, Paused):
            if self._members[event.trial_id].place is not None:
                self._ready.add(event.trial_id)
        elif isinstance(event, Resume):
            self._leave(event.trial_id, self._members[event.trial_id])
        elif isinstance(event, Result):
            self._result(event)
        elif isinstance(event, Score):
            self._leave(event.trial_id, self._members.pop(event.trial_id))

    def _report(self, event: Reported) -> None:
        value = higher_is_better(self._goal, event.metrics)
        if value is None:
            return
        self._heard = True
        member = self._members[event.trial_id]
        if member.verdict_from is not None:
            return
        if self.mode == "promotion":
            self._climb(member, event, value)
        elif self.rule in ("paper", "optuna") or (event.step < self.max_epochs and member.is_new(event.attempt, event.step)):
            member.seen, goes_on = self._values[member.bracket].report(member.seen, event.step, value)
            if not goes_on:
                member.verdict_from = event.step

    def _climb(self, member: _Member, event: Reported, value: float) -> None:
        """Come to each rung that the report has reached, as far as the trial would be promoted at once."""
        rungs = self._rungs[member.bracket]
        while member.rung < len(rungs) and event.step >= rungs[member.rung].level:
            rung = rungs[member.rung]
            member.rung += 1
            place = rung.add(event.trial_id, value)
            if event.step < self.max_epochs and not self._is_next(rung, place):
                rung.wait(place)
                member.place = place
                member.verdict_from = event.step
                return

    def _is_next(self, rung: Rung, place: Place) -> bool:
        """Whether a slot that frees now would go to this trial."""
        if rung.rank(place) >= rung.quota(self.reduction_factor):
            return False
        for other in self._from_the_top:
            best = other.promotable(self.reduction_factor)
            if other is rung:
                return best is None or place < best
            if best is not None:
                return False
        return True

    def _result(self, event: Result) -> None:
        member = self._members[event.trial_id]
        if event.stopped is None and not member.seen and not member.rung and self._levels[member.bracket]:
            self._unjudged += 1

    def _leave(self, trial_id: str, member: _Member) -> None:
        """It waits at no rung any more."""
        self._ready.discard(trial_id)
        if member.place is not None:
            self._rungs[member.bracket][member.rung - 1].leave(member.place)
        member.place = member.verdict_from = None

    def _bracket_of(self, number: int) -> int:
        if self.brackets == 1:
            return 0
        (drawn,) = unit_floats(self._seed, number, 1)
        return next((bracket for bracket, bound in enumerate(self._bounds) if drawn < bound), self.brackets - 1)

    # -- what follows ----------------------------------------------------------------------------------------------------------

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """The next level, or the last epoch; the next report where a level that it has passed was not noted."""
        member = self._members[trial_id]
        if member.verdict_from is not None:
            return max(step + 1, member.verdict_from)
        levels = self._levels[member.bracket]
        passed = bisect_right(levels, step)
        if member.rung < passed and (member.seen + 1) & ((1 << passed) - 1):
            return step + 1
        return levels[passed] if passed < len(levels) else max(step + 1, self.max_epochs)

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """COMPLETE at the last epoch; what was decided when the trial came to a rung, from there on."""
        if report.step >= self.max_epochs:
            return Verdict.COMPLETE
        member = self._members[trial.id]
        if member.verdict_from is not None and report.step >= member.verdict_from:
            return Verdict.PAUSE if self.mode == "promotion" else Verdict.STOP
        if not self._heard and self._levels[member.bracket] and report.step >= self._levels[member.bracket][0]:
            raise unjudgeable("ASHAScheduler", self._goal, trial, report)
        return Verdict.CONTINUE

    def pick(self, offer: Offer) -> None:
        """Promotions first, from the top; then new trials."""
        if self._ready:
            self._promote(offer)
        why = f"{self._unjudged} trials ran to their end without a report at a rung" if self._unjudged else ""
        while offer.free:
            waiting = offer.next()
            if waiting is None:
                offer.wait(offer.why)
                return
            offer.pick(waiting, why=why)

    def _promote(self, offer: Offer) -> None:
        taken: set[str] = set()
        for rung in self._from_the_top:
            while offer.idle:
                place = rung.promotable(self.reduction_factor, self._ready, taken)
                if place is None:
                    break
                taken.add(place.trial_id)
                best, came = rung.quota(self.reduction_factor), len(rung.places)
                offer.resume(place.trial_id, why=f"number {rung.rank(place) + 1} of {came} after {rung.level} epochs, {best} go on")

    def describe(self) -> dict[str, Any]:
        """Its class and its settings."""
        return {"class": type(self).__qualname__, **{name: getattr(self, name) for name in _OPTIONS}}


def _cumulated(shares: list[float]) -> list[float]:
    bounds: list[float] = []
    total = 0.0
    for share in shares:
        total += share
        bounds.append(total)
    return bounds
