"""Contracts of kinds of values that pydantic, asked strictly, would refuse or fail on: other mappings, classes by protocol."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import pytest
from pydantic import BaseModel, Field

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.contracts.checks import Misfit, value_check
from metta_sweep.store.memory import MemoryStore


class Row(BaseModel):
    """What a stage makes."""

    n: int
    note: str = ""


class Narrow(BaseModel):
    """What a reader takes of it."""

    n: int


class Steps(Protocol):
    """What optimizers have."""

    lr: float

    def step(self) -> None:
        """One step."""


class Adam:
    """One of them."""

    lr = 0.1

    def step(self) -> None:
        """Nothing."""


@pytest.mark.parametrize("form", [Mapping[str, int], Mapping, Mapping[str, int] | None, Mapping[str, Any]])
@pytest.mark.parametrize("value", [MappingProxyType({"a": 1}), ChainMap({"a": 1})])
def test_a_mapping_need_not_be_a_dict(form: Any, value: Any) -> None:
    """Where the contract says Mapping, any mapping passes, as it is."""
    assert value_check(form)(value) is value
    assert value_check(list[form])([value])[0] is value


def test_mappings_are_looked_into() -> None:
    """What they hold is checked, and one that cannot be changed is no MutableMapping."""
    with pytest.raises(Misfit, match="expected str"):
        value_check(Mapping[str, str])(MappingProxyType({"a": 1}))
    with pytest.raises(Misfit):
        value_check(MutableMapping[str, int])(MappingProxyType({"a": 1}))


async def test_a_mapping_that_is_no_dict_is_kept_and_seen_as_a_reader_asks() -> None:
    """Readers get instances of the models that they ask for, also out of such mappings; a resumed run the same."""

    def make() -> Mapping[str, Row]:
        return MappingProxyType({"a": Row(n=1)})

    def read(rows: Mapping[str, Narrow]) -> str:
        return repr(rows["a"])

    plan = Pipeline().stage("make", make).through(rows=Mapping[str, Row]).stage("read", read).through(said=str).build()
    store = MemoryStore()
    assert [(await plan.run(store=store, name="kept")).said for _ in range(2)] == ["Narrow(n=1)"] * 2


def of_a_class(cls: type[Steps]) -> float:
    """A stage that takes the class of an optimizer."""
    return cls.lr


async def test_a_class_by_protocol_can_be_a_constant() -> None:
    """A protocol cannot be asked for its subclasses: any class passes, and what is none is a fault, no crash of the build."""
    assert (await Pipeline().stage("fit", of_a_class, cls=Adam).through(lr=float).build().run()).lr == 0.1
    with pytest.raises(BuildError, match="the constant 'cls' does not fit"):
        Pipeline().stage("fit", of_a_class, cls=3).through(lr=float).build()


def any_model() -> BaseModel:
    """A stage that may make any model."""
    return Row(n=1)


def read_any(made: BaseModel) -> str:
    """A stage that takes any."""
    return repr(made)


async def test_the_base_of_all_models_is_a_type_like_others() -> None:
    """BaseModel has no fields of its own: it is what a field may be, and any model is one."""
    plan = Pipeline().stage("make", any_model).through(made=BaseModel).stage("read", read_any).through(said=str).build(strict=True)
    assert (await plan.run()).said == "Row(n=1, note='')"
    assert Pipeline().stage("make", any_model).build().nodes
    with pytest.raises(BuildError, match="needs the field 'made', which nothing provides"):
        Pipeline().stage("read", read_any).through(said=str).build()
    with pytest.raises(BuildError, match="int, needs BaseModel"):
        Pipeline(made=int).stage("read", read_any).through(said=str).build()


async def test_the_base_of_all_models_cannot_be_kept() -> None:
    """Read back as a BaseModel, the value would have lost its fields."""
    plan = Pipeline().stage("make", any_model).through(made=BaseModel).build()
    with pytest.raises(BuildError, match="cannot be kept as JSON; found the type BaseModel"):
        await plan.run(store=MemoryStore(), name="kept")


@dataclass
class Point:
    """What a stage makes."""

    x: int
    name: str = ""


@dataclass(frozen=True)
class Place:
    """What a reader takes of it."""

    x: float


class Spot(NamedTuple):
    """The same as a tuple."""

    x: int


@pytest.mark.parametrize(
    ("needed", "seen"),
    [
        (list[Place], [Place(1.0)]),
        (list[Spot], [Spot(1)]),
        (list[Place | None], [Place(1.0)]),
        (list[Place | Path], [Place(1.0)]),
        (Sequence[Path | Spot], [Spot(1)]),
        (list[Point | Spot], [Point(1)]),
        (list[Narrow | Point], [Point(1)]),
    ],
)
async def test_dataclasses_and_named_tuples_are_seen_by_their_fields_at_any_depth(needed: Any, seen: Any) -> None:
    """What the build lets through by its fields, a reader gets as an instance of what it asks for; an exact one as it is."""

    def make() -> list[Point]:
        return [Point(1)]

    def read(points: Any) -> Any:
        return points

    read.__annotations__["points"] = needed
    plan = Pipeline().stage("make", make).through(points=list[Point]).stage("read", read).through(seen=Any).build()
    assert (await plan.run()).seen == seen


class Lenient(BaseModel):
    """A model that can be made of nothing."""

    steps: int = 3


class Cat(BaseModel):
    """One of two."""

    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    """The other."""

    kind: Literal["dog"] = "dog"


@dataclass
class Holder:
    """It holds some."""

    rows: list[Row]


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (list[Row], [{"n": 1}]),
        (list[Lenient], [Adam()]),
        (list[Lenient], [Row(n=1)]),
        (dict[str, Lenient], {"a": {}}),
        (Lenient | int, Adam()),
        (Annotated[Lenient, "said"], {"a": 1}),
        (Holder, Holder([{"n": 1}])),  # type: ignore[list-item]
        (list[Annotated[Cat | Dog, Field(discriminator="kind")]], [{"kind": "cat"}]),
    ],
)
def test_nothing_is_made_a_model_on_the_way(form: Any, value: Any) -> None:
    """A dict or any object in the place of a model is refused at any depth, as it is at the top: nothing is converted."""
    with pytest.raises(Misfit):
        value_check(form)(value)


def test_instances_of_a_discriminated_union_pass() -> None:
    """What tells its members apart is their class."""
    pet = Annotated[Cat | Dog, Field(discriminator="kind")]
    dog = Dog()
    assert value_check(pet)(dog) is dog
    assert value_check(list[pet])([dog, Cat()]) == [dog, Cat()]
