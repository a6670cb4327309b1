"""What fits by what can be done with it: methods of protocols, objects and classes that are called, models that share no field."""

# ruff: noqa: D102  # classes that are compared; each test says what it shows
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import pytest
from pydantic import BaseModel

from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.checks import Misfit, value_check


class Goes(Protocol):
    def go(self, far: int) -> int: ...


class Steps(Protocol):
    def step(self) -> None: ...


class Fits(Protocol):
    def fit(self, x: Any, y: Any = ...) -> Any: ...


class Estimator:
    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Any: ...
    def step(self, closure: Any = None) -> float | None: ...
    def go(self, far: int, *, fast: bool = False) -> int:
        return far

    def __call__(self, x: int) -> int:
        return x


class TakesMore:
    def go(self, far: int, wide: int) -> int:
        return far + wide

    def __call__(self, x: int, y: int) -> int:
        return x + y


class TakesLess:
    @staticmethod
    def go() -> int:
        return 0


class Waits:
    async def go(self, far: int) -> int:
        return far


class Defaults(BaseModel):
    rate: float = 0.1
    steps: int = 3


class Other(BaseModel):
    name: str


class Shares(BaseModel):
    steps: int
    name: str


@pytest.mark.parametrize(
    ("provided", "needed"),
    [
        (Estimator, Goes),
        (Estimator, Steps),
        (Estimator, Fits),
        (Estimator, Callable[[int], int]),
        (type[Shares], Callable[..., Shares]),
        (type[Shares], Callable[..., BaseModel]),
        (type, Callable[[], int]),
        (tuple[Any, ...], tuple[int, int]),
        (Shares, Defaults),
        (Shares, Iterable[tuple[str, Any]]),
        (Shares, Iterable[Any]),
    ],
)
def test_what_fits(provided: Any, needed: Any) -> None:
    """Further parameters with defaults do no harm, nor a result where none is asked for, nor a tuple of unknown length."""
    assert explain_mismatch(provided, needed, "x") is None


@pytest.mark.parametrize(
    ("provided", "needed", "reason"),
    [
        (TakesMore, Goes, "x.go() cannot be called with 1 argument"),
        (TakesLess, Goes, "x.go() cannot be called with 1 argument"),
        (Waits, Goes, "x.go() is asynchronous, needs int"),
        (Other, Goes, "x.go: is no method of Other, needs it for Goes"),
        (TakesMore, Callable[[int], int], "x: provides TakesMore, which cannot be called with 1 arguments"),
        (type[Shares], Callable[[], int], "result of x: provides Shares, needs int"),
        (tuple[int, ...], tuple[int, int], "x: provides a tuple of any length, needs 2 elements"),
        (Other, Defaults, "x: provides Other, which has no field of Defaults"),
        (list[Other], list[Defaults], "x[*]: provides Other, which has no field of Defaults"),
        (Shares, Iterable[Shares], "x[*]: provides tuple[str, Any], needs Shares"),
    ],
)
def test_what_does_not_fit(provided: Any, needed: Any, reason: str) -> None:
    """What cannot be called as its reader would call it is found, and so is a model that would be made of defaults only."""
    assert explain_mismatch(provided, needed, "x") == reason


def test_a_model_is_never_made_of_defaults_only() -> None:
    """A value that has no field of the model is refused at run time, too."""
    assert value_check(Defaults)(Shares(steps=7, name="a")) == Defaults(steps=7)
    with pytest.raises(Misfit, match="which has no field of Defaults"):
        value_check(Defaults)(Other(name="a"))
