"""Loops over a state model, as blocks and fluently, nested and with carried values."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline


class State(BaseModel):
    """The state of a search."""

    step: int = 0
    loss: float = 1.0


def advance(state: State) -> State:
    """One step."""
    return State(step=state.step + 1, loss=state.loss / 2)


async def refine(state: State, rate: float = 0.5) -> State:
    """Another, async."""
    return State(step=state.step, loss=state.loss * rate)


def unfinished(state: State) -> bool:
    """A named predicate."""
    return state.step < 3


body: Pipeline[State] = Pipeline(State).stage("advance", advance).stage("refine", refine)
block: Pipeline[State] = Pipeline(State).loop(body, while_=lambda state: state.loss > 0.1, max_iterations=5)
named: Pipeline[State] = Pipeline(State).loop(body, while_=unfinished, name="steps").stage("refine", refine, rate=0.1)
inner: Pipeline[State] = Pipeline(State).loop(body, while_=lambda state: state.loss > 0.1, name="inner")
nested: Pipeline[State] = Pipeline(State).loop(inner.stage("again", advance), while_=unfinished, name="outer")
fluent: Pipeline[State] = Pipeline(State).loop_while(unfinished).stage("advance", advance).end_loop().stage("refine", refine)


def count(round_number: int) -> int:
    """Advances a carried value."""
    return round_number + 1


carried: Pipeline = (
    Pipeline()
    .loop(
        Pipeline().stage("count", count).through(round_number=int),
        while_=lambda ctx: ctx.round_number < 3,
        carry={"round_number": 0},
    )
    .stage("after", lambda round_number: round_number)
    .through(int)
)

PIPELINES: list[Pipeline] = [block, named, nested, fluent, carried]
