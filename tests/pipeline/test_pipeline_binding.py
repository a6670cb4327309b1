"""What a stage function receives."""

# ruff: noqa: D102, D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypedDict

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Context, Pipeline, StageContext, accepted_keywords, ref


class State(BaseModel):
    n: int
    name: str = "none"


@dataclass
class Data:
    n: int


class Pair(NamedTuple):
    n: int
    scale: float = 2.0


class Typed(TypedDict):
    n: int


class HasN(Protocol):
    n: int


class Worker:
    """Stages of one object."""

    def __init__(self, step: int) -> None:
        self.step = step

    async def grow(self, n: int) -> int:
        return n + self.step

    async def __call__(self, n: int) -> int:
        return n * self.step

    @staticmethod
    async def fixed(n: int) -> int:
        return n


async def add(n: int, step: int) -> int:
    return n + step


def sync(n: int) -> int:
    return n + 1


def eventually(n: int) -> Awaitable[int]:
    return add(n, 5)


CALLABLES: list[tuple[Callable[..., Any], int]] = [
    (Worker(2).grow, 3),
    (Worker(3), 3),
    (Worker.fixed, 1),
    (functools.partial(add, step=4), 5),
    (functools.partial(functools.partial(add, step=4), step=5), 6),
    (sync, 2),
    (eventually, 6),
    (lambda n: n, 1),
    (lambda n: add(n, 1), 2),
    (lambda ctx: ctx.n + 1, 2),
]


@pytest.mark.parametrize(("fn", "result"), CALLABLES)
async def test_all_kinds_of_callables(fn: Callable[..., Any], result: int) -> None:
    """Functions, methods, partials, callable objects and lambdas, sync or not."""
    ran = await Pipeline(n=int).stage("out", fn).through(int).build().run(n=1)
    assert ran.out == result


async def test_the_order_of_sources() -> None:
    """A constant comes before a field, a field before a default."""

    async def stage(n: int, step: int = 10, other: int = 20, *, last: int = 30) -> list[int]:
        return [n, step, other, last]

    ran = await Pipeline(n=int, step=int).stage("out", stage, n=5, last=6).build().run(n=1, step=2)
    assert ran.out == [5, 2, 20, 6]


@pytest.mark.parametrize("model", [State, Data, Pair, Typed, HasN])
async def test_views_of_the_context(model: Any) -> None:
    """A model, TypedDict or Protocol gets those fields of the context; a model as a real instance."""
    seen: list[Any] = []

    async def look(state: Any) -> None:
        seen.append(state)

    look.__annotations__["state"] = model
    await Pipeline(n=int, more=int).stage("look", look).build().run(n=3, more=4)
    if model in (State, Data, Pair):
        assert type(seen[0]) is model
    if model is Typed:
        assert seen == [{"n": 3}]
    else:
        assert seen[0].n == 3
        assert not hasattr(seen[0], "more")


def test_a_view_that_is_not_provided_is_a_fault() -> None:
    """Each field of a view is checked like a parameter."""

    async def look(state: State) -> None: ...

    with pytest.raises(BuildError, match=r"'state' \(State\) needs the field 'n'"):
        Pipeline(name=str).stage("look", look).build()
    with pytest.raises(BuildError, match="provides 'n' as str"):
        Pipeline(n=str).stage("look", look).build()


async def test_declared_inputs_by_model() -> None:
    """``Pipeline(State)`` declares the fields of a model."""

    async def look(state: State) -> int:
        return state.n

    plan = Pipeline(State).stage("look", look).build()
    assert set(plan.inputs) == {"n", "name"}
    assert (await plan.run(n=3)).context.name == "none", "defaults of the model stand in"
    assert (await plan.run(n=3, inputs={"name": "a"})).context.name == "a"


async def test_the_whole_context() -> None:
    """The one other unannotated parameter gets all values, and so does one annotated as Context."""

    async def annotated(everything: Context, n: int) -> int:
        return int(everything.n) + n

    ran = await Pipeline(n=int).stage("a", annotated).stage("b", lambda ctx: len(ctx)).through(int).build().run(n=1)
    assert (ran.a, ran.b) == (2, 2)


