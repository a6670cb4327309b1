"""Loops that end, and carry what they should."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import StageContext, ref

from .cases import Pipeline, right
from .parts import Task, count, grow


async def pick(task_names: list[str], task_idx: int) -> dict[str, Any]:
    return {"current_task": Task(name=task_names[task_idx]), "task_idx": task_idx + 1}


@right(inputs={"n": 0}, gives={"n": 3})
def over_an_input() -> Any:
    """The input is what the loop changes."""
    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).end_loop()


@right(inputs={"task_names": ["a", "b"]}, gives={"task_idx": 2})
def carried() -> Any:
    """A carried field has a first value, and is surely there after the loop."""

    def after(task_idx: int) -> int:
        return task_idx

    loop = Pipeline(task_names=list[str]).loop_while(lambda ctx: ctx.task_idx < len(ctx.task_names), carry={"task_idx": 0})
    return loop.stage("pick", pick).through(current_task=Task, task_idx=int).end_loop().stage("after", after)


@right(inputs={"start": 2}, gives={"n": 4, "start": 2})
def carried_ref() -> Any:
    """A carried field may begin with another field."""
    return Pipeline(start=int).loop_while(lambda ctx: ctx.n < 4, carry={"n": ref("start")}).stage("n", count).end_loop()


@right(inputs={"n": 0}, gives={"best": 3.0})
def carried_optional() -> Any:
    """A carried field may begin as None if the body says so."""

    def better(best: float | None, n: int) -> float | None:
        return max(best or 0.0, float(n))

    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 3, carry={"best": None})
        .stage("n", count)
        .stage("better", better)
        .through(best=float | None)
        .end_loop()
    )


@right(inputs={"n": 0}, gives={"n": 6, "total": 6})
def nested() -> Any:
    """A loop in a loop; what the inner one carries is there after it."""

    def step(i: int) -> int:
        return i + 1

    def add(total: int, i: int) -> int:
        return total + (i > 0)

    def forward(n: int, i: int) -> int:
        return n + i

    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 6, carry={"total": 0}, name="outer")
        .loop_while(lambda ctx: ctx.i < 2, carry={"i": 0}, name="inner")
        .stage("i", step)
        .stage("total", add)
        .end_loop()
        .stage("n", forward)
        .end_loop()
    )


@right(inputs={"n": 0}, gives={"n": 3})
def bounded() -> Any:
    """A bound that is not reached."""
    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3, max_iterations=3).stage("n", count).end_loop()


@right(inputs={"n": 9}, gives={"n": 9})
def never_begun() -> Any:
    """The body may run not at all."""
    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).end_loop()


@right(inputs={"n": 0}, gives={"n": 3})
def provided_before_and_in_the_body() -> Any:
    """A field that is there before the loop is there after it."""

    def use(m: int, n: int) -> int:
        return m + n

    return (
        Pipeline(n=int)
        .stage("m", count)
        .loop_while(lambda ctx: ctx.n < 3)
        .stage("n", count)
        .stage("again", grow)
        .through(m=int)
        .end_loop()
        .stage("use", use)
    )


@right(inputs={"n": 0}, gives={"n": 3}, unchecked=("loop",))
def predicate_over_items() -> Any:
    """What a predicate does with the context as a whole is listed."""
    return Pipeline(n=int).loop_while(lambda ctx: ctx.get("n", 0) + len(ctx) < 4).stage("n", count).end_loop()


@right(inputs={"n": 0, "limit": 2}, gives={"n": 2, "seen": ["loop[0]/seen", "loop[1]/seen"]})
def two_fields_in_the_predicate() -> Any:
    """One of the fields that the predicate reads changes: that is enough."""

    def seen(seen: list[str], stage: StageContext) -> list[str]:
        return [*seen, stage.address]

    loop = Pipeline(n=int, limit=int).loop_while(lambda ctx: ctx.n < ctx.limit, carry={"seen": []})
    return loop.stage("seen", seen).stage("n", count).end_loop()


@right(inputs={"n": 0}, gives={"n": 6})
def one_after_another() -> Any:
    """Two loops have names of their own."""
    first = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).end_loop()
    return first.loop_while(lambda ctx: ctx.n < 6).stage("n", count).end_loop()


@right(inputs={"n": 0, "budget": 0}, gives={"n": 2, "budget": 0})
def predicate_that_changes_by_itself() -> Any:
    """A predicate with a memory of its own is not taken for a stalled one."""
    left = iter([True, True, False])
    return Pipeline(n=int, budget=int).loop_while(lambda ctx: next(left) or ctx.budget > 0).stage("n", count).end_loop()


@right(inputs={"n": 1}, gives={"n": 2.5})
def type_that_widens() -> Any:
    """The body takes what it gives, which is wider than what there was before."""

    def wider(n: float) -> float:
        return n + 0.5

    def use(n: float) -> float:
        return n

    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 2.5).stage("n", wider).end_loop().stage("use", use)


@right(inputs={"n": 0}, gives={"n": 3}, kept=True)
def kept() -> Any:
    """A loop is taken up from a store."""
    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3, max_iterations=9).stage("n", count).end_loop()
