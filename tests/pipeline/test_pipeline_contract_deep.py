"""What contracts find within values: models in containers, types that are read once, what was never awaited."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import asyncio
import collections
import collections.abc as abc
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, NamedTuple, NewType, Protocol, TypedDict, TypeVar, runtime_checkable

import pytest
from pydantic import BaseModel, ConfigDict

from metta_sweep.errors import BuildError, ContractError
from metta_sweep.pipeline import Contract, Pipeline

T = TypeVar("T")


class Open(BaseModel):
    a: int


class Wider(BaseModel):
    a: int
    b: str = ""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: int


class Holds(BaseModel):
    rows: list[Open] = []
    name: str = ""


class Box(BaseModel, Generic[T]):
    item: T


@dataclass
class Row:
    a: int
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FrozenRow:
    a: int


@dataclass
class Outer:
    row: Row


@dataclass
class Linked:
    a: int
    other: Linked | None = None


@dataclass
class Crate(Generic[T]):
    item: T


class Pair(NamedTuple):
    a: int


class Options(TypedDict):
    a: int


class HasA(Protocol):
    a: int


@runtime_checkable
class Sized(Protocol):
    def __len__(self) -> int: ...


Id = NewType("Id", Row)


class Pending:
    def __await__(self) -> Generator[Any, None, int]:
        yield None
        return 1


class Finished:
    """A result that type checkers may await, and that is there all the same."""

    _is_result = True

    def __await__(self) -> Generator[Any, None, Finished]:
        yield from ()
        return self


def spoiled() -> Open:
    model = Open(a=1)
    vars(model)["a"] = "x"
    return model


def holding_a_spoiled_one() -> Holds:
    model = Holds(rows=[Open(a=1)])
    vars(model.rows[0])["a"] = "x"
    return model


def checked(form: Any, value: Any) -> Any:
    return Contract("s", {"x": form}).check(value)


BAD: list[tuple[Any, Any, str]] = [
    (list[Row], [Row(1), Row("x")], "x[1].a"),  # type: ignore[arg-type]
    (list[Row], [Row(1, ["a", 3])], "x[0].tags[1]"),  # type: ignore[list-item]
    (dict[str, Row], {"k": Row("x")}, "x.k.a"),  # type: ignore[arg-type]
    (tuple[Row, int], (Row("x"), 1), "x[0].a"),  # type: ignore[arg-type]
    (Row | None, Row("x"), "x.a"),  # type: ignore[arg-type]
    (Annotated[Row, "note"], Row("x"), "x.a"),  # type: ignore[arg-type]
    (Id, Row("x"), "x.a"),  # type: ignore[arg-type]
    (Outer, Outer(Row("x")), "x.row.a"),  # type: ignore[arg-type]
    (FrozenRow, FrozenRow("x"), "x.a"),  # type: ignore[arg-type]
    (list[FrozenRow], [FrozenRow("x")], "x[0].a"),  # type: ignore[arg-type]
    (Crate[int], Crate("x"), "x.item"),
    (list[Crate[int]], [Crate("x")], "x[0].item"),
    (Linked, Linked(1, Linked("x")), "x.other.a"),  # type: ignore[arg-type]
    (list[Open], [spoiled()], "x[0].a"),
    (Open | None, spoiled(), "x.a"),
    (Holds, holding_a_spoiled_one(), "x.rows[0].a"),
    (list[Options], [{"a": "x"}], "x[0].a"),
    (list[Options], [{"a": 1, "b": 2}], "x[0]"),
    (dict[str, list[Options]], {"k": [{"a": None}]}, "x.k[0].a"),
    (Box[int], Box(item="x"), "x.item"),
    (abc.Iterable[int], ["x"], "x[0]"),
    (abc.Set[int], {"x"}, "x[0]"),
    (abc.Collection[Row], [Row("x")], "x[0].a"),  # type: ignore[arg-type]
    (list[abc.Iterable[int]], [["x"]], "x[0][0]"),
]


@pytest.mark.parametrize(("form", "value", "path"), BAD)
def test_what_is_wrong_deep_within_is_found(form: Any, value: Any, path: str) -> None:
    """Models in containers are looked at again, and the message has the path to the mistake."""
    with pytest.raises(ContractError) as caught:
        checked(form, value)
    assert f"field {path!r}" in str(caught.value)


def test_the_fields_of_a_model_contract_are_looked_into() -> None:
    """What a model's field holds is checked as deeply as a named field."""
    for form, value, path in (
        (Outer, Outer(Row("x")), "'row.a'"),  # type: ignore[arg-type]
        (Holds, holding_a_spoiled_one(), "'rows[0].a'"),
        (Crate[int], Crate("x"), "'item'"),
    ):
        with pytest.raises(ContractError) as caught:
            Contract.of("s", form).check(value)
        assert path in str(caught.value)


