"""Generic functions and models, decorated stages, tasks instead of coroutines, and classes of pipelines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

from pydantic import BaseModel

from metta_sweep import Experiment, Pipeline

T = TypeVar("T")
P = ParamSpec("P")


class State(BaseModel):
    """What flows."""

    total: float = 0.0


class Box(BaseModel, Generic[T]):
    """A generic model."""

    content: T


def logged(fn: Callable[P, T]) -> Callable[P, T]:
    """A decorator that keeps the signature."""

    @wraps(fn)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        return fn(*args, **kwargs)

    return inside


@logged
def add(state: State, amount: float) -> State:
    """A decorated stage."""
    return State(total=state.total + amount)


def in_a_task(state: State) -> Awaitable[State]:
    """Returns something to wait for, and is no coroutine function."""

    async def work() -> State:
        return state

    return asyncio.ensure_future(work())


def pack(state: State) -> Box[float]:
    """To a generic model."""
    return Box(content=state.total)


async def unpack(box: Box[float]) -> State:
    """And back."""
    return State(total=box.content)


async def count(state: State) -> Mapping[str, float]:
    """What a contract makes a model of."""
    return {"total": state.total}


class Counting(Pipeline[State]):
    """A class of pipelines."""


class Totals(Experiment):
    """An experiment whose pipeline is typed."""

    def pipeline(self) -> Pipeline[State]:
        """A state model."""
        return Pipeline(State).stage("add", add, amount=1.0)


def started(model: type[State]) -> Pipeline[State]:
    """From a variable that holds a model."""
    return Pipeline(model).stage("add", add, amount=2.0)


kept: Pipeline[State] = Pipeline(State).stage("add", add, amount=3.0).stage("task", in_a_task).through(State, timeout=3)
boxed: Pipeline[State] = Pipeline(State).stage("pack", pack).stage("unpack", unpack).stage("count", count).through(State)
declared: Mapping[str, Any] = {"total": float, "amount": float}
from_a_mapping = Pipeline(**declared).stage("add", add).through(State)
anything: Any = add
of_anything = Pipeline(State).stage("anything", anything, amount=2.0).through(State)

PIPELINES: list[Pipeline] = [
    kept,
    boxed,
    started(State),
    Totals().pipeline(),
    Counting(State).stage("add", add, amount=1.0),
    from_a_mapping,
    of_anything,
]
