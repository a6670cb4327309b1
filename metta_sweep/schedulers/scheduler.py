"""What a scheduler is: it says which suggestions start when, and how long trials run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Protocol

from metta_sweep.core.described import described
from metta_sweep.core.distributions import Distribution
from metta_sweep.core.events import Event, PaperTrigger, Paused, Score
from metta_sweep.core.given import Remembers
from metta_sweep.core.resources import Resources
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Suggestion, Trial, Verdict

__all__ = ["FOLLOW_UP", "Follow", "Offer", "Scheduler", "Waiting", "as_follow_up"]


class Waiting(Protocol):
    """A suggestion in the pool."""

    @property
    def suggestion(self) -> int:
        """Its number among all suggestions of the sweep, from 0."""
        ...

    @property
    def branch(self) -> str | None:
        """The research direction it belongs to."""
        ...

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters."""
        ...


class Offer(Protocol):
    """What a scheduler may see and do when slots are free. Picks take effect after ``Scheduler.pick`` has returned."""

    @property
    def free(self) -> int:
        """Slots still free; each ``pick`` takes one."""
        ...

    @property
    def idle(self) -> int:
        """Slots still free, also when the budget of trials is spent: what paused trials may go on in. Each ``resume`` takes one."""
        ...

    @property
    def busy(self) -> int:
        """Slots in use, by running trials and by picks of this offer."""
        ...

    @property
    def why(self) -> str:
        """Why ``next`` returned None the last time."""
        ...

    @property
    def fresh(self) -> Sequence[Waiting]:
        """All suggestions drawn in this offer so far, in their order, picked ones too. ``Scheduler.apply`` has not seen them."""
        ...

    def next(self, fixed: Mapping[str, Any] | None = None, branch: str | None = None) -> Waiting | None:
        """The suggestion that has waited longest, or a newly drawn one; with ``fixed`` or ``branch``, one that has these.

        None when there is none now; ``why`` then says why, in words.
        """
        ...

    def draw(self, count: int, *, spare: bool = False) -> int:
        """Have up to ``count`` suggestions wait: the optimizer is asked for what is missing at once, however few slots are free.

        Returns how many wait now: fewer where the optimizer gives fewer, or where the budget of trials allows no more (with
        ``spare``: also more than it allows, to choose from).
        """
        ...

    def waiting(self, index: int) -> Waiting:
        """The waiting suggestion of that number."""
        ...

    def pick(
        self,
        waiting: Waiting,
        *,
        branch: str | None = None,
        score: float | None = None,
        mean: float | None = None,
        bonus: float | None = None,
        runs: int | None = None,
        pending: int | None = None,
        others: tuple[tuple[str, float], ...] = (),
        compared: int = 0,
        why: str = "",
    ) -> None:
        """Start this suggestion. The numbers and ``why`` are the reason, kept in the trace. ``branch``: by default its own."""

    def resume(
        self,
        trial_id: str,
        *,
        source: Paused | None = None,
        params: Mapping[str, Any] | None = None,
        queue: bool = False,
        why: str = "",
    ) -> None:
        """Let a paused trial run on.

        Args:
            trial_id: the trial; it must be paused.
            source: the pause whose checkpoint and step it takes, which may be another trial's; None: its own last one.
            params: its parameters from now on; None: as before.
            queue: it is decided now, and where no slot is idle it starts when one frees, before all that is picked later.
            why: the reason, kept in the trace.
        """

    def end(self, trial_id: str, *, complete: bool = False, why: str = "") -> None:
        """End a paused trial: COMPLETED with the metrics of its last report, or STOPPED. Takes no slot."""

    def wait(self, why: str) -> None:
        """Leave the free slots idle for now, for this reason."""


