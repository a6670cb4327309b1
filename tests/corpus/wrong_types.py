"""Types that do not fit what reads them, at every depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from .cases import Pipeline, wrong
from .parts import (
    Batch,
    Box,
    Machine,
    Metres,
    Mode,
    Named,
    Point,
    Rate,
    Scored,
    Scorer,
    Settings,
    Span,
    Task,
    TrainingOutput,
    Trial,
    TrialId,
    count,
    half,
    square,
)


class _Lr(TypedDict):
    lr: float


class _Words(TypedDict):
    lr: str
    layers: int


def _reader(provided: Any, needed: Any) -> Any:
    """A pipeline with the field ``data`` of one type, and a stage that needs it with another."""

    def read(data):  # type: ignore[no-untyped-def]
        return 1

    read.__annotations__ = {"data": needed, "return": int}
    return Pipeline(data=provided).stage("read", read)


@wrong("read", field="data", says=("needs int", "'inputs' provides 'data' as str"))
def plain() -> Any:
    """A string where a number is needed."""
    return _reader(str, int)


@wrong("read", field="data", says="provides float, needs int")
def float_for_int() -> Any:
    """A float is no int, though an int serves as a float."""
    return _reader(float, int)


@wrong("read", field="data", says="provides float | None, needs float")
def optional_for_certain() -> Any:
    """None is possible and not expected."""
    return _reader(float | None, float)


@wrong("read", field="data", says="data[*]: provides str, needs int")
def element_of_a_list() -> Any:
    """The elements differ."""
    return _reader(list[str], list[int])


@wrong("read", field="data", says="data[*][*]: provides str, needs float")
def element_of_a_nested_list() -> Any:
    """The elements of the elements differ."""
    return _reader(list[list[str]], Sequence[Sequence[float]])


@wrong("read", field="data", says="data[*][*].score: provides float | None, needs float")
def model_in_a_dict_in_a_list() -> Any:
    """A field of a model in a dict in a list may be None."""
    return _reader(list[dict[str, Trial]], list[dict[str, Scored]])


@wrong("read", field="data", says="key of data: provides int, needs str")
def key_of_a_mapping() -> Any:
    """The keys differ."""
    return _reader(dict[int, float], Mapping[str, float])


@wrong("read", field="data", says="data: provides 3 elements, needs 2")
def arity_of_a_tuple() -> Any:
    """A tuple has one element too many."""
    return _reader(tuple[int, int, int], tuple[int, int])


@wrong("read", field="data", says="data[1]: provides str, needs float")
def element_of_a_tuple() -> Any:
    """The second element differs."""
    return _reader(tuple[int, str], tuple[int, float])


@wrong("read", field="data", says=("any length", "2 elements"))
def tuple_of_any_length() -> Any:
    """A tuple of any length where a pair is needed."""
    return _reader(tuple[int, ...], tuple[int, int])


@wrong("read", field="data", says="provides list[int], needs tuple[int, int]")
def list_for_tuple() -> Any:
    """A list is no tuple."""
    return _reader(list[int], tuple[int, int])


@wrong("read", field="data", says="provides list[int], needs dict[str, int]")
def list_for_dict() -> Any:
    """A list is no mapping."""
    return _reader(list[int], dict[str, int])


@wrong("read", field="data", says="provides set[int], needs Sequence[int]")
def set_for_sequence() -> Any:
    """A set has no order."""
    return _reader(set[int], Sequence[int])


@wrong("read", field="data", says="provides int | str, needs int")
def union_for_one() -> Any:
    """One of two types is not expected."""
    return _reader(int | str, int)


@wrong("read", field="data", says="provides bytes, needs int | str")
def none_of_a_union() -> Any:
    """Neither of two types is it."""
    return _reader(bytes, int | str)


@wrong("read", field="data", says="provides Literal['fast', 'exact', 'other'], needs Literal['fast', 'exact']")
def too_many_literals() -> Any:
    """One value is not expected."""
    return _reader(Literal["fast", "exact", "other"], Mode)


@wrong("read", field="data", says="provides str, needs Literal['fast', 'exact']")
def string_for_literal() -> Any:
    """Any string where two are expected."""
    return _reader(str, Mode)


@wrong("read", field="data", says="provides float, needs Metres")
def base_of_a_new_type() -> Any:
    """A float is no Metres."""
    return _reader(float, Metres)


@wrong("read", field="data", says="needs Metres, but 'inputs' provides 'data' as TrialId")
def another_new_type() -> Any:
    """A TrialId is no Metres."""
    return _reader(TrialId, Metres)


@wrong("read", field="data", says="provides str, needs float")
def annotated() -> Any:
    """What is said beside a type does not change it."""
    return _reader(str, Rate)


@wrong("read", field="data", says="data.item: provides str, needs int")
def generic_model() -> Any:
    """A box of another thing."""
    return _reader(Box[str], Box[int])


@wrong("read", field="data", says="data.task: is not provided, needs Task")
def model_that_lacks_a_field() -> Any:
    """The model that is needed has a field more."""
    return _reader(Task, Batch)


@wrong("read", field="data", says="provides Machine, needs Task")
def class_for_a_model() -> Any:
    """A class without fields is no model."""
    return _reader(Machine, Task)


@wrong("read", field="data", says="data.layers: is not provided, needs int")
def key_of_a_typed_dict() -> Any:
    """A TypedDict lacks a key."""
    return _reader(_Lr, Settings)


@wrong("read", field="data", says="data.lr: provides str, needs float")
def value_of_a_typed_dict() -> Any:
    """A key of a TypedDict has another type."""
    return _reader(_Words, Settings)


@wrong("read", field="data", says=("data.name", "Point", "Named"))
def property_of_a_protocol() -> Any:
    """A point has no name."""
    return _reader(Point, Named)


@wrong("read", field="data", says=("data.score", "Machine", "Scorer"))
def method_of_a_protocol() -> Any:
    """A machine does not score."""
    return _reader(Machine, Scorer)


@wrong("read", field="data", says="type of data: provides Machine, needs Task")
def class_of_another_kind() -> Any:
    """A class is passed, and it is the wrong one."""
    return _reader(type[Machine], type[Task])


@wrong("read", field="data", says="provides Task, needs str")
def model_for_a_string() -> Any:
    """The task itself where its name is needed."""
    return _reader(Task, str)


@wrong("read", field="data", says="needs Iterable")
def model_for_an_iterable() -> Any:
    """A model is an iterable of pairs of name and value, which is hardly meant."""
    return _reader(Trial, Iterable[Trial])


@wrong("read", field="data", says="provides None, needs int")
def nothing_for_something() -> Any:
    """None where a number is needed."""
    return _reader(None, int)


@wrong("read", field="data", says="data[*]: provides int | None, needs int")
def optional_element() -> Any:
    """Some elements may be None."""
    return _reader(list[int | None], list[int])


@wrong("read", field="data", says="data[*]: provides float, needs int")
def element_of_an_optional_list() -> Any:
    """In a union the reason is found in the part that is nearest."""
    return _reader(list[float], list[int] | None)


@wrong("read", field="data", says="provides int, needs Callable")
def number_for_a_function() -> Any:
    """A number cannot be called."""
    return _reader(int, Callable[[int], int])


@wrong("look", field="score", says=("'trial' provides 'score'", "provides float | None, needs float"))
def view_with_another_type() -> Any:
    """A view's field is there, and may be None."""

    def look(scored: Scored) -> float:
        return scored.score

    async def trial() -> Trial:
        return Trial(id="a")

    return Pipeline().stage("trial", trial).stage("look", look)


