"""Constants of stages in a chain: required, with defaults, keyword-only, classes, references to earlier fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline, ref


class Data(BaseModel):
    """What flows."""

    rows: list[float]


class Adam:
    """Something that is passed as a class."""


def scale(data: Data, factor: float, offset: float = 0.0) -> Data:
    """One required, one with a default."""
    return Data(rows=[row * factor + offset for row in data.rows])


async def clip(data: Data, *, low: float | None = None, high: float) -> Data:
    """Keyword-only ones."""
    return Data(rows=[min(max(row, low or 0.0), high) for row in data.rows])


def fit(data: Data, cls: type[Adam], loss: Callable[[float], float], weights: Sequence[float] = ()) -> Data:
    """Classes and functions as constants."""
    return Data(rows=[loss(row) for row in data.rows])


def compare(data: Data, first: list[float]) -> Data:
    """Gets an earlier field by reference."""
    return Data(rows=[row - other for row, other in zip(data.rows, first, strict=True)])


def anything(data: Data, /, **options: float) -> Data:
    """Takes any constants; what flows there is positional-only, so that no constant can be meant by it."""
    return Data(rows=[row * options.get("factor", 1.0) for row in data.rows])


constants: Pipeline[Data] = (
    Pipeline(Data)
    .stage("scale", scale, factor=2.0)
    .stage("scale_and_shift", scale, factor=2, offset=1.0)
    .stage("clip", clip, high=10.0)
    .stage("clip_both", clip, low=0.0, high=10.0)
    .stage("fit", fit, cls=Adam, loss=abs, weights=[1.0])
    .stage("compare", compare, first=ref("rows"))
    .stage("compare_with_scaled", compare, first=ref("scale.rows"))
    .stage("anything", anything, factor=3.0)
)

PIPELINES: list[Pipeline] = [constants]
