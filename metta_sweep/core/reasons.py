"""Reasons in words: every event of a sweep says why it happened, formatted only when somebody reads it."""

from __future__ import annotations

from math import isinf

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
from metta_sweep.core.trial import Metric

__all__ = ["reason_of"]


def reason_of(event: Event) -> str:
    """One line that says why an event happened, such as ``"ucb 1.42 = mean 0.71 + 0.71, highest of 4 branches"``."""
    match event:
        case Pick():
            return _pick(event)
        case Draw():
            return _draw(event)
        case Dispatch():
            limit = "" if event.time_limit is None else f", limited to {event.time_limit:g} s"
            return f"{_nth_attempt(event.attempt)}{limit}"
        case Reported():
            return f"step {event.step}: {_metrics(event.metrics)}"
        case Result():
            ended = "ran to its end" if event.stopped is None else f"stopped ({event.stopped})"
            return f"{ended} after {event.seconds:.3g} s: {_metrics(event.metrics)}"
        case Error():
            after = "the trial has failed" if event.final else f"tried again after {event.backoff:g} s"
            return f"{event.type}: {event.message} ({_nth_attempt(event.attempt)}; {after})"
        case Score():
            return _score(event)
        case _:
            return _decision(event)


def _decision(event: PaperTrigger | Prune | Expand | Wait | Stop | Paused | Resume) -> str:
    match event:
        case PaperTrigger():
            return f"mean {event.mean:.4g} of {_runs(event.runs)} reached the threshold {event.threshold:g}"
        case Prune():
            dropped = f", {event.dropped} waiting dropped" if event.dropped else ""
            return f"mean {event.mean:.4g} of {_runs(event.runs)} is below the floor {event.floor:g}{dropped}"
        case Expand():
            refused = f", {event.refused} refused" if event.refused else ""
            named = ", ".join(event.follow_ups) or "none"
            return f"reward {event.reward:.4g} reached {event.threshold:g}; follow-ups: {named}{refused}"
        case Wait():
            return f"{event.why} ({event.busy} slots busy, {event.free} free)"
        case Stop():
            return f"{event.reason}: {event.detail}" if event.detail else event.reason
        case Paused():
            kept = "" if event.checkpoint is None else f", checkpoint {event.checkpoint[:8]}"
            return f"paused after step {event.step}, {event.seconds:.3g} s{kept}"
        case Resume():
            return _resume(event)


def _pick(event: Pick) -> str:
    if event.score is None:
        return event.why or "the next in the queue"
    if not event.compared and event.why:
        if event.mean is None or event.bonus is None:
            return f"ucb {event.score:.3g}, not tried yet, {event.why}" if isinf(event.score) else event.why
        return f"ucb {event.score:.3g} = mean {event.mean:.3g} + {event.bonus:.3g}, {event.why}"
    rank = f"highest of {event.compared} branches" if event.compared > 1 else "the only branch"
    if isinf(event.score) or event.mean is None or event.bonus is None:
        return f"ucb inf, not tried yet, {f'first of {event.compared} branches' if event.compared > 1 else rank}"
    note = f" ({event.why})" if event.why else ""
    return f"ucb {event.score:.3g} = mean {event.mean:.3g} + {event.bonus:.3g}, {rank}{note}"


def _resume(event: Resume) -> str:
    origin = "" if event.source is None else f" from the checkpoint of trial {event.source}"
    params = "" if event.params is None else " with " + ", ".join(f"{name}={value!r}" for name, value in event.params.items())
    return f"goes on after step {event.step}{origin}{params}" + (f": {event.why}" if event.why else "")


def _draw(event: Draw) -> str:
    if event.parent is not None:
        return f"follow-up of trial {event.parent}"
    asked = f", asked for {event.asked}" if event.asked else ""
    fixed = "" if not event.fixed else " with " + ", ".join(f"{name}={value!r}" for name, value in event.fixed.items())
    within = "" if event.within is None else f" within {event.within!r}"
    return f"proposed by {event.origin or 'the optimizer'}{asked}{within}{fixed}"


def _score(event: Score) -> str:
    if not event.counts:
        return "cut short: not counted as a run"
    score = "no score" if event.score is None else f"score {event.score:.4g}{' (the best so far)' if event.best else ''}"
    reward = "no value yet" if event.reward is None else f"reward {event.reward:.4g}"
    mean = "" if event.mean is None else f"; branch mean {event.mean:.4g} of {_runs(event.runs)}"
    return f"{score}, {reward}{mean}"


def _metrics(metrics: dict[str, Metric]) -> str:
    shown = [f"{name} {_value(value)}" for name, value in metrics.items()]
    return ", ".join(shown) if shown else "no metrics"


def _value(value: Metric) -> str:
    return f"{value[0]:.4g} ± {value[1]:.2g}" if isinstance(value, tuple) else f"{value:.4g}"


def _nth_attempt(attempt: int) -> str:
    return "first attempt" if attempt == 1 else f"attempt {attempt}"


def _runs(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"
