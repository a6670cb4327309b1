"""What ``.through()`` is given: types, hooks, constants, and what is none of them."""

# ruff: noqa: D102, D103, UP006  # stages and helpers; each test says what it shows
from __future__ import annotations

import collections.abc as abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, List, Literal, NewType, Protocol, TypedDict, TypeVar  # noqa: UP035

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline, fields, hooks

DEBUG = False
T = TypeVar("T")
Bounded = TypeVar("Bounded", bound=float)
Id = NewType("Id", int)


class Model(BaseModel):
    a: int


Rows = TypeAliasType("Rows", list[int])
Seen = TypeAliasType("Seen", Model)


@dataclass
class Data:
    a: int


class Keys(TypedDict):
    a: int


class HasA(Protocol):
    a: int


class Recorder:
    def __call__(self, data: Any) -> None: ...


def anything(n: int) -> Any:
    return n


def chosen(n: int, cls: type = int, step: int = 1) -> Any:
    return cls(n + step)


def begin(fn: Callable[..., Any] = anything, **constants: Any) -> Pipeline[Any]:
    return Pipeline(n=int).stage("s", fn, **constants)


PROVIDES: list[tuple[Callable[[], Pipeline[Any]], dict[str, Any]]] = [
    (lambda: begin().through(Model), {"a": int}),
    (lambda: begin().through(Data), {"a": int}),
    (lambda: begin().through(Annotated[Model, "note"]), {"a": int}),
    (lambda: begin().through(Seen), {"a": int}),
    (lambda: begin().through(Keys), {"s": Keys}),
    (lambda: begin().through(HasA), {"s": HasA}),
    (lambda: begin().through(Id), {"s": Id}),
    (lambda: begin().through(Rows), {"s": Rows}),
    (lambda: begin().through(Model | None), {"s": Model | None}),
    (lambda: begin().through(None), {}),
    (lambda: begin().through(Any), {"s": Any}),
    (lambda: begin().through(x=None), {"x": None}),
    (lambda: begin().through(x=Literal["a"]), {"x": Literal["a"]}),
    (lambda: begin().through(x=Callable[[int], int]), {"x": Callable[[int], int]}),
    (lambda: begin().through(x=type[int]), {"x": type[int]}),
    (lambda: begin().through(x=List), {"x": List}),
    (lambda: begin().through(x=Rows), {"x": Rows}),
    (lambda: begin().through(keys=int, get=str), {"keys": int, "get": str}),
    (lambda: begin().through(fields(timeout=float, after=int)), {"timeout": float, "after": int}),
    (lambda: begin().through(fields(timeout=float), x=int), {"timeout": float, "x": int}),
    (lambda: begin(chosen, cls=float).through(int, step=2), {"s": int}),
    (lambda: begin().through(int).through(after=lambda d: d), {"s": int}),
    (lambda: begin().through(after=lambda d: d).through(int), {"s": int}),
    (lambda: begin().through(int, after=Recorder()), {"s": int}),
    (lambda: begin().through(int, after=None), {"s": int}),
    (lambda: begin().through(int, **(hooks(retry=1) | {"timeout": 3})), {"s": int}),
    (lambda: begin().through(int, **(hooks(retry=1) if DEBUG else {"timeout": 3})), {"s": int}),
]


@pytest.mark.parametrize(("make", "provides"), PROVIDES)
def test_right_contracts(make: Callable[[], Pipeline[Any]], provides: dict[str, Any]) -> None:
    """Models join the context by their fields; other types are one field; names are fields."""
    outputs = make().build().outputs
    assert {name: state.type for name, state in outputs.items() if name != "n"} == provides


