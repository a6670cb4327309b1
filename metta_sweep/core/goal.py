"""The goal of a sweep: which metric decides, and in which direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from metta_sweep.core.metrics import BARE_METRIC
from metta_sweep.core.trial import Metric
from metta_sweep.core.values import NO_TEXT, SPELL_OUT, is_encodable
from metta_sweep.errors import GoalError, MetricError, a_kind, did_you_mean

__all__ = ["Direction", "Goal"]

Direction = Literal["maximize", "minimize"]

_EXPECTED: Final = "'maximize', 'minimize', or a mapping of metrics to these, such as {'accuracy': 'maximize'}"
_SYNONYMS: Final = {"max": "maximize", "min": "minimize", "higher": "maximize", "lower": "minimize"}


@dataclass(frozen=True, slots=True)
class Goal:
    """Which metric decides, and whether more of it is better.

    Args:
        direction: ``"maximize"`` or ``"minimize"``.
        metric: the name of the deciding metric; None: the only one that the trials return.
        others: further objectives, each with its metric. The first one leads: scores, rewards and reports are those of its metric;
            what searches or compares by several objectives looks at all of ``objectives``.

    Raises:
        GoalError: for a direction, a metric or further objectives that are none.
    """

    direction: Direction = "maximize"
    metric: str | None = None
    others: tuple[Goal, ...] = ()
    sign: int = field(init=False, repr=False, compare=False)
    """+1 where more is better, -1 where less is: ``sign * score`` is to be maximized."""

    def __post_init__(self) -> None:
        _check_direction(self.direction, f"goal for {self.metric!r}" if self.metric is not None else "goal")
        if self.metric is not None:
            _check_metric(self.metric)
        object.__setattr__(self, "others", _sequence(self.others))
        if self.others:
            _check_others(self)
        object.__setattr__(self, "sign", 1 if self.direction == "maximize" else -1)

    @property
    def objectives(self) -> tuple[Goal, ...]:
        """All objectives, the leading one first; of a goal with one, itself."""
        return (Goal(self.direction, self.metric), *self.others) if self.others else (self,)

    @property
    def has_several(self) -> bool:
        """Whether there is more than one objective."""
        return bool(self.others)

    @classmethod
    def of(cls, goal: str | Mapping[str, str] | Goal = "maximize", metric: str | None = None) -> Goal:
        """The goal that a user wrote.

        Args:
            goal: ``"maximize"``, ``"minimize"``, ``{"accuracy": "maximize"}``, the same with several metrics (the first one leads),
                or a ``Goal``.
            metric: the deciding metric, where the goal does not name it.

        Raises:
            GoalError: for anything else, and where goal and ``metric`` name different metrics.
        """
        if isinstance(goal, str):
            return cls(cast("Direction", goal), metric)
        if isinstance(goal, Goal):
            named, direction, others = goal.metric, goal.direction, goal.others
        elif isinstance(goal, Mapping):
            named, direction, others = _entries(goal)
        else:
            raise GoalError("goal", f"{a_kind(goal)} is no goal", found=goal, expected=_EXPECTED, remedy="Write 'maximize'")
        if metric is not None and named is not None and named != metric:
            raise GoalError(
                "metric",
                f"the goal names the metric {named!r} already",
                found=metric,
                expected=repr(named),
                remedy="Leave metric= out",
            )
        return cls(direction, named if named is not None else metric, others)

    def better(self, score: float, than: float) -> bool:
        """Whether ``score`` is strictly better than the other."""
        return score > than if self.sign > 0 else score < than

    def score(self, metrics: Mapping[str, Metric]) -> float:
        """The score of a trial with these metrics: the mean of the deciding (or leading) one, in the user's units.

        Raises:
            MetricError: when it is missing, or when there are several and the goal names none.
        """
        if self.metric is None:
            if len(metrics) != 1:
                raise self._ambiguous(metrics)
            (value,) = metrics.values()
        else:
            found = metrics.get(self.metric)
            if found is None:
                raise self._missing(metrics)
            value = found
        return value[0] if isinstance(value, tuple) else value

    def scores(self, metrics: Mapping[str, Metric]) -> dict[str, float]:
        """The value of each objective by its metric, in the user's units.

        Raises:
            MetricError: naming each that is missing, or when there are several metrics and the goal names none.
        """
        if not self.others:
            return {self.metric or next(iter(metrics), ""): self.score(metrics)}
        if self.missing(metrics):
            raise self._missing(metrics)
        return {str(goal.metric): goal.score(metrics) for goal in self.objectives}

    def missing(self, metrics: Mapping[str, Metric]) -> list[str]:
        """The metrics that the goal names and that these do not have."""
        return [str(goal.metric) for goal in self.objectives if goal.metric is not None and goal.metric not in metrics]

    def describe(self) -> dict[str, Any]:
        """The goal as JSON; further objectives stand under ``others``."""
        described: dict[str, Any] = {"direction": self.direction, "metric": self.metric}
        if self.others:
            described["others"] = [goal.describe() for goal in self.others]
        return described

    @classmethod
    def from_description(cls, described: Mapping[str, Any]) -> Goal:
        """The goal that ``describe()`` told."""
        return cls(described["direction"], described["metric"], tuple(map(cls.from_description, described.get("others", ()))))

    def _ambiguous(self, metrics: Mapping[str, Metric]) -> MetricError:
        if not metrics:
            return MetricError("it has no metrics, so it has no score. Return a number, or a mapping of metrics.")
        name = next(iter(metrics))
        return MetricError(
            f"it has {len(metrics)} metrics ({', '.join(map(repr, metrics))}); the goal {self.direction!r} names none of them."
            f" Write goal={{{name!r}: {self.direction!r}}}, or metric={name!r}."
        )

    def _missing(self, metrics: Mapping[str, Metric]) -> MetricError:
        missing = self.missing(metrics)
        there = ", ".join(map(repr, metrics)) or "none"
        all_named = ", ".join(f"{objective.metric!r}: ..." for objective in self.objectives)
        if self.others and isinstance(metrics.get(BARE_METRIC), tuple):
            there += ", a pair, which is (mean, sem) of one metric"
        if len(missing) == 1:
            guess = did_you_mean(missing[0], metrics)
            remedy = f"Did you mean {guess!r}?" if guess else f"Return {{{all_named}}}, or name one of those in the goal."
            return MetricError(f"it has no metric {missing[0]!r}, which the goal names; found {there}. {remedy}")
        named = f"{', '.join(map(repr, missing[:-1]))} and {missing[-1]!r}"
        guesses = [f"{guess!r} for {name!r}" for name in missing if (guess := did_you_mean(name, metrics))]
        remedy = (
            f"Did you mean {', '.join(guesses)}?" if guesses else f"Return {{{all_named}}}, or name those that it has in the goal."
        )
        return MetricError(f"it has no metrics {named}, which the goal names; found {there}. {remedy}")


def _sequence(others: object) -> tuple[Goal, ...]:
    if isinstance(others, Sequence) and not isinstance(others, str | bytes):
        return tuple(others)
    raise GoalError(
        "Goal(others=)",
        f"{a_kind(others)} is no sequence of goals",
        found=others,
        expected="goals with one metric each",
        remedy="Write others=(Goal('minimize', 'latency'),), say",
    )


def _check_others(goal: Goal) -> None:
    if goal.metric is None:
        raise GoalError(
            "goal",
            "the leading one of several objectives names no metric",
            found=goal.direction,
            expected="a metric for each objective",
            remedy="Write {'accuracy': 'maximize', 'latency': 'minimize'}, say",
        )
    named = {goal.metric}
    for other in goal.others:
        if not isinstance(other, Goal) or other.metric is None or other.others:
            raise GoalError(
                "Goal(others=)",
                "each further objective is a goal with one metric",
                found=other,
                expected="Goal('minimize', 'latency'), say",
                remedy="Write {'accuracy': 'maximize', 'latency': 'minimize'} in its place",
            )
        if other.metric in named:
            raise GoalError(
                "Goal(others=)",
                f"two objectives have the metric {other.metric!r}",
                found=other.metric,
                expected="a metric of its own for each",
                remedy="Leave one of them out",
            )
        named.add(other.metric)


def _check_direction(direction: object, where: str) -> None:
    if direction in ("maximize", "minimize"):
        return
    guess = None
    if isinstance(direction, str):
        lowered = direction.lower()
        guess = _SYNONYMS.get(lowered) or did_you_mean(lowered, ("maximize", "minimize"))
    raise GoalError(
        where,
        "it names no direction",
        found=direction,
        expected=_EXPECTED,
        remedy=f"Did you mean {guess!r}?" if guess else "Write 'maximize' or 'minimize'",
    )


def _check_metric(metric: object) -> None:
    if not isinstance(metric, str) or not metric:
        raise GoalError(
            "metric",
            "the name of a metric must be a non-empty string",
            found=metric,
            expected="a name",
            remedy="Write 'accuracy', say",
        )
    if not is_encodable(metric):
        raise GoalError("metric", f"the name {metric!r} {NO_TEXT}", found=metric, expected="text", remedy=SPELL_OUT)


def _entries(goal: Mapping[str, str]) -> tuple[str, Direction, tuple[Goal, ...]]:
    if not goal:
        raise GoalError(
            "goal",
            "the mapping is empty, so that no metric decides",
            found=goal,
            expected=_EXPECTED,
            remedy="Name the metric that decides: {'accuracy': 'maximize'}; or write 'maximize'",
        )
    first, *others = [Goal(cast("Direction", direction), name) for name, direction in goal.items()]
    return str(first.metric), first.direction, tuple(others)
