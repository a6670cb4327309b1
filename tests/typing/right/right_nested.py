"""Pipelines as stages of pipelines: in a chain, of a state model, and by named fields."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline


class Raw(BaseModel):
    """What flows in."""

    text: str


class Tokens(BaseModel):
    """What it becomes."""

    words: list[str]


class Count(BaseModel):
    """What flows out."""

    number: int


def split(raw: Raw) -> Tokens:
    """First half."""
    return Tokens(words=raw.text.split())


def lower(tokens: Tokens) -> Tokens:
    """In between."""
    return Tokens(words=[word.lower() for word in tokens.words])


async def count(tokens: Tokens) -> Count:
    """Second half."""
    return Count(number=len(tokens.words))


def shown(number: int) -> str:
    """Reads a field by its name."""
    return str(number)


def faster(tokens: Tokens) -> Count:
    """A replacement."""
    return Count(number=len(tokens.words))


prepare: Pipeline[Raw, Tokens] = Pipeline(Raw).stage("split", split).stage("lower", lower)
whole: Pipeline[Raw, Count] = Pipeline(Raw).stage("prepare", prepare).stage("count", count)
hooked: Pipeline[Raw, Count] = (
    Pipeline(Raw)
    .stage("prepare", prepare)
    .through(retry=2, timeout=5, validate=lambda tokens: len(tokens.words) > 0)
    .stage("count", Pipeline(Tokens).stage("count", count))
    .through(Count, after=lambda d: repr(d.number))
)
three_deep: Pipeline[Raw, Count] = Pipeline(Raw).stage("whole", whole)
overridden: Pipeline[Raw, Count] = hooked.override("count/count", faster)
named = Pipeline(text=str).stage("whole", whole).through(Count).stage("shown", shown)

PIPELINES: list[Pipeline] = [whole, hooked, three_deep, overridden, named]
