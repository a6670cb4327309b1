"""What predicates, hooks and stage functions read, from their code objects."""

# ruff: noqa: D102, D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import functools
import operator
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline
from metta_sweep.pipeline.proof.reads import Reads, _loads, _replaces, _subscribes, reads_of

limit: list[int] = []


class Task(BaseModel):
    name: str
    size: int = 0

    def weight(self) -> int:
        return self.size


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


@dataclass
class Made:
    name: str

    def __post_init__(self) -> None:
        self.length = len(self.name)


class Result(BaseModel):
    task: Task
    rows: list[Task]
    score: float


class Watch:
    """Hooks that are methods and objects."""

    def method(self, d: Any) -> Any:
        return self.limit() < d.score

    def limit(self) -> float:
        return 0.0

    @staticmethod
    def static(d: Any) -> Any:
        return d.score

    @classmethod
    def of_class(cls, d: Any) -> Any:
        return cls, d.score

    def __call__(self, d: Any) -> Any:
        return d.score


def two(a: Any, d: Any, *, factor: int = 2) -> Any:
    return a, d.score, factor


def with_default(d: Any, n: int = 3) -> Any:
    return d.score < n


def early(d: Any) -> Any:
    if not d.rows:
        return 0
    return d.score


def caught(d: Any) -> Any:
    try:
        return d.task
    except AttributeError:
        return None


def inner(d: Any) -> Any:
    def weigh(row: Any) -> Any:
        return row.size * d.score

    return [weigh(row) for row in d.rows]


async def later(d: Any) -> Any:
    return d.score


def yielding(d: Any) -> Any:
    yield d.score


def read(fn: Callable[..., Any]) -> Reads:
    reads = reads_of(fn)
    assert reads is not None
    return reads


def test_direct_reads() -> None:
    """Attributes that are always read, in order, each once."""
    reads = read(lambda ctx: ctx.index < len(ctx.tasks) and ctx.index >= 0)
    assert reads[:3] == (("index", "tasks"), (), False)
    assert reads.pure


ALWAYS: list[tuple[Callable[..., Any], tuple[str, ...]]] = [
    (lambda d: f"{d.score:.2f} of {d.task!r}", ("score", "task")),
    (lambda d: (x := d.score) > 0 and x, ("score",)),
    (lambda d: max(d.score, str(d.task)), ("score", "task")),
    (lambda d: {"score": d.score, **d.task}, ("score", "task")),
    (lambda d: [*d.rows, d.score], ("rows", "score")),
    (lambda d: d.task.name.upper(), ("task",)),
    (lambda d: d.rows[0], ("rows",)),
    (lambda d: -d.score, ("score",)),
    (lambda d: sorted(row.size for row in d.rows), ("rows",)),
    (Watch().method, ("score",)),
    (Watch.static, ("score",)),
    (Watch.of_class, ("score",)),
    (Watch(), ("score",)),
    (functools.partial(two, 1), ("score",)),
    (functools.partial(two, 1, factor=3), ("score",)),
    (functools.partial(functools.partial(two, 1), factor=3), ("score",)),
    (with_default, ("score",)),
    (later, ("score",)),
    (yielding, ("score",)),
    (operator.attrgetter("score"), ("score",)),
    (operator.attrgetter("score", "task.name"), ("score", "task")),
]


@pytest.mark.parametrize(("fn", "fields"), ALWAYS)
def test_what_is_read_on_every_call(fn: Callable[..., Any], fields: tuple[str, ...]) -> None:
    """Whatever kind of callable it is, and wherever in the expression the read stands."""
    reads = read(fn)
    assert (reads.always, reads.sometimes, reads.escapes) == (fields, (), False)


SOMETIMES: list[tuple[Callable[..., Any], tuple[str, ...], tuple[str, ...]]] = [
    (lambda ctx: ctx.last is None or ctx.score > 0, ("last",), ("score",)),
    (lambda d: d.score if d.ok else 0, ("ok",), ("score",)),
    (lambda d: [d.scale for _ in d.trials], ("trials",), ("scale",)),
    (lambda d: [row for row in d.trials if row > d.scale], ("trials",), ("scale",)),
    (lambda d: {k: k + d.scale for k in d.trials}, ("trials",), ("scale",)),
    (lambda d: sorted(d.rows, key=lambda row: row.size + d.score), ("rows",), ("score",)),
    (lambda d: [[d.x for _ in row] for row in d.rows], ("rows",), ("x",)),
    (early, ("rows",), ("score",)),
    (inner, ("rows",), ("score",)),
]


