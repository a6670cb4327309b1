"""Goals."""

from __future__ import annotations

from typing import Any

import pytest

from metta_sweep.core.goal import Goal
from metta_sweep.errors import GoalError, MetricError


@pytest.mark.parametrize(
    ("goal", "metric", "expected"),
    [
        ("maximize", None, Goal()),
        ("minimize", None, Goal("minimize")),
        ("minimize", "loss", Goal("minimize", "loss")),
        ({"accuracy": "maximize"}, None, Goal("maximize", "accuracy")),
        ({"loss": "minimize"}, "loss", Goal("minimize", "loss")),
        (Goal("minimize"), "loss", Goal("minimize", "loss")),
        (Goal("minimize", "loss"), None, Goal("minimize", "loss")),
    ],
)
def test_goals_as_users_write_them(goal: Any, metric: str | None, expected: Goal) -> None:
    """A goal is a direction, a metric with its direction, or a goal."""
    assert Goal.of(goal, metric) == expected


def test_better_follows_the_direction() -> None:
    """The sign and the comparison follow the direction; a tie is no better."""
    up, down = Goal(), Goal("minimize")
    assert (up.sign, down.sign) == (1, -1)
    assert up.better(2, than=1)
    assert down.better(1, than=2)
    assert not up.better(1, than=1)
    assert not down.better(1, than=1)
    assert down.describe() == {"direction": "minimize", "metric": None}


def test_the_score_is_the_deciding_metric() -> None:
    """The score is the named metric, or the only one; of (mean, sem) the mean; never sign-flipped."""
    assert Goal("minimize").score({"score": 0.5}) == 0.5
    assert Goal("minimize").score({"loss": (0.25, 0.1)}) == 0.25
    assert Goal("maximize", "accuracy").score({"loss": 1.0, "accuracy": 0.0}) == 0.0


@pytest.mark.parametrize(
    ("goal", "metrics", "texts"),
    [
        (Goal(), {"loss": 1.0, "accuracy": 0.5}, ["2 metrics ('loss', 'accuracy')", "goal={'loss': 'maximize'}", "metric='loss'"]),
        (Goal(), {}, ["no metrics", "Return a number"]),
        (Goal("minimize", "loss"), {"score": 1.0}, ["no metric 'loss'", "found 'score'", "Return {'loss': ...}"]),
        (Goal("minimize", "loss"), {"los": 1.0}, ["no metric 'loss'", "found 'los'", "Did you mean 'los'?"]),
        (Goal("minimize", "loss"), {}, ["no metric 'loss'", "found none"]),
    ],
)
def test_scores_that_cannot_be_told(goal: Goal, metrics: Any, texts: list[str]) -> None:
    """Without the one deciding metric the error names the metrics found and the way to mend it."""
    with pytest.raises(MetricError) as caught:
        goal.score(metrics)
    for text in texts:
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("goal", "metric", "where", "found", "remedy"),
    [
        ("max", None, "goal", "max", "Did you mean 'maximize'?"),
        ("Minimise", None, "goal", "Minimise", "Did you mean 'minimize'?"),
        ("up", None, "goal", "up", "Write 'maximize' or 'minimize'"),
        (3, None, "goal", 3, "Write 'maximize'"),
        (None, None, "goal", None, "Write 'maximize'"),
        ({}, None, "goal", {}, "Name the one metric"),
        (
            {"accuracy": "maximize", "latency": "minimize"},
            None,
            "goal",
            {"accuracy": "maximize", "latency": "minimize"},
            "Name the one metric",
        ),
        ({"accuracy": "max"}, None, "goal for 'accuracy'", "max", "Did you mean 'maximize'?"),
        ({"accuracy": None}, None, "goal for 'accuracy'", None, "Write 'maximize' or 'minimize'"),
        ({"accuracy": ["maximize"]}, None, "goal for 'accuracy'", ["maximize"], "Write 'maximize' or 'minimize'"),
        ({3: "maximize"}, None, "metric", 3, "Write 'accuracy'"),
        ({"accuracy": "maximize"}, "loss", "metric", "loss", "Leave metric= out"),
        ("maximize", "", "metric", "", "Write 'accuracy'"),
        ("maximize", ["loss"], "metric", ["loss"], "Write 'accuracy'"),
    ],
)
def test_malformed_goals_are_refused(goal: Any, metric: Any, where: str, found: Any, remedy: str) -> None:
    """A goal that decides nothing is refused with what was found and the way to mend it."""
    with pytest.raises(GoalError) as caught:
        Goal.of(goal, metric)
    assert caught.value.where == where
    assert caught.value.found == found
    assert remedy in str(caught.value)


def test_several_metrics_are_not_available_yet() -> None:
    """A goal with several metrics is refused in plain words."""
    with pytest.raises(GoalError, match=r"multi-objective.* is not available yet.*expected one metric"):
        Goal.of({"accuracy": "maximize", "latency": "minimize"})
