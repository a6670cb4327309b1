"""The four stages of a sweep. Each reads the open run and returns events; recording them makes them so.

What strategies decide runs inline, or in a thread for one that says that it is slow, so that trials run on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from metta_sweep.core.budget import StopReason
from metta_sweep.core.events import Event, Stop, Wait
from metta_sweep.core.trial import Verdict
from metta_sweep.errors import InvalidInput
from metta_sweep.executors.executor import StopCause
from metta_sweep.experiments.facts import facts_of, start_due
from metta_sweep.experiments.following import follow_up
from metta_sweep.experiments.grace import CHILDS_SHARE
from metta_sweep.experiments.offer import SweepOffer
from metta_sweep.experiments.outputs import FannedOut, Happened, Picked, Scored
from metta_sweep.experiments.scoring import score_all, verdicts
from metta_sweep.experiments.stopping import Barrier, barrier, why_over
from metta_sweep.experiments.sweep_run import Follower, SweepRun
from metta_sweep.experiments.tree.node import enclosing, inside
from metta_sweep.experiments.tree.taking import free_slots, settle, trials_left
from metta_sweep.pipeline import StageContext
from metta_sweep.threads import shared_workers

__all__ = ["dispatch", "fan_out", "pick", "score"]

T = TypeVar("T")
_CAUSES: Final[Mapping[str, StopCause]] = {Verdict.STOP: "verdict", Verdict.PAUSE: "pause", Verdict.COMPLETE: "complete"}
_NOTHING_PICKED = Picked(())
_NOTHING_HAPPENED = Happened(())
_NOTHING_SCORED = Scored(())
_NOTHING_FOLLOWS = FannedOut(())


async def pick(sweep: SweepRun) -> Picked:
    """Say which suggestions start, given the free slots; or that the run is over, and why."""
    state = sweep.state
    if sweep.owes:
        return _NOTHING_PICKED
    busy = sweep.busy()
    blocked = barrier(sweep)
    if blocked is not None and not (state.paused and blocked[0] is StopReason.BUDGET_TRIALS):
        settle(sweep, busy, 0)
        over = not state.running and (not state.to_start or sweep.halted())
        return _to_record(sweep, _stopped(blocked, ()) if over else _idle(sweep, blocked[1]))
    limit = trials_left(sweep)
    wished = max(0, sweep.slots - busy)
    free = free_slots(sweep, busy, wished)
    offer = SweepOffer(state, sweep.strategies, sweep.taken, sweep.undrawn, free, busy)
    offer.limit = limit
    if state.suggested == 0 and sweep.strategies.remaining():
        offer.draw_all()
        if offer.events:
            settle(sweep, busy, 0)
            return _to_record(sweep, Picked(tuple(offer.events)))
    exhausted = sweep.executor.exhausted()
    if exhausted is not None:
        offer.wait(exhausted)
    elif free and not await _decided(sweep, offer):
        return _NOTHING_PICKED
    events = offer.finish()
    settle(sweep, busy, offer.picks, wished if offer.picks == free and exhausted is None else 0)
    if offer.picks or state.active or sweep.held() or (blocked is None and barrier(sweep) is not None):
        return _to_record(sweep, Picked(events))
    why = blocked or why_over(sweep, offer.idle_why or offer.why, asked=offer.dry)
    return _to_record(sweep, _stopped(why, tuple(event for event in events if type(event) is not Wait)))


async def dispatch(sweep: SweepRun, stage: StageContext) -> Happened:
    """Start what was picked, and wait for what happens next. The executor keeps the facts until they are recorded."""
    state, executor = sweep.state, sweep.executor
    if sweep.unrecorded is not None:
        raise InvalidInput(
            "Plan.run(recorder=)",
            "what the pick stage returned was not recorded, so nothing would ever start",
            expected="the recorder of the open run",
            remedy="Write plan.run(sweep=run, recorder=run.recorder)",
        )
    if state.stop is not None or sweep.owes:
        return _NOTHING_HAPPENED
    for trial_id, step in sweep.go_on:
        executor.answer(trial_id, step)
    for trial_id, verdict in state.to_stop.items():
        executor.stop(trial_id, _CAUSES[verdict.reason], sweep.grace)
        if sweep.node.children:
            why = f"trial[{trial_id}] of {sweep.node.shown} is ended by a verdict"
            sweep.node.end_children(why, CHILDS_SHARE * sweep.grace, f"trial[{trial_id}]")
    if sweep.follower is not None and sweep.follower.behind:
        stage.end_timeout()
        await _followed(sweep, sweep.follower)
        return _NOTHING_HAPPENED
    if enclosing() is sweep.node:
        started = start_due(sweep)
    else:  # a chain that was composed by hand: what its trials run, runs inside it all the same
        with inside(sweep.node):
            started = start_due(sweep)
    stage.end_timeout()
    if started:
        await asyncio.sleep(0)
    else:
        await _something(sweep)
    events = executor.peek()
    if not events and not started:
        return _NOTHING_HAPPENED
    return Happened((*started, *facts_of(sweep, events)), len(events))


async def score(sweep: SweepRun) -> Scored:
    """Turn what happened into scores, rewards and running statistics, and judge the reports of running trials."""
    state = sweep.state
    if not state.unscored and not state.unjudged:
        return _NOTHING_SCORED
    scores: list[Event] = []
    if state.unscored:
        sweep.fit.check()
        scores = await _in_thread(sweep, lambda: score_all(sweep)) if sweep.scheduler.slow else score_all(sweep)
    if not state.unjudged:
        return Scored(tuple(scores))
    stops, go_on = verdicts(sweep)
    return Scored((*scores, *stops), go_on)


async def fan_out(sweep: SweepRun) -> FannedOut:
    """Decide what follows from each result, in their order: triggers, prunings, follow-ups."""
    if not sweep.state.unfanned:
        return _NOTHING_FOLLOWS
    events = await _in_thread(sweep, lambda: follow_up(sweep)) if sweep.scheduler.slow else follow_up(sweep)
    return FannedOut(tuple(events)) if events else _NOTHING_FOLLOWS


# -- pieces ------------------------------------------------------------------------------------------------------------------------


async def _in_thread(sweep: SweepRun, decision: Callable[[], T]) -> T:
    """Decide in a thread. One that was given up at a timeout is waited for first: strategies are asked one thing at a time."""

    def alone() -> T:
        with sweep.deciding:
            return decision()

    return await shared_workers().run(alone)


async def _decided(sweep: SweepRun, offer: SweepOffer) -> bool:
    """Let the scheduler pick; False when the run is to end before it has, so that nothing of it counts."""
    if not (sweep.optimizer.slow or sweep.scheduler.slow):
        sweep.scheduler.pick(offer)
        return True
    with sweep.deadline_watched():
        await _in_thread(sweep, lambda: sweep.scheduler.pick(offer))
    return not sweep.halted()


def _to_record(sweep: SweepRun, picked: Picked) -> Picked:
    """What is returned must be recorded before anything can start."""
    if picked.picks:
        sweep.unrecorded = picked
    return picked


def _idle(sweep: SweepRun, why: str) -> Picked:
    """Nothing may start and something runs: note why slots are idle, once."""
    busy = sweep.busy()
    free = sweep.slots - busy
    if free < 1 or why == sweep.state.waiting_why:
        return Picked(())
    return Picked((Wait(why, busy, free),))


def _stopped(why: Barrier, events: tuple[Event, ...]) -> Picked:
    reason, detail = why
    return Picked((*events, Stop(reason.value, detail)), StopReason(reason))


async def _followed(sweep: SweepRun, follower: Follower) -> None:
    """Wait for the one who follows the run; trials run on meanwhile, and end at the deadline."""
    sweep.recorder.flush()
    with sweep.deadline_watched():
        await follower.caught_up()


async def _something(sweep: SweepRun) -> None:
    """Wait until there is a fact, an attempt that may start, or nothing left to wait for."""
    state, executor = sweep.state, sweep.executor
    while not executor.peek():
        if sweep.halted() and not sweep.asked_to_end:
            sweep.ask_to_end()
            continue
        held = sweep.held()
        if not state.running and (sweep.halted() or not (held or sweep.not_before)):
            return
        until = sweep.wake_at()
        if until is not None and until <= sweep.time():
            return
        beat = sweep.beat_at()
        if beat is not None and beat <= sweep.time():
            sweep.recorder.note_alive()
            continue
        if not sweep.own_time:
            sweep.recorder.flush()
        await executor.wait(beat if until is None else until if beat is None else min(until, beat))
        if held and (sweep.node.slots.counts or not sweep.held()):
            return
