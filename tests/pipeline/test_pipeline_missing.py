"""What the build says of fields that are not there, or not of the type: who is to be looked at."""

from __future__ import annotations

import re

import pytest

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline, StageContext


def test_an_unnamed_output_of_the_right_type_is_pointed_out() -> None:
    """Where one stage's output fits and has only that stage's name, the remedy is to name it."""

    def load() -> list[float]:
        return [0.5]

    def count(rows: list[float]) -> int:
        return len(rows)

    named = "The stage 'load' provides list[float] as 'load'; name it: .through(rows=list[float])."
    with pytest.raises(BuildError, match=re.escape(named)):
        Pipeline().stage("load", load).stage("count", count).build()
    for begin in (Pipeline().stage("load", load).stage("again", load), Pipeline(load=list[float])):
        with pytest.raises(BuildError, match=r"eclare it, Pipeline\(rows=\.\.\.\)"):
            begin.stage("count", count).build()


def test_a_constant_for_a_stage_context_is_a_fault() -> None:
    """The framework fills it; a constant for it would be dropped without a word."""

    def seeded(n: int, stage: StageContext) -> int:
        return n + stage.attempt

    with pytest.raises(BuildError, match=r"parameter 'stage' is a StageContext.*Leave the constant out"):
        Pipeline(n=int).stage("seeded", seeded, stage=3).build()
