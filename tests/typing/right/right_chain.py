"""A chain of models: each stage takes what the one before it returns."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline


class Source(BaseModel):
    """Where the data is."""

    path: str


class Data(BaseModel):
    """What was read."""

    rows: list[float]


class Fitted(BaseModel):
    """What was learned."""

    mean: float


def load(source: Source) -> Data:
    """A sync stage."""
    return Data(rows=[float(len(source.path))])


async def fit(data: Data) -> Fitted:
    """An async stage."""
    return Fitted(mean=sum(data.rows) / len(data.rows))


async def save(fitted: Fitted) -> None:
    """Returns nothing: what flows on is what it got."""


def announce(fitted: Fitted) -> None:
    """The same, sync."""


chain: Pipeline[Source, Fitted] = Pipeline(Source).stage("load", load).stage("fit", fit)
with_ends: Pipeline[Source, Fitted] = chain.stage("save", save).stage("announce", announce)
with_contracts: Pipeline[Source, Fitted] = (
    Pipeline(Source).stage("load", load).through(Data).stage("fit", fit).through(Fitted).stage("save", save).through(None)
)
with_lambdas = Pipeline(Source).stage("load", load).stage("double", lambda data: Data(rows=data.rows * 2)).through(Data)


def shared(source: Pipeline[Source]) -> Pipeline[Source, Data]:
    """A part of a chain as a function of pipelines."""
    return source.stage("load", load)


PIPELINES: list[Pipeline] = [chain, with_ends, with_contracts, with_lambdas, shared(Pipeline(Source)).stage("fit", fit)]
