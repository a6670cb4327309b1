"""Trial functions: what their signatures ask for, found once, before anything runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import ObjectiveError
from metta_sweep.executors.binding import Binder
from metta_sweep.executors.context import TrialContext

__all__ = ["BoundObjective", "Kind", "bind_objective"]

_REMEDY: Final = "Write it as def train(trial: TrialContext), or with parameters of the search space: def train(lr: float)"


class Kind(Enum):
    """How a trial function runs."""

    COROUTINE = auto()
    """A coroutine function: a task on the event loop."""
    ASYNC_GENERATOR = auto()
    """An async generator function: the same; each ``yield`` is a report."""
    THREAD = auto()
    """Anything else: in a worker thread."""


class BoundObjective(NamedTuple):
    """A trial function that needs nothing but its context."""

    name: str
    """As messages show it: ``train()``."""
    kind: Kind
    call: Callable[[TrialContext], Any]


def bind_objective(objective: Any, search_space: SearchSpace | None) -> BoundObjective:
    """Find out what a trial function wants. Raises ``ObjectiveError`` when a trial cannot give it.

    Each parameter gets the first of these that fits it: the ``TrialContext``, by annotation; the parameter of the search space of
    its name; the context again, for the name ``trial``; a model or dataclass of parameters, by annotation; all parameters as a
    dict, by annotation or, unannotated, by the name ``params`` or ``config``; its default; the context, for the only one that is
    left, if it has no annotation and is called ``t``, ``ctx``, ``context`` or ``_``.

    Without a search space, parameters are looked up by name when the trial runs.
    """
    _check_callable(objective)
    name = f"{_name(objective)}()"
    where = f"objective {name}"
    try:
        signature = inspect.signature(objective)
    except (ValueError, TypeError) as error:
        raise ObjectiveError(
            where,
            "its signature cannot be read",
            found=objective,
            expected="a function written in Python",
            remedy="Wrap it: lambda trial: ...",
        ) from error
    binder = Binder(where, objective, search_space)
    call = binder.compile(signature)
    return BoundObjective(name, _kind(objective), call)


def _check_callable(objective: Any) -> None:
    where = "SweepExperiment(objective=)"
    if inspect.isawaitable(objective) or inspect.isgenerator(objective) or inspect.isasyncgen(objective):
        if inspect.iscoroutine(objective):
            objective.close()
        raise ObjectiveError(
            where,
            "the trial function was called already",
            found=objective,
            expected="the function itself",
            remedy="Leave out the parentheses",
        )
    if isinstance(objective, type):
        raise ObjectiveError(
            where,
            "a class is no trial function",
            found=objective,
            expected="a function or a callable object",
            remedy="Pass an instance or one of its methods",
        )
    if not callable(objective):
        raise ObjectiveError(
            where, "it cannot be called", found=objective, expected="a function of a trial or of parameters", remedy=_REMEDY
        )


def _kind(objective: Any) -> Kind:
    while isinstance(objective, functools.partial):
        objective = objective.func
    if not inspect.isroutine(objective):
        objective = type(objective).__call__
    if inspect.iscoroutinefunction(objective):
        return Kind.COROUTINE
    return Kind.ASYNC_GENERATOR if inspect.isasyncgenfunction(objective) else Kind.THREAD


def _name(objective: Any) -> str:
    while isinstance(objective, functools.partial):
        objective = objective.func
    return getattr(objective, "__qualname__", None) or type(objective).__qualname__
