"""Fields that are not there: missing, misspelt, too late, or wanted by a view."""

# ruff: noqa: D102  # stages; the cases say what they show
from __future__ import annotations

from functools import partial
from typing import Any

from metta_sweep.pipeline import Context, StageContext

from .cases import Pipeline, wrong
from .parts import Batch, Judge, Named, Point, Settings, Span, Task, count, grow, load, suggest, train


class Trainer:
    """Stages as methods and as an object."""

    async def fit(self, rows: list[float]) -> float:
        return sum(rows)

    async def __call__(self, rows: list[float]) -> float:
        return sum(rows)

    @staticmethod
    def plan(epochs: int) -> int:
        return epochs

    @classmethod
    def named(cls, title: str) -> str:
        return title


@wrong("train", field="rows", says=("nothing provides", "provided here: lr", "Pipeline(rows=...)"))
def nothing_provides_it() -> Any:
    """Nobody loads the rows."""
    return Pipeline(lr=float).stage("train", train)


@wrong("train", field="lr", says=("nothing provides", "did you mean 'lrs'?"))
def misspelt_input() -> Any:
    """The input is called lrs, the parameter lr."""
    return Pipeline(path=str, lrs=float).stage("load", load).through(rows=list[float]).stage("train", train)


@wrong("train", field="rows", says="did you mean 'row'?")
def misspelt_field() -> Any:
    """The field is called row, the parameter rows."""
    return Pipeline(path=str, lr=float).stage("load", load).through(row=list[float]).stage("train", train)


@wrong("report", field="trails", says="did you mean 'trials'?")
def misspelt_field_of_a_model() -> Any:
    """The model calls it trials."""
    return Pipeline(seed=int).stage("suggest", suggest).stage("report", lambda trails: len(trails)).through(report=int)


@wrong("train", field="rows", says=("provided only later", "'load'"))
def provided_later() -> Any:
    """The two stages stand in the wrong order."""
    return Pipeline(path=str, lr=float).stage("train", train).stage("load", load).through(rows=list[float])


@wrong("count", field="count", says="'count'")
def reads_its_own_output() -> Any:
    """A stage reads what it is about to make."""

    async def again(count: int) -> int:
        return count + 1

    return Pipeline().stage("count", again).through(int)


@wrong("train", field="rows", says="nothing provides")
def named_after_the_stage_not_the_field() -> Any:
    """Without a name, the field is called like the stage: load, not rows."""
    return Pipeline(path=str, lr=float).stage("load", load).through(list[float]).stage("train", train)


@wrong("fit", field="rows", says="nothing provides")
def bound_method() -> Any:
    """A method asks for what is not there."""
    return Pipeline(path=str).stage("fit", Trainer().fit)


@wrong("fit", field="rows", says="nothing provides")
def callable_object() -> Any:
    """An object with ``__call__`` asks for what is not there."""
    return Pipeline(path=str).stage("fit", Trainer()).through(float)


@wrong("plan", field="epochs", says="did you mean 'epoch'?")
def static_method() -> Any:
    """A static method asks for a misspelt field."""
    return Pipeline(epoch=int).stage("plan", Trainer.plan)


@wrong("name", field="title", says="nothing provides")
def class_method() -> Any:
    """A class method asks for what is not there."""
    return Pipeline(n=int).stage("name", Trainer.named)


@wrong("train", field="rows", says="nothing provides")
def partial_of_a_function() -> Any:
    """The partial fills lr, and nobody the rows."""
    return Pipeline(path=str).stage("train", partial(train, lr=0.1)).through(float)


@wrong("grow", field="n", says="nothing provides")
def keyword_only_parameter() -> Any:
    """A keyword-only parameter is needed like any other."""

    def stage(*, n: int) -> int:
        return n

    return Pipeline(m=int).stage("grow", stage)


@wrong("grow", field="n", says="nothing provides")
def positional_only_parameter() -> Any:
    """A positional-only parameter has a name for the build all the same."""

    def stage(n: int, /) -> int:
        return n

    return Pipeline(m=int).stage("grow", stage)