class Scheduler(Remembers):
    """Says which suggestions start when, and how long trials run. Subclass it and override only what differs.

    Its state changes only in ``apply``: decisions are functions of its settings, the seed, what was applied and its arguments.
    So that it can be rebuilt from the journal, it does no I/O, reads no clock and uses no global randomness.
    """

    default_slots: int | None = 3
    """How many slots it wants when the sweep does not say; None: as many as the executor has. A scheduler that leaves the default
    takes as many as an executor that was made with a number of them."""
    needs_reports = False
    """Whether it judges reports, so that the executor must be able to stop trials."""
    needs_pauses = False
    """Whether it pauses trials, so that the executor must keep their checkpoints."""
    proposes = False
    """Whether it makes parameters of its own as trials run on, so that it is accepted where an optimizer is."""
    bounds_itself = False
    """Whether it ends the run by itself (``finished``), so that a sweep without a budget has no default one."""
    slow: bool = False
    """Whether its decisions take long enough that they should run in a thread, while trials run on."""
    branch_by: str | None = None
    """The ``Choice`` parameter whose alternatives are the branches, where there is one."""
    tunable: ClassVar[Mapping[str, Distribution]] = {}
    """Options of its constructor that are worth searching, with the ranges to search them in: for experiments that tune it."""

    def for_run(self, setup: Setup) -> Scheduler:
        """A new scheduler with these settings and no history, for one run. The original is never touched."""
        return copy.deepcopy(self)

    def pick(self, offer: Offer) -> None:
        """Pick what starts now. By default slots are filled as they free, in the order of suggestions."""
        while offer.free:
            waiting = offer.next()
            if waiting is None:
                offer.wait(offer.why)
                return
            offer.pick(waiting)

    def reward(self, trial: Trial) -> float | None:
        """The reward of a completed trial, higher is better; None: the score in the goal's direction."""
        return None

    def failure_reward(self) -> float | None:
        """The reward of a failed trial; None: the worst reward seen so far."""
        return None

    def should_stop(self, trial: Trial) -> bool:
        """Whether a running trial should stop; ``trial.last_report`` is its newest report."""
        return False

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """The verdict on a running trial at a report. By default STOP where ``should_stop(trial)`` says so.

        ``apply`` has been told of the report before. After a restart a trial that was running begins anew, or goes on from a
        checkpoint of its own, and its reports come again, or only later ones: what was decided at a step must be decided so again.
        """
        return Verdict.STOP if self.should_stop(trial) else Verdict.CONTINUE

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """The first step after ``step`` at which a report of the trial may change anything that is decided; None: no later one.

        By default every report counts. Reports before that step are kept and applied as all are, but the trial goes on without
        a verdict, and where time is simulated they come together with the next event that counts, in the order of time: many
        times faster. So ``ASHAScheduler`` tells the next level of the trial's rungs.

        Args:
            trial_id: the trial that runs.
            step: the last step that it reported; of an attempt that has not reported yet, the step after which it goes on, or -1.
        """
        return step + 1

    def fan_out(self, trial: Trial, score: Score, decided: Sequence[Event]) -> Sequence[Event | Follow]:
        """What follows from one ended trial: prunings, triggers, follow-ups.

        Args:
            trial: the trial as it ended.
            score: its score event, with the statistics of its branch after it.
            decided: what has been decided in this turn of the loop already, and is not applied yet.
        """
        return ()

    def allocate_resources(self, trial: Trial) -> Resources | None:
        """What an attempt of the trial may use; None: the executor's default."""
        return None

    def apply(self, event: Event) -> None:
        """Take note of one event. Called once for each event of the journal, in order; the only place where state changes."""

    def on_trigger(self, event: PaperTrigger) -> object:
        """A ``paper.trigger`` event was kept. Called by the sweep after the commit, at most once.

        When the process is killed between the two it is not called again: ``results.triggers`` has all triggers.
        """
        return None

    @property
    def follows_up(self) -> bool:
        """Whether results may bring further suggestions, so that even a queue may have no end."""
        return type(self).fan_out is not Scheduler.fan_out

    @property
    def all_pruned(self) -> bool:
        """Whether it will pick nothing more because it has given up every branch."""
        return False

    @property
    def unit_rewards(self) -> bool:
        """Whether it is made for rewards in [0, 1]: a sweep warns of the first that is none."""
        return False

    def finished(self) -> str | None:
        """A reason in words when it will pick nothing more, ever; None otherwise."""
        return None

    def describe(self) -> dict[str, Any]:
        """The settings that make this scheduler what it is, as JSON values: part of a kept run's definition.

        By default its class, and the parameters of its constructor that are attributes of it (``patience``, or ``_patience``).
        """
        return described(self)


FOLLOW_UP: Final = "expander"
"""The origin of suggestions that the optimizer did not make."""


def as_follow_up(suggestion: Suggestion, trial: Trial, position: int) -> Suggestion:
    """A follow-up of a trial, with what it leaves out: the id ``<id>-f1``, ``<id>-f2``, ..., the trial's branch, and its parent."""
    return replace(
        suggestion,
        id=f"{trial.id}-f{position}" if suggestion.id is None else suggestion.id,
        branch=trial.branch if suggestion.branch is None else suggestion.branch,
        origin=FOLLOW_UP if suggestion.origin is None else suggestion.origin,
        parent=trial.id if suggestion.parent is None else suggestion.parent,
    )


class Follow:
    """Follow-ups of one result, before they have numbers; the sweep turns them into ``expand`` and ``draw`` events."""

    __slots__ = ("refused", "reward", "suggestions", "threshold")

    def __init__(
        self, suggestions: Sequence[Suggestion | Mapping[str, Any]], *, reward: float, threshold: float, refused: int = 0
    ) -> None:
        self.suggestions = tuple(suggestions)
        self.reward = reward
        self.threshold = threshold
        self.refused = refused
        """How many more there were that were left out, because their branch is pruned."""
