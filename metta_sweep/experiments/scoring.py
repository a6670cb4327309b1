"""What ended trials mean, and what is said of running ones. Nothing is changed: the statistics run on an overlay."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from logging import getLogger

from metta_sweep.core.events import Event, Score, Stop
from metta_sweep.core.trial import Trial, TrialState, Verdict, metric_mean
from metta_sweep.errors import MetricError, SchedulerError
from metta_sweep.experiments.live import LiveTrial
from metta_sweep.experiments.sweep_run import SweepRun

_log = getLogger("metta_sweep")

__all__ = ["score_all", "verdicts"]

_CUT = ("deadline", "interrupt")


def score_all(sweep: SweepRun) -> list[Event]:
    """A score event for each trial that ended, in the order of results; each sees those before it."""
    rewards = sweep.state.rewards.overlay()
    best = sweep.state.best.score if sweep.state.best is not None else None
    several = sweep.state.front is not None
    scores: list[Event] = []
    for live in sweep.state.unscored.values():
        score = sweep.goal.score(live.outcome.metrics) if live.state is TrialState.COMPLETED and live.outcome is not None else None  # type: ignore[union-attr]
        trial = live.trial(score)
        counts = trial.reason not in _CUT
        reward = _reward(sweep, trial, rewards.worst) if counts else None
        if counts:
            rewards.add(live.branch, reward, failed=live.state is TrialState.FAILED)
            _look_at_scale(sweep, trial, reward)
            if sweep.looks_for_reports:
                _look_for_reports(sweep, trial)
        is_best = score is not None and not several and (best is None or sweep.goal.better(score, best))
        if is_best:
            best = score
        scores.append(
            Score(live.id, live.branch, score, reward, rewards.of(live.branch)[0], rewards.mean(live.branch), is_best, counts)
        )
    return scores


def _look_for_reports(sweep: SweepRun, trial: Trial) -> None:
    """Warn once when the scheduler judges reports and a trial has made none: nothing is ever stopped early then."""
    judged = sweep.scheduler.needs_reports
    if judged and (trial.reports or trial.state is not TrialState.COMPLETED):
        return
    sweep.looks_for_reports = False
    if not judged:
        return
    _log.warning(
        "trial %r completed without a report, and %s judges reports: it cannot stop such trials early. "
        "Report from the trial function: yield its metrics, or call trial.report(epoch, loss=...)",
        trial.id,
        type(sweep.scheduler).__name__,
    )


def _look_at_scale(sweep: SweepRun, trial: Trial, reward: float | None) -> None:
    """Warn once when the scheduler is made for rewards in [0, 1] and this one is none: it would prune and trigger wrongly."""
    if reward is None or 0.0 <= reward <= 1.0 or sweep.warned_of_scale or not sweep.scheduler.unit_rewards:
        return
    sweep.warned_of_scale = True
    _log.warning(
        "the reward of trial %r is %g, and %s is made for rewards in [0, 1]: it will explore, prune and trigger wrongly. "
        "Pass reward='observed_range' to it, or a reward= that scales the score",
        trial.id,
        reward,
        type(sweep.scheduler).__name__,
    )


def _reward(sweep: SweepRun, trial: Trial, worst: float | None) -> float | None:
    """The reward of a run: of a failed one what the scheduler says, else the worst so far; of a stopped one its last report."""
    scheduler = sweep.scheduler
    if trial.state is TrialState.FAILED:
        given = scheduler.failure_reward()
        return worst if given is None else _finite(given, trial, "failure_reward")
    if sweep.rewards:
        given = scheduler.reward(replace(trial, params=dict(trial.params), metrics=dict(trial.metrics)))
        if given is not None:
            return _finite(given, trial, "reward")
    if trial.score is not None:
        return sweep.goal.sign * trial.score
    last = _last_score(sweep, trial)
    if last is not None:
        return sweep.goal.sign * last
    given = scheduler.failure_reward()
    return worst if given is None else given


def _last_score(sweep: SweepRun, trial: Trial) -> float | None:
    metrics = trial.metrics or (trial.last_report.metrics if trial.last_report is not None else {})
    if sweep.goal.metric is not None:
        found = metrics.get(sweep.goal.metric)
        return None if found is None else metric_mean(found)
    return metric_mean(next(iter(metrics.values()))) if len(metrics) == 1 else None


def _finite(reward: object, trial: Trial, what: str) -> float:
    if isinstance(reward, bool) or not isinstance(reward, (int, float)) or not math.isfinite(reward):
        raise MetricError(
            f"{what}= gave {reward!r} for trial {trial.id!r}: a reward must be a finite number, higher is better. "
            "Mend the function and run again: the trial's metrics are kept."
        )
    return float(reward)


def verdicts(sweep: SweepRun) -> tuple[list[Event], tuple[tuple[str, int], ...]]:
    """Judge the reports of trials that still run: stop events, and the reports whose trials go on."""
    stops: list[Event] = []
    go_on: list[tuple[str, int]] = []
    stopping = set(sweep.state.to_stop)
    if not stopping and not sweep.judges:
        return stops, tuple([(report.trial_id, report.step) for report in sweep.state.unjudged])
    left = Counter(report.trial_id for report in sweep.state.unjudged)
    for report in sweep.state.unjudged:
        left[report.trial_id] -= 1
        live = sweep.state.running.get(report.trial_id)
        if live is None or report.trial_id in stopping:
            continue
        count = len(live.reports) - left[report.trial_id]
        verdict = _verdict(sweep, live, count) if sweep.judges and _is_judged(sweep, live, count) else Verdict.CONTINUE
        if verdict is Verdict.CONTINUE:
            go_on.append((report.trial_id, report.step))
        else:
            stopping.add(live.id)
            stops.append(Stop(verdict.value, trial_id=live.id, branch=live.branch, step=report.step))
    return stops, tuple(go_on)


def _is_judged(sweep: SweepRun, live: LiveTrial, count: int) -> bool:
    """Whether the scheduler wants to be asked about the last of the first ``count`` reports."""
    if sweep.next_judged is None:
        return True
    before = live.reports[count - 2].step if count > live.kept + 1 else -1 if live.step is None else live.step
    judged = sweep.next_judged(live.id, before)
    return judged is not None and live.reports[count - 1].step >= judged


def _verdict(sweep: SweepRun, live: LiveTrial, count: int) -> Verdict:
    """The verdict on the last of the first ``count`` reports, as the trial stood then."""
    trial = live.trial()
    if count < len(trial.reports):
        trial = replace(trial, reports=trial.reports[:count])
    verdict = sweep.scheduler.judge(trial, trial.reports[-1])
    if type(verdict) is Verdict:
        return verdict
    if isinstance(verdict, str) and verdict in tuple(Verdict):
        return Verdict(verdict)
    raise SchedulerError(
        f"{type(sweep.scheduler).__name__}.judge",
        f"the verdict on trial {live.id!r} cannot be carried out",
        found=verdict,
        expected="Verdict.CONTINUE, PAUSE, STOP or COMPLETE",
        remedy="Return one of the verdicts",
    )
