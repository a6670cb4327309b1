"""The tasks of a curriculum, and what became of them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from metta_sweep.address import check_name
from metta_sweep.core.budget import StopReason
from metta_sweep.core.goal import Direction
from metta_sweep.core.numbers import check_number
from metta_sweep.core.trial import Trial
from metta_sweep.core.values import NotJson, plain_json
from metta_sweep.errors import InvalidInput, InvalidName, a_kind
from metta_sweep.experiments.result import SweepResult
from metta_sweep.records import digest

__all__ = ["TakenTaskResults", "TaskResults", "TaskRound", "checked_mastery", "named_tasks", "sweep_name", "task_name"]

_NO_NAME: Final = re.compile(r"[^\w.-]+")
_LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class TaskResults:
    """What the sweep of a task found, as values: it can be kept by a pipeline, and read back."""

    direction: Direction
    best: Trial | None
    """The best completed trial; None when none completed, or where the goal has several objectives."""
    trials: list[Trial]
    seconds: float
    """Active."""
    cost: float
    stop_reason: StopReason | None

    @classmethod
    def of(cls, result: SweepResult) -> TaskResults:
        """The values of a result. Raises ``RunStopped`` when the run ended for a bad reason."""
        result.raise_for_stop()
        best = None if result.goal.has_several else result.best
        return cls(result.goal.direction, best, list(result.trials), result.spend.seconds, result.spend.cost, result.stop_reason)

    @property
    def best_score(self) -> float | None:
        """The score of the best trial, in the user's units."""
        return None if self.best is None else self.best.score

    @property
    def best_params(self) -> dict[str, Any] | None:
        """The parameters of the best trial."""
        return None if self.best is None else dict(self.best.params)


class _FromSweepResult:
    """Marks a contract that takes the result of a sweep as well."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        plain = handler(source)
        taken = core_schema.no_info_before_validator_function(_values_of, plain)
        return core_schema.json_or_python_schema(json_schema=plain, python_schema=taken)


TakenTaskResults = Annotated[TaskResults, _FromSweepResult]
"""The contract of a stage that optimizes a task: it may return ``TaskResults``, or the ``SweepResult`` that these are made of."""


def _values_of(value: object) -> object:
    return TaskResults.of(value) if isinstance(value, SweepResult) else value


@dataclass(frozen=True, slots=True)
class TaskRound:
    """One round of one task."""

    task: str
    """Its name."""
    round: int
    """From 1."""
    mastered: bool
    best_score: float | None
    best_params: dict[str, Any] | None
    trials: int
    seconds: float
    cost: float
    stop_reason: StopReason | None

    @classmethod
    def of(cls, task: str, number: int, results: TaskResults, *, mastered: bool) -> TaskRound:
        """The round in short, without its trials."""
        return cls(
            task,
            number,
            mastered,
            results.best_score,
            results.best_params,
            len(results.trials),
            results.seconds,
            results.cost,
            results.stop_reason,
        )


def task_name(task: Any) -> str:
    """What a task is called: itself, its ``name`` or item ``"name"``, or its JSON."""
    if isinstance(task, str):
        return task
    name = task.get("name") if isinstance(task, Mapping) else getattr(task, "name", None)
    return name if isinstance(name, str) else json.dumps(task, sort_keys=True, default=str)


def sweep_name(task: Any, number: int) -> str:
    """The name of the sweep of one round of a task. Different tasks have different ones, also where they cannot be names."""
    text = task_name(task)
    plain = _NO_NAME.sub("-", text).strip("-")[:_LONGEST]
    return f"{plain if plain == text else f'{plain}-{digest(text.encode())[:6]}'}-round-{number}"


def named_tasks(tasks: object, where: str) -> tuple[list[Any], dict[str, Any]]:
    """The tasks as JSON values, objects by their names; and the objects.

    Raises:
        InvalidInput: there are none, one has neither a JSON form nor a name, or two objects have one name.
    """
    if isinstance(tasks, Mapping):
        objects = {check_name(name, where): task for name, task in tasks.items()}
        labels: list[Any] = list(objects)
    elif isinstance(tasks, Iterable) and not isinstance(tasks, str | bytes):
        objects = {}
        tasks = list(tasks)
        labels = [_label(task, objects, f"{where}[{number}]") for number, task in enumerate(tasks)]
        _refuse_doubles(tasks, objects, where)
    else:
        remedy = "Write tasks=['easy', 'hard'], or tasks={'easy': easy_task, 'hard': hard_task}"
        raise InvalidInput(where, "tasks are a list, or a mapping of names to objects", found=tasks, remedy=remedy)
    if not labels:
        raise InvalidInput(where, "there are no tasks", found=tasks, expected="at least one", remedy="Write tasks=['easy', 'hard']")
    return labels, objects


def _label(task: Any, objects: dict[str, Any], where: str) -> Any:
    """The task itself where it is a JSON value, else its name."""
    try:
        return plain_json(task)
    except NotJson:
        pass
    name = getattr(task, "name", None)
    if not isinstance(name, str):
        raise InvalidInput(
            where,
            f"{a_kind(task)} has neither a JSON form nor a name, so that it cannot be kept",
            found=task,
            expected="a JSON value, or an object with a name",
            remedy="Name it: tasks={'easy': the_task, ...}",
        )
    check_name(name, where)
    if objects.setdefault(name, task) is not task:
        what = f"two tasks are called {name!r}"
        raise InvalidName(where, what, found=task, expected="names that occur once", remedy="Rename one of them")
    return name


def _refuse_doubles(tasks: list[Any], objects: Mapping[str, Any], where: str) -> None:
    """Refuse a text that is the name of an object, too: both flow as that text."""
    for number, task in enumerate(tasks):
        if isinstance(task, str) and task in objects:
            what = f"two tasks are called {task!r}: a text, and an object of that name"
            raise InvalidName(f"{where}[{number}]", what, found=task, expected="names that occur once", remedy="Rename one of them")


def checked_mastery(mastered: Any, where: str) -> Any:
    """The score, or the function, that says when a task is mastered."""
    if mastered is None:
        return None
    if callable(mastered):
        if inspect.iscoroutinefunction(mastered):
            remedy = "Write it without 'async', or override evaluate_progress"
            raise InvalidInput(where, "it is a coroutine function, and mastery is not waited for", found=mastered, remedy=remedy)
        return mastered
    remedy = "Write mastered=0.9, or a function of the results and the task"
    return check_number(mastered, where, InvalidInput, remedy=remedy)
