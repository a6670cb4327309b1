"""Stages that ask about their own execution, first or second, with constants or without, or that take nothing else."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline, StageContext


class State(BaseModel):
    """What flows."""

    seed: int = 0


class Drawn(BaseModel):
    """What was drawn."""

    number: float


def second(state: State, context: StageContext) -> State:
    """The context second."""
    return State(seed=state.seed + context.attempt)


async def second_async(state: State, context: StageContext, factor: int) -> State:
    """The context second, and a constant."""
    return State(seed=state.seed + context.attempt * factor)


async def first(context: StageContext, state: State) -> State:
    """The context first."""
    return State(seed=context.attempt + state.seed)


def first_with_constant(context: StageContext, state: State, factor: int = 2) -> State:
    """The context first, and a constant."""
    return State(seed=context.attempt + state.seed * factor)


def alone(context: StageContext) -> None:
    """Nothing but the context."""
    context.check_cancelled()


async def alone_with_constant(context: StageContext, low: float) -> Drawn:
    """The context and a constant."""
    return Drawn(number=context.rng.uniform(low, 1.0))


async def nothing() -> None:
    """Takes nothing."""


def only_constants(number: float) -> Drawn:
    """Takes constants only."""
    return Drawn(number=number)


stages: Pipeline[State] = (
    Pipeline(State)
    .stage("second", second)
    .stage("second_async", second_async, factor=3)
    .stage("first", first)
    .stage("first_with_constant", first_with_constant)
    .stage("first_with_another", first_with_constant, factor=5)
    .stage("alone", alone)
    .stage("nothing", nothing)
)
drawn: Pipeline[State, Drawn] = stages.stage("alone_with_constant", alone_with_constant, low=0.5)
given: Pipeline[State, Drawn] = stages.stage("only_constants", only_constants, number=0.5)

PIPELINES: list[Pipeline] = [stages, drawn, given]
