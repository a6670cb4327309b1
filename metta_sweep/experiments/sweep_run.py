"""One run of a sweep while it is open: what the four stages read."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from metta_sweep.core.budget import Budget, Spend
from metta_sweep.core.events import Dispatch, Draw, Error, Event
from metta_sweep.core.goal import Goal
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.executors.executor import StopCause, has_own_time
from metta_sweep.experiments.blueprint import Blueprint
from metta_sweep.experiments.devices import GpuQueue
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.goal_fit import GoalFit
from metta_sweep.experiments.grace import CHILDS_SHARE, beat_for, grace_for
from metta_sweep.experiments.judging import next_judged_of
from metta_sweep.experiments.outputs import FannedOut, Happened, Picked, Scored
from metta_sweep.experiments.recorder import SweepRecorder
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.strategies import Strategies
from metta_sweep.experiments.taken_ids import TakenIds
from metta_sweep.experiments.tidying import Tidying
from metta_sweep.experiments.tree.node import Node
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.records import Store
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["Follower", "SweepRun"]


class Follower(Protocol):
    """One who is told of a run while it runs, and whom the run waits for. What it raises ends the run."""

    @property
    def behind(self) -> bool:
        """Whether it has not taken what it was told: nothing more starts until it has."""
        ...  # type checkers need it

    def fanned_out(self) -> None:
        """What happened has been recorded, and so has what follows from it."""

    async def caught_up(self) -> None:
        """Wait until it is not behind."""


class SweepRun:
    """An open run: its state, its members and its clock. Stages read it and change nothing of it.

    ``open()`` of a sweep gives one; ``plan.run(sweep=run, recorder=run.recorder)`` runs a chain of stages on it.
    """

    follower: Follower | None = None
    """Who is told after each fan-out."""
    interrupted = False
    why_interrupted = "the run was asked to stop"
    warned_of_scale = False
    looks_for_reports = True
    """Whether a trial that ends without a report may have to be warned of."""

    def __init__(
        self,
        plan: Blueprint,
        *,
        node: Node,
        store: Store,
        run_id: str,
        seed: int,
        state: SweepState,
        strategies: Strategies,
        recorder: SweepRecorder,
        budget: Budget,
        budget_note: str,
    ) -> None:
        self.plan = plan
        self.node = node
        """Its place in the tree of experiments that run inside each other."""
        self.store = store
        self.run_id = run_id
        self.seed = seed
        self.state = state
        self.strategies = strategies
        self.recorder = recorder
        self.budget = budget
        self.budget_note = budget_note
        self.executor = plan.executor
        self.failures = plan.failures
        self.slots = plan.slots
        self.gpu_queue = GpuQueue(plan.executor)
        """Whether trials that ask for GPUs may start."""
        self.taken = TakenIds(state, recorder.has_ended)
        self.grace = grace_for(plan.grace, budget)
        """Seconds that running trials get to end by themselves, at the deadline and after an interrupt."""
        kind = type(strategies.scheduler)
        self.allocates = kind.allocate_resources is not Scheduler.allocate_resources
        """Whether the scheduler has a say in resources."""
        self.judges = kind.judge is not Scheduler.judge or kind.should_stop is not Scheduler.should_stop
        """Whether it has a say on reports."""
        self.next_judged = next_judged_of(strategies.scheduler)
        """Tells the step at which a trial is judged next; None: at every step."""
        self.rewards = kind.reward is not Scheduler.reward
        """Whether it has a say in rewards."""
        self.owes = bool(state.unscored or state.unfanned)
        """Whether a process before this one left results that are not scored or fanned out: that comes first."""
        self.ended_before = sum(state.ended.values())
        """Trials that ended in the processes before this one."""
        self.fit = GoalFit(plan.goal, known=state.ended[TrialState.COMPLETED] > 0)
        """Whether the goal fits what trials return."""
        self.asked_to_end = False
        """Whether running trials have been asked to stop, at the deadline or after an interrupt."""
        self.unrecorded: Picked | None = None
        """The last output of the pick stage, until it is recorded."""
        self.undrawn: list[Draw] = []
        """Suggestions that a pick stage drew and that are not in the journal yet."""
        self.deciding = threading.Lock()
        """Held by a thread in which a strategy decides."""
        self.go_on: tuple[tuple[str, int], ...] = ()
        """Reports that were judged, for the executor to let their trials go on."""
        self.watchers: list[Callable[[Trial], None]] = []
        """Called with each trial that has ended and been scored. What they are told may not be committed yet: ``recorder.flush()``
        before it is told outside."""
        self._set_clock()
        recorder.after_record = self._after_record
        self._tidying = Tidying(plan.executor, state)
        recorder.elapsed = self.elapsed

    def _set_clock(self) -> None:
        self.own_time = has_own_time(self.executor)
        """Whether time is the executor's, not the event loop's: waiting takes none, nor does deciding."""
        self._time: Callable[[], float] = float if self.own_time else asyncio.get_running_loop().time
        self._began = self._time()
        before = self._began - self.recorder.active_before
        self.not_before = _back_offs(self.state, before)
        """When trials that wait for their next attempt may start, on the clock of the run."""
        self.deadline = None if self.budget.seconds is None else before + self.budget.seconds

    @property
    def name(self) -> str | None:
        """The name of the experiment, for kept runs that go on."""
        return self.plan.name

    @property
    def goal(self) -> Goal:
        """What the trials are to reach."""
        return self.plan.goal

    @property
    def draws_a_queue(self) -> bool:
        """Whether the suggestions are a ``SuggestionQueue``'s."""
        return isinstance(self.plan.optimizer, SuggestionQueue)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of this run, with what it has learned."""
        return self.strategies.optimizer

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler of this run."""
        return self.strategies.scheduler

    def attend(self) -> None:
        """The executor is open: from now on its time counts, where it has its own, and what it keeps may be removed."""
        executor = self.executor
        self.recorder.after_flush = self._tidying.committed
        if has_own_time(executor):
            self._time = executor.clock
            self.recorder.gather_by(time.monotonic)
            executor.judge_by(self.next_judged)

    def time(self) -> float:
        """Seconds on the clock of the run: the event loop's, or the executor's own."""
        return self._time()

    def elapsed(self) -> float:
        """Active seconds in this process."""
        return self._time() - self._began

    def active_seconds(self) -> float:
        """Active seconds of the run, in all processes."""
        return self.recorder.active_before + self.elapsed()

    def spend(self) -> Spend:
        """What is used so far."""
        return self.node.total()

    def own_spend(self) -> Spend:
        """What its own trials have used, without what ran inside them."""
        before = self.recorder.inherited  # used by the run of which this one is a fork
        return Spend(self.state.picked - before.trials, self.active_seconds() - before.seconds, self.state.cost - before.cost)

    def busy(self) -> int:
        """Slots in use: running trials, those that are to start now, and threads that could not be ended."""
        state = self.state
        busy = len(state.running) + self.executor.leaked_slots
        if not self.not_before:
            return busy + len(state.to_start)
        now = self._time()
        return busy + sum(1 for trial_id in state.to_start if self.not_before.get(trial_id, 0.0) <= now)

    def held_by_leaks(self) -> bool:
        """Whether no slot is free because attempts that could not be ended still run."""
        return 0 < self.executor.leaked_slots >= self.slots - len(self.state.running)

    def held(self) -> bool:
        """Whether nothing starts though it may: attempts that could not be ended, or other experiments, have the slots or GPUs."""
        return self.held_by_leaks() or self.gpu_queue.waiting or self.node.slots.short

    def may_have_more(self) -> bool:
        """Whether a suggestion waits or the optimizer may have another."""
        return bool(self.state.pool) or self.strategies.remaining() != 0

    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and self._time() >= self.deadline

    def halted(self) -> bool:
        """Whether not even another attempt of a picked trial may start."""
        return self.interrupted or self.late() or self.failures.exceeded(self.state.failed, self.state.dispatched)

    def result(self) -> SweepResult:
        """The result as it stands, committed."""
        self.recorder.flush()
        return SweepResult(
            name=self.name,
            address=self.node.address,
            run_id=self.run_id,
            goal=self.goal,
            state=self.state,
            store=self.store,
            spend=self.spend(),
            added=sum(self.state.ended.values()) - self.ended_before,
            seed=self.seed,
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            alternatives=self.plan.alternatives,
        )

    def interrupt(self) -> None:
        """Ask the run to end: nothing new starts, running trials get their grace. Safe from any thread."""
        self.interrupted = True
        self.executor.wake()

    def end_early(self, why: str, grace: float) -> None:
        """Something around it ends."""
        if not self.interrupted and self.state.stop is None:
            self.why_interrupted = why
            self.grace = min(self.grace, grace)
            self.interrupt()

    def ends_early(self) -> str:
        """Why it ends before its time; empty while it does not."""
        if self.interrupted:
            return self.why_interrupted
        return f"the {self.budget.seconds:g} s of {self.node.shown} are over" if self.late() and self.budget.seconds else ""

    def must_end(self) -> None:
        """Something inside it ended since this is to end."""
        if not self.asked_to_end and (self.interrupted or self.late()):
            self.ask_to_end()

    def wake(self) -> None:
        """A slot has come that was waited for."""
        self.executor.wake()

    def child_ended(self, address: str, spend: Spend) -> None:
        """Keep what an experiment inside it has used, where that counts here."""
        if spend.cost or spend == Spend():
            self.recorder.note_child(address, spend)

    def ask_to_end(self) -> None:
        """Ask what runs to end, with its grace: at the deadline for good, otherwise to be taken up again later."""
        self.asked_to_end = True
        cause: StopCause = "deadline" if self.late() and not self.interrupted else "interrupt"
        for trial_id in self.state.running:
            self.executor.stop(trial_id, cause, self.grace)
        if self.node.children:
            self.node.end_children(self.ends_early() or "the run ends", CHILDS_SHARE * self.grace)

    @contextmanager
    def deadline_watched(self) -> Iterator[None]:
        """While something slow is decided, running trials are asked to end at the deadline all the same."""
        if self.deadline is None or self.asked_to_end or self.own_time:
            yield
            return
        timer = asyncio.get_running_loop().call_at(self.deadline, self.ask_to_end)
        try:
            yield
        finally:
            timer.cancel()

    def wake_at(self) -> float | None:
        """When dispatch must look up though nothing happened: at the deadline, or when an attempt may be tried again."""
        times = [] if self.deadline is None or self.asked_to_end else [self.deadline]
        if self.not_before and self.slots > len(self.state.running) + self.executor.leaked_slots and not self.halted():
            now = self._time() if self.held() else -math.inf  # one that is due then starts when there is a slot
            times.extend(due for due in self.not_before.values() if due > now)
        return min(times, default=None)

    def beat_at(self) -> float | None:
        """When the journal is to be told that the run goes on, so that a kill loses few of its seconds; None: never."""
        seconds = self.budget.seconds
        if seconds is None or self.own_time:
            return None
        return self._began + self.recorder.noted + beat_for(seconds)

    def _after_record(self, output: Any) -> None:
        kind = type(output)
        if kind is Picked:
            self.unrecorded = None
            self.undrawn.clear()
        elif kind is Happened:
            self.executor.acknowledge(output.acknowledge)
            self._note_backoffs(output.facts)
            self._tidying.recorded(output.facts)
            self.go_on = ()
        elif kind is Scored:
            self.owes = False
            self.go_on = output.go_on
            self.state.judged()
            if self.watchers:
                for trial, _ in self.state.unfanned:
                    for watch in self.watchers:
                        watch(trial)
        elif kind is FannedOut and self.follower is not None:
            self.follower.fanned_out()

    def _note_backoffs(self, facts: Sequence[Event]) -> None:
        for fact in facts:
            if isinstance(fact, Error):
                if not fact.final and fact.backoff > 0:
                    self.not_before[fact.trial_id] = self._time() + fact.backoff
            elif self.not_before and isinstance(fact, Dispatch):
                self.not_before.pop(fact.trial_id, None)


def _back_offs(state: SweepState, zero: float) -> dict[str, float]:
    """What trials whose attempt failed in a process before this one still have to wait; ``zero`` is when the run was 0 s active."""
    return {live.id: zero + live.due for live in state.to_start.values() if live.due}
