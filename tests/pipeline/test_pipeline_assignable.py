"""Whether a value of one type may be used where another is needed."""

# ruff: noqa: D102  # stages and helpers; each test says what it shows
from __future__ import annotations

import collections.abc as abc
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NewType, Protocol, TypedDict, TypeVar

import pytest
from pydantic import BaseModel

from metta_sweep.pipeline.contracts.assignable import explain_mismatch

UserId = NewType("UserId", int)
T = TypeVar("T")


class Animal: ...


class Cat(Animal): ...


class Color(Enum):
    RED = 1


class Row(BaseModel):
    score: float | None
    name: str = ""


@dataclass
class Scored:
    score: float


class Named(NamedTuple):
    name: str


class Options(TypedDict, total=False):
    name: str


class HasName(Protocol):
    name: str


class CanRun(Protocol):
    def run(self) -> None: ...


FITS: list[tuple[Any, Any]] = [
    (int, int),
    (int, float),
    (bool, int),
    (Cat, Animal),
    (int, Any),
    (Any, int),
    (int, object),
    (int, int | None),
    (None, int | None),
    (Literal["a"], str),
    (Literal["a"], Literal["a", "b"]),
    (UserId, int),
    (Annotated[int, "unit"], int),
    (int, Annotated[int, "unit"]),
    (list[int], list[float]),
    (list[int], abc.Sequence[int]),
    (list, list[int]),
    (list[int], list),
    (dict[str, int], abc.Mapping[str, float]),
    (dict[str, int], abc.Iterable[str]),
    (tuple[int, int], tuple[int, ...]),
    (tuple[int, ...], abc.Sequence[int]),
    (tuple[int, str], abc.Iterable[int | str]),
    (str, abc.Sequence[str]),
    (Color, Color),
    (Row, HasName),
    (Named, HasName),
    (Options, dict),
    (list[T], list[int]),  # type: ignore[valid-type]
    (abc.Callable[[float], bool], abc.Callable[[int], int]),
    (abc.Callable[..., int], abc.Callable[[str], float]),
    (type[Cat], type[Animal]),
    (set[int], abc.Collection[int]),
]

MISFITS: list[tuple[Any, Any, str]] = [
    (str, int, "x: provides str, needs int"),
    (float, int, "x: provides float, needs int"),
    (Animal, Cat, "x: provides Animal, needs Cat"),
    (int | None, int, "x: provides int | None, needs int"),
    (int | str, int | float, "x: provides int | str, needs int | float"),
    (None, int, "x: provides None, needs int"),
    (int, UserId, "x: provides int, needs UserId"),
    (str, Literal["a"], "x: provides str, needs Literal['a']"),
    (Literal["c"], Literal["a"], "x: provides Literal['c'], needs Literal['a']"),
    (Literal[1], str, "x: provides Literal[1], needs str"),
    (list[str], list[int], "x[*]: provides str, needs int"),
    (set[int], list[int], "x: provides set[int], needs list[int]"),
    (dict[str, list[str]], dict[str, list[int]], "x[*][*]: provides str, needs int"),
    (dict[int, int], dict[str, int], "key of x: provides int, needs str"),
    (tuple[int, int], tuple[int, str], "x[1]: provides int, needs str"),
    (tuple[int], tuple[int, int], "x: provides 1 elements, needs 2"),
    (tuple[int, ...], tuple[int, int], "x: provides a tuple of any length, needs 2 elements"),
    (abc.Sequence[int], list[int], "x: provides Sequence[int], needs list[int]"),
    (Row, Scored, "x.score: provides float | None, needs float"),
    (Named, Scored, "x.score: is not provided, needs float"),
    (list[Row], list[Scored], "x[*].score: provides float | None, needs float"),
    (Scored, HasName, "x.name: is not provided by Scored, needs it for HasName"),
    (int, CanRun, "x.run: is no method of int, needs it for CanRun"),
    (type[Animal], type[Cat], "type of x: provides Animal, needs Cat"),
    (int, Row, "x: provides int, needs Row"),
    (Color, int, "x: provides Color, needs int"),
    (abc.Callable[[int], int], abc.Callable[[str], str], "argument 1 of x: takes int, would get str"),
    (abc.Callable[[int], int], abc.Callable[[int], str], "result of x: provides int, needs str"),
    (abc.Callable[[int], int], abc.Callable[[], int], "x: provides a function of 1 arguments, needs one of 0"),
]


@pytest.mark.parametrize(("provided", "needed"), FITS, ids=str)
def test_what_fits(provided: Any, needed: Any) -> None:
    """Right code is never rejected."""
    assert explain_mismatch(provided, needed, "x") is None


@pytest.mark.parametrize(("provided", "needed", "reason"), MISFITS, ids=str)
def test_what_does_not_fit(provided: Any, needed: Any, reason: str) -> None:
    """The reason is a path to the part that does not fit."""
    assert explain_mismatch(provided, needed, "x") == reason
