"""Annotations of hooks' arguments: checked against what the stage makes."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any, NoReturn

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


class View(BaseModel):
    """A view of what is there before the stage."""

    n: int
    note: str = ""


class Elsewhere(BaseModel):
    """A view of what is not there."""

    size: int


class Texts(BaseModel):
    """A view with another type."""

    n: str


def takes_view(d: View) -> bool:
    passed_on(d)
    return True


def takes_elsewhere(d: Elsewhere) -> bool:
    passed_on(d)
    return True


def takes_texts(d: Texts) -> bool:
    passed_on(d)
    return True


def takes_number(d: int) -> bool:
    passed_on(d)
    return True


def takes_mapping(d: Mapping[str, Any]) -> None:
    passed_on(d)


def takes_dict(d: dict[str, float]) -> None:
    passed_on(d)


async def test_a_view_settles_what_a_hook_or_predicate_asks_of_the_context() -> None:
    """What is annotated with a model reads its fields, which are there; the context has them as attributes."""
    begin = Pipeline(n=int).stage("train", train).through(Output, before=takes_view)
    plan = begin.branch(takes_view, Pipeline().stage("more", names).through(more=list[str])).build(strict=True)
    assert (await plan.run(n=1)).more == ["1"]


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (takes_elsewhere, "hook 'before' (Elsewhere) needs the field 'size', which nothing provides"),
        (takes_texts, "hook 'before' (Texts) needs str, but 'inputs' provides 'n' as int"),
        (takes_number, "hook 'before' takes int, but gets the context"),
    ],
)
def test_what_the_context_cannot_be(hook: Callable[[Any], Any], says: str) -> None:
    """A view with fields that are not there, or of another type, is a fault; so is what no context is."""
    with pytest.raises(BuildError, match="1 fault") as error:
        Pipeline(n=int).stage("train", train).through(Output, before=hook).build()
    assert says in str(error.value)


@pytest.mark.parametrize(
    "hook",
    [
        takes_mapping,
        takes_dict,
        passed_on,
        lambda d: d["loss"] + d.get("other", 0),
        lambda d: "other" in d and d["other"],
        lambda d: (d.update(other=1), d["other"]),
        lambda d: {**d},
    ],
)
def test_right_metrics(hook: Callable[[Any], Any]) -> None:
    """Metrics are a dict of the output's fields: they are looked up, passed on, added to."""
    assert Pipeline(n=int).stage("train", train).through(Output, metrics=hook).build(strict=True).unchecked == ()


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (lambda d: d["los"], "reads 'los' of the output's fields, which are loss. Did you mean 'loss'?"),
        (lambda d: d.loss, "reads the attribute 'loss', but gets a dict"),
        (lambda d: d["loss"].value, "reads loss.value, but float has no 'value'"),
        (takes_output, "hook 'metrics' takes Output, but gets a dict"),
    ],
)
def test_wrong_metrics(hook: Callable[[Any], Any], says: str) -> None:
    """Keys that are not there, attributes, and annotations that no dict fits are faults."""
    with pytest.raises(BuildError, match="1 fault") as error:
        Pipeline(n=int).stage("train", train).through(Output, metrics=hook).build()
    assert says in str(error.value)


def gives(returns: Any, takes: Any = Exception) -> Callable[[Any], Any]:
    """A handler that is annotated so."""

    def handler(error: Any) -> Any:
        return None

    handler.__annotations__.update({"return": returns, "error": takes})
    return handler


@pytest.mark.parametrize("returns", [None, Any, Output, Output | None, dict[str, float], dict[str, Any], NoReturn, object])
def test_right_handlers(returns: Any) -> None:
    """A handler gives what the contract takes, or None, or raises."""
    for takes in (Exception, BaseException, ValueError | OSError, Any, object):
        Pipeline(n=int).stage("train", train).through(Output, on_error=gives(returns, takes)).build(strict=True)


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (gives(str), "hook 'on_error' returns str, which the contract never takes; expected Output"),
        (gives(Other | None), "hook 'on_error' returns Other | None"),
        (gives(None, int), "hook 'on_error' takes int, but gets the error"),
    ],
)
def test_wrong_handlers(handler: Callable[[Any], Any], says: str) -> None:
    """What can never be a replacement, or an error, is a fault that names the hook."""
    with pytest.raises(BuildError, match="1 fault") as error:
        Pipeline(n=int).stage("train", train).through(Output, on_error=handler).build()
    assert says in str(error.value)
    assert error.value.faults[0].field == "on_error"
