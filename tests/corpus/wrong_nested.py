"""Pipelines in pipelines, loops as blocks, and stages that are replaced."""

# ruff: noqa: D103  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from .cases import Pipeline, wrong
from .parts import SuggestionOutput, Task, TrainingOutput, count, grow, load, square, train


async def fit(rows: list[float], lr: float) -> float:
    return sum(rows) * lr


async def constant_fit(rows: list[float], lr: float) -> float:
    return lr


async def text_fit(rows: list[float], lr: float) -> str:
    return f"{lr}"


async def hungry_fit(rows: list[float], momentum: float) -> float:
    return momentum


def report(loss: float) -> None: ...


TRAIN = Pipeline(rows=list[float], lr=float).stage("fit", fit).through(loss=float)


def _outer(inner: Any = TRAIN, **constants: Any) -> Any:
    return Pipeline(path=str, lr=float).stage("load", load).through(rows=list[float]).stage("train", inner, **constants)


@wrong("train", field="rows", says=("'rows'", "nothing provides"))
def input_that_is_not_there() -> Any:
    """The inner pipeline declares an input that nobody provides."""
    return Pipeline(lr=float).stage("train", TRAIN)


@wrong("train", field="lr", says="did you mean 'lrs'?")
def misspelt_input() -> Any:
    """The field is called lrs."""
    return Pipeline(rows=list[float], lrs=float).stage("train", TRAIN)


@wrong("train", field="rows", says="rows[*]: provides str, needs float")
def input_of_another_type() -> Any:
    """The field that the inner pipeline takes has other elements."""
    return Pipeline(rows=list[str], lr=float).stage("train", TRAIN)


@wrong("train/fit", field="lr", says=("the pipeline 'train'", "Pipeline(lr="))
def undeclared_input() -> Any:
    """A field of the outer pipeline is not seen inside, unless it is declared."""
    return _outer(Pipeline(rows=list[float]).stage("fit", fit).through(loss=float))


@wrong("train", field="momentum", says=("momentum", "rows, lr"))
def unknown_constant() -> Any:
    """The inner pipeline declares no such input."""
    return _outer(momentum=0.9)


@wrong("train", field="lr", says=("'0.1'", "float"))
def constant_of_another_type() -> Any:
    """A string for a number."""
    return _outer(lr="0.1")


@wrong("train", field="weights", says=("'weights'", "loss"))
def output_that_is_not_there() -> Any:
    """The contract picks a field that the inner pipeline does not have at its end."""
    return _outer().through(weights=list[float])


@wrong("train", field="loss", says=("float", "str"))
def output_of_another_type() -> Any:
    """The contract gives the field another type."""
    return _outer().through(loss=str)


@wrong("train", field="epochs", says=("'epochs'",))
def output_by_a_model() -> Any:
    """The contract is a model, one field of which is not there at the end."""

    def losses() -> dict[str, float]:
        return {}

    inner = Pipeline(rows=list[float], lr=float).stage("fit", losses).through(losses=dict[str, float])
    return _outer(inner).through(TrainingOutput)


@wrong("report", field="rate", says=("nothing provides",))
def inner_field_is_not_seen_outside() -> Any:
    """What the inner pipeline makes on its way stays inside."""
    inner = (
        Pipeline(rows=list[float], lr=float).stage("rate", lambda: 1.0).through(rate=float).stage("fit", fit).through(loss=float)
    )

    def report_rate(rate: float) -> None: ...

    return _outer(inner).stage("report", report_rate)


@wrong("train/fit", field="stepp", says="did you mean 'step'?")
def fault_inside() -> Any:
    """A fault of an inner stage is named with the outer one."""
    inner = Pipeline(n=int).stage("fit", grow, stepp=3)
    return Pipeline(n=int).stage("train", inner)


@wrong("a/b/c", field="k", says="'k'")
def fault_deep_inside() -> Any:
    """A fault in a pipeline in a pipeline is named with both."""

    def read(k: int) -> int:
        return k

    middle = Pipeline(n=int).stage("b", Pipeline(n=int).stage("c", read))
    return Pipeline(n=int).stage("a", middle)


@wrong("train", says=("no stages",))
def empty_pipeline() -> Any:
    """There is nothing to run in it."""
    return _outer(Pipeline(rows=list[float])).through(None)


