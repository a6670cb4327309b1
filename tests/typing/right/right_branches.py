"""Branches of a chain: with one arm or two, to the same model, to different ones, within a loop."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline


class Data(BaseModel):
    """What flows in."""

    rows: list[float]


class Score(BaseModel):
    """What flows out."""

    score: float


class Detailed(Score):
    """With more of it."""

    details: str


def clean(data: Data) -> Data:
    """An optional step."""
    return Data(rows=[row for row in data.rows if row > 0])


def quick(data: Data) -> Score:
    """One way."""
    return Score(score=float(len(data.rows)))


async def thorough(data: Data) -> Score:
    """The other way."""
    return Score(score=sum(data.rows))


def detailed(data: Data) -> Detailed:
    """A way to a subclass."""
    return Detailed(score=sum(data.rows), details="all")


def publish(scored: Score) -> None:
    """What comes after either."""


one_arm: Pipeline[Data, Data] = Pipeline(Data).branch(lambda data: len(data.rows) > 3, Pipeline(Data).stage("clean", clean))
two_arms: Pipeline[Data, Score] = (
    one_arm.stage("again", clean)
    .branch(
        lambda data: len(data.rows) > 9,
        then=Pipeline(Data).stage("quick", quick),
        otherwise=Pipeline(Data).stage("thorough", thorough),
        name="score",
    )
    .stage("publish", publish)
)
to_a_subclass: Pipeline[Data, Score] = (
    Pipeline(Data)
    .branch(lambda data: bool(data.rows), Pipeline(Data).stage("detailed", detailed), Pipeline(Data).stage("quick", quick))
    .stage("publish", publish)
)
in_a_loop: Pipeline[Data] = Pipeline(Data).loop(one_arm, while_=lambda data: len(data.rows) > 3, max_iterations=2)
dynamic: Pipeline = (
    Pipeline(flag=bool, rows=list[float])
    .branch(
        lambda ctx: ctx.flag,
        Pipeline().stage("total", lambda rows: sum(rows)).through(float),
        Pipeline().stage("total", lambda rows: len(rows)).through(total=float),
    )
    .stage("double", lambda total: total * 2)
    .through(float)
)

PIPELINES: list[Pipeline] = [one_arm, two_arms, to_a_subclass, in_a_loop, dynamic]
