"""Annotations that are evaluated where they stand: this module does not postpone them. Classes are local on purpose."""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol

from pydantic import BaseModel, Field

from metta_sweep.pipeline import Context, StageContext

from .cases import Pipeline, right


@right(inputs={"n": 2}, gives={"square": 4, "m": 5})
def local_model() -> Any:
    """A model that is local to a function, as a contract and as a view."""

    class Local(BaseModel, frozen=True):
        square: int

    async def make(n: int) -> Local:
        return Local(square=n * n)

    def look(local: Local) -> int:
        return local.square + 1

    return Pipeline(n=int).stage("make", make).stage("m", look)


@right(inputs={"n": 2}, gives={"m": 6})
def local_dataclass_in_a_list() -> Any:
    """A local dataclass within a list, from stage to stage."""

    @dataclass(frozen=True)
    class Cell:
        value: int

    def make(n: int) -> list[Cell]:
        return [Cell(n), Cell(n * 2)]

    def total(cells: list[Cell]) -> int:
        return sum(cell.value for cell in cells)

    return Pipeline(n=int).stage("cells", make).stage("m", total)


@right(inputs={"n": 2}, gives={"m": 3})
def local_named_tuple_and_protocol() -> Any:
    """A local named tuple, seen through a local protocol."""

    class Pair(NamedTuple):
        one: int
        other: int

    class HasOne(Protocol):
        one: int

    def make(n: int) -> Pair:
        return Pair(n + 1, 0)

    def look(pair: HasOne) -> int:
        return pair.one

    return Pipeline(n=int).stage("make", make).stage("m", look)


@right(inputs={"n": 2}, gives={"m": 2, "k": ("k", 2)})
def injected() -> Any:
    """The whole context, and what a stage may ask about itself."""

    def look(context: Context) -> int:
        return int(context.n)

    def where(stage: StageContext, m: int) -> tuple[str, int]:
        return stage.address, m

    return Pipeline(n=int).stage("m", look).stage("k", where)


@right(inputs={"rate": 0.5}, gives={"m": 1.0})
def annotated() -> Any:
    """What is said beside a type stays where it stands."""

    def double(rate: Annotated[float, Field(gt=0)]) -> Annotated[float, Field(gt=0)]:
        return rate * 2

    return Pipeline(rate=float).stage("m", double)


@right(inputs={"xs": [1, 2]}, gives={"cells": [1, 2]})
def local_model_as_an_item() -> Any:
    """A map over a local model."""

    class Item(BaseModel, frozen=True):
        value: int

    def make(xs: list[int]) -> list[Item]:
        return [Item(value=x) for x in xs]

    async def value(item: Item) -> int:
        return item.value

    return Pipeline(xs=list[int]).stage("made", make).map("cells", value, over="made")
