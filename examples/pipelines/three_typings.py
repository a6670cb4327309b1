"""The same pipeline written three times: by named fields, as a chain of models, and over one state model.

The first leaves all checks to ``build()``. In the second and third mypy and pyright check each stage while you type; try it: give
``fit`` another model, or misspell a field in a hook. Run it with ``python examples/pipelines/three_typings.py``; it takes no time.
"""

import asyncio

from pydantic import BaseModel

from metta_sweep import Pipeline


class Data(BaseModel):
    """What is learned from."""

    points: list[float]


class Fitted(BaseModel):
    """What was learned."""

    mean: float


class State(BaseModel):
    """All of it at once, and how far it is."""

    points: list[float]
    mean: float = 0.0
    rounds: int = 0


def fit_points(points: list[float], shrink: float) -> float:
    return shrink * sum(points) / len(points)


named_fields: Pipeline = (
    Pipeline(points=list[float])
    .stage("fit", fit_points, shrink=1.0)  # gets the field "points" by its name
    .through(mean=float, validate=lambda mean: mean > 0)
)


def fit(data: Data, shrink: float) -> Fitted:
    return Fitted(mean=shrink * sum(data.points) / len(data.points))


async def announce(fitted: Fitted) -> None:
    print(f"chain of models: {fitted.mean}")


chain: Pipeline[Data, Fitted] = (
    Pipeline(Data)
    .stage("fit", fit, shrink=1.0)  # takes what flows there; the constant is checked as well
    .through(Fitted, validate=lambda fitted: fitted.mean > 0)
    .stage("announce", announce)  # returns nothing: what it got flows on
)


def refine(state: State) -> State:
    target = sum(state.points) / len(state.points)
    return State(points=state.points, mean=(state.mean + target) / 2, rounds=state.rounds + 1)


search: Pipeline[State] = Pipeline(State).loop(
    Pipeline(State).stage("refine", refine),
    while_=lambda state: state.rounds < 20,
    max_iterations=100,
)


async def main() -> None:
    points = [1.0, 2.0, 3.0]
    by_name = await named_fields.build().run(points=points)
    print(f"named fields: {by_name.mean}")
    await chain.build().run(points=points)
    by_state = await search.build().run(points=points)
    print(f"state model: {by_state.mean:.3f} after {by_state.rounds} rounds")


if __name__ == "__main__":
    asyncio.run(main())
