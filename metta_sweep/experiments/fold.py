"""The state of a sweep: a fold over its events. The same events in the same order give the same state, in any process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from metta_sweep.core.branch import BranchStats
from metta_sweep.core.budget import StopReason
from metta_sweep.core.events import (
    Dispatch,
    Draw,
    Error,
    Event,
    Expand,
    PaperTrigger,
    Paused,
    Pick,
    Prune,
    Reported,
    Result,
    Resume,
    Score,
    Stop,
    Wait,
)
from metta_sweep.core.goal import Goal
from metta_sweep.core.pareto import Front
from metta_sweep.core.trial import ACTIVE_STATES, Report, Trial, TrialState, Verdict, check_transition, metric_mean
from metta_sweep.errors import IllegalTransition
from metta_sweep.experiments.live import LiveTrial
from metta_sweep.experiments.pauses import end_paused, pause, resume
from metta_sweep.experiments.statistics import BranchFold, Rewards
from metta_sweep.schedulers.scheduler import FOLLOW_UP

__all__ = ["SweepState"]

_COMPLETE = (None, Verdict.COMPLETE.value)


class SweepState:
    """What a sweep is at one moment. Changes only by ``apply(event)`` (and ``started``, when a process takes the run up).

    It holds what is waiting, running or not yet scored, and sums; ended trials leave it, so it does not grow with the run.
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.pool: dict[int, Draw] = {}
        """Suggestions that wait, by number, oldest first."""
        self.suggested = 0
        """How many suggestions there were, ever."""
        self.drawn = 0
        """How many of them the optimizer made."""
        self.explicit_ids: set[str] = set()
        """Ids given by suggestions that wait or run."""
        self.numbered_ids = False
        """Whether a suggestion ever had an id that a number could clash with."""
        self.picked = 0
        self.dispatched = 0
        """Trials that were started at least once, since the last time that too many failed."""
        self.failed = 0
        """Trials that failed for good, since the same time."""
        self.phase: str | None = None
        """The origin of the suggestion that was picked last."""
        self.live: dict[str, LiveTrial] = {}
        """Picked and not scored, by id, in the order of picks."""
        self.to_start: dict[str, LiveTrial] = {}
        """Those that are to start: new ones, and those to be tried again."""
        self.running: dict[str, LiveTrial] = {}
        self.paused: dict[str, LiveTrial] = {}
        self.unscored: dict[str, LiveTrial] = {}
        """Ended and not scored, in the order of their results."""
        self.unjudged: list[Reported] = []
        """Reports of running trials that no verdict was given on."""
        self.unfanned: list[tuple[Trial, Score]] = []
        """Scored in this turn of the loop, and not fanned out yet."""
        self.to_stop: dict[str, Stop] = {}
        """Running trials with a verdict that the executor has not acted on."""
        self.branches: dict[str | None, BranchFold] = {}
        self.rewards = Rewards()
        self.ended: dict[TrialState, int] = {TrialState.COMPLETED: 0, TrialState.STOPPED: 0, TrialState.FAILED: 0}
        self.best: Trial | None = None
        """The trial with the best score; always None with several objectives."""
        self.front: Front | None = Front([one.sign for one in goal.objectives]) if goal.has_several else None
        """The numbers of the trials that no other dominates, with several objectives."""
        self.triggers: list[str] = []
        self.cost = 0.0
        self.cut = False
        """Whether the deadline cut a trial since the run was last taken up."""
        self.stop: Stop | None = None
        self.waiting_why: str | None = None
        """Why slots are idle, as last noted in the trace."""
        self.take: Mapping[type, Callable[[Any], Trial | None]] = {
            Draw: self._draw,
            Pick: self._pick,
            Dispatch: self._dispatch,
            Reported: self._reported,
            Result: self._result,
            Error: self._error,
            Score: self._score,
            PaperTrigger: self._trigger,
            Prune: self._prune,
            Expand: self._expand,
            Wait: self._wait,
            Stop: self._stop,
            Paused: partial(pause, self),
            Resume: partial(resume, self),
        }
        """``apply`` by kind of event, for those who apply many."""

    def apply(self, event: Event) -> Trial | None:
        """Take one event. Returns the trial that has ended by it, for ``score`` events.

        Raises:
            IllegalTransition: the state does not allow the event. Nothing was changed.
        """
        return self.take[type(event)](event)

    def started(self) -> None:
        """A process takes the run up: what was running in the one before is lost, and is to start again."""
        if self.stop is not None and self.stop.reason == StopReason.FAILURE_RATE:
            self.dispatched = sum(1 for live in self.live.values() if live.attempt)
            self.failed = 0
        self.stop = None
        self.cut = False
        self.waiting_why = None
        self.to_stop.clear()
        self.unjudged.clear()
        for live in self.running.values():
            live.lost += 1
        self._requeue(*self.running.values(), first=True)

    def left(self) -> None:
        """A process leaves the run in order: what still runs is ended by it, is not lost, and is to start again."""
        self._requeue(*self.running.values(), first=True)

    def judged(self) -> None:
        """Verdicts were given on all reports so far; those to stop or pause are events, the others go on."""
        self.unjudged.clear()

    def fanned_out(self) -> None:
        """The fan-out of this turn is over, whatever it decided."""
        self.unfanned.clear()

    def is_pruned(self, branch: str | None) -> bool:
        """Whether the branch was given up: what is suggested for it is dropped."""
        fold = self.branches.get(branch)
        return fold is not None and fold.pruned

    def branch_stats(self) -> dict[str | None, BranchStats]:
        """The statistics of all branches, as they are now."""
        return {name: fold.shown(name, *self.rewards.of(name)) for name, fold in self.branches.items()}

    @property
    def active(self) -> bool:
        """Whether anything is in flight that goes on by itself: more than paused trials."""
        return len(self.live) > len(self.paused)

    def in_flight(self) -> list[Trial]:
        """Trials that were picked and have not ended."""
        return [live.trial() for live in self.live.values() if live.state in ACTIVE_STATES]

    # -- one method per kind of event ------------------------------------------------------------------------------------------

    def _draw(self, event: Draw) -> None:
        if event.suggestion != self.suggested:
            raise IllegalTransition(f"draw {event.suggestion} does not follow the {self.suggested} suggestions before it.")
        self.suggested += 1
        if event.origin != FOLLOW_UP:
            self.drawn += 1
        branch = self._branch(event.branch)
        if branch.pruned:
            return
        self.pool[event.suggestion] = event
        branch.waiting += 1
        if event.id is not None:
            self.explicit_ids.add(event.id)
            self.numbered_ids = self.numbered_ids or event.id[0].isdigit()

    def _pick(self, event: Pick) -> None:
        draw = self.pool.get(event.suggestion)
        if draw is None:
            raise IllegalTransition(f"pick of suggestion {event.suggestion}, which is not in the pool.")
        if event.number != self.picked or event.trial_id in self.live:
            raise IllegalTransition(
                f"pick {event.number} of trial {event.trial_id!r} does not follow the {self.picked} picks before it."
            )
        del self.pool[event.suggestion]
        if self.unfanned:
            self.unfanned.clear()
        self.picked += 1
        live = LiveTrial(event.trial_id, event.number, event.branch, draw)
        self.live[event.trial_id] = live
        self.to_start[event.trial_id] = live
        self._branch(draw.branch).waiting -= 1
        self._branch(event.branch).pending += 1
        self.waiting_why = None
        self.phase = draw.origin

    def _dispatch(self, event: Dispatch) -> None:
        live = self.find(event.trial_id, TrialState.RUNNING, event.kind)
        if event.attempt != live.attempt + 1:
            raise IllegalTransition(f"trial {live.id!r}: attempt {event.attempt} does not follow attempt {live.attempt}.")
        if live.attempt == 0:
            self.dispatched += 1
        live.attempt = event.attempt
        live.state = TrialState.RUNNING
        live.outcome = None
        del self.to_start[live.id]
        self.running[live.id] = live

    def _reported(self, event: Reported) -> None:
        live = self.running.get(event.trial_id)
        if live is None:
            raise IllegalTransition(f"trial {event.trial_id!r} reported step {event.step}, and is not running.")
        live.reports.append(Report(event.step, event.metrics))
        self.unjudged.append(event)
        live.lost = 0

    def _result(self, event: Result) -> None:
        if event.stopped == "interrupt":
            self._requeue(self.find(event.trial_id, TrialState.PENDING, event.kind), first=True)
            return
        state = TrialState.COMPLETED if event.stopped in _COMPLETE else TrialState.STOPPED
        live = self.find(event.trial_id, state, event.kind)
        self._end(live, state, event)
        cost = event.metrics.get("cost")
        if cost is not None:
            self.cost += metric_mean(cost)
        if event.stopped == "deadline":
            self.cut = True

    def _error(self, event: Error) -> None:
        state = TrialState.FAILED if event.final else TrialState.PENDING
        live = self.find(event.trial_id, state, event.kind)
        if event.final:
            self.failed += 1
            self._end(live, state, event)
            return
        live.failures += 1
        self._requeue(live)
        live.outcome = event

    def _score(self, event: Score) -> Trial:
        live = self.live.get(event.trial_id)
        if live is None or self.unscored.pop(event.trial_id, None) is None:
            raise IllegalTransition(f"score of trial {event.trial_id!r}, which has not just ended.")
        del self.live[live.id]
        self.explicit_ids.discard(live.id)
        self.ended[live.state] += 1
        trial = live.trial(event.score)
        branch = self._branch(event.branch)
        branch.pending -= 1
        if live.state is TrialState.FAILED:
            branch.failed += 1
        elif live.state is TrialState.COMPLETED:
            branch.completed += 1
        if event.counts:
            self.rewards.add(event.branch, event.reward, failed=live.state is TrialState.FAILED)
        if event.score is not None:
            if branch.best_score is None or self.goal.better(event.score, branch.best_score):
                branch.best_score = event.score
            if self.front is not None:
                self.front.add(trial.number, tuple(self.goal.scores(trial.metrics).values()))
            if event.best:
                # what users are handed they may change; the best is told of long after
                self.best = replace(trial, params=dict(trial.params), metrics=dict(trial.metrics), metadata=dict(trial.metadata))
        self.unfanned.append((trial, event))
        return trial

    def _trigger(self, event: PaperTrigger) -> None:
        self._branch(event.branch).triggered = True
        self.triggers.append(str(event.branch))

    def _prune(self, event: Prune) -> None:
        branch = self._branch(event.branch)
        branch.pruned = True
        branch.waiting = 0
        for index in [index for index, draw in self.pool.items() if draw.branch == event.branch]:
            dropped = self.pool.pop(index)
            if dropped.id is not None:
                self.explicit_ids.discard(dropped.id)

    def _expand(self, event: Expand) -> None:
        """Its follow-ups come as draws."""

    def _wait(self, event: Wait) -> None:
        self.unfanned.clear()
        self.waiting_why = event.why

    def _stop(self, event: Stop) -> None:
        if event.trial_id is None:
            self.stop = event
        elif event.trial_id in self.running:
            self.to_stop[event.trial_id] = event
        elif event.trial_id in self.paused:
            end_paused(self, event)

    # -- the pieces that several of them share ---------------------------------------------------------------------------------

    def find(self, trial_id: str, after: TrialState, cause: str) -> LiveTrial:
        """A trial in flight that may become ``after``. Raises ``IllegalTransition`` for any other."""
        live = self.live.get(trial_id)
        if live is None:
            raise IllegalTransition(f"{cause} of trial {trial_id!r}, which is not in flight.")
        check_transition(trial_id, live.state, after, cause)
        return live

    def _end(self, live: LiveTrial, state: TrialState, outcome: Result | Error) -> None:
        if live.state is TrialState.RUNNING:
            del self.running[live.id]
        else:
            self.to_start.pop(live.id, None)
        live.state = state
        live.outcome = outcome
        self.to_stop.pop(live.id, None)
        self.unscored[live.id] = live

    def _requeue(self, *lives: LiveTrial, first: bool = False) -> None:
        """They are to start again; those that a process has left in the midst before all that waits."""
        behind = dict(self.to_start) if first and lives else {}
        if behind:
            self.to_start.clear()
        for live in lives:
            del live.reports[live.kept :]
            live.state = TrialState.PENDING
            self.running.pop(live.id, None)
            self.to_stop.pop(live.id, None)
            self.to_start[live.id] = live
        self.to_start.update(behind)

    def _branch(self, name: str | None) -> BranchFold:
        fold = self.branches.get(name)
        if fold is None:
            fold = self.branches[name] = BranchFold()
        return fold
