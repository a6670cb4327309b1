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
        ({}, None, "goal", {}, "Name the metric that decides: {'accuracy': 'maximize'}"),
        ({"accuracy": "maximize", "latency": "min"}, None, "goal for 'latency'", "min", "Did you mean 'minimize'?"),
        ({"accuracy": "maximize", "": "minimize"}, None, "metric", "", "Write 'accuracy'"),
        ({"accuracy": "maximize", "latency": "minimize"}, "latency", "metric", "latency", "Leave metric= out"),
        ({"accuracy": "max"}, None, "goal for 'accuracy'", "max", "Did you mean 'maximize'?"),
        ({"accuracy": None}, None, "goal for 'accuracy'", None, "Write 'maximize' or 'minimize'"),
        ({"accuracy": ["maximize"]}, None, "goal for 'accuracy'", ["maximize"], "Write 'maximize' or 'minimize'"),
        ({3: "maximize"}, None, "metric", 3, "Write 'accuracy'"),
        ({"accuracy": "maximize"}, "loss", "metric", "loss", "Leave metric= out"),
        ("maximize", "", "metric", "", "Write 'accuracy'"),
        ("maximize", ["loss"], "metric", ["loss"], "Write 'accuracy'"),
        ({"\udcff": "maximize"}, None, "metric", "\udcff", "Spell it out"),
    ],
)
def test_malformed_goals_are_refused(goal: Any, metric: Any, where: str, found: Any, remedy: str) -> None:
    """A goal that decides nothing is refused with what was found and the way to mend it."""
    with pytest.raises(GoalError) as caught:
        Goal.of(goal, metric)
    assert caught.value.where == where
    assert caught.value.found == found
    assert remedy in str(caught.value)


SEVERAL = Goal("maximize", "accuracy", (Goal("minimize", "latency"), Goal("minimize", "size")))


def test_a_goal_with_several_metrics_has_several_objectives() -> None:
    """The first metric of the mapping leads; the others follow in their order."""
    goal = Goal.of({"accuracy": "maximize", "latency": "minimize", "size": "minimize"})
    assert goal == SEVERAL
    assert goal.has_several
    assert (goal.metric, goal.sign) == ("accuracy", 1)
    assert [(one.metric, one.sign, one.has_several) for one in goal.objectives] == [
        ("accuracy", 1, False),
        ("latency", -1, False),
        ("size", -1, False),
    ]
    assert Goal.of(goal) == goal
    assert Goal.of("minimize").objectives == (Goal("minimize"),)


def test_the_leading_metric_is_the_score_and_all_are_told_by_name() -> None:
    """The score is the leading metric's; scores are those of all objectives, of (mean, sem) the means, and no other metric's."""
    metrics: dict[str, Any] = {"latency": (2.0, 0.1), "accuracy": 0.9, "size": 3, "noise": 1.0}
    assert SEVERAL.score(metrics) == 0.9
    assert SEVERAL.scores(metrics) == {"accuracy": 0.9, "latency": 2.0, "size": 3}
    assert Goal("minimize").scores({"loss": 0.5}) == {"loss": 0.5}
    assert Goal("minimize", "loss").scores({"loss": 0.5, "accuracy": 1.0}) == {"loss": 0.5}


def test_each_missing_metric_of_several_is_named() -> None:
    """What a goal with several objectives misses is told in the order of the goal."""
    assert SEVERAL.missing({"latency": 1.0}) == ["accuracy", "size"]
    assert SEVERAL.missing({"accuracy": 1.0, "latency": 1.0, "size": 1.0}) == []
    assert Goal().missing({"score": 1.0}) == []
    with pytest.raises(MetricError, match="no metrics 'latency' and 'size', which the goal names; found 'accuracy'"):
        SEVERAL.scores({"accuracy": 1.0})
    with pytest.raises(MetricError, match="Did you mean 'latency' for 'latencies'") as caught:
        Goal("maximize", "accuracy", (Goal("minimize", "latencies"), Goal("minimize", "size"))).scores({"latency": 1.0})
    assert "no metrics 'accuracy', 'latencies' and 'size'" in str(caught.value)


def test_a_goal_with_several_objectives_is_described_and_read_back() -> None:
    """The description holds all objectives, as JSON; one objective is described as it always was."""
    assert Goal.from_description(SEVERAL.describe()) == SEVERAL
    assert SEVERAL.describe()["others"] == [
        {"direction": "minimize", "metric": "latency"},
        {"direction": "minimize", "metric": "size"},
    ]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Goal("maximize", None, (Goal("minimize", "latency"),)), "the leading one of several objectives names no metric"),
        (lambda: Goal("maximize", "a", (Goal("minimize"),)), "each further objective is a goal with one metric"),
        (lambda: Goal("maximize", "a", ("b",)), "each further objective is a goal with one metric"),  # type: ignore[arg-type]
        (lambda: Goal("maximize", "a", Goal("minimize", "b")), "a Goal is no sequence of goals.*Write others="),  # type: ignore[arg-type]
        (lambda: Goal("maximize", "a", "b"), "a str is no sequence of goals"),  # type: ignore[arg-type]
        (lambda: Goal("maximize", "a", {"b": "minimize"}), "a dict is no sequence of goals"),  # type: ignore[arg-type]
        (lambda: Goal("maximize", "a", (Goal("minimize", "a"),)), "two objectives have the metric 'a'"),
    ],
)
def test_objectives_without_a_metric_of_their_own_are_refused(make: Any, text: str) -> None:
    """Each of several objectives needs a metric of its own."""
    with pytest.raises(GoalError, match=text):
        make()


def test_a_list_of_further_objectives_is_as_good_as_a_tuple() -> None:
    """The goal is the same, and can be hashed."""
    goal = Goal("maximize", "accuracy", [Goal("minimize", "latency"), Goal("minimize", "size")])  # type: ignore[arg-type]
    assert goal == SEVERAL
    assert hash(goal) == hash(SEVERAL)
