"""What pauses mean for the state of a sweep: how a trial pauses, goes on, and ends without going on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metta_sweep.core.events import Paused, Result, Resume, Stop
from metta_sweep.core.trial import TrialState, Verdict, check_transition

if TYPE_CHECKING:
    from metta_sweep.experiments.fold import SweepState

__all__ = ["end_paused", "pause", "resume"]


def pause(state: SweepState, event: Paused) -> None:
    """Its attempt has ended, and its slot is free; of its reports the last one is kept."""
    live = state.find(event.trial_id, TrialState.PAUSED, event.kind)
    del state.running[live.id]
    state.to_stop.pop(live.id, None)
    live.state = TrialState.PAUSED
    live.step, live.checkpoint = event.step, event.checkpoint
    del live.reports[:-1]
    live.kept = len(live.reports)
    live.lost = 0
    state.paused[live.id] = live


def resume(state: SweepState, event: Resume) -> None:
    """It is to start, after the step and with the checkpoint and the parameters that the event tells."""
    live = state.find(event.trial_id, TrialState.PENDING, event.kind)
    del state.paused[live.id]
    live.state = TrialState.PENDING
    live.step, live.checkpoint = event.step, event.checkpoint
    if event.params is not None:
        live.params = event.params
    source = None if event.source is None else state.live.get(event.source)
    if source is not None:  # what it takes has been reported there
        live.reports = [report for report in source.reports[: source.kept] if report.step == event.step]
        live.kept = len(live.reports)
    state.to_start[live.id] = live
    state.waiting_why = None


def end_paused(state: SweepState, event: Stop) -> None:
    """It has ended: completed with the metrics of its last report, or stopped. It is to be scored like any other."""
    live = state.paused[str(event.trial_id)]
    complete = event.reason == Verdict.COMPLETE
    after, cause = (TrialState.COMPLETED, Verdict.COMPLETE.value) if complete else (TrialState.STOPPED, "verdict")
    check_transition(live.id, live.state, after, cause)
    metrics = dict(live.reports[-1].metrics) if complete and live.reports else {}
    del state.paused[live.id]
    live.state = after
    live.outcome = Result(live.id, live.branch, live.attempt, metrics, 0.0, cause)
    state.unscored[live.id] = live