def test_what_a_function_reads_of_the_context_is_checked() -> None:
    """A plain function of the whole context is looked into, as predicates are; what it does beyond reading stays unchecked."""
    pipeline = Pipeline(loss=float)
    with pytest.raises(BuildError, match="Did you mean 'loss'"):
        pipeline.stage("r", lambda ctx: ctx.los).build()
    assert pipeline.stage("r", lambda ctx: ctx.loss).through(float).build(strict=True).unchecked == ()
    guarded = pipeline.stage("r", lambda ctx: ctx.note if "note" in ctx else "").through(str).build()
    assert [str(edge) for edge in guarded.unchecked] == ["r: parameter 'ctx' uses its argument in ways that cannot be followed"]


@pytest.mark.parametrize("fn", [lambda learning_rat: 1, lambda first, second: 1, lambda later: 1])
def test_a_misspelt_field_is_not_taken_for_the_context(fn: Callable[..., Any]) -> None:
    """An unannotated parameter whose name is nearly a field's, or one of several, is a fault."""
    pipeline = Pipeline(learning_rate=float).stage("fit", fn).through(int).stage("later", lambda: 1).through(later=int)
    with pytest.raises(BuildError, match="fit: parameter"):
        pipeline.build()


async def test_references() -> None:
    """``ref`` passes an earlier field under another name, also by the stage that made it."""

    async def one() -> int:
        return 1

    async def two() -> int:
        return 2

    async def both(first: int, second: int) -> list[int]:
        return [first, second]

    pipeline = Pipeline().stage("a", one).through(x=int).stage("b", two).through(x=int)
    ran = await pipeline.stage("c", both, first=ref("a.x"), second=ref("x")).build().run()
    assert ran.c == [1, 2]
    looped = (
        pipeline.loop_while(lambda ctx: ctx.go, carry={"go": True})
        .stage("a", two)
        .through(x=int)
        .stage("go", lambda: False)
        .through(bool)
    )
    ran = await looped.end_loop().stage("c", both, first=ref("a.x"), second=ref("b.x")).build().run()
    assert ran.c == [1, 2], "a stage of the same name inside a loop is another one"


def test_local_classes_under_postponed_annotations() -> None:
    """What cannot be resolved is an unchecked edge, and binds by name."""

    class Local(BaseModel):
        n: int

    async def make(n: int) -> Local:
        return Local(n=n)

    async def take(local: Local) -> int:
        return local.n

    plan = Pipeline(n=int).stage("make", make).through(local=Local).stage("take", take).build()
    assert plan.unchecked == ()

    async def unresolved(local: Elsewhere) -> int:  # type: ignore[name-defined]  # noqa: F821
        return int(local.n)

    plan = Pipeline(local=Local).stage("take", unresolved).build()
    assert "'Elsewhere' cannot be resolved" in str(plan.unchecked[0])


async def test_stage_contexts() -> None:
    """A stage may ask for its address, attempt and seed; the seed depends on address and run seed alone."""
    seen: list[tuple[str, int, int, float]] = []

    async def look(context: StageContext) -> None:
        seen.append((context.address, context.attempt, context.seed, context.rng.random()))
        assert context.remaining() is None
        context.check_cancelled()
        context.end_timeout()
        context.logger.debug("seen", n=1)

    plan = Pipeline().stage("look", look).stage("again", look).build()
    for seed in (1, 1, 2):
        await plan.run(seed=seed, address="top")
    assert [entry[:2] for entry in seen] == [("top/look", 1), ("top/again", 1)] * 3
    assert seen[0] == seen[2]
    assert len({entry[2] for entry in seen}) == 4


async def test_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    """It writes through the standard logger, one line with the address, and takes any keyword."""

    async def look(context: StageContext) -> None:
        context.logger.info("100% seen", name="a")

    with caplog.at_level(logging.INFO, "metta_sweep"):
        await Pipeline().stage("look", look).build().run()
    assert caplog.messages == ["100% seen address='look' name='a'"]


def test_accepted_keywords() -> None:
    """Which keywords a function takes; None for any."""

    def some(a: int, /, b: int, *args: int, c: int = 1) -> None: ...

    def anything(a: int, **more: int) -> None: ...

    assert accepted_keywords(some) == frozenset({"b", "c"})
    assert accepted_keywords(anything) is None
    assert accepted_keywords(functools.partial(some, 1)) == frozenset({"b", "c"})
