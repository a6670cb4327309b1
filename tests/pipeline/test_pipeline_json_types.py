"""Types that need help on their way to JSON and back: iterables, typed dictionaries, root models, classes."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Reversible
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, RootModel

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline
from metta_sweep.store.memory import MemoryStore


class Point(BaseModel):
    """A model within."""

    x: float


class Settings(TypedDict):
    """Typed keys, one of which may be left out, with a typed dictionary within."""

    rate: float
    points: list[Point]
    inner: NotRequired[Inner]


class Inner(TypedDict, total=False):
    """All keys may be left out."""

    depth: int


class Names(RootModel[list[str]]):
    """A value with rules of its own."""


def give(value: Any) -> Callable[[], Any]:
    def made() -> Any:
        return value

    return made


async def twice(value: Iterable[int]) -> int:
    return sum(value) + sum(value)


KEPT: list[tuple[Any, Any]] = [
    (Iterable[int], [1, 2]),
    (Collection[str], ["a"]),
    (Reversible[int], [3, 2]),
    (Iterable[int] | None, [1]),
    (Annotated[Iterable[int], "counted"], [1]),
    (dict[str, Iterable[int]], {"a": [1]}),
    (Settings, {"rate": 0.5, "points": [Point(x=1.0)]}),
    (list[Settings], [{"rate": 0.5, "points": [], "inner": {"depth": 3}}]),
    (Settings | None, {"rate": 0.5, "points": [], "inner": {}}),
    (Names, Names(["a", "b"])),
    (list[Names], [Names(["a"])]),
]


@pytest.mark.parametrize(("form", "value"), KEPT, ids=lambda part: str(part)[:40])
async def test_what_is_kept_comes_back_as_it_was(form: Any, value: Any) -> None:
    """The run goes on with the value, and so does the resumed one."""
    store = MemoryStore()
    plan = Pipeline().stage("make", give(value)).through(made=form).build()
    for _ in range(2):
        made = (await plan.run(name="run", store=store)).made
        assert made == value
        assert type(made) is type(value)


async def test_an_iterable_of_a_kept_run_can_be_read_twice() -> None:
    """Pydantic would give an iterator that is used up by its first reader."""
    store = MemoryStore()
    pipeline = Pipeline().stage("make", give([1, 2])).through(value=Iterable[int]).stage("twice", twice).through(total=int)
    for _ in range(2):
        assert (await pipeline.build().run(name="run", store=store)).total == 6


@pytest.mark.parametrize("form", [type[int], Iterator[int], list[type[Point]]], ids=str)
async def test_what_json_cannot_hold_is_told_before_the_run(form: Any) -> None:
    """Classes and iterators are a fault of the kept run, before anything runs."""
    ran: list[int] = []
    plan = Pipeline().stage("make", lambda: ran.append(1)).through(made=form).build()
    with pytest.raises(BuildError, match="the field 'made' cannot be kept as JSON") as caught:
        await plan.run(name="run", store=MemoryStore())
    assert "checkpoint=False" in str(caught.value)
    assert ran == []


async def test_a_root_model_is_one_field() -> None:
    """It is named after its stage, like every value that is no model with fields."""
    plan = Pipeline().stage("names", give(Names(["a"]))).through(Names).build()
    assert (await plan.run()).names == Names(["a"])
