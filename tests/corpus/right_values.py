"""Values of many kinds, made by callables of many kinds, kept and taken up again."""

# ruff: noqa: D102, D103  # stages; the cases say what they show
from __future__ import annotations

import datetime as dt
import decimal
import enum
import functools
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from .cases import Pipeline, right
from .parts import Frozen, Task, count, grow


class Aliased(BaseModel):
    model_config = ConfigDict(frozen=True)
    lr: float = Field(alias="learning_rate")


class Positive(BaseModel):
    n: PositiveInt


class State(BaseModel):
    n: int


class Sub(Task):
    origin: str = "x"


@dataclass(slots=True, kw_only=True)
class Slots:
    n: int
    m: int = 3


@dataclass
class Doubled:
    n: int
    double: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.double = self.n * 2


class Word(str, enum.Enum):  # noqa: UP042  # older code is written so
    A = "a"
    B = "b"


class Number(enum.IntEnum):
    ONE = 1


class Moment(Frozen):
    day: dt.date
    price: decimal.Decimal
    key: uuid.UUID
    path: Path


class Bag(Frozen):
    words: Counter[str]
    last: deque[int]
    seen: frozenset[str]


class Cached:
    @functools.lru_cache  # noqa: B019  # users do
    def more(self, n: int) -> int:
        return n + 1


@functools.singledispatch
def dispatched(n: int) -> int:
    return n + 1


@right(gives={"lr": 0.5, "half": 0.25}, kept=True)
def model_with_an_alias() -> Any:
    """The name of a field is its name, and not its alias."""

    def make() -> Aliased:
        return Aliased(learning_rate=0.5)

    def half(lr: float) -> float:
        return lr / 2

    return Pipeline().stage("make", make).stage("half", half)


@right(inputs={"n": 3}, gives={"m": 4}, kept=True)
def model_with_conditions() -> Any:
    """A field that is more than its type serves as its type."""

    def make(n: int) -> Positive:
        return Positive(n=n)

    return Pipeline(n=int).stage("make", make).stage("m", count)


@right(gives={"word": Word.B, "number": Number.ONE, "length": 1, "m": 2}, kept=True)
def enumerations() -> Any:
    """Enumerations that are strings and ints serve as these."""

    def word() -> Word:
        return Word.B

    def number() -> Number:
        return Number.ONE

    def length(word: str) -> int:
        return len(word)

    def more(number: int) -> int:
        return number + 1

    return Pipeline().stage("word", word).stage("number", number).stage("length", length).stage("m", more)


@right(inputs={"n": 2}, gives={"double": 4, "m": 3, "sum": 7}, kept=True)
def dataclasses_of_many_kinds() -> Any:
    """With slots, keywords only, and fields that are made afterwards."""

    def make(n: int) -> Doubled:
        return Doubled(n)

    def slots(n: int) -> Slots:
        return Slots(n=n)

    def total(both: Slots, double: int) -> int:
        return both.m + double

    return Pipeline(n=int).stage("make", make).stage("slots", slots).stage("sum", total)


@right(gives={"day": dt.date(2020, 1, 2), "price": decimal.Decimal("0.10"), "path": Path("a/b")}, kept=True)
def values_of_the_standard_library() -> Any:
    """Dates, decimals, identifiers and paths come back as what they were."""

    def make() -> Moment:
        return Moment(day=dt.date(2020, 1, 2), price=decimal.Decimal("0.10"), key=uuid.UUID(int=1), path=Path("a/b"))

    return Pipeline().stage("make", make)


@right(gives={"words": Counter("aab"), "last": deque([1]), "seen": frozenset({"x"}), "n": 1}, kept=True)
def containers_of_the_standard_library() -> Any:
    """Counters, queues and sets."""

    def make() -> Bag:
        return Bag(words=Counter("aab"), last=deque([1]), seen=frozenset({"x"}))

    def size(seen: AbstractSet[str]) -> int:
        return len(seen)

    return Pipeline().stage("make", make).stage("n", size)


@right(inputs={"n": 1}, gives={"a": 2, "b": 2, "c": 6, "d": 1})
def functions_of_many_kinds() -> Any:
    """Cached methods, dispatched functions, partials whose keyword is given again, functions that take more than they need."""

    def generous(n: int, *rest: int, **more: Any) -> int:
        return n + len(rest) + len(more)

    return (
        Pipeline(n=int)
        .stage("a", Cached().more)
        .stage("b", dispatched)
        .stage("c", functools.partial(grow, step=2), step=5)
        .through(int)
        .stage("d", generous)
    )


@right(inputs={"n": 3}, gives={"ns": [0, 1, 2]}, kept=True)
def asynchronous_generator_inside() -> Any:
    """A stage gathers what it yields."""

    async def upto(n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i

    async def ns(n: int) -> list[int]:
        return [i async for i in upto(n)]

    return Pipeline(n=int).stage("ns", ns)


@right(inputs={"n": 0}, gives={"n": 3}, kept=True)
def state_that_goes_round() -> Any:
    """A stage takes the state as a model, and gives the next one."""

    def advance(state: State) -> State:
        return State(n=state.n + 1)

    return Pipeline(State).loop_while(lambda s: s.n < 3).stage("advance", advance).end_loop()


@right(gives={"task": Sub(name="a"), "n": 1}, kept=True)
def subclass_of_a_model() -> Any:
    """A model with more fields serves where the other one is asked for, also where that may be None."""

    def make() -> Sub:
        return Sub(name="a")

    def look(task: Task | None) -> int:
        return 0 if task is None else len(task.name)

    return Pipeline().stage("make", make).through(task=Sub).stage("n", look)


@right(inputs={"n": 1}, gives={"n": 1, "a": 0, "b": 0})
def views_that_may_be_absent() -> Any:
    """A view that may be None, with a default, is left to its default where its fields are not there."""

    def field(task: Task | None = None) -> int:
        return 0 if task is None else 1

    def view(sub: Sub | None = None) -> int:
        return 0 if sub is None else 1

    return Pipeline(n=int).stage("a", field).stage("b", view)


@right(inputs={"n": 3}, gives={"values": [0, 1, 2]})
def iterator_made_into_a_list() -> Any:
    """A stage that uses a generator inside."""

    def upto(n: int) -> Iterator[int]:
        yield from range(n)

    def values(n: int) -> Sequence[int]:
        return list(upto(n))

    return Pipeline(n=int).stage("values", values)
