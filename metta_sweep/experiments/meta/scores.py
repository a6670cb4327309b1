"""What one copy was worth: an attribute of its result, or what a function makes of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from metta_sweep.core.goal import Goal
from metta_sweep.core.trial import TrialState
from metta_sweep.errors import GoalError, MetricError, ObjectiveError, did_you_mean
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.sweep import SweepExperiment

__all__ = ["RESULT_NAMES", "Score"]

BEST_SCORE: Final = "best_score"
_OF_THE_BEST: Final = (BEST_SCORE, "best.score", "best_performance")
"""Names of the best score in results of sweeps, and of pipelines whose stages are sweeps of one objective."""
RESULT_NAMES: Final = (
    "best_score",
    "best",
    "best_params",
    "pareto_front",
    "trials",
    "states",
    "branches",
    "triggers",
    "spend",
    "stop_reason",
    "stop_detail",
)
"""What a result of a sweep has that a score may be read from."""


class Score:
    """Turns the result of a copy into metrics.

    Args:
        given: the name of an attribute of the result, ``"best_score"``, also of something within it, ``"spend.seconds"``; or a
            function of the result that returns a metric or a mapping of metrics.
        example: an experiment like those that are run.

    Raises:
        ObjectiveError: it is neither, or no result has such an attribute.
        GoalError: it asks for the best score of a sweep with several objectives.
    """

    def __init__(self, given: Any, example: Experiment) -> None:
        self.given: str | Callable[[Any], Any] = given
        self.check(example)
        if not isinstance(given, str) and not callable(given):
            raise ObjectiveError(
                "MetaExperiment(score=)",
                "it is no score",
                found=given,
                expected="the name of an attribute of the result, or a function of the result",
                remedy="Write score='best_score', or score=lambda result: ...",
            )

    def check(self, example: Experiment) -> None:
        """Refuse a name that no result of such an experiment has. Raises ``ObjectiveError`` or ``GoalError``."""
        if isinstance(self.given, str):
            _check_name(self.given, example)

    def default_goal(self, example: Experiment) -> str:
        """The direction of a goal that nobody gave: for the best score that of the experiment itself, where it has one."""
        goal = getattr(example, "goal", None)
        return goal.direction if self.given in _OF_THE_BEST and isinstance(goal, Goal) else "maximize"

    async def of(self, result: Any, where: str) -> Any:
        """A metric or a mapping of metrics.

        Args:
            result: of one copy, which has ended well.
            where: the address of the copy, for messages.

        Raises:
            MetricError: there is none.
            Exception: what a function of the user raises.
        """
        if not isinstance(self.given, str):
            found = self.given(result)
            return await found if inspect.isawaitable(found) else found
        value = result
        for name in self.given.split("."):
            try:
                value = value[name] if isinstance(value, Mapping) else getattr(value, name)
            except (AttributeError, LookupError) as error:
                there = _names_of(value)
                guess = did_you_mean(name, there)
                hint = f"Did you mean {guess!r}?" if guess else "Write score=lambda result: ..., which makes a number of it."
                raise MetricError(
                    f"the score of {where}: {type(value).__name__} has no {name!r}; it has {', '.join(there) or 'nothing'}. {hint}"
                ) from error
        if value is None:
            raise MetricError(f"the score of {where}: {self.given} is None{_why_none(result)}.")
        return value


def _check_name(name: str, example: Experiment) -> None:
    first = name.split(".", maxsplit=1)[0]
    there = list(RESULT_NAMES) if isinstance(example, SweepExperiment) else _fields_of(example)
    known = isinstance(example, SweepExperiment) and hasattr(SweepResult, first) and not callable(getattr(SweepResult, first))
    if first not in there and not known:
        guess = did_you_mean(name, there)
        makes = "a number of the result"
        raise ObjectiveError(
            "MetaExperiment(score=)",
            f"the results of {type(example).__name__} have no {first!r}",
            found=name,
            expected="one of " + (", ".join(there) or f"none: write score=lambda result: ..., which makes {makes}"),
            remedy=f"Did you mean {guess!r}?"
            if guess
            else f"Name one of those, or write score=lambda result: ..., which makes {makes}",
        )
    if isinstance(example, SweepExperiment) and first in ("best", BEST_SCORE) and example.goal.has_several:
        metrics = [goal.metric for goal in example.goal.objectives]
        raise GoalError(
            "MetaExperiment(score=)",
            "a sweep with several objectives has no single best trial",
            found=metrics,
            expected="a score that looks at all of them",
            remedy="Write score=lambda result: result.hypervolume({...}), with a value that is bad for each metric",
        )


def _fields_of(example: Experiment) -> list[str]:
    """The fields that are surely there when its pipeline has run, and what is told of its run."""
    outputs = example.build().outputs
    return [*(name for name, field in outputs.items() if field.definite), "output", "spend", "seconds"]


def _names_of(value: Any) -> list[str]:
    if isinstance(value, SweepResult):
        return list(RESULT_NAMES)
    if isinstance(value, Mapping):
        return [name for name in value if isinstance(name, str)]
    fields = getattr(value, "context", None)
    if fields is not None:
        return list(fields)
    return [name for name in dir(value) if not name.startswith("_")]


def _why_none(result: Any) -> str:
    """Why a sweep has no best trial."""
    if not isinstance(result, SweepResult):
        return ""
    states = ", ".join(f"{count} {state.value}" for state, count in result.states.items()) or "none was picked"
    failed = next((trial.error for trial in result.trials if trial.state is TrialState.FAILED and trial.error is not None), None)
    first = "" if failed is None else f". The first error was {failed.type}: {failed.message}"
    return f", since none of its trials completed ({states}){first}"
