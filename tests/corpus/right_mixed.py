"""Unusual callables, types and combinations that are all right."""

# ruff: noqa: D102, D103  # stages; the cases say what they show
from __future__ import annotations

import enum
import operator
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial, partialmethod
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from metta_sweep.pipeline import Context, StageContext, hooks, ref

from .cases import Pipeline, right
from .parts import Frozen, Judge, Scored, Scorer, SuggestionOutput, Task, Trial, count, grow, load, square, suggest

T = TypeVar("T")
Number = TypeVar("Number", int, float)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Page(Generic[T]):
    """A generic dataclass."""

    items: list[T]


@dataclass
class Run:
    """A dataclass with defaults, one of them made."""

    n: int
    tags: list[str] = field(default_factory=list)


class Trainer:
    def scaled(self, n: int, factor: int) -> int:
        return n * factor

    doubled = partialmethod(scaled, factor=2)

    def chain(self) -> Self:
        return self


class HasTrials(Protocol):
    trials: list[Trial]


class Base:
    async def fit(self, n: int) -> int:
        return n + 1


class Derived(Base):
    async def fit(self, n: int, more: int = 10) -> int:
        return await super().fit(n) + more


class Awaiting:
    """An object whose call is asynchronous."""

    async def __call__(self, n: int) -> int:
        return n * 7


def coroutine_later(n: int) -> Awaitable[int]:
    """A plain function that returns a coroutine."""
    return count(n)


def coroutine_typed(n: int) -> Coroutine[Any, Any, int]:
    return count(n)


def keep(items: list[T]) -> T:
    return items[0]


def add(a: Number, b: Number) -> Number:
    return a + b


def read(m: int) -> int:
    return m


@right(inputs={"n": 2}, gives={"a": 3, "b": 3, "c": 14, "d": 4, "e": 13})
def asynchronous_in_many_ways() -> Any:
    """Functions that return coroutines, objects, partial methods, overridden methods."""
    return (
        Pipeline(n=int)
        .stage("a", coroutine_later)
        .stage("b", coroutine_typed)
        .stage("c", Awaiting())
        .through(int)
        .stage("d", Trainer().chain().doubled)
        .through(int)
        .stage("e", Derived().fit)
    )


@right(inputs={"name": "a"}, gives={"task": Task(name="a")})
def class_as_a_function() -> Any:
    """A class makes its instances."""
    return Pipeline(name=str).stage("make", Task).through(task=Task)


@right(inputs={"xs": [3, 4]}, gives={"first": 3, "total": 7})
def type_variables() -> Any:
    """Functions with type variables take what fits."""
    first = Pipeline(xs=list[int]).stage("first", keep, items=ref("xs")).through(int)
    return first.stage("total", add, a=ref("first"), b=4).through(int)


@right(gives={"colour": Colour.BLUE, "read": "blue"})
def enumeration() -> Any:
    """Members of an enumeration are values like others."""

    def make() -> Colour:
        return Colour.BLUE

    def look(colour: Colour) -> str:
        return str(colour.value)

    return Pipeline().stage("colour", make).stage("read", look)


@right(inputs={"n": 1}, gives={"tags": [], "read": 1})
def dataclass_with_a_factory() -> Any:
    """A default that is made is made for each run."""

    def look(n: int, tags: list[str]) -> int:
        return n + len(tags)

    return Pipeline(Run).stage("read", look)


@right(gives={"items": [1, 2], "read": 2})
def generic_dataclass() -> Any:
    """A generic dataclass as a field."""

    def make() -> Page[int]:
        return Page([1, 2])

    def look(page: Page[int]) -> dict[str, Any]:
        return {"items": page.items, "read": len(page.items)}

    return Pipeline().stage("make", make).through(page=Page).stage("look", look).through(items=list[int], read=int)


@right(inputs={"seed": 2}, gives={"n": 1})
def protocol_of_a_whole_output() -> Any:
    """A protocol as a view of several stages' fields."""

    def look(data: HasTrials) -> int:
        return len(data.trials)

    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput).stage("n", look)


@right(inputs={"scorer": Judge()}, gives={"score": 3.0})
def field_that_fits_a_protocol() -> Any:
    """An object is passed where a protocol is asked for."""

    def score(scorer: Scorer) -> float:
        return scorer.score("abc")

    return Pipeline(scorer=Judge).stage("score", score)


@right(inputs={"path": Path("a/b")}, gives={"name": "b"})
def path_as_a_value() -> Any:
    """Classes of the standard library are types like others."""

    def name(path: Path) -> str:
        return path.name

    return Pipeline(path=Path).stage("name", name)


@right(inputs={"get": len}, gives={"n": 2})
def function_as_a_value() -> Any:
    """A function is passed on and called."""

    def call(get: Callable[[str], int]) -> int:
        return get("ab")

    return Pipeline(get=Callable[[str], int]).stage("n", call)


@right(inputs={"n": 0}, gives={"n": 3})
def getter_as_a_predicate() -> Any:
    """A getter of the standard library is a predicate."""

    def less(n: int) -> dict[str, Any]:
        return {"n": n + 1, "goes_on": n + 1 < 3}

    loop = Pipeline(n=int).loop_while(operator.attrgetter("goes_on"), carry={"goes_on": True})
    return loop.stage("turn", less).through(n=int, goes_on=bool).end_loop()