@wrong("train", field="retry", says=("found -1", "retry=3"))
def hook_of_a_pipeline() -> Any:
    """Hooks of a pipeline are checked like any."""
    return _outer().through(retry=-1)


@wrong("loop", field="k", says=("declared input", "nothing provides"))
def body_declares_what_is_not_there() -> Any:
    """The body of a loop declares an input that is not there."""
    body = Pipeline(k=int).stage("n", lambda k: k).through(int)
    return Pipeline(n=int).loop(body, while_=lambda ctx: ctx.n < 3)


@wrong("loop", field="n", says=("declared input", "needs int", "provides 'n' as str"))
def body_declares_another_type() -> Any:
    """The body of a loop declares an input with another type."""
    return Pipeline(n=str).loop(
        Pipeline(n=int).stage("m", count).through(m=int), while_=lambda ctx: len(ctx.n) < ctx.m, carry={"m": 0}
    )


@wrong("loop", field="m", says=("never ends, or never begins", "'m'"))
def stalled_body() -> Any:
    """The predicate reads what the body never changes."""
    return Pipeline(n=int, m=int).loop(Pipeline().stage("n", count), while_=lambda ctx: ctx.m < 3)


@wrong("loop", says=("body", "Pipeline"))
def body_that_is_a_function() -> Any:
    """A body is a pipeline."""
    return Pipeline(n=int).loop(count, while_=lambda ctx: ctx.n < 3)


@wrong("loop", field="k", says="the predicate")
def block_predicate() -> Any:
    """The predicate of a block reads what is not there."""
    return Pipeline(n=int).loop(Pipeline().stage("n", count), while_=lambda ctx: ctx.k < 3)


@wrong("override", field="train/fitt", says="did you mean 'train/fit'?")
def override_of_a_misspelt_path() -> Any:
    """The stage is called train/fit."""
    return _outer().override("train/fitt", constant_fit)


@wrong("override", field="fit", says="'train/fit'")
def override_of_an_inner_stage_by_its_name() -> Any:
    """An inner stage is named with what encloses it."""
    return _outer().override("fit", constant_fit)


@wrong("train/fit", says=("returns str", "expected float"))
def override_that_returns_another_type() -> Any:
    """The replacement does not fit the contract of what it replaces."""
    return _outer().override("train/fit", text_fit)


@wrong("train/fit", field="momentum", says="momentum")
def override_that_needs_more() -> Any:
    """The replacement takes what nobody provides."""
    return _outer().override("train/fit", hungry_fit)


@wrong("grow", field="step", says="no parameter")
def override_that_does_not_take_the_constants() -> Any:
    """The stage has a constant that the replacement does not take."""
    return Pipeline(n=int).stage("grow", grow, step=3).override("grow", count)


@wrong("override", field="loop", says="loop")
def override_of_a_loop() -> Any:
    """Stages are replaced, not loops."""
    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.n < 3).stage("n", count).end_loop()
    return loop.override("loop", count)


@wrong("load", says=("cannot be called", "found 3"))
def override_with_a_number() -> Any:
    """The replacement cannot be called."""
    return _outer().override("load", 3)


@wrong("make", says=("returns Task", "SuggestionOutput"))
def override_with_another_model() -> Any:
    """The replacement returns another model."""

    def make() -> SuggestionOutput:
        return SuggestionOutput(trials=[])

    def other() -> Task:
        return Task(name="a")

    return Pipeline().stage("make", make).through(SuggestionOutput).override("make", other)


@wrong("square", field="x", says="nothing provides")
def override_before_the_inputs_fit() -> Any:
    """The replacement reads another field than the stage that it replaces."""
    return Pipeline(n=int).stage("square", count).through(m=int).override("square", square)


@wrong("train/fit", says=("needs float", "provides str"))
def override_with_a_pipeline() -> Any:
    """The replacement is a pipeline whose output is another type."""
    other = Pipeline(rows=list[float], lr=float).stage("fit", text_fit).through(loss=str)
    return _outer().override("train/fit", other)


@wrong("train", field="epochs", says=("needs int", "as str"))
def function_among_pipelines() -> Any:
    """A plain function beside nested ones is checked as ever."""
    return Pipeline(rows=list[float], lr=float, epochs=str).stage("train", train)
