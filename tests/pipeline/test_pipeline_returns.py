"""Return annotations against contracts: right functions are let through, what can never fit is found before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline


class Score(BaseModel):
    """What many stages make."""

    loss: float
    name: str = ""


class Loose(BaseModel):
    """A score that may be missing."""

    loss: float | None


class Strict(BaseModel):
    """One that may not."""

    loss: float


class Base(BaseModel):
    """The base of what a stage makes."""

    loss: float


class Made(Base):
    """What it makes."""

    steps: int


class Pair(NamedTuple):
    """Two numbers."""

    a: int
    b: int


class Keys(TypedDict):
    """Two fields."""

    a: int
    b: str


def said(returns: Any, value: Any = None) -> Callable[[], Any]:
    """A stage function that says that it returns a type."""

    def make() -> Any:
        return value

    make.__annotations__["return"] = returns
    return make


@pytest.mark.parametrize(
    ("returns", "fields", "value"),
    [
        (Sequence[int], {"x": list[int] | None}, [1]),
        (Iterable[str], {"x": list[str] | tuple[str, ...]}, ["a"]),
        (tuple[int, ...] | None, {"x": Sequence[int]}, (1,)),
        (int | None, {"x": float}, 1),
        (list[int | None], {"x": list[float]}, [1]),
        (dict[str, int | None], {"x": Mapping[str, float]}, {"a": 1}),
        (dict[str, float], {"a": int, "b": float}, {"a": 1, "b": 0.5}),
        (Mapping[str, object], {"a": int, "b": str}, {"a": 1, "b": ""}),
        (dict[str, int], {"x": int}, {"x": 1}),
        (Keys, {"a": int, "b": str}, {"a": 1, "b": ""}),
        (Keys | None, {"a": int, "b": str}, {"a": 1, "b": ""}),
        (Pair, {"a": int, "b": int}, Pair(1, 2)),
        (Base, {"loss": float, "steps": int}, Made(loss=0.5, steps=1)),
        (BaseModel, {"loss": float, "name": str}, Score(loss=0.5)),
        (object, {"a": int, "b": int}, {"a": 1, "b": 2}),
    ],
)
async def test_what_may_fit_is_let_through(returns: Any, fields: dict[str, Any], value: Any) -> None:
    """A contract may be narrower than what the function says; the value is checked when it comes."""
    hooks: Any = fields
    await Pipeline().stage("make", said(returns, value)).through(**hooks).build().run()


@pytest.mark.parametrize(
    ("returns", "fields"),
    [
        (int | None, {"x": str | None}),
        (list[int | None], {"x": list[str | None]}),
        (dict[str, str], {"x": int}),
        (dict[str, str], {"a": int, "b": float}),
        (dict[int, int], {"a": int, "b": int}),
        (Keys, {"a": int, "c": str}),
        (Keys, {"a": int, "b": int}),
        (Score, {"loss": str, "name": str}),
        (Score, {"loss": float, "accuracy": float}),
        (Pair, {"a": int, "c": int}),
        (tuple[int, str], {"a": int, "b": str}),
    ],
)
def test_what_never_fits_is_a_fault(returns: Any, fields: dict[str, Any]) -> None:
    """Whatever the function returns, the contract would refuse it."""
    hooks: Any = fields
    with pytest.raises(BuildError, match="which its contract never takes") as error:
        Pipeline().stage("make", said(returns)).through(**hooks).build()
    assert len(error.value.faults) == 1


@pytest.mark.parametrize("returns", [dict[str, str], Keys])
def test_mappings_that_never_hold_the_fields_of_a_model(returns: Any) -> None:
    """A mapping is checked by what it holds, where a model's fields are wanted."""
    with pytest.raises(BuildError, match="never takes; expected Score"):
        Pipeline().stage("make", said(returns)).through(Score).build()


@pytest.mark.parametrize(
    ("returns", "form", "value"),
    [
        (list[Loose], list[Strict], [Loose(loss=0.5)]),
        (Loose, Strict | str, Loose(loss=0.5)),
        (dict[str, Literal["a", 1]], dict[str, str], {"x": "a"}),
        (Sequence[int | None], tuple[int | str, ...], (1,)),
        (tuple[int, str] | list[int], Sequence[int | str], (1, "a")),
    ],
)
async def test_a_contract_may_be_narrower_at_any_depth(returns: Any, form: Any, value: Any) -> None:
    """Fields of models, literals and elements: what some of the values are is let through."""
    await Pipeline().stage("make", said(returns, value)).through(x=form).build().run()