@right(inputs={"n": 0, "limit": 2}, gives={"n": 2})
def partial_as_a_predicate() -> Any:
    """A partial is a predicate, too, and is told the context."""

    def below(factor: int, ctx: Context) -> bool:
        return bool(ctx.n < factor * ctx.limit)

    return Pipeline(n=int, limit=int).loop_while(partial(below, 1)).stage("n", count).end_loop()


@right(inputs={"seed": 2}, gives={"trials": [Trial(id="2", score=2.0)]})
def annotated_hooks() -> Any:
    """Hooks may say what they take: the output's model, or something that it fits."""

    def look(output: SuggestionOutput) -> None: ...

    def check(output: HasTrials) -> bool:
        return bool(output.trials)

    def instead(error: Exception) -> SuggestionOutput | None:
        return None

    chosen = hooks(after=look, validate=check, on_error=instead)
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput, **chosen)


@right(inputs={"n": 1}, gives={"m": 2})
def annotated_hooks_of_a_bare_value() -> Any:
    """With one field, hooks take its value, or anything wider."""

    def look(m: float) -> None: ...

    def check(m: object) -> bool:
        return m == 2

    def note(fields: Mapping[str, Any]) -> None: ...

    return Pipeline(n=int).stage("count", count).through(m=int, after=look, validate=check, metrics=note)


@right(inputs={"n": 0}, gives={"n": 2, "best": 2})
def carried_field_that_is_read_after_the_loop() -> Any:
    """What is carried and not changed by the body may be read by it, and after it."""

    def better(n: int, best: int, step: int) -> dict[str, int]:
        return {"n": n + step, "best": max(best, n + step)}

    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 2, carry={"best": 0, "step": 1})
    return loop.stage("better", better).through(n=int, best=int).end_loop()


@right(inputs={"n": 0}, gives={"n": 4})
def whole_context_in_a_loop() -> Any:
    """A stage that gets the whole context in a loop, beside a StageContext."""

    def turn(context: Context, stage: StageContext) -> int:
        return int(context.n) + stage.attempt

    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 4).stage("n", turn).end_loop()


@right(inputs={"xs": [1, 2]}, gives={"total": 10, "ys": [2, 8]})
def maps_one_after_another() -> Any:
    """The results of a map are the items of the next one."""

    def double(y: int) -> int:
        return y * 2

    def total(ys: list[int]) -> int:
        return sum(ys)

    return (
        Pipeline(xs=list[int])
        .map("squares", square, over="xs", into="ys")
        .map("doubled", double, over="ys", into="ys")
        .stage("total", total)
    )


@right(inputs={"trials": [Scored(id="b", score=2.0)]}, gives={"where": ["where[item=b]"]})
def items_by_name() -> Any:
    """Items may be named by an attribute."""

    async def where(trial: Scored, stage: StageContext) -> str:
        return stage.address

    return Pipeline(trials=list[Scored]).map("where", where, over="trials", key="id")


@right(inputs={"n": 5}, gives={"m": 6, "k": 12})
def reference_to_a_nested_pipeline() -> Any:
    """The output of a nested pipeline is referred to by its name."""
    inner = Pipeline(n=int).stage("count", count).through(m=int)
    return Pipeline(n=int).stage("inner", inner).stage("k", grow, n=6, step=ref("inner.m")).through(int)


@right(inputs={"n": 5}, gives={"first": 6, "second": 7})
def one_pipeline_twice() -> Any:
    """A pipeline is a stage under two names, with other fields."""
    inner = Pipeline(n=int).stage("count", count).through(m=int)
    return Pipeline(n=int).stage("one", inner).stage("first", read).stage("two", inner, n=ref("first")).stage("second", read)


@right(inputs={"n": 2}, gives={"m": 3, "k": 4})
def global_hooks_of_a_nested_pipeline() -> Any:
    """A nested pipeline may have global hooks of its own, beside those of the outer one."""
    seen: list[str] = []
    inner = Pipeline(n=int).stage("count", count).through(m=int).with_global_hooks(after=lambda stage, data: None, profile=True)
    outer = Pipeline(n=int).stage("inner", inner).stage("k", lambda ctx: ctx.m + 1).through(int)
    return outer.with_global_hooks(before=lambda stage, data: seen.append(f"[{stage}]"))


@right(inputs={"path": "ab", "get": 1, "keys": 2}, gives={"items": 6.0})
def fields_called_like_methods() -> Any:
    """Fields may be called like methods of a mapping."""

    def total(rows: list[float], get: int, keys: int) -> float:
        return sum(rows) + get + keys

    read_all = Pipeline(path=str, get=int, keys=int).stage("load", load).through(rows=list[float])
    return read_all.stage("items", total).stage("same", lambda ctx: ctx.items + ctx.keys).through(values=float)


@right(inputs={"n": 1}, gives={"name": "1", "m": "1!"})
def view_of_several_stages() -> Any:
    """A view gathers what several stages made."""

    def name(n: int) -> str:
        return str(n)

    def look(both: _Both) -> str:
        return f"{both.name}!" if both.flag else ""

    return Pipeline(n=int).stage("name", name).stage("flag", lambda: True).through(bool).stage("m", look)


class _Both(Frozen):
    name: str
    flag: bool
