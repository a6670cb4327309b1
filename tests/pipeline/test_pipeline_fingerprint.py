"""Digests of values by their content."""

# ruff: noqa: D102, D103  # values
from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import functools
import pathlib
import types
import uuid
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, PrivateAttr, TypeAdapter

from metta_sweep.pipeline.keeping.fingerprint import NoFingerprint, fingerprint

HOUR = dt.timezone(dt.timedelta(hours=1))


class Model(BaseModel):
    n: int
    parts: list[float] = []


class Other(BaseModel):
    n: int
    parts: list[float] = []


class Secretive(BaseModel):
    n: int
    _hidden: int = PrivateAttr(default=0)

    def hiding(self, value: int) -> Secretive:
        self._hidden = value
        return self


@dataclass
class Point:
    x: float
    y: float = 0.0
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    a: int
    b: int


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()


class Tagged(str):
    """With a place of its own beside the text."""

    __slots__ = ("tag",)


def carrying(value: Any, tag: int) -> Any:
    """A value with an attribute that is none of its fields."""
    value.tag = tag
    return value


class Thing:
    """Something without content that could be seen."""


def scaled(factor: float) -> Callable[[float], float]:
    return lambda x: x * factor


def add(a: int, b: int = 1) -> int:
    return a + b


LONG = list(range(100))
DIFFERENT: list[Any] = [
    0,
    1,
    1.0,
    True,
    0.0,
    -0.0,
    float("nan"),
    float("inf"),
    float("-inf"),
    "1",
    b"1",
    "",
    None,
    [],
    (),
    {},
    set(),
    frozenset(),
    [None],
    [[]],
    [1, 2],
    (1, 2),
    Pair(1, 2),
    [1.0, 2.0],
    LONG,
    tuple(LONG),
    [*LONG[:-1], 99.0],
    [*LONG[:-1], True],
    {str(n): n for n in range(10)},
    {str(n): float(n) for n in range(10)},
    {1: 2},
    {"1": 2},
    {"1": 2, "2": 1},
    {"2": 1, "1": 2},
    {1: 2, (2,): 1},
    {(2,): 1, 1: 2},
    {str(n): n for n in reversed(range(10))},
    collections.defaultdict(int, a=1),
    collections.defaultdict(list, a=1),
    collections.deque([1, 2], maxlen=3),
    {"a": "b=c"},
    {"a=b": "c"},
    ["ab", "c"],
    ["a", "bc"],
    ["a"] * 8,
    ["a,a"] * 4,
    {1, 2},
    frozenset({1, 2}),
    {"1", "2"},
    Model(n=1),
    Model(n=2),
    Model(n=1, parts=[1.0]),
    Other(n=1),
    {"n": 1, "parts": []},
    Secretive(n=1),
    Secretive(n=1).hiding(1),
    Point(1.0),
    Point(1.0, tags=["a"]),
    carrying(Point(1.0), 1),
    carrying(Point(1.0), 2),
    carrying(Tagged("1"), 1),
    carrying(Tagged("1"), 2),
    Colour.RED,
    Colour.BLUE,
    Level.LOW,
    Name("1"),
    dt.datetime(2026, 1, 1),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    dt.date(2026, 1, 1),
    dt.datetime(2026, 1, 1, fold=1),
    dt.datetime(2026, 1, 1, tzinfo=HOUR),
    dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    dt.timezone(dt.timedelta(hours=1), "X"),
    dt.timezone(dt.timedelta(hours=2), "X"),
    dt.time(1),
    dt.time(1, tzinfo=HOUR),
    dt.time(1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    dt.timedelta(seconds=1),
    decimal.Decimal("1.0"),
    decimal.Decimal("1.00"),
    uuid.UUID(int=1),
    pathlib.PurePosixPath("1"),
    complex(1, 0),
    range(3),
    collections.deque([1, 2]),
    collections.OrderedDict(a=1),
    types.MappingProxyType({"a": 1}),
    {"a": 1},
    Colour,
    Thing,
    len,
    add,
    functools.partial(add, 1),
    functools.partial(add, b=1),
    scaled(1.0),
    scaled(2.0),
    Point(1.0).__eq__,
    "\ud800",
    ["\ud800"] * 8,
    ["?"] * 8,
    10**30,
    1e30,
    types.ModuleType("math"),
]


def test_different_values_have_different_digests() -> None:
    """Types count, signs of zeros, private attributes, what functions close over; nothing runs into its neighbour."""
    digests = [fingerprint(value) for value in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT), [
        (one, other)
        for index, one in enumerate(DIFFERENT)
        for other, found in zip(DIFFERENT[index + 1 :], digests[index + 1 :], strict=True)
        if found == digests[index]
    ]


EQUAL: list[tuple[Any, Any]] = [
    ({3, 1, 2}, {2, 3, 1}),
    (frozenset({"a", "b"}), frozenset({"b", "a"})),
    (float("nan"), -float("nan")),
    ([float("nan")] * 9, [-float("nan")] * 9),
    (Model(n=1), Model.model_validate_json('{"n": 1}')),
    (Point(1.0), Point(1.0, 0.0, [])),
    (scaled(1.0), scaled(1.0)),
    (functools.partial(add, a=1, b=2), functools.partial(add, b=2, a=1)),
    (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), TypeAdapter(dt.datetime).validate_json('"2026-01-01T00:00:00Z"')),
    (dt.time(1, tzinfo=HOUR), TypeAdapter(dt.time).validate_json('"01:00:00+01:00"')),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_values_have_equal_digests(one: object, other: object) -> None:
    """Neither the order of members counts, nor which NaN it is, nor whether an offset was read from JSON."""
    assert fingerprint(one) == fingerprint(other)


def test_arrays_count_by_dtype_shape_and_content() -> None:
    """Arrays and numbers of numpy differ from lists and from each other."""
    numpy = pytest.importorskip("numpy")
    values = [
        numpy.zeros(4),
        numpy.zeros((2, 2)),
        numpy.zeros(4, dtype="f4"),
        numpy.zeros(4, dtype="i8"),
        numpy.float64(0),
        numpy.float32(0),
        numpy.array(["a", None], dtype=object),
        [0.0] * 4,
        0.0,
    ]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert fingerprint(numpy.arange(6).reshape(2, 3).T) == fingerprint(numpy.arange(6).reshape(2, 3).T.copy())


@pytest.mark.parametrize("value", [Thing(), [Thing()], {"a": (1, {Thing()})}, Point(Thing()), iter([]), Thing().__init__], ids=repr)  # type: ignore[arg-type, misc]
def test_what_has_no_content_has_no_digest(value: object) -> None:
    """Objects of plain classes are not told apart by a stand-in: they have no digest at all, however deep they lie."""
    with pytest.raises(NoFingerprint):
        fingerprint(value)


def test_a_value_in_itself_has_no_digest() -> None:
    """A list that holds itself ends in an answer."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NoFingerprint):
        fingerprint(endless)


def test_an_origin_stands_for_content() -> None:
    """Where an object comes from tells it apart from others, where that is known."""
    one, other = Thing(), Thing()
    origins = {id(one): "a", id(other): "b"}
    found = [fingerprint([value], lambda thing: origins.get(id(thing))) for value in (one, other, one)]
    assert found[0] == found[2] != found[1]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


def _shape(value: Any) -> Any:
    """Equality with the types of everything."""
    if isinstance(value, dict):
        return dict, [(name, _shape(part)) for name, part in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [_shape(part) for part in value]
    return type(value), repr(value)


@given(VALUES, VALUES)
def test_digests_follow_equality(one: object, other: object) -> None:
    """Two values have the same digest exactly where they are equal, types and the order of keys included."""
    assert (fingerprint(one) == fingerprint(other)) == (_shape(one) == _shape(other))