@pytest.mark.parametrize(("fn", "always", "sometimes"), SOMETIMES)
def test_reads_under_a_condition(fn: Callable[..., Any], always: tuple[str, ...], sometimes: tuple[str, ...]) -> None:
    """What comes after a condition, within a comprehension or in a nested function is read only sometimes."""
    reads = read(fn)
    assert (reads.always, reads.sometimes, reads.escapes) == (always, sometimes, False)


def test_constant_keys() -> None:
    """``ctx["n"]`` reads the field as ``ctx.n`` does; a key that is computed is an escape."""
    reads = read(lambda ctx: ctx["n"] < 3 or ctx["m"])
    assert (reads.always, reads.keys, reads.keys_sometimes, reads.escapes) == ((), ("n",), ("m",), False)
    assert read(operator.itemgetter("n")).keys == ("n",)
    assert read(lambda ctx: ctx[limit]).escapes
    assert read(lambda ctx: ctx[0]).escapes


def test_one_step_further() -> None:
    """What is read of a field is seen, too."""
    reads = read(lambda d: d.task.name or d["other"].size or len(d.rows))
    assert reads.chains == (("task", "name"), ("other", "size"))
    assert read(operator.attrgetter("task.name.upper")).chains == (("task", "name"),)


@pytest.mark.parametrize(
    "fn",
    [
        lambda d: len(d),
        lambda d: vars(d),
        lambda d: f"{d}",
        lambda d: (d := 3) + d,
        lambda d: [d],
        lambda d: [d for _ in d.n],
        lambda d: "n" in d,
        lambda d: d == 3,
        lambda d: two(1, d),
        lambda d: next(iter([lambda e: e.n]))(d),
        lambda d: [lambda n=d: n.x],
        lambda d: {**d},
        caught,
    ],
)
def test_escapes(fn: Callable[[Any], Any]) -> None:
    """Everything else that is done with the parameter is an escape."""
    assert read(fn).escapes


def test_a_name_that_stands_for_something_else() -> None:
    """A comprehension whose variable is called like the parameter reads its elements, not the parameter."""
    reads = read(lambda d: [d.anything for d in d.rows])
    assert reads.always == ("rows",)
    assert "anything" not in reads.sometimes


def test_purity() -> None:
    """A function that looks elsewhere, or deeper, may change its mind by itself."""
    assert not read(lambda ctx: time.time() < ctx.deadline).pure
    assert not read(lambda ctx: len(limit) < ctx.n).pure
    assert not read(Watch().method).pure
    assert not read(functools.partial(two, 1)).pure
    assert not read(with_default).pure
    assert not read(lambda ctx: sorted(ctx.rows, key=lambda x: limit)).pure
    assert read(lambda ctx: ctx.queue.empty()).deep


def test_one_parameter_among_others() -> None:
    """Of a function with several parameters the one that gets the context is looked at."""
    reads = reads_of(two, "d")
    assert reads is not None
    assert reads.always == ("score",)
    assert not reads.pure
    assert reads_of(two, "other") is None


@pytest.mark.parametrize("fn", [len, print, Watch, lambda *rest: rest, two, functools.partial(len), operator.methodcaller("x")])
def test_other_callables_say_nothing(fn: Callable[..., Any]) -> None:
    """Builtins, classes, and functions that do not take one argument by a name, have no code that tells."""
    assert reads_of(fn) is None


async def make() -> Result:
    return Result(task=Task(name="a"), rows=[], score=1.0)


RIGHT: list[Callable[[Any], Any]] = [
    lambda d: d.task.name,
    lambda d: d.task.weight(),
    lambda d: d.task.model_dump(),
    lambda d: d.rows.copy(),
    lambda d: d.score.is_integer(),
    Watch().method,
    Watch(),
    operator.attrgetter("task.name"),
    lambda d: d.task.name if d.score else d.rows,
]

WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda d: d.task.nam, "reads task.nam, but Task has name, size. Did you mean 'name'?"),
    (lambda d: d.scor, "Did you mean 'score'?"),
    (lambda d: f"{d.scor}", "Did you mean 'score'?"),
    (lambda d: [row for row in d.rows if d.scor], "Did you mean 'score'?"),
    (operator.attrgetter("task.weigh"), "reads task.weigh"),
    (operator.attrgetter("rowz"), "Did you mean 'rows'?"),
    (functools.partial(lambda a, d: d.scor, 1), "Did you mean 'score'?"),
    (lambda d: (x := d.tsk) and x, "Did you mean 'task'?"),
]


