"""Loops: what may not have happened, what never ends, and what is carried."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import ref

from .cases import Pipeline, wrong
from .parts import Task, count, grow, load


def _looped(predicate: Any = lambda ctx: ctx.n < 3, body: Any = count, *, field: str = "n", form: Any = int, **options: Any) -> Any:
    """A loop of one stage ``turn`` that provides ``field``."""
    return Pipeline(n=int).loop_while(predicate, **options).stage("turn", body).through(**{field: form}).end_loop()


async def pick(task_names: list[str], task_idx: int) -> dict[str, Any]:
    return {"current_task": Task(name=task_names[task_idx]), "task_idx": task_idx + 1}


@wrong("use", field="m", says=("only 'loop/turn' provides", "may not have run"))
def made_in_the_body_only() -> Any:
    """The body may never run; what it makes is not surely there after it."""

    def use(m: int) -> int:
        return m

    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 3)
        .stage("turn", count)
        .through(m=int)
        .stage("again", count)
        .through(n=int)
        .end_loop()
        .stage("use", use)
    )


@wrong("loop/second", field="total", says="may not have run")
def made_by_the_iteration_before() -> Any:
    """In the first iteration nobody has made it yet."""

    def second(n: int, total: int) -> int:
        return n + total

    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 3)
        .stage("second", second)
        .through(n=int)
        .stage("third", count)
        .through(total=int)
        .end_loop()
    )


@wrong("loop", field="task_idx", says=("may not have run", "carry={'task_idx': ...}"))
def predicate_reads_what_the_body_makes() -> Any:
    """The documentation's mistake: nothing gives task_idx a first value."""
    loop = Pipeline(task_names=list[str]).loop_while(lambda ctx: ctx.task_idx < len(ctx.task_names))
    return loop.stage("pick", pick, task_idx=0).through(current_task=Task, task_idx=int).end_loop()


@wrong("loop", field="k", says=("the predicate", "nothing provides"))
def predicate_reads_what_nobody_makes() -> Any:
    """There is no such field."""
    return _looped(lambda ctx: ctx.k < 3)


@wrong("loop", field="taks_names", says="did you mean 'task_names'?")
def predicate_reads_a_misspelt_field() -> Any:
    """The field is called task_names."""
    loop = Pipeline(task_names=list[str]).loop_while(lambda ctx: ctx.task_idx < len(ctx.taks_names), carry={"task_idx": 0})
    return loop.stage("pick", pick).through(current_task=Task, task_idx=int).end_loop()


@wrong("loop", field="done", says="provided only later")
def predicate_reads_what_comes_later() -> Any:
    """A stage after the loop provides it."""
    return _looped(lambda ctx: not ctx.done and ctx.n < 3).stage("end", lambda n: True).through(done=bool)


@wrong("loop", field="n", says=("begins with a value that does not fit", "'0'", "provides int"))
def carried_value_of_another_type() -> Any:
    """It begins as a string, and the body makes it an int."""
    return _looped(carry={"n": "0"})


@wrong("loop", field="rows", says=("does not fit", "provides list[float]"))
def element_of_a_carried_value() -> Any:
    """An element of the first value has another type."""
    loop = Pipeline(path=str).loop_while(lambda ctx: len(ctx.rows) < 3, carry={"rows": ["a"]})
    return loop.stage("load", load).through(rows=list[float]).end_loop()


@wrong("loop", field="n", says=("found None", "provides int"))
def carried_none() -> Any:
    """It begins as None, and the body makes it an int."""
    return _looped(carry={"n": None})


@wrong("loop", field="start", says=("ref('start')", "nothing provides"))
def carried_ref_to_nothing() -> Any:
    """The field that it begins with is not there."""
    return _looped(carry={"n": ref("start")})


@wrong("loop", field="title", says=("the carried field 'n' needs int", "'title' as str"))
def carried_ref_of_another_type() -> Any:
    """The field that it begins with has another type than the body gives it."""
    loop = Pipeline(title=str).loop_while(lambda ctx: ctx.n < 3, carry={"n": ref("title")})
    return loop.stage("turn", count).through(n=int).end_loop()


