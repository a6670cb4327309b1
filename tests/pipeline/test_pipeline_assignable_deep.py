"""Whether a value of one type may be used where another is needed: generics, protocols, recursive models and the like."""

# ruff: noqa: D102  # stages and helpers; each test says what it shows
from __future__ import annotations

import collections
import collections.abc as abc
import enum
import sys
from dataclasses import dataclass
from typing import (
    Any,
    AnyStr,
    ForwardRef,
    Generic,
    Literal,
    LiteralString,
    NamedTuple,
    Never,
    NewType,
    NotRequired,
    Protocol,
    Self,
    SupportsFloat,
    SupportsIndex,
    TypedDict,
    TypeVar,
)

import pytest
from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.contracts.assignable import explain_mismatch

T = TypeVar("T")
Taken_contra = TypeVar("Taken_contra", contravariant=True)
Whole = TypeVar("Whole", bound=int)
Either = TypeVar("Either", int, str)
UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)


class Box(BaseModel, Generic[T]):
    item: T


@dataclass
class Crate(Generic[T]):
    item: T


class Bag(Generic[T]): ...


class IntBag(Bag[int]): ...


class SmallBag(IntBag): ...


class Sink(Generic[Taken_contra]): ...


class Scores(dict[str, float]): ...


class Numbers(list[int]): ...


class Node(BaseModel):
    value: int
    next: Node | None = None


class SameNode(BaseModel):
    value: int
    next: SameNode | None = None


class TextNode(BaseModel):
    value: int
    next: Text | None = None


class Text(BaseModel):
    value: str
    next: TextNode | None = None


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Runs(Protocol):
    name: str

    def run(self, x: int) -> str: ...


class Holds(Protocol[T]):
    item: T


class Measured(Protocol):
    def __len__(self) -> int: ...


class Grows(Protocol):
    def grow(self) -> Self: ...


class Right:
    name: str

    def run(self, x: int) -> str:
        return self.name * x

    def grow(self) -> Right:
        return self


class MadeLater:
    def __init__(self) -> None:
        self.name = "x"

    def run(self, x: int) -> str:
        return self.name * x


class Forwards:
    def __getattr__(self, name: str) -> Any: ...


class NumberName:
    name: int

    def run(self, x: int) -> str:
        return ""


class NumberProperty:
    @property
    def name(self) -> int:
        return 1


class RunsToNumber:
    name: str

    def run(self, x: int) -> int:
        return x


class Point(NamedTuple):
    x: int
    label: str


class Options(TypedDict):
    a: int
    b: NotRequired[str]


class Only(TypedDict):
    a: int


class Other(TypedDict):
    a: str


class Perhaps(TypedDict, total=False):
    a: int


class Model(BaseModel):
    a: int


class Calls:
    def __call__(self, x: int) -> int:
        return x