WRONG: list[tuple[Callable[[], Pipeline[Any]], str]] = [
    (lambda: begin().through("Model"), "without quotes"),
    (lambda: begin().through(x="Model"), "without quotes"),
    (lambda: begin().through(list["Model"]), "names 'Model' by a string"),
    (lambda: begin().through(fields(x=list["Model"])), "names 'Model' by a string"),
    (lambda: begin().through(Model(a=1)), "Write .through(Model)"),
    (lambda: begin().through(x=Model(a=1)), "write x=Model"),
    (lambda: begin().through((int, str)), "Write .through(tuple[int, str])"),
    (lambda: begin().through([int]), "Write .through(list[int])"),
    (lambda: begin().through(x=(int, str)), "write x=tuple[int, str]"),
    (lambda: begin().through(x={str: int}), "write x=dict[str, int]"),
    (lambda: begin().through({"a": int}), "**the_mapping"),
    (lambda: begin().through(x=T), "write x=Any"),
    (lambda: begin().through(x=Bounded), "write x=float"),
    (lambda: begin().through(x=Final[int]), "its value is no type"),
    (lambda: begin().through(x=ClassVar[int]), "its value is no type"),
    (lambda: begin().through(abc.Awaitable[int]), "Write int."),
    (lambda: begin().through(x=abc.Coroutine[Any, Any, str]), "Write str."),
    (lambda: begin().through(int, after=Recorder), "Pass an instance"),
    (lambda: begin().through(timeout=float), "Write fields(timeout=float)"),
    (lambda: begin().through(Model, x=int), "expected one of the two"),
    (lambda: begin(chosen).through(int, cls=float), "give types as constants in .stage()"),
    (lambda: begin(chosen).through(int, stepp=3), "Did you mean 'step'?"),
    (lambda: begin(chosen).through(int, step="3"), "takes int"),
    (lambda: begin(chosen, step=1).through(int, step=2), "the constant 'step' is given twice"),
    (lambda: begin().through(int).through(str), "there is a contract already"),
    (lambda: begin().through(int, after=lambda d: d).through(after=lambda d: d), "the hook 'after' is given twice"),
    (lambda: begin().through(fields(x=int), x=int), "the field 'x' is given twice"),
    (lambda: begin().through(int, After=len), "Did you mean 'after'?"),
    (lambda: begin().through(int, onerror=len), "Did you mean 'on_error'?"),
    (lambda: begin().through(int, on_failure=len), "Did you mean 'on_error'?"),
    (lambda: begin().through(int, max_retries=3), "Did you mean 'retry'?"),
    (lambda: begin().through(int, time_out=3), "Did you mean 'timeout'?"),
    (lambda: begin().through(int, check_point=True), "Did you mean 'checkpoint'?"),
    (lambda: begin().through(_x=int), "no field can be called '_x'"),
    (lambda: begin(lambda n: (1, 2)).through(a=int, b="int"), "without quotes"),
]


@pytest.mark.parametrize(("make", "part"), WRONG)
def test_wrong_contracts(make: Callable[[], Pipeline[Any]], part: str) -> None:
    """One fault each, with what to write instead; nothing else follows from it."""
    with pytest.raises(BuildError) as caught:
        make().build()
    (fault,) = caught.value.faults
    assert fault.stage == "s"
    assert part in fault.message


INPUTS: list[tuple[Callable[[], Pipeline[Any]], str]] = [
    (lambda: Pipeline(n="int"), "without quotes"),
    (lambda: Pipeline(n=list["int"]), "names 'int' by a string"),
    (lambda: Pipeline(Model, a=str, n=int), "declared twice"),
    (lambda: Pipeline(n=3), "Write n="),
]


@pytest.mark.parametrize(("make", "part"), INPUTS)
def test_wrong_inputs(make: Callable[[], Pipeline[Any]], part: str) -> None:
    """Declared inputs are types, each declared once."""
    with pytest.raises(BuildError) as caught:
        make().stage("s", anything).through(x=int).build()
    assert caught.value.faults[0].stage == "inputs"
    assert part in caught.value.faults[0].message


def test_strict_builds_say_how_to_annotate() -> None:
    """Every unchecked edge is a fault with a remedy of its own."""
    pipeline = (
        Pipeline(n=int, rows=list[float])
        .stage("named", lambda rows: len(rows))
        .through(k=int)
        .stage("whole", lambda ctx: len(vars(ctx)))
        .through(j=int, after=lambda d: vars(d))
    )
    with pytest.raises(BuildError) as caught:
        pipeline.build(strict=True)
    messages = [fault.message for fault in caught.value.faults]
    assert [fault.stage for fault in caught.value.faults] == ["named", "whole", "whole"]
    for message, part in zip(messages, ("Annotate it: rows: list[float].", "a model of the fields", "directly"), strict=True):
        assert part in message
