"""A chain through every kind of model, and through subclasses and protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline


class Point(NamedTuple):
    """A named tuple."""

    x: float


@dataclass(frozen=True)
class Line:
    """A dataclass."""

    start: float
    end: float


class Area(BaseModel):
    """A pydantic model."""

    size: float


class NamedArea(Area):
    """One with more fields."""

    label: str


class HasSize(Protocol):
    """Anything with a size."""

    @property
    def size(self) -> float:
        """How large it is."""
        ...


def draw(point: Point) -> Line:
    """From a named tuple to a dataclass."""
    return Line(point.x, point.x + 1)


async def sweep(line: Line) -> NamedArea:
    """From a dataclass to a model."""
    return NamedArea(size=line.end - line.start, label="swept")


def halve(area: Area) -> Area:
    """Takes the parent of what flows there."""
    return Area(size=area.size / 2)


def measure(thing: HasSize) -> Area:
    """Takes what a protocol asks for."""
    return Area(size=thing.size)


kinds: Pipeline[Point, Area] = (
    Pipeline(Point).stage("draw", draw).stage("sweep", sweep).stage("halve", halve).stage("measure", measure)
)

PIPELINES: list[Pipeline] = [kinds]
