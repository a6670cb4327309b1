"""Maps: what the field is called that they write, and what they need to know of the items."""

from __future__ import annotations

from typing import Any

import pytest

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline


def test_into_needs_a_contract() -> None:
    """What is gathered under a name has a type: a function that does not say what it returns is a fault of the build."""
    with pytest.raises(BuildError) as caught:
        Pipeline(xs=list[int]).map("m", lambda x: x, over="xs", into="ys").build()
    (fault,) = caught.value.faults
    assert str(fault) == (
        "m: into='ys' gathers what has no contract; found a function without a return annotation. "
        "Annotate what it returns, or write .through(Type)."
    )


async def half(x: int) -> float:
    """Half of it."""
    return x / 2


@pytest.mark.parametrize(
    ("options", "contract", "expected"),
    [
        ({}, {}, "m"),
        ({}, {"z": float}, "z"),
        ({"into": "ys"}, {"z": float}, "ys"),
        ({"into": "ys"}, {}, "ys"),
    ],
)
async def test_the_field_is_called_as_somebody_said(options: dict[str, Any], contract: dict[str, Any], expected: str) -> None:
    """By ``into=``, else by the one field that ``.through()`` names, else like the map."""
    mapped = Pipeline(xs=list[int]).map("m", half, over="xs", **options)
    plan = (mapped.through(**contract) if contract else mapped).build()
    assert plan.outputs[expected].type == list[float]
    assert (await plan.run(xs=[1, 2]))[expected] == [0.5, 1.0]


async def test_a_bare_type_names_nothing() -> None:
    """``.through(Type)`` leaves the map's own name."""
    plan = Pipeline(xs=list[int]).map("m", half, over="xs").through(float).build()
    assert (await plan.run(xs=[2])).m == [1.0]