FITS: list[tuple[Any, Any]] = [
    (Box[int], Box[int]),
    (Box[bool], Box[int]),
    (Box[int], Box),
    (Box, Box[int]),
    (Crate[int], Crate[float]),
    (Crate[int], Holds[int]),
    (Bag, Bag[int]),
    (IntBag, Bag[int]),
    (SmallBag, Bag[float]),
    (Sink[float], Sink[int]),
    (Numbers, list[int]),
    (Numbers, abc.Sequence[float]),
    (Scores, abc.Mapping[str, float]),
    (Scores, abc.Iterable[str]),
    (Node, SameNode),
    (SameNode, Node),
    (Color, Literal[Color.RED, Color.BLUE]),
    (Literal[Color.RED], Color),
    (Literal[Color.RED], Literal[Color.RED] | None),
    (bool, Literal[True, False]),
    (Literal["a", "b"], Literal["a", 1] | Literal["b"] | None),  # noqa: PYI030
    (Literal[1], float),
    (None, Literal["a"] | None),
    (Level, int),
    (UserId, UserId | None),
    (AdminId, UserId | str),
    (AdminId, int),
    (list[UserId], list[int]),
    (Right, Runs),
    (Right, Grows),
    (MadeLater, Runs),
    (MadeLater, Named),
    (Forwards, Runs),
    (list[int], Measured),
    (int, SupportsFloat),
    (int, SupportsIndex),
    (Options, Only),
    (Only, Options),
    (Only, Perhaps),
    (Options, abc.Mapping[str, object]),
    (Options, dict[str, int | str]),
    (dict[str, Any], Options),
    (dict, Options),
    (Point, tuple[int, str]),
    (Point, abc.Sequence[int | str]),
    (Calls, abc.Callable[[int], int]),
    (type[int], abc.Callable[..., Any]),
    (abc.Callable[[], int], abc.Callable[..., Any]),
    (abc.Callable[[int], int], abc.Hashable),
    (tuple[int, str], tuple),
    (T, int),
    (int, T),
    (Whole, float),
    (bool, Whole),
    (str, Either),
    (AnyStr, str),
    (LiteralString, str),
    (str, LiteralString),
    (list[ForwardRef("Elsewhere")], list[str]),  # type: ignore[misc]
    (collections.Counter[str], abc.Mapping[str, int]),
    (collections.OrderedDict[str, int], dict[str, float]),
    (abc.ItemsView[str, int], abc.Iterable[tuple[str, int]]),
    (abc.Generator[int, str, None], abc.Iterator[int]),
    (abc.Generator[int, float, None], abc.Generator[int, int, None]),
    (range, abc.Sequence[int]),
    (Never, int),
]

MISFITS: list[tuple[Any, Any, str]] = [
    (Box[int], Box[str], "x.item: provides int, needs str"),
    (Crate[int], Crate[str], "x.item: provides int, needs str"),
    (Crate[int], Model, "x.a: is not provided, needs int"),
    (Crate[int], Holds[str], "x.item: provides int, needs str"),
    (Box[int], Holds[str], "x.item: provides int, needs str"),
    (Bag[int], Bag[str], "type argument 1 of x: provides int, needs str"),
    (IntBag, Bag[str], "type argument 1 of x: provides int, needs str"),
    (SmallBag, Bag[str], "type argument 1 of x: provides int, needs str"),
    (Sink[int], Sink[float], "type argument 1 of x: provides int, needs float"),
    (Sink[int], Sink[str], "type argument 1 of x: provides int, needs str"),
    (Numbers, list[str], "x[*]: provides int, needs str"),
    (Scores, abc.Mapping[str, str], "x[*]: provides float, needs str"),
    (Node, TextNode, "x.next.value: provides int, needs str"),
    (TextNode, Node, "x.next.value: provides str, needs int"),
    (Color, Literal[Color.RED], "x: provides Color, needs Literal[<Color.RED: 1>]"),
    (bool, Literal[True], "x: provides bool, needs Literal[True]"),
    (Literal["a"] | None, Literal["a"], "x: provides Literal['a'] | None, needs Literal['a']"),
    (UserId, AdminId, "x: provides UserId, needs AdminId"),
    (UserId, str, "x: provides UserId, needs str"),
    (list[int], list[UserId], "x[*]: provides int, needs UserId"),
    (NumberName, Runs, "x.name: provides int, needs str"),
    (NumberProperty, Named, "x.name: provides int, needs str"),
    (RunsToNumber, Runs, "x.run(): provides int, needs str"),
    (int, Named, "x.name: is not provided by int, needs it for Named"),
    (Model, Named, "x.name: is not provided by Model, needs it for Named"),
    (int, Measured, "x.__len__: is no method of int, needs it for Measured"),
    (str, SupportsFloat, "x.__float__: is no method of str, needs it for SupportsFloat"),
    (Only, Other, "x.a: provides int, needs str"),
    (Perhaps, Only, "x.a: may not be there (NotRequired), needs int"),
    (Options, dict[int, Any], "key of x: provides str, needs int"),
    (Options, abc.Mapping[str, int], "x[*]: provides int | str, needs int"),
    (Options, Model, "x: provides Options, needs Model"),
    (Model, Only, "x: provides Model, needs Only"),
    (dict[str, str], Only, "x.a: provides str, needs int"),
    (dict[int, int], Only, "key of x: provides int, needs str"),
    (Point, tuple[int, int], "x[1]: provides str, needs int"),
    (Point, tuple[int, ...], "x[*]: provides str, needs int"),
    (tuple[int, str], Point, "x: provides tuple[int, str], needs Point"),
    (int, abc.Callable[..., Any], "x: provides int, needs Callable[..., Any]"),
    (abc.Callable[[int], int], int, "x: provides Callable[[int], int], needs int"),
    (int, type[int], "x: provides int, needs type[int]"),
    (type[int], int, "x: provides type[int], needs int"),
    (Whole, str, "x: provides Whole, needs str"),
    (str, Whole, "x: provides str, needs Whole"),
    (list[float], list[Either], "x[*]: provides float, needs Either"),  # type: ignore[valid-type]  # pyright: ignore[reportGeneralTypeIssues]
    (collections.Counter[str], dict[str, str], "x[*]: provides int, needs str"),
    (abc.Generator[int, None, None], abc.Iterable[str], "x[*]: provides int, needs str"),
    (range, abc.Sequence[str], "x[*]: provides int, needs str"),
    (list[tuple[str, float | None]], list[tuple[str, float]], "x[*][1]: provides float | None, needs float"),
    (int, Never, "x: provides int, needs Never"),
    (abc.Awaitable[int], int, "x: provides Awaitable[int], needs int"),
]


