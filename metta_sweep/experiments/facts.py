"""From the executor's events to the facts of the journal, and from picks to starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metta_sweep.address import attempt as attempt_address
from metta_sweep.address import join
from metta_sweep.clock import crash_point
from metta_sweep.core.events import Dispatch, Error, Event, Paused, Reported, Result
from metta_sweep.core.seeds import seed_of_32_bits
from metta_sweep.core.trial import Metric
from metta_sweep.errors import MetricError
from metta_sweep.executors.executor import Ended, ReportMade, TrialEvent, TrialTask
from metta_sweep.executors.failure import error_name
from metta_sweep.experiments.live import LiveTrial
from metta_sweep.experiments.sweep_run import SweepRun
from metta_sweep.experiments.tree.taking import startable

__all__ = ["MAX_LOST", "facts_of", "start_due"]

MAX_LOST = 3
"""A trial whose attempts were lost with their driver this many times in a row is given up: it may be what kills it."""

_METRIC_ERROR: Final = error_name(MetricError)


def start_due(sweep: SweepRun) -> list[Event]:
    """Start the trials that are to start and may. Starting one twice does nothing: the executor remembers it."""
    state = sweep.state
    if not state.to_start or sweep.halted():
        return []
    facts: list[Event] = []
    sweep.gpu_queue.clear()
    free = startable(sweep)
    for live in state.to_start.values():
        if free < 1:
            break
        if live.lost >= MAX_LOST:
            facts.append(_given_up(live))
        elif not sweep.not_before or sweep.not_before.get(live.id, 0.0) <= sweep.time():
            started = _start(sweep, live)
            if started is None:
                waits = sweep.gpu_queue.wait_event(sweep)
                return facts if waits is None else [*facts, waits]
            facts.append(started)
            free -= 1
    return facts


def _start(sweep: SweepRun, live: LiveTrial) -> Dispatch | None:
    """Start a trial; None where it must wait for GPUs."""
    trial = live.starting()
    resources = sweep.plan.resources
    if sweep.allocates:
        resources = sweep.scheduler.allocate_resources(trial) or resources
    if resources.gpus and not sweep.gpu_queue.admit(trial.id, resources):
        return None
    address = attempt_address(f"trial[{live.id}]", trial.attempt)
    if sweep.node.address:
        address = join(sweep.node.address, address)
    crash_point("dispatch.before")
    seed = seed_of_32_bits(sweep.seed, "trial", live.draw.suggestion)
    sweep.executor.start(TrialTask(trial, seed, resources, address, live.step, live.checkpoint))
    crash_point("dispatch.after")
    return Dispatch(live.id, live.branch, trial.attempt, resources.time_limit)


def _given_up(live: LiveTrial) -> Error:
    return Error(
        live.id,
        live.branch,
        live.attempt,
        "lost",
        f"{live.lost} attempts in a row were lost with the process that ran them, so this trial may be what ends it",
        "",
        0.0,
    )


def facts_of(sweep: SweepRun, events: Sequence[TrialEvent]) -> list[Event]:
    """What the executor tells, as facts. A late word of an attempt that is not the current one is no fact."""
    facts: list[Event] = []
    for event in events:
        live = sweep.state.live.get(event.trial_id)
        if live is None or event.attempt != live.attempt + (live.id in sweep.state.to_start):
            continue
        if type(event) is ReportMade:
            if live.step is not None and event.step <= live.step:
                # it began anew although it could have gone on: what it reports again is known, and was judged
                sweep.executor.answer(event.trial_id, event.step)
                continue
            facts.append(Reported(event.trial_id, live.branch, event.attempt, event.step, event.metrics))
        elif type(event) is Ended:
            facts.append(_end(sweep, live, event, facts))
    return facts


def _end(sweep: SweepRun, live: LiveTrial, ended: Ended, before: Sequence[Event]) -> Result | Error | Paused:
    crash_point("result.before")
    error = ended.error
    if error is not None:
        failures = live.failures + 1
        # what a trial returns wrongly it returns so again: its seed and parameters stay
        final = failures > sweep.failures.retries or error.type == _METRIC_ERROR
        backoff = 0.0 if final else sweep.failures.delay(failures)
        return Error(
            live.id,
            live.branch,
            ended.attempt,
            error.type,
            error.message,
            error.traceback,
            ended.seconds,
            final,
            backoff,
            ended.metadata,
        )
    metrics = ended.metrics or {}
    if ended.stopped == "pause":
        last = _last_report(live, before)
        step = live.step or 0 if last is None else last[0]
        return Paused(live.id, live.branch, ended.attempt, step, ended.seconds, ended.checkpoint, ended.metadata)
    if ended.stopped == "complete":
        last = _last_report(live, before)
        metrics = {**(last[1] if last is not None else {}), **metrics}
    if ended.stopped in (None, "complete"):
        fault = sweep.fit.fault_of(metrics, f"trial[{live.id}]")
        if fault is not None:
            return Error(live.id, live.branch, ended.attempt, _METRIC_ERROR, fault, "", ended.seconds, metadata=ended.metadata)
    return Result(live.id, live.branch, ended.attempt, metrics, ended.seconds, ended.stopped, ended.metadata)


def _last_report(live: LiveTrial, before: Sequence[Event]) -> tuple[int, dict[str, Metric]] | None:
    """Step and metrics of the trial's newest report, those of this turn included."""
    for event in reversed(before):
        if type(event) is Reported and event.trial_id == live.id:
            return event.step, event.metrics
    return (live.reports[-1].step, live.reports[-1].metrics) if live.reports else None
