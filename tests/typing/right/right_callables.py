"""What can be a stage of a chain: methods, partials, callable objects, class methods, lambdas."""

from __future__ import annotations

from functools import partial

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline


class State(BaseModel):
    """What flows."""

    total: float = 0.0


def scaled(state: State, factor: float) -> State:
    """A stage with a constant."""
    return State(total=state.total * factor)


class Adder:
    """A callable object."""

    def __init__(self, step: float) -> None:
        self.step = step

    def __call__(self, state: State) -> State:
        """Adds its step."""
        return State(total=state.total + self.step)


class Trainer:
    """Stages as methods."""

    def fit(self, state: State, rounds: int = 1) -> State:
        """A bound method."""
        return State(total=state.total + rounds)

    async def refit(self, state: State) -> State:
        """An async one."""
        return state

    @classmethod
    def reset(cls, state: State) -> State:
        """A class method."""
        return State(total=0.0 * state.total)

    @staticmethod
    def twice(state: State) -> State:
        """A static one."""
        return State(total=state.total * 2)

    def pipeline(self) -> Pipeline[State]:
        """All of them in a row."""
        return (
            Pipeline(State)
            .stage("fit", self.fit)
            .stage("more", self.fit, rounds=3)
            .stage("refit", self.refit)
            .stage("reset", self.reset)
            .stage("twice", self.twice)
        )


others: Pipeline[State] = (
    Pipeline(State)
    .stage("partial", partial(scaled, factor=2.0))
    .stage("object", Adder(0.5))
    .stage("lambda", lambda state: State(total=state.total + 1))
    .through(State)
)

PIPELINES: list[Pipeline] = [Trainer().pipeline(), others]