@wrong("look", field="stop", says=("'inputs' provides 'stop' as str", "needs int"))
def view_by_a_named_tuple() -> Any:
    """A field of the named tuple has another type."""

    def look(span: Span) -> int:
        return span.stop

    return Pipeline(start=int, stop=str).stage("look", look)


@wrong("square", field="x", says=("'half' provides 'x' as float", "needs int"))
def output_of_a_stage() -> Any:
    """The provider is a stage, and is named."""
    return Pipeline(n=float).stage("half", half).through(x=float).stage("square", square)


@wrong("square", field="x", says=("'again' provides 'x' as float", "needs int"))
def replaced_field() -> Any:
    """A stage replaces a field, with another type; what reads it later is told who did."""

    async def again(x: int) -> float:
        return x / 2

    return Pipeline(x=int).stage("once", square).through(y=int).stage("again", again).through(x=float).stage("square", square)


@wrong("count", field="epochs", says="provides str, needs int")
def parameter_with_a_default() -> Any:
    """A default does not excuse a field of the same name with another type."""

    def stage(n: int, epochs: int = 3) -> int:
        return n * epochs

    return Pipeline(n=int, epochs=str).stage("count", stage)


@wrong("sum", field="losses", says="losses[*]: provides float, needs int")
def field_of_a_models_contract() -> Any:
    """The provider is a model; the reason is in its field."""

    async def train() -> TrainingOutput:
        return TrainingOutput(losses={}, epochs=1)

    def total(losses: dict[str, int]) -> int:
        return sum(losses.values())

    return Pipeline().stage("train", train).stage("sum", total)


@wrong("count", field="n", says=("needs int", "n: provides str"))
def type_of_an_input() -> Any:
    """The input is declared as a string."""
    return Pipeline(n=str).stage("count", count)