@wrong("look", field="size", says=("batch", "nothing provides"))
def view_by_a_model() -> Any:
    """The view is a model with a field that nobody provides."""

    def look(batch: Batch) -> int:
        return batch.size

    return Pipeline(task=Task).stage("look", look)


@wrong("look", field="y", says=("point", "nothing provides"))
def view_by_a_dataclass() -> Any:
    """The view is a dataclass with a field that nobody provides."""

    def look(point: Point) -> float:
        return point.x

    return Pipeline(x=float).stage("look", look)


@wrong("look", field="stop", says=("span", "nothing provides"))
def view_by_a_named_tuple() -> Any:
    """The view is a named tuple with a field that nobody provides."""

    def look(span: Span) -> int:
        return span.start

    return Pipeline(start=int).stage("look", look)


@wrong("look", field="layers", says=("settings", "did you mean 'layer'?"))
def view_by_a_typed_dict() -> Any:
    """A key of the TypedDict is misspelt."""

    def look(settings: Settings) -> int:
        return settings["layers"]

    return Pipeline(lr=float, layer=int).stage("look", look)


@wrong("look", field="name", says=("named", "nothing provides"))
def view_by_a_protocol() -> Any:
    """A property of the protocol is provided by nobody."""

    def look(task: Named) -> str:
        return task.name

    return Pipeline(n=int).stage("look", look)


@wrong("look", field="paht", says="did you mean 'path'?")
def context_read_by_a_lambda() -> Any:
    """A stage gets the whole context and reads a field that is misspelt."""
    return Pipeline(path=str).stage("look", lambda ctx: len(ctx.paht)).through(int)


@wrong("look", field="rows", says="provided only later")
def context_read_too_early() -> Any:
    """A stage gets the whole context and reads a field of a later stage."""

    def look(ctx: Context) -> int:
        return len(ctx.rows)

    return Pipeline(path=str).stage("look", look).stage("load", load).through(rows=list[float])


@wrong("b", field="lr", says="nothing provides")
def among_the_injected() -> Any:
    """What the framework gives is there, the field beside it is not."""

    def stage(ctx: StageContext, n: int, lr: float) -> float:
        return n * lr

    return Pipeline(n=int).stage("b", stage)


@wrong("c", field="b", says="nothing provides")
def stage_that_gives_nothing() -> Any:
    """A stage that returns None provides no field of its name."""

    async def silent(a: int) -> None: ...

    def read(b: int) -> int:
        return b

    return Pipeline(n=int).stage("a", count).stage("b", silent).stage("c", read)


@wrong("judge", field="scorer", says="nothing provides")
def class_without_fields() -> Any:
    """A class of the user is no view: it must be a field."""

    def judge(scorer: Judge) -> float:
        return scorer.score("a")

    return Pipeline(n=int).stage("judge", judge)


@wrong("inputs", field="n", says=("found 3", "Write n="))
def input_with_a_value() -> Any:
    """An input is declared with a value instead of a type."""
    return Pipeline(n=3).stage("grow", grow)


@wrong("inputs", field="n", says=("found 'int'", "needs a type"))
def input_with_a_string() -> Any:
    """An input is declared with the name of a type."""
    return Pipeline(n="int").stage("grow", grow)


@wrong("inputs", says=("found 3", "Pipeline(n=int)"))
def state_that_is_no_model() -> Any:
    """The state is no model."""
    return Pipeline(3, n=int).stage("grow", grow)


@wrong("inputs", says=("dict", "Pipeline(n=int)"))
def state_that_is_a_dict_type() -> Any:
    """The state is a type, but none with fields."""
    return Pipeline(dict[str, int], n=int).stage("grow", grow)


@wrong("grow", field="n", says="did you mean 'N'?")
def another_case() -> Any:
    """Upper and lower case are different names."""
    return Pipeline(N=int, step=int).stage("grow", grow)
