"""Branches: what only one side provides, and what a side needs."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import ref

from .cases import Pipeline, wrong
from .parts import count, grow, half, load, train


def read(m: int) -> int:
    return m


def text(n: int) -> str:
    return str(n)


def double(n: int) -> int:
    return n * 2


THEN = Pipeline().stage("count", count).through(m=int)
OTHERWISE = Pipeline().stage("double", double).through(m=int)


@wrong("read", field="m", says=("'choose/then/count'", "may not have run"))
def made_on_one_side_only() -> Any:
    """Without another side, what the branch makes is not surely there."""
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, name="choose").stage("read", read)


@wrong("read", field="m", says="may not have run")
def made_by_the_other_side_only() -> Any:
    """The other side makes it, this one does not."""
    other = Pipeline().stage("count", count).through(k=int)
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, other, OTHERWISE, name="choose").stage("read", read)


@wrong("read", field="m", says=("needs int", "str"))
def made_with_another_type() -> Any:
    """One side makes an int, the other one a string."""
    other = Pipeline().stage("text", text).through(m=str)
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, other, name="choose").stage("read", read)


@wrong("read", field="n", says=("needs int", "float"))
def replaced_on_one_side() -> Any:
    """A field that was there before is replaced on one side, with another type."""
    other = Pipeline().stage("half", half).through(n=float)
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, other, name="choose").stage("read", grow).through(m=int)


@wrong("choose", field="k", says=("the predicate", "nothing provides"))
def predicate_reads_what_is_not_there() -> Any:
    """There is no such field."""
    return Pipeline(n=int).branch(lambda ctx: ctx.k > 3, THEN, OTHERWISE, name="choose")


@wrong("choose", field="task_namse", says="did you mean 'task_names'?")
def predicate_reads_a_misspelt_field() -> Any:
    """The field is called task_names."""
    return Pipeline(n=int, task_names=list[str]).branch(lambda ctx: len(ctx.task_namse) > 3, THEN, OTHERWISE, name="choose")


@wrong("choose", field="m", says=("the predicate", "needs the field 'm'"))
def predicate_reads_what_its_side_makes() -> Any:
    """What the branch makes is not there when it is chosen."""
    return Pipeline(n=int).branch(lambda ctx: ctx.m > 3, THEN, OTHERWISE, name="choose")


@wrong("choose", says=("cannot be called", "found True"))
def predicate_that_is_no_function() -> Any:
    """The answer is given instead of the question."""
    return Pipeline(n=int).branch(True, THEN, OTHERWISE, name="choose")


@wrong("choose/then/train", field="rows", says="nothing provides")
def side_needs_what_is_not_there() -> Any:
    """A stage of a side asks for what nobody provides; it is named with its side."""
    body = Pipeline().stage("train", train).through(m=float)
    return Pipeline(n=int, lr=float).branch(lambda ctx: ctx.n > 3, body, name="choose")


@wrong("choose/otherwise/read", field="m", says=("'m'",))
def side_needs_what_the_other_side_makes() -> Any:
    """Only one of the sides runs."""
    body = Pipeline().stage("read", read).through(k=int)
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, body, name="choose")


@wrong("choose/then/grow", field="n", says=("needs int", "provides 'n' as str"))
def side_needs_another_type() -> Any:
    """The field is there, with another type."""
    return Pipeline(n=str).branch(lambda ctx: len(ctx.n) > 3, Pipeline().stage("grow", grow).through(m=int), name="choose")


@wrong("choose/then", field="rows", says=("declared input", "nothing provides"))
def side_declares_what_is_not_there() -> Any:
    """A side declares an input that is not there."""
    body = Pipeline(rows=list[float]).stage("first", lambda: 1).through(m=int)
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, body, name="choose")


@wrong("choose/then", field="n", says=("declared input", "needs float", "provides 'n' as str"))
def side_declares_another_type() -> Any:
    """A side declares an input with another type than is there."""
    body = Pipeline(n=float).stage("half", half).through(m=float)
    return Pipeline(n=str).branch(lambda ctx: len(ctx.n) > 3, body, name="choose")


@wrong("choose", says=("never runs", "reads no field"))
def side_that_is_never_reached() -> Any:
    """The predicate always says no."""
    return Pipeline(n=int).branch(lambda ctx: False, THEN, OTHERWISE, name="choose")


@wrong("choose", says=("otherwise", "Pipeline"))
def side_that_is_a_function() -> Any:
    """A side is a pipeline."""
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, double, name="choose")


@wrong("choose", says=("then", "Pipeline"))
def first_side_that_is_missing() -> Any:
    """The first side cannot be left out."""
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, None, OTHERWISE, name="choose")


@wrong("choose/otherwise", says=("no stages",))
def empty_side() -> Any:
    """A side without stages; None says that there is nothing to do."""
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, Pipeline(), name="choose")


@wrong("grow", field="m", says="'count'")
def reference_to_a_stage_of_a_side() -> Any:
    """A stage of a side may not have run."""
    choice = Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, OTHERWISE, name="choose")
    return choice.stage("grow", grow, step=ref("count.m")).through(k=int)


@wrong("choose/then/inner/then/grow", field="stepp", says="did you mean 'step'?")
def branch_in_a_branch() -> Any:
    """A fault in a branch in a branch is named with both."""
    inner = Pipeline().branch(lambda ctx: ctx.n > 6, Pipeline().stage("grow", grow, stepp=1).through(m=int), name="inner")
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, inner, name="choose")


@wrong("choose", says=("'choose' is taken", "Rename"))
def two_of_one_name() -> Any:
    """Branches have names, too."""
    first = Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, OTHERWISE, name="choose")
    return first.branch(lambda ctx: ctx.n > 3, THEN, OTHERWISE, name="choose")


@wrong("choose/then/load", field="path", says=("needs str", "as int"))
def first_stage_of_a_side() -> Any:
    """An input of the whole has another type than a stage of a side takes."""
    return Pipeline(n=int, path=int).branch(lambda ctx: ctx.n > 3, Pipeline().stage("load", load).through(m=Any), name="choose")
