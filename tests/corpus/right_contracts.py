"""Every form of a contract, and types that fit what reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional, TypeVar, Union

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from metta_sweep.pipeline import fields

from .cases import Pipeline, right
from .parts import (
    Batch,
    Box,
    Judge,
    Metres,
    Mode,
    Named,
    Point,
    Rate,
    Scored,
    Scorer,
    Settings,
    Span,
    SuggestionOutput,
    Task,
    TrainingOutput,
    Trial,
    count,
    load,
    suggest,
)

Losses = TypeAliasType("Losses", dict[str, float])
T = TypeVar("T")


class Tree(BaseModel):
    """A recursive model."""

    name: str
    children: list[Tree] = []


class Wide(BaseModel):
    """Has all fields of a task, and more."""

    name: str
    difficulty: float
    origin: str


def _reader(provided: Any, needed: Any, value: Any, expected: Any = 1) -> Any:
    """A pipeline with the field ``data`` of one type, and a stage that needs it with another."""

    def make():  # type: ignore[no-untyped-def]
        return value

    def read(data):  # type: ignore[no-untyped-def]
        return expected

    make.__annotations__ = {"return": provided}
    read.__annotations__ = {"data": needed, "return": int}
    return Pipeline().stage("make", make).through(data=provided).stage("read", read)


@right(inputs={"seed": 1}, gives={"trials": [Trial(id="1", score=1.0)], "n": 1})
def model() -> Any:
    """The fields of a model join the context."""

    def report(trials: list[Trial]) -> int:
        return len(trials)

    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput).stage("report", report).through(n=int)


@right(inputs={"seed": 1}, gives={"trials": [Trial(id="1", score=1.0)]})
def return_annotation() -> Any:
    """Without .through(), the return annotation is the contract."""
    return Pipeline(seed=int).stage("suggest", suggest)


@right(inputs={"path": "ab"}, gives={"load": [2.0, 1.0]})
def positional_type() -> Any:
    """A positional type is a field named after the stage."""
    return Pipeline(path=str).stage("load", load).through(list[float])


@right(inputs={"n": 1}, gives={"losses": {"a": 0.5}, "epochs": 1, "half": 0.5})
def several_fields() -> Any:
    """A mapping for several fields."""

    def train(n: int) -> dict[str, Any]:
        return {"losses": {"a": n / 2}, "epochs": n}

    def take(losses: dict[str, float], epochs: int) -> float:
        return losses["a"] * epochs

    named = Pipeline(n=int).stage("train", train).through(losses=dict[str, float], epochs=int)
    return named.stage("half", take)


@right(gives={"losses": {"a": 0.5}, "epochs": 3})
def model_for_named_fields() -> Any:
    """A model whose fields are the named ones."""

    def train() -> TrainingOutput:
        return TrainingOutput(losses={"a": 0.5}, epochs=3)

    return Pipeline().stage("train", train).through(losses=dict[str, float], epochs=int)


@right(gives={"x": 1.0, "y": 2.0, "start": 1, "stop": 3})
def dataclass_and_named_tuple() -> Any:
    """Dataclasses and named tuples are contracts like models."""

    def point() -> Point:
        return Point(1.0, 2.0)

    def span() -> Span:
        return Span(1, 3)

    return Pipeline().stage("point", point).stage("span", span).through(Span)


@right(gives={"losses": {"a": 1.0}, "epochs": 2})
def mapping_for_a_model() -> Any:
    """A mapping with the fields of the model is made into one."""

    def train() -> dict[str, Any]:
        return {"losses": {"a": 1.0}, "epochs": 2}

    return Pipeline().stage("train", train).through(TrainingOutput)


@right(inputs={"n": 3}, gives={"m": 4, "k": 5})
def only_key_is_unpacked() -> Any:
    """With one field, the bare value, or a mapping whose only key is the field's name."""

    def wrapped(m: int) -> dict[str, int]:
        return {"k": m + 1}

    return Pipeline(n=int).stage("count", count).through(m=int).stage("wrapped", wrapped).through(k=int)


@right(inputs={"n": 3}, gives={"n": 3})
def nothing() -> Any:
    """A stage that gives nothing, said or not."""

    async def silent(n: int) -> None: ...

    return Pipeline(n=int).stage("a", silent).stage("b", silent).through(None)


@right(inputs={"n": 3}, gives={"n": "4"})
def field_replaced_with_another_type() -> Any:
    """Writing an existing field replaces it, with its new type."""

    def text(n: int) -> str:
        return str(n + 1)

    def read(n: str) -> int:
        return len(n)

    return Pipeline(n=int).stage("text", text).through(n=str).stage("read", read)


@right(gives={"m": 1.5, "read": 1})
def narrower_contract() -> Any:
    """A contract may be narrower than the annotation, since outputs are validated."""

    def make() -> float | None:
        return 1.5

    def read(m: float) -> int:
        return int(m)

    return Pipeline().stage("make", make).through(m=float).stage("read", read)


