"""Contracts, constants and stage functions that do not go together."""

# ruff: noqa: D102, D103  # stages; the cases say what they show
from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from .cases import Pipeline, wrong
from .parts import Machine, SuggestionOutput, Task, Trial, count, grow, half, load, square, suggest, train


class Streaming:
    """A callable object that is an asynchronous generator."""

    async def __call__(self, n: int) -> AsyncIterator[int]:
        yield n


async def stream(n: int) -> AsyncIterator[int]:
    yield n


@wrong("count", says=("'int'", "without quotes"))
def contract_as_a_string() -> Any:
    """A contract is a type."""
    return Pipeline(n=int).stage("count", count).through("int")


@wrong("count", field="m", says=("'int'", "without quotes"))
def field_as_a_string() -> Any:
    """The type of a field is a type."""
    return Pipeline(n=int).stage("count", count).through(m="int")


@wrong("tasks", says=("'Task'", "without quotes"))
def string_within_a_type() -> Any:
    """A type within a type is a string."""
    return Pipeline(n=int).stage("tasks", lambda n: []).through(list["Task"])


@wrong("suggest", says=("an instance", "SuggestionOutput", ".through(SuggestionOutput)"))
def instance_as_a_contract() -> Any:
    """A contract is the class, not an instance of it."""
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput(trials=[]))


@wrong("count", says=("a mapping", "**"))
def mapping_as_a_contract() -> Any:
    """Fields in a dict are passed with two stars."""
    return Pipeline(n=int).stage("count", count).through({"m": int})


@wrong("suggest", field="n", says=("SuggestionOutput", "one of the two"))
def model_and_fields() -> Any:
    """A model and named fields beside it."""
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput, n=int)


@wrong("count", field="_m", says="begins with a letter")
def hidden_field() -> Any:
    """A field cannot begin with an underscore."""
    return Pipeline(n=int).stage("count", count).through(_m=int)


@wrong("count-it", says=("no identifier", ".through(result=int)"))
def stage_name_as_a_field() -> Any:
    """The stage's name cannot be a field's."""
    return Pipeline(n=int).stage("count-it", count)


@wrong("count", says=("returns int", "expected str"))
def annotation_contradicts_the_contract() -> Any:
    """The function returns an int, the contract takes a str."""
    return Pipeline(n=int).stage("count", count).through(m=str)


@wrong("load", says=("returns list[float]", "expected dict[str, float]"))
def list_for_a_dict() -> Any:
    """The function returns a list, the contract takes a dict."""
    return Pipeline(path=str).stage("load", load).through(rows=dict[str, float])


@wrong("load", says=("returns list[float]", "expected list[str]"))
def elements_contradict_the_contract() -> Any:
    """The elements of what the function returns never fit."""
    return Pipeline(path=str).stage("load", load).through(rows=list[str])


@wrong("count", says=("returns int", "fields a, b"))
def number_for_two_fields() -> Any:
    """One number cannot be two fields."""
    return Pipeline(n=int).stage("count", count).through(a=int, b=int)


@wrong("pair", says=("returns tuple", "fields a, b"))
def tuple_for_two_fields() -> Any:
    """Several fields are never a tuple: positions are not names."""

    def pair(n: int) -> tuple[int, int]:
        return n, n

    return Pipeline(n=int).stage("pair", pair).through(a=int, b=int)


@wrong("count", says=("returns int", "expected SuggestionOutput"))
def number_for_a_model() -> Any:
    """The function returns an int, the contract is a model."""
    return Pipeline(n=int).stage("count", count).through(SuggestionOutput)


@wrong("make", says=("returns Task", "SuggestionOutput"))
def another_model() -> Any:
    """The function returns one model, the contract is another."""

    def make() -> Task:
        return Task(name="a")

    return Pipeline().stage("make", make).through(SuggestionOutput)


@wrong("make", says=("returns Task", "trial"))
def another_model_for_a_field() -> Any:
    """The function returns one model, the field is another."""

    def make() -> Task:
        return Task(name="a")

    return Pipeline().stage("make", make).through(trial=Trial)


@wrong("count", says=("returns int", "expected None"))
def something_for_nothing() -> Any:
    """The contract says that there is no output."""
    return Pipeline(n=int).stage("count", count).through(None)


