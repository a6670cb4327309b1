"""Hooks on stages of a chain: typed by the output where they get it, in sets, conditional and global."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from metta_sweep.pipeline import Context, Pipeline, Retry, hooks


class Config(BaseModel):
    """What flows in."""

    lr: float


class Model(BaseModel):
    """What flows out."""

    loss: float


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, data: Model) -> None:
        """An observer."""
        self.seen.append(data.loss)

    def failed(self, error: Exception) -> None:
        """A handler that replaces nothing."""
        self.seen.append(error)

    def figures(self, metrics: dict[str, Any]) -> None:
        """An observer of metrics."""
        self.seen.append(metrics)


async def train(config: Config) -> Model:
    """The stage."""
    return Model(loss=config.lr)


def evaluate(model: Model) -> dict[str, float]:
    """Returns a mapping, which a contract makes a model of."""
    return {"loss": model.loss}


def is_finite(model: Model) -> bool:
    """A named gate."""
    return model.loss < 10


async def tell(model: Model) -> None:
    """An async observer."""


def begin(context: Context) -> None:
    """Told what the stage may read."""


def replacement(error: Exception) -> Model:
    """A handler that replaces."""
    return Model(loss=0.0)


recorder = Recorder()
debug = hooks(after=lambda d: repr(d), profile=True)
production = hooks(retry=Retry(3, backoff=0.5, on=(ConnectionError, TimeoutError)), timeout=300)
VERBOSE = False

every_hook: Pipeline[Config, Model] = (
    Pipeline(Config)
    .stage("train", train)
    .through(
        Model,
        before=begin,
        after=recorder,
        validate=is_finite,
        on_error=replacement,
        metrics=recorder.figures,
        retry=3,
        timeout=300,
        checkpoint=False,
        profile=True,
    )
)
only_hooks: Pipeline[Config, Model] = (
    Pipeline(Config)
    .stage("train", train)
    .through(validate=lambda model: model.loss < 3, after=tell, retry=Retry(2), on_error=recorder.failed)
)
sets: Pipeline[Config, Model] = (
    Pipeline(Config)
    .stage("train", train)
    .through(Model, **(debug if VERBOSE else production), metrics=recorder.figures if VERBOSE else None)
    .stage("evaluate", evaluate)
    .through(Model, **debug | production)
    .with_global_hooks(before=lambda stage, data: repr(stage), after=None, profile=True)
)

PIPELINES: list[Pipeline] = [every_hook, only_hooks, sets]
