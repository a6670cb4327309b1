"""References to earlier fields that are not there, or do not fit."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import ref

from .cases import Pipeline, wrong
from .parts import count, grow, half, load


def explore() -> list[float]:
    return [1.0, 2.0]


def refine(init_from: list[float], population: int = 3) -> float:
    return max(init_from) * population


def _explored() -> Any:
    return Pipeline().stage("explore", explore).through(exploration_results=list[float])


@wrong("refine", field="results", says=("ref('results')", "nothing provides"))
def to_nothing() -> Any:
    """No stage provides such a field."""
    return _explored().stage("refine", refine, init_from=ref("results"))


@wrong("refine", field="exploration_result", says="did you mean 'exploration_results'?")
def misspelt() -> Any:
    """One letter is missing."""
    return _explored().stage("refine", refine, init_from=ref("exploration_result"))


@wrong("refine", field="exploration_results", says=("needs int", "provides list[float]"))
def of_another_type() -> Any:
    """The field is a list, the parameter an int."""
    return _explored().stage("refine", refine, init_from=[], population=ref("exploration_results"))


@wrong("refine", field="rows", says="provided only later")
def to_a_later_field() -> Any:
    """The stage that provides it comes later."""
    return _explored().stage("refine", refine, init_from=ref("rows")).stage("load", load, path="p").through(rows=list[float])


@wrong("refine", field="exploration_results", says=("no stage 'explorer'", "did you mean 'explore'?"))
def to_a_misspelt_stage() -> Any:
    """The stage is called explore."""
    return _explored().stage("refine", refine, init_from=ref("explorer.exploration_results"))


@wrong("refine", field="results", says=("the stage 'explore' provides exploration_results", "not 'results'"))
def to_a_field_that_the_stage_lacks() -> Any:
    """The stage provides another field."""
    return _explored().stage("refine", refine, init_from=ref("explore.results"))


@wrong("refine", field="rows", says=("no stage 'load'", "before this are: explore"))
def to_a_later_stage() -> Any:
    """The stage has not run yet."""
    again = _explored().stage("refine", refine, init_from=ref("load.rows"))
    return again.stage("load", load, path="p").through(rows=list[float])


@wrong("grow", field="n", says=("needs int", "as float"))
def to_the_output_of_a_stage_of_another_type() -> Any:
    """Two stages provide the field; the one that is named gives another type."""
    return (
        Pipeline(start=float)
        .stage("first", half, n=ref("start"))
        .through(n=float)
        .stage("second", count, n=1)
        .through(n=int)
        .stage("grow", grow, step=ref("first.n"))
        .through(m=int)
    )


@wrong("grow", field="n", says=("no stage 'turn'", "surely run before"))
def to_a_stage_in_a_loop() -> Any:
    """A stage in a loop may not have run, or many times."""
    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("turn", count).through(n=int).end_loop()
    return loop.stage("grow", grow, step=ref("turn.n")).through(m=int)


@wrong("use", field="m", says=("ref('m')", "may not have run"))
def to_a_field_of_a_loop() -> Any:
    """A field that only the body of a loop provides."""
    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).stage("m", count).end_loop()
    return loop.stage("use", grow, step=ref("m")).through(k=int)


@wrong("refine", field="init", says="did you mean 'init_from'?")
def as_a_constant_that_is_no_parameter() -> Any:
    """The ref is right, the parameter misspelt."""
    return _explored().stage("refine", refine, init=ref("exploration_results"), init_from=[1.0])
