"""The iteration scheduler: a bandit over research directions, with pruning, paper triggers and follow-ups."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Any, ClassVar, Final, Never

from metta_sweep.core.bandit import Best, PendingRule, Picker
from metta_sweep.core.described import described
from metta_sweep.core.distributions import Choice, Distribution, LogInteger, Uniform
from metta_sweep.core.events import Event, PaperTrigger, Prune, Score
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.core.ucb import UcbIndex
from metta_sweep.errors import MetricError, SchedulerError, SearchSpaceError, refuse_unknown
from metta_sweep.schedulers.branch_fold import BranchArms
from metta_sweep.schedulers.follow_ups import Branching, follow_ups
from metta_sweep.schedulers.iteration_settings import (
    OBSERVED_RANGE,
    PAPER_THRESHOLD,
    PRUNE_FLOOR,
    Expander,
    IterationSettings,
    Reward,
    TriggerHook,
    was_given,
)
from metta_sweep.schedulers.picking import BranchPicker, Bystander, Listener, SuggestionIndex, SuggestionPicker, not_open
from metta_sweep.schedulers.scheduler import Follow, Offer, Scheduler
from metta_sweep.schedulers.waiting import WaitingView

__all__ = ["IterationScheduler"]

ALL_PRUNED: Final = "all branches are pruned"


class IterationScheduler(Scheduler):
    """Picks the branch with the highest UCB score, prunes poor branches and lets good ones grow.

    ``score = mean + c * sqrt(ln(total) / n)`` (UCB1, Auer et al. 2002), where ``n`` counts runs and pending trials of the branch
    and ``total`` those of all branches; a branch without any comes first. Equal scores: the earliest in the queue. After each
    result, in this order: a *paper trigger* when the branch's mean has reached ``paper_threshold`` (once per branch), *pruning*
    when after ``prune_after_runs`` runs its mean lies below ``prune_floor``, *follow-ups* when the result itself reached
    ``expand_threshold``.

    The formula is made for rewards in [0, 1]. When minimizing without ``reward=``, or with ``reward="observed_range"``, the scale
    is unknown: the range of the rewards seen so far counts as 0 to 1 when branches are compared, and triggers, pruning and
    follow-ups are off unless their thresholds were given (in the unit of rewards: the score, its sign flipped when minimizing).

    Args:
        c: exploration weight, at least 0. ``sqrt(2)`` is UCB1; 0 is greedy.
        paper_threshold: mean reward at which a branch is worth a paper. None: never.
        prune_floor: mean reward below which (strictly) a branch is given up, its waiting suggestions with it. None: never.
        prune_after_runs: how many runs a branch has at least before it is given up.
        expander: ``expander(trial)`` returns follow-ups of a completed trial, a list of suggestions or mappings. By default their
            ids are ``<id>-f1``, ``<id>-f2``, ..., and they belong to the trial's branch.
        expand_threshold: reward of one result from which on it is followed up; None: ``paper_threshold``.
        branch_by: the ``Choice`` of the search space whose alternatives are the branches: the scheduler picks one, and the
            optimizer is asked within it. Without it, branches are those that the optimizer can be asked within (the members of a
            portfolio), or else those of the suggestions that wait.
        pending: what a pending trial counts as: ``"mean"``, its branch's mean; ``"pessimistic"``, 0 (the lowest reward, where the
            scale is unknown).
        reward: ``reward(trial)`` of a completed trial, in [0, 1], higher is better; or ``"observed_range"``. None: the score in
            the goal's direction.
        failure_reward: what a failed trial counts as. None: 0 on a known scale, otherwise the worst reward seen.
        on_trigger: called with each ``paper.trigger`` event after it was kept, at most once: when the process is killed in between,
            it is not called again. ``results.triggers`` has all triggers.
        picker: another rule to choose by: ``DiscountedUCB()``, ``ContextualUCB(...)``, ``LinearUCB()``, ``ParetoUCB()``,
            ``RoundRobin()``. None: UCB1, as above. ``c`` and ``pending`` are UCB1's.

    Raises:
        SchedulerError: a setting is out of its range or of the wrong kind.
    """

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "c": Uniform(0.0, 4.0),
        "prune_after_runs": LogInteger(2, 20),
        "pending": Choice(["mean", "pessimistic"]),
    }

    def __init__(
        self,
        c: float = 2**0.5,
        paper_threshold: float | None = PAPER_THRESHOLD,
        prune_floor: float | None = PRUNE_FLOOR,
        prune_after_runs: int = 3,
        expander: Expander | None = None,
        expand_threshold: float | None = None,
        branch_by: str | None = None,
        pending: PendingRule = "mean",
        reward: Reward | None = None,
        failure_reward: float | None = None,
        on_trigger: TriggerHook | None = None,
        picker: BranchPicker | SuggestionPicker | None = None,
        **unknown: Never,
    ) -> None:
        foreign = frozenset(vars(self))
        refuse_unknown("IterationScheduler", unknown, IterationSettings.__dataclass_fields__)
        self.settings = IterationSettings(
            c=c,
            paper_threshold=paper_threshold,
            prune_floor=prune_floor,
            prune_after_runs=prune_after_runs,
            expander=expander,
            expand_threshold=expand_threshold,
            branch_by=branch_by,
            pending=pending,
            reward=reward,
            failure_reward=failure_reward,
            on_trigger=on_trigger,
            picker=picker,
        )
        self.branch_by = branch_by
        self._begin(scaled=reward == OBSERVED_RANGE, branching=None, setup=None)
        self._own_names = frozenset(vars(self)) - foreign | {"_own_names"}

    @property
    def c(self) -> float:
        """The exploration weight."""
        return self.settings.c

    @property
    def follows_up(self) -> bool:
        """Whether there is an expander."""
        return self.settings.expander is not None or type(self).fan_out is not IterationScheduler.fan_out

    @property
    def all_pruned(self) -> bool:
        """Whether every branch that is known has been pruned."""
        return self._branches.all_pruned

    @property
    def unit_rewards(self) -> bool:
        """Whether the scale of rewards is taken to be [0, 1]."""
        return not self._scaled

    def for_run(self, setup: Setup) -> IterationScheduler:
        """A new scheduler with these settings and no history, for one run.

        Raises:
            SchedulerError: ``branch_by`` names no choice at the top of the search space.
        """
        fresh = copy.copy(self)
        for name, value in vars(self).items():
            if name not in self._own_names:
                setattr(fresh, name, copy.deepcopy(value))
        scaled = self.settings.reward == OBSERVED_RANGE or (self.settings.reward is None and setup.goal.sign < 0)
        fresh._begin(scaled=scaled, branching=_branching(self.branch_by, setup), setup=setup)  # noqa: SLF001 - its own class
        return fresh

    def describe(self) -> dict[str, Any]:
        """The settings as JSON values; callables by their qualified names."""
        return {**described(self), **self.settings.describe()}

    # -- what starts -----------------------------------------------------------------------------------------------------------

    def pick(self, offer: Offer) -> None:
        """Fill the free slots, each with a suggestion of the branch that scores highest given the picks before it."""
        if self._suggestions is not None:
            self._suggestions.fill(offer, self._branches.scale_note)
            return
        with self._index.overlay():
            if self._branching is None:
                self._pick_waiting(offer)
            else:
                self._pick_within(offer, self._branching)

    def _pick_waiting(self, offer: Offer) -> None:
        view = WaitingView(offer, self._index, self._branches.arms)
        while offer.free:
            best = self._index.best()
            if best is None:
                best = view.look_further()
                if best is None:
                    offer.wait(view.why)
                    return
            self._take(offer, best, view.first(best.arm))
            if offer.free:
                view.took(best)

    def _pick_within(self, offer: Offer, branching: Branching) -> None:
        why, arms = ALL_PRUNED, self._branches.arms
        name, values = branching
        without: set[str] = set()
        while offer.free:
            best = self._index.best()
            if best is None:
                offer.wait(why)
                return
            branch = best.arm
            if branch not in values or branch in without or arms[branch].pruned:
                raise not_open(self._index, branch, [other for other in values if other not in without and not arms[other].pruned])
            arm = arms[branch]
            waiting = offer.next(branch=branch) if name is None else offer.next({name: values[branch]})
            if waiting is None:
                why = offer.why
                without.add(branch)
                self._index.set(branch, best.runs, best.pending, arm.reward_sum, arm.order, open=False)
                continue
            self._take(offer, best, waiting)
            if offer.free:
                self._index.set(branch, best.runs, best.pending + 1, arm.reward_sum, arm.order, open=True)

    def _take(self, offer: Offer, best: Best[str], waiting: Any) -> None:
        offer.pick(
            waiting,
            branch=best.arm or None,
            score=best.score,
            mean=best.mean,
            bonus=best.bonus,
            runs=best.runs,
            pending=best.pending,
            others=best.others,
            compared=best.compared,
            why=best.why or self._branches.scale_note,
        )

    # -- what a result means ---------------------------------------------------------------------------------------------------

    def reward(self, trial: Trial) -> float | None:
        """What ``reward=`` makes of a trial; None without it: the score in the goal's direction.

        Raises:
            MetricError: it returned no finite number. Exceptions of its own pass.
        """
        function = self.settings.reward
        if function is None or isinstance(function, str):
            return None
        value: Any = function(trial)
        if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
            name = getattr(function, "__qualname__", type(function).__qualname__)
            raise MetricError(
                f"IterationScheduler(reward=): {name!r} returned {value!r} for trial {trial.id!r}; expected a finite number,"
                " higher is better. Return a float in [0, 1]."
            )
        return float(value)

    def failure_reward(self) -> float | None:
        """The reward of a failed trial; None: the worst reward seen so far."""
        given = self.settings.failure_reward
        return 0.0 if given is None and not self._scaled else given

    def on_trigger(self, event: PaperTrigger) -> object:
        """Call the user's ``on_trigger``, and return what it returns."""
        return None if self.settings.on_trigger is None else self.settings.on_trigger(event)

    def fan_out(self, trial: Trial, score: Score, decided: Sequence[Event]) -> Sequence[Event | Follow]:
        """Trigger, prune and follow up, in this order; see the class."""
        reward, mean, branch = score.reward, score.mean, score.branch
        if reward is None or mean is None or not score.counts:
            return ()
        found: list[Event | Follow] = []
        pruned = self._is_pruned(branch)
        if branch is not None:
            if self._triggers(branch, mean, decided):
                found.append(PaperTrigger(trial.id, branch, mean, self._paper or 0.0, score.runs))
            if self._prunes(mean, score.runs) and not pruned:
                pruned = True
                if not _has(decided, Prune, branch):
                    found.append(Prune(trial.id, branch, mean, self._floor or 0.0, score.runs))
        threshold = self._expand
        if threshold is None or reward < threshold or pruned or trial.state is not TrialState.COMPLETED:
            return found
        follow = self._follow(trial, reward, threshold, decided)
        if follow is not None:
            found.append(follow)
        return found

    def _triggers(self, branch: str, mean: float, decided: Sequence[Event]) -> bool:
        if self._paper is None or mean < self._paper:
            return False
        arm = self._branches.find(branch)
        return not (arm is not None and arm.triggered) and not _has(decided, PaperTrigger, branch)

    def _prunes(self, mean: float, runs: int) -> bool:
        return self._floor is not None and mean < self._floor and runs >= self.settings.prune_after_runs

    def _follow(self, trial: Trial, reward: float, threshold: float, decided: Sequence[Event]) -> Follow | None:
        expander = self.settings.expander
        gone = {event.branch for event in decided if isinstance(event, Prune)}
        if expander is None or trial.branch in gone:
            return None
        made = follow_ups(expander, trial, self._branching)
        kept = [item for item in made if item.branch not in gone and not self._is_pruned(item.branch)]
        return Follow(kept, reward=reward, threshold=threshold, refused=len(made) - len(kept)) if made else None

    def _is_pruned(self, branch: str | None) -> bool:
        arm = self._branches.find(branch)
        return arm is not None and arm.pruned

    def finished(self) -> str | None:
        """That all branches are pruned, when they are."""
        return ALL_PRUNED if self.all_pruned else None

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """Reports decide nothing, unless a picker of the user's takes note of them."""
        return None if self._listener is None else step + 1

    def apply(self, event: Event) -> None:
        """Take note of one event: draws, picks, scores, prunings and triggers matter."""
        self._branches.apply(event)
        if self._listener is not None:
            self._listener.apply(event)

    def _begin(self, *, scaled: bool, branching: Branching | None, setup: Setup | None) -> None:
        settings = self.settings
        self._scaled = scaled
        self._branching = branching
        self._paper = settings.paper_threshold if was_given(settings.paper_threshold) or not scaled else None
        self._floor = settings.prune_floor if was_given(settings.prune_floor) or not scaled else None
        self._expand = self._paper if settings.expand_threshold is None else settings.expand_threshold
        self._index: Picker[str] = UcbIndex(settings.c, settings.pending)
        self._suggestions: SuggestionIndex | None = None
        if isinstance(settings.picker, SuggestionPicker) and setup is not None:
            self._suggestions = settings.picker.begin(setup)
            self._index = Bystander(self._suggestions)
        elif isinstance(settings.picker, BranchPicker) and setup is not None:
            self._index = settings.picker.begin(setup)
        self._listener: Listener | None = self._suggestions or (self._index if isinstance(self._index, Listener) else None)
        self._branches = BranchArms(self._index, fixed=None if branching is None else branching.values, scaled=scaled)


def _has(decided: Sequence[Event], kind: type[PaperTrigger | Prune], branch: str) -> bool:
    return any(isinstance(event, kind) and event.branch == branch for event in decided)


def _branching(name: str | None, setup: Setup) -> Branching | None:
    space = setup.search_space
    if name is None:
        return Branching(None, dict.fromkeys(setup.branches)) if setup.branches else None
    where = "IterationScheduler(branch_by=)"
    if space is None:
        raise SchedulerError(
            where,
            "the sweep has no search space, so it has no alternatives to pick between",
            found=name,
            expected="the name of a Choice of the search space",
            remedy="Give the sweep search_space={...}, or leave branch_by out: suggestions may name their branches",
        )
    try:
        return Branching(name, {branch: space.alternative_value(name, branch) for branch in space.alternatives(name)})
    except SearchSpaceError as error:
        raise SchedulerError(where, error.what, found=name, expected=error.expected, remedy=error.remedy) from None
