"""Hooks and predicates that ask what a value is before they read of it: they may know more than the type says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline


class Model(BaseModel):
    """What the contract names."""

    loss: float = 0.5


class Fine(Model):
    """What the stage makes, as its contract allows."""

    accuracy: float = 0.9


class Both(BaseModel):
    """It holds one."""

    model: Model
    best: float = 1.0


def train() -> Model:
    """A stage."""
    return Fine()


def both() -> Both:
    """A stage whose output holds a model."""
    return Both(model=Fine())


def by_match(d: Any) -> bool:
    """A gate that tells the kinds apart."""
    match d:
        case Fine():
            return bool(d.accuracy > 0)
        case _:
            return True


def by_catching(d: Any) -> bool:
    """A gate that tries."""
    try:
        return bool(d.accuracy > 0)
    except AttributeError:
        return True


OF_THE_OUTPUT: list[Callable[[Any], Any]] = [
    lambda d: d.accuracy > 0 if isinstance(d, Fine) else True,
    lambda d: not hasattr(d, "accuracy") or d.accuracy > 0,
    lambda d: type(d) is not Fine or d.accuracy > 0,
    by_match,
    by_catching,
]
OF_A_FIELD: list[Callable[[Any], Any]] = [
    lambda d: isinstance(d.model, Fine) and d.model.accuracy > 0,
    lambda d: hasattr(d.model, "accuracy") and d.model.accuracy > 0,
]


@pytest.mark.parametrize("hook", OF_THE_OUTPUT)
async def test_a_gate_may_know_more_of_an_output(hook: Callable[[Any], Any]) -> None:
    """What is read once the kind of the output is known is no fault, and works; the plan notes it."""
    plan = Pipeline().stage("train", train).through(model=Model, validate=hook).build()
    assert any("'accuracy'" in note.what for note in plan.notes)
    assert (await plan.run()).model.accuracy == 0.9


@pytest.mark.parametrize("hook", OF_A_FIELD)
async def test_a_gate_may_know_more_of_a_field(hook: Callable[[Any], Any]) -> None:
    """The same one step further, of outputs and in predicates."""
    begin = Pipeline().stage("both", both).through(Both, validate=hook)
    plan = begin.branch(hook, Pipeline().stage("then", lambda: 1).through(n=int)).build()
    assert (await plan.run()).n == 1


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (lambda d: d.model.accuracy > 0 and isinstance(d.model, Fine), "reads model.accuracy"),
        (lambda d: d.best > 0 and d.model.accuracy > 0, "reads model.accuracy"),
        (lambda d: isinstance(d.model, Fine) and d.bast > 0, "Did you mean 'best'?"),
    ],
)
def test_what_is_read_without_asking_is_a_fault(hook: Callable[[Any], Any], says: str) -> None:
    """Reads before the question, under another condition, or of what nobody asked for are faults as before."""
    with pytest.raises(BuildError, match="1 fault") as error:
        Pipeline().stage("both", both).through(Both, validate=hook).build()
    assert says in str(error.value)
