"""Mistakes in the constants of stages."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline, StageContext, ref


class State(BaseModel):
    """What flows."""

    value: float = 0.0


def train(state: State, epochs: int) -> State:
    """One constant."""
    return State(value=state.value + epochs)


async def train_async(state: State, *, epochs: int, rate: float = 0.1) -> State:
    """Keyword-only ones."""
    return State(value=state.value + epochs * rate)


def seeded(state: State, context: StageContext, epochs: int) -> State:
    """The context and a constant."""
    return State(value=state.value + epochs + context.attempt)


def choose(state: State, mode: Literal["fast", "slow"]) -> State:
    """A constant of few values."""
    return State(value=state.value + len(mode))


def plain(state: State) -> State:
    """None."""
    return state


def constant_is_missing() -> object:
    """A constant is missing."""
    return Pipeline(State).stage("train", train)  # E: mypy pyright build


def keyword_only_constant_is_missing() -> object:
    """A keyword-only constant of an async stage is missing."""
    return Pipeline(State).stage("train", train_async)  # E: mypy pyright build


def constant_has_wrong_type() -> object:
    """A constant has the wrong type."""
    return Pipeline(State).stage("train", train, epochs="3")  # E: mypy pyright build


def async_constant_has_wrong_type() -> object:
    """A constant of an async stage has the wrong type."""
    return Pipeline(State).stage("train", train_async, epochs=3, rate=None)  # E: mypy pyright build


def constant_beside_context_has_wrong_type() -> object:
    """A constant beside a `StageContext` has the wrong type."""
    return Pipeline(State).stage("train", seeded, epochs=[3])  # E: mypy pyright build


def constant_is_misspelt() -> object:
    """A constant with a default is misspelt."""
    return Pipeline(State).stage("train", train_async, epochs=3, rat=0.5)  # E: mypy pyright build


def constant_is_no_parameter() -> object:
    """A constant for a stage that takes none."""
    return Pipeline(State).stage("plain", plain, epochs=3)  # E: mypy pyright build


def constant_is_no_literal() -> object:
    """A constant is none of the allowed values."""
    return Pipeline(State).stage("choose", choose, mode="quick")  # E: mypy pyright build


def reference_is_misspelt() -> object:
    """A `ref()` names no field."""
    return Pipeline(State).stage("plain", plain).stage("train", train, epochs=ref("plain.vlaue"))  # E: build


def reference_has_another_type() -> object:
    """A `ref()` names a field of another type."""
    return Pipeline(State).stage("train", train, epochs=ref("value"))  # E: build


def constant_is_given_by_position() -> object:
    """A constant is given by its position."""
    return Pipeline(State).stage("train", train, 3)  # E: build