@wrong("silent", says=("returns None", "expected int"))
def nothing_for_something() -> Any:
    """The function returns None, the contract takes an int."""

    async def silent(n: int) -> None: ...

    return Pipeline(n=int).stage("silent", silent).through(m=int)


@wrong("grow", field="stepp", says="did you mean 'step'?")
def misspelt_constant() -> Any:
    """The parameter is called step."""
    return Pipeline(n=int).stage("grow", grow, stepp=3)


@wrong("train", field="n_trials", says=("no parameter", "rows, lr, epochs"))
def unknown_constant() -> Any:
    """The function has no such parameter."""
    return Pipeline(rows=list[float], lr=float).stage("train", train, n_trials=50)


@wrong("grow", field="stepp", says="did you mean 'step'?")
def misspelt_constant_in_through() -> Any:
    """A constant may stand in .through(), too, and be misspelt there."""
    return Pipeline(n=int).stage("grow", grow).through(m=int, stepp=3)


@wrong("grow", field="step", says=("'3'", "takes int"))
def constant_of_another_type() -> Any:
    """A string for a number."""
    return Pipeline(n=int).stage("grow", grow, step="3")


@wrong("train", field="rows", says=("rows", "takes list[float]"))
def element_of_a_constant() -> Any:
    """An element of the constant has another type."""
    return Pipeline(lr=float).stage("train", train, rows=[1.0, "2"])


@wrong("grow", field="step", says="takes int")
def constant_that_is_none() -> Any:
    """None for a number."""
    return Pipeline(n=int).stage("grow", grow, step=None)


@wrong("train", says=("cannot be called", "found 0.5", "without calling it"))
def result_for_a_function() -> Any:
    """The function was called, and its result given."""
    return Pipeline(n=int).stage("train", 0.5)


@wrong("train", says=("cannot be called", "'train'"))
def name_for_a_function() -> Any:
    """The name of a function is no function."""
    return Pipeline(n=int).stage("train", "train")


@wrong("best", says=("no signature", "Wrap it"))
def function_without_a_signature() -> Any:
    """Some functions of Python itself do not tell what they take."""
    return Pipeline(n=int).stage("best", max).through(int)


@wrong("all", says=("takes *args only", "without the star"))
def nothing_but_stars() -> Any:
    """*args stands for no field."""
    return Pipeline(n=int).stage("all", lambda *args: len(args)).through(n=int)


@wrong("stream", says=("asynchronous generator", "in a list"))
def asynchronous_generator() -> Any:
    """A stage returns its output, it yields nothing."""
    return Pipeline(n=int).stage("stream", stream).through(int)


@wrong("stream", says=("asynchronous generator", "in a list"))
def asynchronous_generator_as_an_object() -> Any:
    """The same, as an object."""
    return Pipeline(n=int).stage("stream", Streaming()).through(int)


@wrong("stream", says=("generator", "list"))
def generator() -> Any:
    """A generator that is returned would run nothing."""

    def yielding(n: int) -> Any:
        yield n

    return Pipeline(n=int).stage("stream", yielding).through(m=Any)


@wrong("half", says=("'half' is taken", "Rename"))
def name_twice() -> Any:
    """Two stages have one name."""
    return Pipeline(n=float).stage("half", half).through(m=float).stage("half", half).through(k=float)


@wrong("through", says=("found .through()", "Add a .stage()"))
def contract_before_any_stage() -> Any:
    """There is no stage that it could belong to."""
    return Pipeline(n=int).through(int).stage("count", count)


@wrong("through", says=(".through() twice", "Add a .stage()"))
def two_contracts_after_a_loop() -> Any:
    """After the end of a loop there is no stage that it could belong to."""
    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).end_loop()
    return loop.through(int)


@wrong("pipeline", says=("no stages", "Add a .stage()"))
def nothing_to_run() -> Any:
    """Inputs alone do nothing."""
    return Pipeline(n=int)


@wrong("square", field="x", says=("takes int",))
def constant_that_a_partial_left() -> Any:
    """What a partial leaves open is checked like any parameter."""
    return Pipeline().stage("square", partial(square), x="3").through(y=int)


@wrong("make", field="machine", says=("'machine'", "Machine"))
def constant_of_another_class() -> Any:
    """The parameter takes an instance, the class is given."""

    def make(machine: Machine) -> int:
        return 1

    return Pipeline().stage("make", make, machine=Machine)
