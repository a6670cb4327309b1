"""Pipelines in pipelines, blocks as loops, and stages that are replaced."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import StageContext, ref

from .cases import Pipeline, right
from .parts import Frozen, Point, TrainingOutput, count, grow, load


async def fit(rows: list[float], lr: float) -> float:
    return sum(rows) * lr


async def other_fit(lr: float, rows: list[float], epochs: int = 2) -> float:
    return sum(rows) * lr * epochs


def report(loss: float) -> str:
    return f"{loss:.1f}"


class Rows(Frozen):
    rows: list[float]
    lr: float = 0.5


TRAIN = Pipeline(rows=list[float], lr=float).stage("fit", fit).through(loss=float)
OUTER = Pipeline(path=str, lr=float).stage("load", load).through(rows=list[float])
INPUTS = {"path": "abc", "lr": 0.5}


@right(inputs=INPUTS, gives={"loss": 2.0, "report": "2.0"})
def stage() -> Any:
    """A pipeline as a stage takes its inputs by name, and gives what its last stage gives."""
    return OUTER.stage("train", TRAIN).stage("report", report)


@right(inputs=INPUTS, gives={"loss": 4.0})
def constants() -> Any:
    """A constant of the stage is an input of the inner pipeline."""
    return OUTER.stage("train", TRAIN, lr=1.0)


@right(inputs={"path": "abc", "rate": 2.0}, gives={"loss": 8.0})
def reference() -> Any:
    """A field under another name."""
    outer = Pipeline(path=str, rate=float).stage("load", load).through(rows=list[float])
    return outer.stage("train", TRAIN, lr=ref("rate"))


@right(inputs={"rows": [1.0, 3.0]}, gives={"loss": 2.0})
def state_of_the_inner_one() -> Any:
    """The inner pipeline has a state model; what has a default need not be there."""
    return Pipeline(rows=list[float]).stage("train", Pipeline(Rows).stage("fit", fit).through(loss=float))


@right(inputs=INPUTS, gives={"epochs": 3, "losses": {"a": 2.0}})
def contract_by_a_model() -> Any:
    """A contract picks among all fields that are there at the end."""

    def losses(loss: float) -> dict[str, float]:
        return {"a": loss}

    def epochs() -> int:
        return 3

    inner = TRAIN.stage("losses", losses).stage("epochs", epochs)
    return OUTER.stage("train", inner).through(TrainingOutput)


@right(inputs=INPUTS, gives={"loss": 2.0, "report": "2.0"})
def contract_by_names() -> Any:
    """Named fields are picked in the same way."""
    return OUTER.stage("train", TRAIN.stage("report", report)).through(loss=float, report=str)


@right(inputs=INPUTS, gives={"loss": 2.0})
def hooks_of_a_pipeline() -> Any:
    """Hooks work on the whole of it."""
    return OUTER.stage("train", TRAIN).through(loss=float, retry=1, timeout=5, before=lambda d: d.rows, on_error=lambda e: None)


@right(inputs={"n": 1}, gives={"where": "a/b/where"})
def deep() -> Any:
    """A pipeline in a pipeline in a pipeline, and where its stages are."""

    async def where(n: int, stage: StageContext) -> str:
        return stage.address

    inner = Pipeline(n=int).stage("where", where)
    return Pipeline(n=int).stage("a", Pipeline(n=int).stage("b", inner))


@right(inputs={"n": 0}, gives={"n": 3})
def inner_values_stay_inside() -> Any:
    """What the inner pipeline does to its values is not seen outside, but for its output."""

    def three(n: int) -> int:
        return 3 if n == 2 else 0

    inner = Pipeline(n=int).stage("one", count).through(n=int).stage("two", count).through(n=int).stage("n", three)
    return Pipeline(n=int).stage("inner", inner)


@right(inputs={"n": 0}, gives={"m": 3})
def loop_at_the_end_of_the_inner_one() -> Any:
    """A pipeline that ends with a loop gives what the loop surely provides."""
    inner = Pipeline(n=int).loop_while(lambda ctx: ctx.m < 3, carry={"m": ref("n")}).stage("m", grow, n=ref("m")).end_loop()
    return Pipeline(n=int).stage("inner", inner)


@right(inputs={"n": 0}, gives={"n": 3})
def block_as_a_loop() -> Any:
    """A body in a block of its own reads and writes the fields around it."""
    return Pipeline(n=int).loop(Pipeline(n=int).stage("n", count), while_=lambda ctx: ctx.n < 3)


@right(inputs={"n": 0}, gives={"turn": 3, "n": 3})
def block_that_carries() -> Any:
    """A block with carried fields, a bound and a name."""

    def forward(turn: int) -> int:
        return turn + 1

    body = Pipeline(turn=int).stage("turn", forward).stage("n", count)
    return Pipeline(n=int).loop(body, while_=lambda ctx: ctx.turn < 3, carry={"turn": 0}, max_iterations=9, name="turns")


@right(inputs=INPUTS, gives={"loss": 4.0})
def override() -> Any:
    """An inner stage is replaced by a function with other parameters and the same contract."""
    return OUTER.stage("train", TRAIN).override("train/fit", other_fit)


@right(inputs=INPUTS, gives={"loss": 5.0})
def override_with_a_pipeline() -> Any:
    """A stage is replaced by a pipeline."""

    def five(rows: list[float]) -> float:
        return 5.0

    return OUTER.stage("train", TRAIN).override("train/fit", Pipeline(rows=list[float]).stage("loss", five))


@right(inputs={"n": 0}, gives={"n": 4})
def override_in_a_loop() -> Any:
    """The path has no iterations in it."""

    async def by_two(n: int) -> int:
        return n + 2

    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).end_loop().override("loop/n", by_two)


@right(inputs={"n": 9}, gives={"m": 0})
def override_in_a_branch() -> Any:
    """A stage of a side is replaced."""

    def nothing(n: int) -> int:
        return 0

    side = Pipeline().stage("count", count).through(m=int)
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, side, side, name="choose").override("choose/then/count", nothing)


@right(inputs={"n": 1}, gives={"m": 3})
def override_keeps_constants_and_hooks() -> Any:
    """The constants and hooks of the stage stay."""

    def other(step: int, n: int) -> int:
        return n + step

    return Pipeline(n=int).stage("grow", grow, step=2).through(m=int, validate=lambda d: None).override("grow", other)


@right(inputs={"x": 1.0, "y": 2.0}, gives={"x": 2.0, "y": 1.0})
def dataclass_as_a_state() -> Any:
    """A dataclass is a state model, too."""

    def swap(point: Point) -> Point:
        return Point(point.y, point.x)

    return Pipeline(Point).stage("swap", Pipeline(Point).stage("swapped", swap))


@right(inputs=INPUTS, gives={"loss": 2.0}, kept=True)
def kept() -> Any:
    """A pipeline in a pipeline is taken up from a store."""
    return OUTER.stage("train", TRAIN)