@right(gives={"m": 3})
def function_that_returns_anything() -> Any:
    """Any may be everything."""

    def make() -> Any:
        return 3

    return Pipeline().stage("make", make).through(m=int)


@right(inputs={"n": 3}, gives={"m": 4})
def fields_with_fields() -> Any:
    """fields() alone."""
    return Pipeline(n=int).stage("count", count).through(fields(m=int))


@right(gives={"read": 1})
def int_for_float() -> Any:
    """An int serves as a float."""
    return _reader(int, float, 3)


@right(gives={"read": 1})
def bool_for_int() -> Any:
    """A bool is an int."""
    return _reader(bool, int, True)


@right(gives={"read": 1})
def certain_for_optional() -> Any:
    """A value where None is possible as well."""
    return _reader(float, float | None, 1.0)


@right(gives={"read": 1})
def old_spellings() -> Any:
    """Optional and Union are the unions that they stand for."""
    return _reader(Optional[int], Union[int, str, None], None)  # noqa: UP007, UP045


@right(gives={"read": 1})
def list_for_sequence() -> Any:
    """A list is a sequence, its elements fit."""
    return _reader(list[int], Sequence[float], [1, 2])


@right(gives={"read": 1})
def dict_for_mapping() -> Any:
    """A dict is a mapping, and an iterable of its keys."""
    return _reader(dict[str, int], Mapping[str, float] | Iterable[str], {"a": 1})


@right(gives={"read": 1})
def covariant_containers() -> Any:
    """Values are read, not written: a list of one kind fits a list of a wider kind."""
    return _reader(list[dict[str, Scored]], list[dict[str, Trial]], [{"a": Scored(id="a", score=1.0)}])


@right(gives={"read": 1})
def pair_for_tuple() -> Any:
    """A pair is a tuple of any length, and a sequence."""
    return _reader(tuple[int, int], tuple[float, ...] | Sequence[int], (1, 2))


@right(gives={"read": 1})
def fewer_literals() -> Any:
    """One of two values, and a string."""
    return _reader(Literal["fast"], Mode, "fast")


@right(gives={"read": 1})
def literal_for_string() -> Any:
    """Values of a kind are of that kind."""
    return _reader(Mode, str, "exact")


@right(gives={"read": 1})
def new_type_for_its_base() -> Any:
    """Metres are floats."""
    return _reader(Metres, float, Metres(1.0))


@right(gives={"read": 1})
def annotated() -> Any:
    """What is said beside a type does not change it."""
    return _reader(Annotated[float, Field(gt=0)], Rate, 0.5)


@right(gives={"read": 1})
def alias() -> Any:
    """A named alias is what it stands for."""
    return _reader(Losses, Mapping[str, float], {"a": 1.0})


@right(gives={"read": 1})
def generic_model() -> Any:
    """A box of the same thing."""
    return _reader(Box[int], Box[int], Box[int](item=3))


@right(gives={"read": 1})
def wider_box() -> Any:
    """A box of something that fits."""
    return _reader(Box[int], Box[float | None], Box[int](item=3))


@right(gives={"read": 1})
def model_with_more_fields() -> Any:
    """Models fit by their fields, at run time too."""
    return _reader(Wide, Task, Wide(name="a", difficulty=0.5, origin="b"))


@right(gives={"read": 1})
def nested_model() -> Any:
    """A model in a model in a list."""
    return _reader(list[Batch], Sequence[Batch], [Batch(task=Task(name="a"), size=1)])


@right(gives={"read": 1})
def recursive_model() -> Any:
    """A model that contains itself."""
    return _reader(Tree, Tree, Tree(name="a", children=[Tree(name="b")]))


@right(gives={"read": 1})
def typed_dict_for_mapping() -> Any:
    """A TypedDict is a dict with strings for keys."""
    return _reader(Settings, Mapping[str, Any], {"lr": 0.1, "layers": 2})


@right(gives={"read": 1})
def class_that_fits_a_protocol() -> Any:
    """A class with the methods of the protocol."""
    return _reader(Judge, Scorer, Judge())


@right(gives={"read": 1})
def model_that_fits_a_protocol() -> Any:
    """A model with the field that the protocol has as a property."""
    return _reader(Task, Named, Task(name="a"))


@right(gives={"read": 1})
def function_as_a_value() -> Any:
    """Functions may be passed on."""
    return _reader(Callable[[str], int], Callable[..., Any], len)


@right(gives={"read": 1})
def class_as_a_value() -> Any:
    """Classes may be passed on."""
    return _reader(type[Scored], type[BaseModel], Scored)


@right(gives={"read": 1})
def anything_for_a_type_variable() -> Any:
    """A parameter with a type variable takes what there is."""
    return _reader(list[int], Sequence[T], [1])  # type: ignore[valid-type]


@right(gives={"read": 1})
def any_both_ways() -> Any:
    """Any fits, and is fitted."""
    return _reader(list[Any], list[int], [1])
