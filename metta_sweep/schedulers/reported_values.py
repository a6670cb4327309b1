"""What a report says of the goal, for schedulers that stop trials early."""

from __future__ import annotations

from collections.abc import Mapping

from metta_sweep.core.goal import Goal
from metta_sweep.core.trial import Metric, Report, Trial, metric_mean
from metta_sweep.errors import MetricError

__all__ = ["higher_is_better", "unjudgeable"]


def higher_is_better(goal: Goal, metrics: Mapping[str, Metric]) -> float | None:
    """The (leading) metric of the goal, with its sign turned where less is better; None where a report does not have it."""
    if goal.metric is not None:
        found = metrics.get(goal.metric)
        return None if found is None else goal.sign * metric_mean(found)
    if len(metrics) != 1:
        return None
    (value,) = metrics.values()
    return goal.sign * metric_mean(value)


def unjudgeable(kind: str, goal: Goal, trial: Trial, report: Report) -> MetricError:
    """The error for a report that is to be judged, and does not have the metric that decides."""
    try:
        goal.score(report.metrics)
    except MetricError as error:
        return MetricError(
            f"the report of trial {trial.id!r} at step {report.step}: {error} "
            f"{kind} judges trials by what they report, and no report so far had it."
        )
    raise ValueError(f"the report of trial {trial.id!r} at step {report.step} can be judged")
