"""Annotations of hooks' arguments: checked against what the stage makes."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Context, Pipeline


class Output(BaseModel):
    """What the stage makes."""

    loss: float


class Other(BaseModel):
    """Something else."""

    accuracy: float


def passed_on(*_: object) -> None:
    """Where a hook passes its argument on to, the build cannot look."""


def takes_output(d: Output) -> None:
    passed_on(d)


def takes_any(d: Any) -> None:
    passed_on(d)


def takes_object(d: object) -> None:
    passed_on(d)


def takes_nothing_said(d) -> None:  # type: ignore[no-untyped-def]
    passed_on(d)


def takes_other(d: Other) -> None:
    passed_on(d)


def takes_sized(d: Sized) -> None:
    passed_on(d)


def takes_float(d: float) -> None:
    passed_on(d)


def takes_context(d: Context) -> None:
    passed_on(d)


async def train(n: int) -> Output:
    return Output(loss=n / 2)


async def names(n: int) -> list[str]:
    return [str(n)]


@pytest.mark.parametrize("hook", ["after", "validate"])
@pytest.mark.parametrize("fn", [takes_output, takes_any, takes_object])
async def test_an_annotated_hook_is_checked(hook: str, fn: Callable[[Any], None]) -> None:
    """Where the annotation takes the output, a hook that passes it on is no unchecked edge: strict builds take it."""
    plan = Pipeline(n=int).stage("train", train).through(Output, **{hook: fn}).build(strict=True)
    assert plan.unchecked == ()
    assert (await plan.run(n=1)).loss == 0.5


@pytest.mark.parametrize("hook", ["after", "validate"])
@pytest.mark.parametrize(
    ("stage", "contract", "fn", "says"),
    [
        (train, Output, takes_other, r"takes Other, but the stage's output is Output \(its output"),
        (train, Output, takes_float, r"takes float, but the stage's output is Output"),
        (names, list[str], takes_output, r"takes Output, but the stage's output is list\[str\]"),
    ],
)
def test_a_hook_that_takes_something_else_is_a_fault(
    hook: str, stage: Callable[..., Any], contract: Any, fn: Callable[[Any], None], says: str
) -> None:
    """It names the stage, the hook, and both types."""
    with pytest.raises(BuildError, match=rf"stage: hook '{hook}' {says}.*Change the contract or the annotation\.") as caught:
        Pipeline(n=int).stage("stage", stage).through(contract, **{hook: fn}).build()
    assert [(fault.stage, fault.field) for fault in caught.value.faults] == [("stage", hook)]


def test_a_single_value_is_compared_as_it_is() -> None:
    """A list is sized; the field's name does not matter."""
    assert Pipeline(n=int).stage("names", names).through(rows=list[str], after=takes_sized).build(strict=True).unchecked == ()


def test_without_an_annotation_it_stays_unchecked() -> None:
    """Listed, and refused by strict builds, with the remedy."""
    pipeline = Pipeline(n=int).stage("train", train).through(Output, after=takes_nothing_said)
    assert [edge.stage for edge in pipeline.build().unchecked] == ["train"]
    with pytest.raises(BuildError, match="or annotate that with the type of the output"):
        pipeline.build(strict=True)


def test_several_named_fields_have_no_type_to_compare() -> None:
    """A hook of theirs is taken, whatever its annotation; only ``object`` settles that it reads none of them."""

    async def both(n: int) -> dict[str, int]:
        return {"a": n, "b": n}

    pipeline = Pipeline(n=int).stage("both", both)
    assert pipeline.through(a=int, b=int, after=takes_object).build(strict=True).unchecked == ()
    assert len(pipeline.through(a=int, b=int, after=takes_context).build().unchecked) == 1


@pytest.mark.parametrize(("fn", "unchecked"), [(takes_object, 0), (takes_context, 1), (takes_any, 1)])
def test_before_and_predicates(fn: Callable[[Any], None], unchecked: int) -> None:
    """What gets the context and passes it on is settled by ``object`` only: any other type of a context has fields to read."""
    assert len(Pipeline(n=int).stage("train", train).through(Output, before=fn).build().unchecked) == unchecked