@pytest.mark.parametrize("hook", RIGHT)
def test_right_hooks(hook: Callable[[Any], Any]) -> None:
    """What an output has is no fault, one step further neither; and nothing of these is unchecked."""
    assert Pipeline().stage("make", make).through(Result, after=hook).build(strict=True).unchecked == ()


@pytest.mark.parametrize(("hook", "hint"), WRONG)
def test_wrong_hooks(hook: Callable[[Any], Any], hint: str) -> None:
    """What an output does not have is a fault, however it is read."""
    with pytest.raises(BuildError) as error:
        Pipeline().stage("make", make).through(Result, after=hook).build()
    (fault,) = error.value.faults
    assert fault.stage == "make"
    assert hint in fault.message


def test_predicates_by_key_and_by_chain() -> None:
    """Keys and chains of a predicate are checked like attributes."""
    begin = Pipeline(task=Task, n=int)
    for predicate, hint in (
        (lambda ctx: ctx["nn"] < 3, "'nn'"),
        (lambda ctx: ctx.task.sze < 3, "Did you mean 'size'?"),
        (lambda ctx: ctx.n.size < 3, "int has no 'size'"),
        (lambda ctx: ctx["task"].sze < 3, "Did you mean 'size'?"),
    ):
        with pytest.raises(BuildError) as error:
            begin.loop_while(predicate).stage("n", lambda n: n + 1).through(int).end_loop().build()
        assert hint in str(error.value)
    loop = begin.loop_while(lambda ctx: ctx["n"] < ctx.task.size).stage("n", lambda n: n + 1).through(int).end_loop()
    assert [str(edge) for edge in loop.build().unchecked] == ["loop/n: parameter 'n' has no annotation"]


@pytest.mark.parametrize("model", [Loose, Made])
def test_models_that_may_have_more(model: Any) -> None:
    """An attribute that a model takes as an extra, or sets itself, is no fault."""
    begin = Pipeline(it=model).stage("n", lambda ctx: ctx.it.length).through(int)
    assert begin.build(strict=True).unchecked == ()


def test_methods_of_the_context_are_listed() -> None:
    """What ``ctx.get(name)`` finds cannot be told: the edge is unchecked, and the strict build says so."""
    pipeline = Pipeline(n=int).stage("a", lambda ctx: ctx.get("m", 0)).through(int)
    assert [edge.stage for edge in pipeline.build().unchecked] == ["a"]
    with pytest.raises(BuildError, match="Annotate it"):
        pipeline.build(strict=True)


def test_the_context_beside_other_parameters() -> None:
    """A stage function that takes the context among others is looked into as well."""
    pipeline = Pipeline(n=int)
    with pytest.raises(BuildError, match="'los'"):
        pipeline.stage("a", lambda ctx, n: ctx.los + n).build()
    with pytest.raises(BuildError, match="'los'"):
        pipeline.stage("a", lambda ctx, step: ctx.los + step, step=2).build()


@pytest.mark.parametrize(
    ("opname", "argval", "argrepr", "loads", "subscribes", "replaces"),
    [
        ("LOAD_FAST_BORROW", "d", "d", True, False, False),
        ("LOAD_FAST_BORROW_LOAD_FAST_BORROW", ("x", "d"), "x, d", True, False, False),
        ("STORE_FAST_LOAD_FAST", ("x", "d"), "x, d", True, False, False),
        ("STORE_FAST_LOAD_FAST", ("d", "x"), "d, x", True, False, True),
        ("STORE_FAST_STORE_FAST", ("x", "d"), "x, d", False, False, True),
        ("LOAD_FAST_AND_CLEAR", "d", "d", True, False, True),
        ("BINARY_OP", 26, "[]", False, True, False),
        ("BINARY_OP", 0, "+", False, False, False),
        ("BINARY_SUBSCR", None, "", False, True, False),
        ("LOAD_FAST_BORROW", "other", "other", False, False, False),
    ],
)
def test_instructions_of_newer_pythons(
    opname: str, argval: Any, argrepr: str, loads: bool, subscribes: bool, replaces: bool
) -> None:
    """Python 3.12 to 3.14 have other names for what loads, replaces and looks up: 3.14 borrows, and subscribes by an operator."""
    instruction: Any = types.SimpleNamespace(opname=opname, argval=argval, argrepr=argrepr)
    assert (_loads(instruction, "d"), _subscribes(instruction), _replaces(instruction, "d")) == (loads, subscribes, replaces)