GOOD: list[tuple[Any, Any]] = [
    (list[Row], [Row(1)]),
    (Outer, Outer(Row(1))),
    (FrozenRow, FrozenRow(1)),
    (Frozen, Frozen(a=1)),
    (Pair, Pair(1)),
    (Crate[int], Crate(1)),
    (Holds, Holds(rows=[Open(a=1)])),
    (Row | int, 3),
    (Row | int, Row(1)),
    (list[Open | Wider], [Wider(a=1, b="x")]),
    (list[HasA], [Row(1)]),
    (list[Sized], ["ab"]),
    (dict[str, Options | None], {"a": {"a": 1}, "b": None}),
    (abc.Iterable[int], [1, 2]),
    (abc.Iterable[str], {"a": 1}),
    (abc.Set[int], {1}),
    (abc.Collection[Row], (Row(1),)),
    (collections.deque[int], collections.deque([1])),
    (list[Any], [Finished()]),
    (Any, Finished()),
    (list[abc.Callable[[int], int]], [abs]),
    (list[type[int]], [bool]),
]


@pytest.mark.parametrize(("form", "value"), GOOD)
def test_what_is_right_deep_within_passes(form: Any, value: Any) -> None:
    """Right values stay what they are."""
    assert checked(form, value) == value


def test_instances_pass_by_identity() -> None:
    """Where nothing is wrong an instance is the output itself, frozen or not."""
    for form, value in ((FrozenRow, FrozenRow(1)), (Frozen, Frozen(a=1)), (Row, Row(1)), (Open, Open(a=1)), (Pair, Pair(1))):
        assert checked(form, value) is value
        assert Contract.of("s", form).check(value) is value


def test_values_that_hold_themselves_end() -> None:
    """A value that is its own part is checked once."""
    linked = Linked(1)
    linked.other = linked
    assert checked(Linked, linked) is linked
    assert checked(list[Linked], [linked]) == [linked]


def test_iterables_can_be_read_again() -> None:
    """A list under ``Iterable[int]`` stays a list, which every later stage can read; an iterator is left alone."""
    value = [1, 2]
    assert checked(abc.Iterable[int], value) is value
    once = iter([1, 2])
    assert checked(abc.Iterator[int], once) is once
    assert list(once) == [1, 2]
    with pytest.raises(ContractError, match="expected Iterator"):
        checked(abc.Iterator[int], [1])


@pytest.mark.parametrize(
    "form",
    [list, list[Any], list[object], tuple[Any, ...], list[dict[str, Any]], list[abc.Awaitable[int]], dict[str, Any], dict],
)
def test_what_was_never_awaited_within_a_container(form: Any) -> None:
    """A pending value within a container is refused, as one by itself is."""
    value: Any = (
        [{"a": Pending()}] if form == list[dict[str, Any]] else {"a": Pending()} if form in (dict[str, Any], dict) else None
    )
    value = value or (tuple if form == tuple[Any, ...] else list)([1, Pending()])
    with pytest.raises(ContractError, match="never awaited"):
        checked(form, value)


async def test_an_awaitable_is_no_type_of_a_field() -> None:
    """Not even a field that is declared as an awaitable takes one: it could be awaited once only."""
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(ContractError, match="never awaited"):
        checked(abc.Awaitable[int], future)
    future.cancel()


def test_a_model_of_another_class_is_taken_by_its_fields() -> None:
    """What the build lets through by its fields is taken by its fields, as one value and as one that may be None."""
    assert checked(Open, Wider(a=1)) == Open(a=1)
    assert checked(Open | None, Wider(a=1)) == Open(a=1)
    assert checked(Box[int], Box(item=1)) == Box[int](item=1)
    assert checked(Row, FrozenRow(1)) == Row(1)
    with pytest.raises(ContractError, match="which has no 'b'"):
        checked(Named, Row(1))


class Named(NamedTuple):
    b: int


