"""Parts within parts: a mistake of one that shows in another."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import ref

from .cases import Pipeline, wrong
from .parts import Scored, Task, Trial, count, grow, load, square


def read(m: int) -> int:
    return m


def rate(trial: Scored) -> float:
    return trial.score


THEN = Pipeline().stage("count", count).through(m=int)
INNER = Pipeline(n=int).stage("count", count).through(m=int)


@wrong("inner", field="m", says=("'m'", "may"))
def contract_of_what_may_not_be_there() -> Any:
    """The contract of a nested pipeline picks what only its loop makes."""
    inner = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).stage("m", count).end_loop()
    return Pipeline(n=int).stage("inner", inner).through(m=int)


@wrong("read", field="m", says="'m'")
def one_sided_end_of_a_nested_pipeline() -> Any:
    """A nested pipeline that ends with a one-sided branch surely provides nothing of it."""
    inner = Pipeline(n=int).stage("k", count).branch(lambda ctx: ctx.n > 3, THEN)
    return Pipeline(n=int).stage("inner", inner).stage("read", read)


@wrong("loop/choose/then/read", field="m", says="'m'")
def made_by_the_other_side_in_the_iteration_before() -> Any:
    """One side reads what the other one may have made in an iteration before."""
    one = Pipeline().stage("read", read).through(n=int)
    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 3)
        .branch(lambda ctx: ctx.n > 1, one, THEN.stage("n", count), name="choose")
        .end_loop()
    )


@wrong("use", field="k", says="may not have run")
def made_by_a_map_in_a_branch() -> Any:
    """A map that may not have run provides nothing for sure."""
    side = Pipeline().map("k", square, over="xs")
    return Pipeline(xs=list[int]).branch(lambda ctx: len(ctx.xs) > 1, side).stage("use", lambda k: 1).through(int)


@wrong("inner/rate", field="trials", says=("needs Scored", "trials[*].score"))
def map_in_a_nested_pipeline() -> Any:
    """The element of a map in a nested pipeline is looked at, too."""
    inner = Pipeline(trials=list[Trial]).map("rate", rate, over="trials")
    return Pipeline(trials=list[Trial]).stage("inner", inner)


@wrong("use", field="rate", says=("list[int]", "list[float]"))
def result_of_a_body_of_another_type() -> Any:
    """The result of a map over a pipeline has another type than its reader needs."""

    def needs_ints(rate: list[int]) -> int:
        return sum(rate)

    body = Pipeline(trial=Scored).stage("rate", rate)
    return Pipeline(scored=list[Scored]).map("rate", body, over="scored").stage("use", needs_ints)


@wrong("rate/inner", field="task", says="'task'")
def nested_pipeline_in_a_body() -> Any:
    """A body hands on to a pipeline in it what it does not have itself."""
    deepest = Pipeline(task=Task).stage("name", lambda task: task.name).through(name=str)
    body = Pipeline(trial=Trial).stage("inner", deepest)
    return Pipeline(trials=list[Trial], task=Task).map("rate", body, over="trials")


@wrong("use", field="m", says=("no stage 'count'", "before this are: inner"))
def reference_into_a_nested_pipeline() -> Any:
    """The stages of a nested pipeline are its own; its output is that of the stage that it is."""
    return Pipeline(n=int).stage("inner", INNER).stage("use", grow, step=ref("count.m")).through(k=int)


@wrong("use", field="k", says=("'inner' provides m", "not 'k'"))
def reference_to_a_field_that_a_nested_pipeline_lacks() -> Any:
    """The nested pipeline provides another field."""
    return Pipeline(n=int).stage("inner", INNER).stage("use", grow, step=ref("inner.k")).through(k=int)


@wrong("rate", field="trial", says="item")
def item_as_a_constant() -> Any:
    """The first parameter of a map is the item, and no constant."""
    return Pipeline(trials=list[Scored]).map("rate", rate, over="trials", trial=Scored(id="a", score=1.0))


@wrong("rate", field="idd", says=("key", "did you mean 'id'?"))
def key_of_an_item() -> Any:
    """The items have no such attribute to be named by."""
    return Pipeline(trials=list[Scored]).map("rate", rate, over="trials", key="idd")


@wrong("rate", field="limit", says=("found True", "at least 1"))
def limit_as_a_flag() -> Any:
    """A flag is no limit."""
    return Pipeline(trials=list[Scored]).map("rate", rate, over="trials", limit=True)


@wrong("through", says=(".through()", "loop or branch"))
def contract_after_a_branch() -> Any:
    """A branch provides what its sides provide; there is nothing to say about it."""
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, THEN, name="choose").through(m=int)


@wrong("loop/inner", says=("never ended", ".end_loop()"))
def open_loop_in_a_body() -> Any:
    """The body of a loop has an open loop."""
    body = Pipeline().loop_while(lambda ctx: ctx.n < 3, name="inner").stage("n", count)
    return Pipeline(n=int).loop(body, while_=lambda ctx: ctx.n < 9)


@wrong("inner/loop", says=("never ended", ".end_loop()"))
def open_loop_in_a_nested_pipeline() -> Any:
    """A nested pipeline has an open loop."""
    return Pipeline(n=int).stage("inner", Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count))


@wrong("override", field="rate/rat", says="did you mean 'rate/rate'?")
def override_in_a_body() -> Any:
    """The path into the body of a map is misspelt."""
    body = Pipeline(trial=Scored).stage("rate", rate)
    return Pipeline(trials=list[Scored]).map("rate", body, over="trials").override("rate/rat", rate)


@wrong("rate/rate", says=("returns str", "expected float"))
def override_in_a_body_with_another_type() -> Any:
    """The replacement of a stage in the body of a map returns another type."""

    def name(trial: Scored) -> str:
        return trial.id

    body = Pipeline(trial=Scored).stage("rate", rate)
    return Pipeline(trials=list[Scored]).map("rate", body, over="trials").override("rate/rate", name)


@wrong("choose/then/count", field="k", says="nothing provides")
def override_in_a_branch() -> Any:
    """The replacement of a stage of a side reads what is not there."""

    def other(k: int) -> int:
        return k

    choice = Pipeline(n=int).branch(lambda ctx: ctx.n > 3, THEN, name="choose")
    return choice.override("choose/then/count", other)


@wrong("inner/global hooks", field="aftr", says="did you mean 'after'?")
def global_hooks_of_a_nested_pipeline() -> Any:
    """A nested pipeline may have global hooks of its own; they are checked as well."""
    return Pipeline(n=int).stage("inner", INNER.with_global_hooks(aftr=print))


@wrong("load", field="rows", says="nothing provides")
def after_a_nested_pipeline_that_keeps_its_values() -> Any:
    """What a nested pipeline reads on its way is not there after it."""

    def again(rows: list[float]) -> float:
        return rows[0]

    inner = Pipeline(path=str).stage("load", load).through(rows=list[float]).stage("n", lambda rows: len(rows)).through(n=int)
    return Pipeline(path=str).stage("inner", inner).stage("load", again)


@wrong("loop", field="turns", says=("'turns'", "carr"))
def carried_field_that_nobody_uses() -> Any:
    """A misspelt carried field: the body provides turn, nobody reads turns."""

    def turn(n: int, turn: int = 0) -> dict[str, int]:
        return {"n": n + 1, "turn": turn + 1}

    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3, carry={"turns": 0})
    return loop.stage("turn", turn).through(n=int, turn=int).end_loop()
