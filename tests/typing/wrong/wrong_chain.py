"""Mistakes in chains of models: what flows to a stage is not what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline, StageContext


class Source(BaseModel):
    """What flows in."""

    path: str


class Data(BaseModel):
    """What comes next."""

    rows: list[float]


class Model(BaseModel):
    """What flows out."""

    loss: float


@dataclass(frozen=True)
class Options:
    """A dataclass."""

    depth: int


def load(source: Source) -> Data:
    """Source to Data."""
    return Data(rows=[float(len(source.path))])


async def load_async(source: Source) -> Data:
    """The same, async."""
    return Data(rows=[float(len(source.path))])


def fit(data: Data) -> Model:
    """Data to Model."""
    return Model(loss=data.rows[0])


async def fit_async(data: Data) -> Model:
    """The same, async."""
    return Model(loss=data.rows[0])


def fit_seeded(data: Data, context: StageContext) -> Model:
    """The same, with the context."""
    return Model(loss=data.rows[0] + context.attempt)


def fit_scaled(data: Data, scale: float) -> Model:
    """The same, with a constant."""
    return Model(loss=data.rows[0] * scale)


def save(model: Model) -> None:
    """Takes a Model, returns nothing."""


def build_from(options: Options) -> Model:
    """Takes a dataclass."""
    return Model(loss=options.depth)


class Trainer:
    """Stages as methods, and as a callable object."""

    def fit(self, data: Data) -> Model:
        """Data to Model."""
        return Model(loss=data.rows[0])

    def __call__(self, data: Data) -> Model:
        """The same."""
        return Model(loss=data.rows[0])


trainer = Trainer()


def first_stage_takes_another_model() -> object:
    """The first stage takes another model than the pipeline."""
    return Pipeline(Source).stage("fit", fit)  # E: mypy pyright build


def later_stage_takes_another_model() -> object:
    """A later stage takes another model than the one before it returns."""
    return Pipeline(Source).stage("load", load).stage("save", save)  # E: mypy pyright build


def async_stage_takes_another_model() -> object:
    """An async stage takes another model."""
    return Pipeline(Source).stage("fit", fit_async)  # E: mypy pyright build


def stage_after_async_takes_another_model() -> object:
    """A stage after an async one takes another model."""
    return Pipeline(Source).stage("load", load_async).stage("save", save)  # E: mypy pyright build


def stage_with_context_takes_another_model() -> object:
    """A stage with a `StageContext` takes another model."""
    return Pipeline(Source).stage("fit", fit_seeded)  # E: mypy pyright build


def method_takes_another_model() -> object:
    """A bound method takes another model."""
    return Pipeline(Source).stage("fit", trainer.fit)  # E: mypy pyright build


def callable_object_takes_another_model() -> object:
    """A callable object takes another model."""
    return Pipeline(Source).stage("fit", trainer)  # E: mypy pyright build


def partial_takes_another_model() -> object:
    """A partial takes another model."""
    return Pipeline(Source).stage("fit", partial(fit_scaled, scale=2.0))  # E: pyright build


def dataclass_is_not_provided() -> object:
    """A stage takes a dataclass that nothing provides."""
    return Pipeline(Source).stage("load", load).stage("build", build_from)  # E: mypy pyright build


def lambda_reads_absent_field() -> object:
    """A lambda reads a field that the model has not."""
    return Pipeline(Source).stage("load", lambda source: Data(rows=[source.paht]))  # E: mypy pyright build


def lambda_fills_a_field_with_another_type() -> object:
    """A lambda fills a field of what it makes with another type."""
    return Pipeline(Source).stage("load", lambda source: Data(rows=source.path))  # E: pyright


def stage_after_nothing_takes_another_model() -> object:
    """A stage after one that returns nothing takes another model than flows on."""
    return Pipeline(Data).stage("fit", fit).stage("save", save).stage("build", build_from)  # E: mypy pyright build


def contract_names_another_model() -> object:
    """The contract names another model than the next stage takes."""
    return Pipeline(Source).stage("load", load).through(Data).stage("save", save)  # E: mypy pyright build


def state_is_no_model() -> object:
    """`Pipeline()` gets a type that is no model."""
    return Pipeline(int).stage("zero", lambda: 0)  # E: build


def function_is_called() -> object:
    """The stage function is called instead of passed."""
    return Pipeline(Source).stage("load", load(Source(path="")))  # E: mypy pyright build