@wrong("loop", field="n", says=("found a stage's name", "ref('n')"))
def carried_ref_to_a_stage() -> Any:
    """A carried field begins with a field, whoever provided it."""
    return _looped(carry={"n": ref("turn.n")})


@wrong("loop", field="m", says=("never ends, or never begins", "'m'", "provides n"))
def stalled() -> Any:
    """The predicate reads what the body never changes."""
    return _looped(lambda ctx: ctx.m < 3, carry={"m": 1})


@wrong("loop", field="limit", says=("never ends, or never begins", "'limit'"))
def stalled_on_an_input() -> Any:
    """The predicate reads an input, and the body makes something else."""
    return Pipeline(n=int, limit=int).loop_while(lambda ctx: ctx.limit > 3).stage("n", count).end_loop()


@wrong("loop", says=("never ends, or never begins", "reads no field"))
def constant_predicate() -> Any:
    """The predicate always says the same: what follows the loop is never reached."""
    return _looped(lambda ctx: True).stage("after", grow).through(m=int)


@wrong("loop", says=("cannot be called", "found 3", "lambda ctx"))
def predicate_that_is_no_function() -> Any:
    """A number says when to stop, not whether."""
    return _looped(3)


@wrong("loop", says=("no stages", "before end_loop()"))
def empty_body() -> Any:
    """There is nothing to do in it."""
    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).end_loop().stage("count", count)


@wrong("end_loop", says=("no open loop", "Remove it"))
def end_without_a_beginning() -> Any:
    """No loop was begun."""
    return Pipeline(n=int).stage("count", count).end_loop()


@wrong("loop", says=("never ended", ".end_loop()"))
def beginning_without_an_end() -> Any:
    """The loop is never ended."""
    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("turn", count).through(n=int)


@wrong("loop", says=("max_iterations", "found 0"))
def limit_of_nothing() -> Any:
    """A loop that may not run is none."""
    return _looped(max_iterations=0)


@wrong("loop", says=("max_iterations", "found '10'"))
def limit_as_a_string() -> Any:
    """A number of iterations is a number."""
    return _looped(max_iterations="10")


@wrong("loop/turn", field="n", says=("needs int", "'loop/turn' itself provides 'n' as float for the next iteration"))
def body_changes_the_type_that_it_needs() -> Any:
    """The second iteration finds what the first one left."""

    async def turn(n: int) -> float:
        return n / 2

    return Pipeline(n=int).loop_while(lambda ctx: ctx.n > 1).stage("turn", turn).through(n=float).end_loop()


@wrong("use", field="n", says=("needs int", "'loop/turn' provides 'n' as float"))
def type_after_the_loop() -> Any:
    """After the loop it may be the type of before, or that of the body."""

    async def turn(n: float) -> float:
        return n / 2

    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.n > 1).stage("turn", turn).through(n=float).end_loop()
    return loop.stage("use", grow).through(m=int)


@wrong("outer/inner", field="k", says="the predicate")
def inner_predicate() -> Any:
    """The predicate of an inner loop reads what nobody provides; it is named with the outer one."""
    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 9, name="outer")
        .loop_while(lambda ctx: ctx.k < 3, name="inner")
        .stage("n", count)
        .end_loop()
        .end_loop()
    )


@wrong("outer/use", field="m", says="'outer/inner/m'")
def made_in_an_inner_loop_only() -> Any:
    """What an inner loop makes is not surely there in the outer one."""

    def use(n: int, m: int) -> int:
        return n + m

    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 9, name="outer")
        .loop_while(lambda ctx: ctx.n < 3, name="inner")
        .stage("n", count)
        .stage("m", count)
        .end_loop()
        .stage("use", use)
        .through(n=int)
        .end_loop()
    )


@wrong("loop", says=("'loop' is taken", "Rename"))
def two_loops_of_one_name() -> Any:
    """Loops have names, too."""
    first = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3, name="loop").stage("n", count).end_loop()
    return first.loop_while(lambda ctx: ctx.n < 6, name="loop").stage("n", count).end_loop()


@wrong("loop/turn", field="stepp", says="did you mean 'step'?")
def constant_in_a_loop() -> Any:
    """A misspelt constant of a stage in a loop is named with the loop."""
    return Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("turn", grow, stepp=1).through(n=int).end_loop()
