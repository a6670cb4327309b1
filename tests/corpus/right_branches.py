"""Branches that provide what is read after them."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import StageContext

from .cases import Pipeline, right
from .parts import Trial, count, grow, suggest


def double(n: int) -> int:
    return n * 2


def read(m: int) -> int:
    return m


def text(n: int) -> str:
    return str(n)


def where(stage: StageContext) -> str:
    return stage.address


THEN = Pipeline().stage("count", count).through(m=int)
OTHERWISE = Pipeline().stage("double", double).through(m=int)


@right(inputs={"n": 5}, gives={"m": 6, "read": 6})
def one_side() -> Any:
    """Both sides make it; this one runs."""
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, OTHERWISE).stage("read", read)


@right(inputs={"n": 1}, gives={"m": 2, "read": 2})
def other_side() -> Any:
    """Both sides make it; the other one runs."""
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, OTHERWISE).stage("read", read)


@right(inputs={"n": 1}, gives={"n": 1, "read": 0})
def no_other_side() -> Any:
    """Where nothing is to be done otherwise, what was there before is there after it."""
    body = Pipeline().stage("n", count)
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, body).stage("read", grow, step=-1).through(read=int)


@right(inputs={"n": 5}, gives={"m": 6, "read": 6})
def default_for_what_may_not_be_there() -> Any:
    """A parameter with a default may read what only one side makes."""

    def lenient(m: int = 0) -> int:
        return m

    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN).stage("read", lenient)


@right(inputs={"n": 1}, gives={"m": "1", "read": "1"})
def both_types_are_read() -> Any:
    """A reader that takes either type is right."""

    def either(m: int | str) -> str:
        return str(m)

    other = Pipeline().stage("text", text).through(m=str)
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, other).stage("read", either)


@right(inputs={"n": 7}, gives={"where": "choose/then/inner/then/where"})
def branch_in_a_branch() -> Any:
    """A branch in a branch, and where its stages are."""
    innermost = Pipeline().stage("where", where)
    inner = Pipeline().branch(lambda ctx: ctx.n > 6, innermost, innermost, name="inner")
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, inner, innermost, name="choose")


@right(inputs={"n": 0}, gives={"n": 4, "parity": "even"})
def branch_in_a_loop() -> Any:
    """In each iteration another side may run."""

    def even() -> str:
        return "even"

    def odd() -> str:
        return "odd"

    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 4)
        .stage("n", count)
        .branch(
            lambda ctx: ctx.n % 2 == 0,
            Pipeline().stage("even", even).through(parity=str),
            Pipeline().stage("odd", odd).through(parity=str),
        )
        .end_loop()
    )


@right(inputs={"n": 0, "wanted": 3}, gives={"n": 3})
def loop_in_a_branch() -> Any:
    """A side may be a loop."""
    body = Pipeline().loop_while(lambda ctx: ctx.n < ctx.wanted).stage("n", count).end_loop()
    return Pipeline(n=int, wanted=int).branch(lambda ctx: ctx.wanted > ctx.n, body)


@right(inputs={"seed": 3}, gives={"best": 3.0})
def declared_inputs_of_a_side() -> Any:
    """A side may declare what it reads, and so be written and tested alone."""

    def best(trials: list[Trial]) -> float:
        return max(trial.score or 0.0 for trial in trials)

    def worst(trials: list[Trial]) -> float:
        return 0.0

    one = Pipeline(trials=list[Trial]).stage("best", best)
    other = Pipeline(trials=list[Trial]).stage("best", worst)
    return Pipeline(seed=int).stage("suggest", suggest).branch(lambda ctx: len(ctx.trials) > 0, one, other)


@right(inputs={"n": 5}, gives={"m": 6})
def asynchronous_predicate() -> Any:
    """A predicate may be asynchronous."""

    async def large(ctx: Any) -> bool:
        return bool(ctx.n > 3)

    return Pipeline(n=int).branch(large, THEN, OTHERWISE)


@right(inputs={"n": 5}, gives={"m": 6}, kept=True)
def kept() -> Any:
    """A branch is taken up from a store: the same side."""
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, OTHERWISE, name="choose")