async def test_what_the_build_lets_through_runs() -> None:
    """A function that returns a wider model runs under a contract for the narrower one, also where they are in a list."""

    def wider() -> Wider:
        return Wider(a=1)

    def rows() -> list[Wider]:
        return [Wider(a=1)]

    ran = await Pipeline().stage("m", wider).through(m=Open).stage("rows", rows).through(rows=list[Open]).build().run()
    assert (ran.m, ran.rows) == (Open(a=1), [Open(a=1)])
    assert (await Pipeline().stage("rows", rows).through(rows=list[Row]).build().run()).rows == [Row(a=1)]
    with pytest.raises(BuildError, match="never takes"):
        Pipeline().stage("rows", rows).through(rows=list[Named]).build()


async def test_readers_get_instances_of_what_they_ask_for() -> None:
    """A reader that asks for a narrower model, at any depth, gets real instances of it: its methods and defaults are there."""

    class Narrow(BaseModel):
        a: int
        more: str = "default"

        def twice(self) -> int:
            return 2 * self.a

    class View(BaseModel):
        rows: list[Narrow]

    def one(m: Narrow) -> str:
        return f"{m.twice()} {m.more}"

    def many(rows: list[Narrow]) -> list[int]:
        return [row.twice() for row in rows]

    def viewed(view: View) -> int:
        return sum(row.twice() for row in view.rows)

    def perhaps(m: Narrow | None) -> int:
        return 0 if m is None else m.twice()

    pipeline = Pipeline(m=Wider, rows=list[Wider]).stage("one", one).stage("many", many).stage("viewed", viewed)
    ran = await pipeline.stage("perhaps", perhaps).build(strict=True).run(m=Wider(a=1), rows=[Wider(a=2)])
    assert (ran.one, ran.many, ran.viewed, ran.perhaps) == ("2 default", [4], 4, 2)
    assert type(ran.m) is Wider


@pytest.mark.parametrize("form", [int, float])
def test_a_flag_is_never_a_number(form: Any) -> None:
    """Contracts refuse a bool where a number is needed; so does the build, of a function that returns one."""

    def flag() -> bool:
        return True

    with pytest.raises(BuildError, match="returns bool, which its contract never takes"):
        Pipeline().stage("n", flag).through(n=form).build()


def test_numbers_of_numpy() -> None:
    """A numpy integer is no int, and the message says how to make it one; a numpy float is a float."""
    numpy = pytest.importorskip("numpy")
    for form, value, remedy in (
        (int, numpy.int64(3), "write int(x)"),
        (list[int], [numpy.uint8(3)], "write int(x)"),
        (bool, numpy.bool_(True), "write bool(x)"),
        (list[float], numpy.zeros(2), "write x.tolist()"),
        (Open, Open.model_construct(a=numpy.int64(3)), "write int(x)"),
    ):
        with pytest.raises(ContractError) as caught:
            checked(form, value)
        assert remedy in str(caught.value)
    assert type(checked(float, numpy.float64(1.5))) is float
    assert checked(float, numpy.float32(1.5)) == 1.5


async def test_generic_dataclasses_are_contracts_and_views() -> None:
    """``Crate[int]`` joins the context by its fields, and is a view of it, with its arguments in their place."""

    def make() -> Crate[int]:
        return Crate(1)

    def look(crate: Crate[int]) -> int:
        return crate.item

    def wrong(crate: Crate[str]) -> str:
        return crate.item

    pipeline = Pipeline().stage("make", make)
    assert (await pipeline.stage("look", look).build(strict=True).run()).look == 1
    with pytest.raises(BuildError, match="provides 'item' as int"):
        pipeline.stage("look", wrong).build()


def test_one_field_that_is_a_mapping_of_its_own_name() -> None:
    """A mapping whose only key is the field's name is unpacked wherever what it holds fits; else it is the value itself."""
    assert checked(dict[str, int], {"x": {"a": 1}}) == {"a": 1}
    assert checked(dict[str, int], {"x": 1}) == {"x": 1}
    assert checked(dict[str, dict[str, int]], {"x": {"a": 1}}) == {"x": {"a": 1}}
    assert checked(dict, {"x": {"x": {"y": 1}}}) == {"x": {"y": 1}}


def test_text_is_no_sequence_of_texts() -> None:
    """A contract of ``Sequence[str]`` takes no str, which is one only by accident; the build says so."""

    def text() -> str:
        return "ab"

    with pytest.raises(BuildError, match="returns str, which its contract never takes"):
        Pipeline().stage("names", text).through(names=abc.Sequence[str]).build()
