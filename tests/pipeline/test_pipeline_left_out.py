"""Leaving a stage out of a described pipeline."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

import pytest

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline


def load() -> int:
    return 3


async def scale(x: int) -> int:
    return 10 * x


async def total(x: int) -> int:
    return x + 1


WHOLE = Pipeline().stage("load", load).through(x=int).stage("scale", scale).through(x=int).stage("total", total).through(total=int)


async def test_a_stage_that_nobody_needs_may_be_left_out() -> None:
    """What it replaced stays as it was before."""
    assert (await WHOLE.build().run()).total == 31
    assert (await WHOLE.override("scale", None).build().run()).total == 4


def test_one_that_is_needed_is_a_fault_that_names_who_needs_it() -> None:
    """As for any field that nothing provides."""
    with pytest.raises(BuildError) as caught:
        WHOLE.override("load", None).build()
    assert "scale: parameter 'x' needs the field 'x', which 'scale' itself makes" in str(caught.value)


async def test_stages_within_others_may_be_left_out() -> None:
    """Of loops that are open or ended, of branches, and of pipelines that are stages."""
    body = Pipeline(x=int).stage("scale", scale).through(x=int).stage("total", total).through(x=int)
    loop = Pipeline().loop_while(lambda ctx: ctx.x < 9, carry={"x": 1}).stage("scale", scale).through(x=int)
    assert (await loop.stage("total", total).through(x=int).override("loop/scale", None).end_loop().build().run()).x == 9
    assert (await loop.stage("total", total).through(x=int).end_loop().override("loop/scale", None).build().run()).x == 9
    nested = Pipeline().stage("load", load).through(x=int).stage("inner", body).through(x=int)
    assert (await nested.override("inner/scale", None).build().run()).x == 4
    chosen = Pipeline().stage("load", load).through(x=int).branch(lambda ctx: ctx.x > 0, body)
    assert (await chosen.override("branch/then/scale", None).build().run()).x == 4


def test_a_stage_that_is_not_there_cannot_be_left_out() -> None:
    """The same fault as for a replacement."""
    with pytest.raises(BuildError, match="names no stage"):
        WHOLE.override("scal", None).build()
