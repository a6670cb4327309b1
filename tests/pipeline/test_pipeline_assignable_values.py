"""Build and run time agree: what is assignable is taken, over random types and values of them."""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping
from typing import Any, Literal, NewType, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.checks import Misfit, value_check

Id = NewType("Id", str)


class Base(BaseModel):
    x: int


class Derived(Base):
    y: str = "y"


class Apart(BaseModel):
    x: int
    z: float = 0.5


class Color(enum.Enum):
    RED = 1
    BLUE = 2


SIMPLE: dict[Any, list[Any]] = {
    int: [0, 7],
    float: [0.5],
    str: ["a", "z"],
    None: [None],
    Id: ["z"],
    Base: [Base(x=1)],
    Derived: [Derived(x=1)],
    Apart: [Apart(x=1)],
    Color: list(Color),
    Literal["a", "b"]: ["a", "b"],
    Literal[Color.RED]: [Color.RED],
    Literal["a"]: ["a"],
}


def random_type(rng: random.Random, depth: int = 0) -> Any:
    """A type of some depth."""
    kind = rng.randrange(6) if depth < 3 else 5
    if kind == 0:
        return list[random_type(rng, depth + 1)]  # type: ignore[misc]
    if kind == 1:
        return dict[str, random_type(rng, depth + 1)]  # type: ignore[misc]
    if kind == 2:
        return tuple[random_type(rng, depth + 1), random_type(rng, depth + 1)]  # type: ignore[misc]
    if kind == 3:
        return Mapping[str, random_type(rng, depth + 1)]  # type: ignore[misc]
    if kind == 4:
        return Union[random_type(rng, depth + 1), random_type(rng, depth + 1)]  # noqa: PYI016, UP007
    return rng.choice(list(SIMPLE))


def random_value(rng: random.Random, form: Any) -> Any:
    """A value of a type."""
    if form in SIMPLE or form is type(None):
        return rng.choice(SIMPLE.get(form, [None]))
    origin, args = get_origin(form), get_args(form)
    if origin is list:
        return [random_value(rng, args[0]) for _ in range(rng.randrange(3))]
    if origin is tuple:
        return tuple(random_value(rng, part) for part in args)
    if origin is Literal:
        return rng.choice(args)
    if origin is Union:
        return random_value(rng, rng.choice(args))
    return {"k": random_value(rng, args[1])}


@pytest.mark.parametrize("seed", range(8))
def test_what_is_assignable_is_taken(seed: int) -> None:
    """A value of a type that fits another one passes the check of that one; no value is taken of types that share none."""
    rng = random.Random(seed)
    fitting = 0
    for _ in range(120):
        provided = random_type(rng)
        needed = Union[provided, random_type(rng)] if rng.random() < 0.3 else random_type(rng)  # noqa: UP007
        value = random_value(rng, provided)
        if explain_mismatch(provided, needed, "x") is None:
            fitting += 1
            value_check(needed)(value)
        assert explain_mismatch(provided, provided, "x") is None
        assert value_check(provided)(value) == value
    assert fitting > 20


def test_what_is_refused_at_build_is_refused_at_run_time() -> None:
    """Of simple types that do not fit each other, no value is taken."""
    rng = random.Random(1)
    for provided in (int, float, str, None, Base, Color):
        for needed in (int, str, None, Apart, Color, list[int]):
            if explain_mismatch(provided, needed, "x") is not None:
                with pytest.raises(Misfit):
                    value_check(needed)(random_value(rng, provided))
