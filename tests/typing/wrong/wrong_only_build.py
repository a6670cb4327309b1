"""Mistakes that types cannot show: producers, names, order and what runs on which path."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from metta_sweep.pipeline import Context, Pipeline


class State(BaseModel):
    """What flows."""

    step: int


class Data(BaseModel):
    """Something else."""

    rows: list[float]


class Both(Data):
    """Both of them."""

    step: int


def advance(state: State) -> State:
    """One step."""
    return State(step=state.step + 1)


def count(data: Data) -> State:
    """Data to State."""
    return State(step=len(data.rows))


def summed(rows: Data) -> State:
    """Calls the model what one of its fields is called."""
    return State(step=len(rows.rows))


def read(state: State) -> Data:
    """State to Data."""
    return Data(rows=[state.step])


def mean(data: Data) -> float:
    """Data to a number."""
    return sum(data.rows)


def log(data: Data) -> None:
    """Returns nothing."""


def step_and_read(state: State) -> Both:
    """Both at once."""
    return Both(step=state.step + 1, rows=[])


def maybe(state: State) -> Data | None:
    """Perhaps Data."""
    return Data(rows=[]) if state.step else None


def results(state: State) -> list[float]:
    """A field."""
    return [state.step]


def best(result: list[float]) -> float:
    """Reads a field whose name it misspells."""
    return max(result)


def waiting(state: State) -> bool:
    """A predicate whose field nothing changes."""
    return state.step < 3


def look(context: Context) -> Any:
    """Reads an attribute of the whole context."""
    return context.stpe


def return_type_does_not_fit_the_contract() -> object:
    """The stage returns another type than its contract names."""
    return Pipeline(Data).stage("again", lambda data: data).stage("advance", count).through(Data)  # E: build


def fields_do_not_fit_the_contract() -> object:
    """The stage returns another type than its named field has."""
    return Pipeline(State).stage("results", results).through(results=dict[str, float])  # E: build


def optional_model_is_taken_as_surely_there() -> object:
    """A stage takes a model that the one before it returns perhaps."""
    return Pipeline(State).stage("maybe", maybe).stage("mean", mean)  # E: build


def named_field_is_misspelt() -> object:
    """A parameter misspells a named field."""
    return Pipeline(State).stage("results", results).stage("best", best)  # E: build


def context_attribute_is_misspelt() -> object:
    """A function of the whole context reads a field that is not there."""
    return Pipeline(step=int).stage("look", look)  # E: build


def name_is_taken_twice() -> object:
    """Two stages have the same name."""
    return Pipeline(State).stage("advance", advance).stage("advance", advance)  # E: build


def loop_is_never_ended() -> object:
    """`.loop_while()` without `.end_loop()`."""
    return Pipeline(State).loop_while(waiting).stage("advance", advance)  # E: build


def loop_is_ended_twice() -> object:
    """`.end_loop()` without `.loop_while()`."""
    return Pipeline(State).stage("advance", advance).end_loop()  # E: build


def loop_never_ends() -> object:
    """A loop whose body changes nothing that its predicate reads."""
    return Pipeline(State).loop_while(lambda state: state.step < 3).stage("read", read).end_loop()  # E: build


def field_is_made_in_a_loop_only() -> object:
    """A stage after a fluent loop takes what only its body makes."""
    return Pipeline(State).loop_while(waiting).stage("go", step_and_read).end_loop().stage("mean", mean)  # E: build


def contract_stands_before_every_stage() -> object:
    """`.through()` before the first stage."""
    return Pipeline(State).through(State).stage("advance", advance)  # E: build


def model_is_called_like_a_field() -> object:
    """A parameter for a model is called like one of its fields, and so gets that field."""
    return Pipeline(Data).stage("summed", summed)  # E: build


def nested_pipeline_ends_in_nothing() -> object:
    """A nested pipeline ends in a stage that returns nothing, and so provides nothing."""
    return Pipeline(State).stage("inner", Pipeline(State).stage("read", read).stage("log", log)).stage("mean", mean)  # E: build


def nothing_runs() -> object:
    """A pipeline without stages."""
    return Pipeline(State)  # E: build
