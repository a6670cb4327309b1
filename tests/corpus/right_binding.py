"""Every way in which a stage gets what it needs."""

# ruff: noqa: D102, D103  # stages; the cases say what they show
from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, NotRequired, Protocol, TypedDict

from pydantic import BaseModel, ConfigDict

from metta_sweep.pipeline import Context, StageContext, fields

from .cases import Pipeline, right
from .parts import Batch, Frozen, Machine, Named, Point, Settings, Span, Task, count, grow, load, nothing, square, train


class Trainer:
    """Stages as methods and as objects."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    async def fit(self, n: int) -> int:
        return n * self.factor

    def fit_in_a_thread(self, n: int) -> int:
        return n * self.factor

    def __call__(self, n: int) -> int:
        return n + self.factor

    @staticmethod
    def plus_one(n: int) -> int:
        return n + 1

    @classmethod
    def title(cls, n: int) -> str:
        return f"{cls.__name__} {n}"


def traced(fn: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
    @wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> int:
        return await fn(*args, **kwargs) + 100

    return wrapper


class Optional(TypedDict):
    lr: float
    layers: NotRequired[int]


class Sized(Protocol):
    rows: list[float]
    lr: float


class State(BaseModel):
    model_config = ConfigDict(frozen=True)
    n: int
    step: int = 2


@dataclass
class Mutable:
    x: float
    y: float = 2.0


class Nested(Frozen):
    batch: Batch


@right(inputs={"path": "abc", "lr": 0.5}, gives={"rows": [3.0, 1.0], "train": 2.0})
def by_name() -> Any:
    """Fields and inputs, by the names of the parameters; defaults for what is not there."""
    return Pipeline(path=str, lr=float).stage("load", load).through(rows=list[float]).stage("train", train)


@right(inputs={"n": 1, "step": 5}, gives={"grow": 6})
def field_before_default() -> Any:
    """A field of the name of a parameter with a default is taken."""
    return Pipeline(n=int, step=int).stage("grow", grow)


@right(inputs={"n": 1, "step": 5}, gives={"grow": 8})
def constant_before_field() -> Any:
    """A constant goes before the field of its name."""
    return Pipeline(n=int, step=int).stage("grow", grow, step=7)


@right(gives={"m": 4})
def constants_only() -> Any:
    """A pipeline without inputs, whose stage has constants for all parameters."""
    return Pipeline().stage("grow", grow, n=1, step=3).through(m=int)


@right(inputs={"n": 1}, gives={"m": 4})
def constant_in_through() -> Any:
    """A constant may stand in .through(), as the documentation writes it."""
    return Pipeline(n=int).stage("grow", grow).through(m=int, step=3)


@right(inputs={"n": 3}, gives={"a": 9, "b": 9, "c": 12, "d": 13})
def methods_and_objects() -> Any:
    """Bound methods, sync and async, and a callable object."""
    trainer = Trainer(3)
    return (
        Pipeline(n=int)
        .stage("a", trainer.fit)
        .stage("b", trainer.fit_in_a_thread)
        .stage("n", Trainer(9))
        .through(c=int)
        .stage("d", Trainer.plus_one, n=12)
    )


@right(inputs={"n": 3}, gives={"title": "Trainer 3", "one": 4})
def static_and_class_methods() -> Any:
    """Static methods and class methods."""
    return Pipeline(n=int).stage("title", Trainer.title).stage("one", Trainer.plus_one)


@right(inputs={"rows": [1.0, 2.0]}, gives={"a": 6.0, "b": 1.5})
def partials() -> Any:
    """What a partial fills, by position or by name, need not be there."""
    return (
        Pipeline(rows=list[float])
        .stage("a", partial(train, lr=1.0, epochs=2))
        .through(a=float)
        .stage("b", partial(train, [1.0, 2.0], 0.5))
        .through(b=float)
    )


@right(inputs={"n": 3}, gives={"m": 104})
def wrapped() -> Any:
    """A decorated function has the signature of the function in it."""
    return Pipeline(n=int).stage("count", traced(count)).through(m=int)


@right(inputs={"n": 3}, gives={"a": 3, "b": 6}, unchecked=("a", "b"))
def lambdas() -> Any:
    """Parameters of lambdas have no annotations, and are listed."""
    return Pipeline(n=int).stage("a", lambda n: n).through(int).stage("b", lambda a, n: a + n).through(int)


@right(inputs={"n": 3, "k": 4}, gives={"m": 7, "j": 3})
def whole_context_whose_reads_are_seen() -> Any:
    """A lambda that reads attributes of the context only is followed."""

    def look(context: Context) -> int:
        return int(context.n)

    return Pipeline(n=int, k=int).stage("m", lambda ctx: ctx.n + ctx.k).through(int).stage("j", look)


@right(inputs={"n": 3, "k": 4}, gives={"m": 2}, unchecked=("m",))
def whole_context_that_escapes() -> Any:
    """What is done with a whole context otherwise is listed."""
    return Pipeline(n=int, k=int).stage("m", lambda ctx: len(list(ctx))).through(int)


@right(gives={"m": 1})
def without_parameters() -> Any:
    """A stage may need nothing, and give nothing."""
    return Pipeline().stage("silent", nothing).stage("m", lambda: 1).through(int)


@right(inputs={"n": 2}, gives={"m": ("m", 1, 2)})
def stage_context() -> Any:
    """A parameter annotated with StageContext gets it, wherever it stands."""

    def stage(n: int, stage: StageContext) -> tuple[str, int, int]:
        return stage.address, stage.attempt, n

    return Pipeline(n=int).stage("m", stage)


@right(inputs={"task": Task(name="a"), "size": 3}, gives={"m": "a 3"})
def view_by_a_model() -> Any:
    """A model as a parameter is a view of the context: a real instance."""

    def look(batch: Batch) -> str:
        return f"{batch.task.name} {batch.size}"

    return Pipeline(task=Task, size=int).stage("m", look)


@right(inputs={"batch": Batch(task=Task(name="a"), size=3)}, gives={"m": "a 3"})
def model_as_a_field() -> Any:
    """A model as a parameter is the field of that name, where there is one."""

    def look(batch: Batch) -> str:
        return f"{batch.task.name} {batch.size}"

    return Pipeline(batch=Batch).stage("m", look)


@right(inputs={"name": "a"}, gives={"m": 0.5})
def view_with_a_default() -> Any:
    """A field of a view that has a default need not be there."""

    def look(task: Task) -> float:
        return task.difficulty

    return Pipeline(name=str).stage("m", look)


@right(inputs={"x": 1.0, "y": 3.0}, gives={"m": 4.0, "k": 4.0})
def view_by_a_dataclass() -> Any:
    """Dataclasses are models, frozen or not."""

    def look(point: Point) -> float:
        return point.x + point.y

    def again(point: Mutable) -> float:
        return point.x + point.y

    return Pipeline(x=float, y=float).stage("m", look).stage("k", again)


@right(inputs={"start": 1, "stop": 3}, gives={"m": 2})
def view_by_a_named_tuple() -> Any:
    """Named tuples are models, too."""

    def look(span: Span) -> int:
        return span.stop - span.start

    return Pipeline(start=int, stop=int).stage("m", look)


@right(inputs={"lr": 0.5, "layers": 4}, gives={"m": 2.0, "k": 0.5})
def view_by_a_typed_dict() -> Any:
    """A TypedDict gets a dict; a key that is not required need not be there."""

    def look(settings: Settings) -> float:
        return settings["lr"] * settings["layers"]

    def again(settings: Optional) -> float:
        return settings["lr"]

    return Pipeline(lr=float, layers=int).stage("m", look).stage("k", again)


@right(inputs={"rows": [1.0], "lr": 0.5}, gives={"m": 0.5})
def view_by_a_protocol() -> Any:
    """A protocol is a view with its attributes."""

    def look(data: Sized) -> float:
        return data.lr * len(data.rows)

    return Pipeline(rows=list[float], lr=float).stage("m", look)


@right(inputs={"name": "a"}, gives={"m": "a"})
def view_by_a_protocol_with_properties() -> Any:
    """Properties of a protocol are fields as well."""

    def look(task: Named) -> str:
        return task.name

    return Pipeline(name=str).stage("m", look)


@right(inputs={"task": Task(name="a")}, gives={"m": "a"})
def model_that_fits_a_protocol() -> Any:
    """A field whose model has what the protocol names."""

    def look(task: Named) -> str:
        return task.name

    return Pipeline(task=Task).stage("m", look)


@right(inputs={"n": 3}, gives={"m": 5, "n": 3, "step": 2})
def state_model() -> Any:
    """The fields of a state model are the inputs; those with defaults need not be given."""
    return Pipeline(State).stage("m", grow)


@right(inputs={"n": 3}, gives={"m": 9})
def local_class_under_postponed_annotations() -> Any:
    """A class that is local to a function is resolved where the pipeline is described."""

    class Local(Frozen):
        square: int

    async def make(n: int) -> Local:
        return Local(square=n * n)

    def take(square: int, local: Local) -> int:
        return local.square

    return Pipeline(n=int).stage("make", make).through(Local).stage("m", take)


@right(inputs={"x": 3}, gives={"y": 81})
def one_function_twice() -> Any:
    """Two stages with one function; a shared beginning is not changed by what follows it."""
    start = Pipeline(x=int).stage("once", square).through(x=int)
    assert start.stage("other", square) is not start
    return start.stage("twice", square).through(y=int)


@right(inputs={"machine": Machine()}, gives={"m": "Machine"})
def class_without_fields() -> Any:
    """Any class may be the type of a field."""

    def look(machine: Machine) -> str:
        return type(machine).__name__

    return Pipeline(machine=Machine).stage("m", look)


@right(inputs={"batch": Batch(task=Task(name="a"), size=1)}, gives={"timeout": 2.0, "metrics": 1})
def fields_called_like_hooks() -> Any:
    """fields() writes fields that are called like hooks."""

    def look(batch: Batch) -> dict[str, Any]:
        return {"timeout": batch.size * 2.0, "metrics": batch.size}

    return Pipeline(batch=Batch).stage("look", look).through(fields(timeout=float, metrics=int), timeout=5)