@pytest.mark.parametrize(("provided", "needed"), FITS, ids=str)
def test_what_fits_deep_down(provided: Any, needed: Any) -> None:
    """Right code is never rejected, however its types are written."""
    assert explain_mismatch(provided, needed, "x") is None


@pytest.mark.parametrize(("provided", "needed", "reason"), MISFITS, ids=str)
def test_what_does_not_fit_deep_down(provided: Any, needed: Any, reason: str) -> None:
    """The reason is a path to the part that does not fit."""
    assert explain_mismatch(provided, needed, "x") == reason


class Growing(Generic[T]):
    """Each of them holds one of another type, without an end."""

    inner: Growing[list[T]]


class Grown(Protocol[T]):  # pyright: ignore[reportInvalidTypeVarUse]
    """Asks for what ``Growing`` has."""

    inner: Grown[list[T]]


def test_a_type_that_grows_for_ever_ends() -> None:
    """A generic type that nests itself in itself is compared to a depth, not for ever."""
    assert explain_mismatch(Growing[int], Grown[int], "x") is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement is Python 3.12")
def test_type_aliases() -> None:
    """``type Rows[T] = list[T]`` is what it stands for, also by itself; one that refers to itself ends."""
    names: dict[str, Any] = {}
    exec("type Rows[T] = list[T]\ntype Plain = dict[str, int]\ntype Json = int | list[Json]", names)
    rows, json = names["Rows"], names["Json"]
    assert explain_mismatch(rows[int], list[float], "x") is None
    assert explain_mismatch(rows[int], list[str], "x") == "x[*]: provides int, needs str"
    assert explain_mismatch(names["Plain"], dict[str, str], "x") == "x[*]: provides int, needs str"
    assert explain_mismatch(list[list[int]], json, "x") is None
    assert explain_mismatch(json, json, "x") is None
    assert explain_mismatch(json, str, "x") is not None


def test_a_view_by_a_protocol_with_a_property() -> None:
    """The members of a protocol are needed, however they are written."""

    def look(named: Named) -> int:
        return len(named.name)

    assert Pipeline(name=str).stage("look", look).build().unchecked == ()
