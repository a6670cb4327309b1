"""Mistakes in contracts and hooks."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline, Retry


class Config(BaseModel):
    """What flows in."""

    lr: float


class Result(BaseModel):
    """What flows out."""

    loss: float


class Recorder:
    """An observer, once it is made."""

    def __init__(self, path: object) -> None:
        self.path = path

    def __call__(self, result: Result) -> None:
        """Told the output."""


def train(config: Config) -> Result:
    """The stage."""
    return Result(loss=config.lr)


def is_small(config: Config) -> bool:
    """A gate for another model."""
    return config.lr < 1


def two_arguments(stage: str, data: Result) -> None:
    """An observer for all stages."""


trained = Pipeline(Config).stage("train", train)


def gate_reads_absent_field() -> object:
    """`validate` reads a field that the output has not."""
    return trained.through(Result, validate=lambda d: d.los < 1)  # E: mypy pyright build


def gate_without_contract_reads_absent_field() -> object:
    """`validate` reads a field that the returned model has not, without a contract."""
    return trained.through(validate=lambda d: d.lr < 1)  # E: pyright build


def observer_reads_absent_field() -> object:
    """`after` reads a field that the output has not."""
    return trained.through(Result, after=lambda d: repr(d.accuracy))  # E: mypy pyright build


def gate_takes_another_model() -> object:
    """`validate` is a function of another model."""
    return trained.through(Result, validate=is_small)  # E: mypy pyright build


def gate_calls_absent_method() -> object:
    """`validate` calls a method that the field's type has not."""
    return trained.through(Result, validate=lambda d: d.loss.is_finite())  # E: mypy pyright build


def metrics_reads_an_attribute() -> object:
    """`metrics` reads an attribute of the plain dict that it gets."""
    return trained.through(Result, metrics=lambda m: repr(m.loss))  # E: mypy pyright build


def observer_takes_two_arguments() -> object:
    """`after` takes two arguments."""
    return trained.through(Result, after=two_arguments)  # E: mypy pyright build


def hook_cannot_be_called() -> object:
    """`before` cannot be called."""
    return trained.through(Result, before="start")  # E: mypy pyright build


def hook_is_misspelt() -> object:
    """A hook is misspelt."""
    return trained.through(Result, timout=3)  # E: mypy pyright build


def hook_without_contract_is_misspelt() -> object:
    """A hook is misspelt, without a contract."""
    return trained.through(valdate=lambda d: d.loss < 1)  # E: mypy pyright build


def retry_is_text() -> object:
    """`retry` is a text."""
    return trained.through(Result, retry="3")  # E: mypy pyright build


def retry_on_is_text() -> object:
    """`Retry(on=)` names an exception by a text."""
    return trained.through(Result, retry=Retry(3, on="ConnectionError"))  # E: mypy pyright build


def timeout_is_text() -> object:
    """`timeout` is a text."""
    return trained.through(Result, timeout="300")  # E: mypy pyright build


def timeout_is_a_type() -> object:
    """A field is called like a hook: `timeout=float`."""
    return trained.through(Result, timeout=float)  # E: mypy pyright build


def checkpoint_is_text() -> object:
    """`checkpoint` is a text."""
    return trained.through(Result, checkpoint="no")  # E: mypy pyright build


def contract_is_an_instance() -> object:
    """The contract is an instance."""
    return trained.through(Result(loss=0.0))  # E: mypy pyright build


def contract_is_a_mapping() -> object:
    """The contract is a mapping."""
    return trained.through({"loss": float})  # E: mypy pyright build


def field_is_no_type() -> object:
    """A field is given a value instead of a type."""
    return trained.through(loss=3.0)  # E: mypy pyright build


def retry_is_negative() -> object:
    """`retry` is negative."""
    return trained.through(Result, retry=-1)  # E: build


def hook_is_a_class() -> object:
    """`after` is a class instead of an instance."""
    return trained.through(Result, after=Recorder)  # E: build


def contract_is_text() -> object:
    """The contract is a text."""
    return trained.through("Result")  # E: build


def global_observer_takes_one_argument() -> object:
    """`before` for all stages takes one argument."""
    return trained.with_global_hooks(before=lambda data: repr(data))  # E: mypy pyright build


def global_hook_is_misspelt() -> object:
    """A hook for all stages is misspelt."""
    return trained.with_global_hooks(profil=True)  # E: mypy pyright build
