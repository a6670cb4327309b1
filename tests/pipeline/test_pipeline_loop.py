"""Loops: carried values, definite assignment through them, limits, addresses."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from metta_sweep.errors import BuildError, LoopLimit
from metta_sweep.pipeline import Pipeline, PipelineEvent, StageFinished, ref
from metta_sweep.pipeline.events import LoopIterationStarted


class Turned(NamedTuple):
    turn: int
    note: str | None


class Counter:
    """Something a loop works on, whose state the context does not show."""

    def __init__(self) -> None:
        self.n = 0


async def turn(turn: int) -> int:
    return turn + 1


async def text(turn: int) -> str:
    return str(turn)


def counting(limit: int, **options: Any) -> Pipeline:
    """A loop of one stage that counts up to a limit."""
    loop = Pipeline().loop_while(lambda ctx: ctx.turn < limit, carry={"turn": 0}, **options)
    return loop.stage("turn", turn).end_loop()


async def test_a_loop_carries() -> None:
    """Each iteration sees what the one before left; the last values are there afterwards."""
    result = await counting(5).stage("after", text).build().run()
    assert (result.turn, result.after) == (5, "5")
    assert (await counting(0).build().run()).turn == 0, "a loop may run not at all"


async def test_max_iterations() -> None:
    """Going on after the limit is an error that names loop and limit; ending at it is none."""
    assert (await counting(5, max_iterations=5).build().run()).turn == 5
    with pytest.raises(LoopLimit, match=r"'loop'.*max_iterations=4"):
        await counting(5, max_iterations=4).build().run()


async def test_addresses_and_events() -> None:
    """Stages in loops are addressed by loop and iteration; loops are named by default, in order."""
    events: list[PipelineEvent] = []
    inner = Pipeline().loop_while(lambda ctx: ctx.turn < 2, carry={"turn": 0}, name="outer").stage("turn", turn)
    nested = inner.loop_while(lambda ctx: ctx.k < 1, carry={"k": 0}).stage("k", turn).through(k=int).end_loop().end_loop()
    plan = nested.loop_while(lambda ctx: ctx.k < 1, carry={"k": 0}).stage("k", turn).through(k=int).end_loop().build()
    await plan.run(listeners=[events.append])
    assert [event.address for event in events if isinstance(event, StageFinished)] == [
        "outer[0]/turn",
        "outer[0]/loop[0]/k",
        "outer[1]/turn",
        "outer[1]/loop[0]/k",
        "loop[0]/k",
    ]
    assert [event.iteration for event in events if isinstance(event, LoopIterationStarted)] == [0, 0, 1, 0, 0]


async def test_errors_name_the_iteration() -> None:
    """An error in a loop carries the address with the iteration; one in a predicate too."""

    async def fails(turn: int) -> int:
        if turn == 2:
            raise LookupError
        return turn + 1

    pipeline = Pipeline().loop_while(lambda ctx: ctx.turn < 9, carry={"turn": 0}).stage("turn", fails).end_loop()
    with pytest.raises(LookupError) as caught:
        await pipeline.build().run()
    assert caught.value.__notes__ == ["in stage 'turn' at loop[2]/turn"]
    bad = Pipeline(n=int).loop_while(lambda ctx: 1 / ctx["n"], max_iterations=1).stage("n", lambda: 1).through(int).end_loop()
    with pytest.raises(ZeroDivisionError) as divided:
        await bad.build().run(n=0)
    assert divided.value.__notes__ == ["in the predicate of loop 'loop' at loop[0]"]


async def test_a_verdict_that_is_neither_true_nor_false_says_where() -> None:
    """What a predicate returns may refuse to be a bool, as arrays do: the error tells whose predicate it was."""

    class Array:
        def __bool__(self) -> bool:
            raise ValueError("the truth value is ambiguous")

    bad = Pipeline(n=Array).loop_while(lambda ctx: ctx.n, max_iterations=1).stage("n", Array).through(n=Array).end_loop()
    with pytest.raises(ValueError, match="ambiguous") as caught:
        await bad.build().run(n=Array())
    assert caught.value.__notes__ == ["in the predicate of loop 'loop' at loop[0]"]


async def test_carry_from_a_field() -> None:
    """``carry`` may begin with the value of an earlier field."""
    loop = Pipeline(start=int).loop_while(lambda ctx: ctx.turn < 5, carry={"turn": ref("start")}).stage("turn", turn).end_loop()
    assert (await loop.build().run(start=3)).turn == 5
    with pytest.raises(BuildError, match=r"carry=\{'turn': ref\('start'\)\}"):
        Pipeline().loop_while(lambda ctx: ctx.turn < 5, carry={"turn": ref("start")}).stage("turn", turn).end_loop().build()


def test_what_only_the_body_provides_is_maybe_there() -> None:
    """A reader after the loop, or at the start of the body, needs it to be carried; its default stands in otherwise."""

    async def reader(note: str) -> None: ...

    async def careful(note: str = "none") -> str:
        return note

    loop = Pipeline(n=int).loop_while(lambda ctx: ctx.turn < 1, carry={"turn": 0})
    after = loop.stage("turn", turn).stage("note", text).end_loop()
    with pytest.raises(BuildError, match="reader: parameter 'note' needs the field 'note', which only 'loop/note' provides"):
        after.stage("reader", reader).build()
    with pytest.raises(BuildError, match="loop/reader"):
        loop.stage("reader", reader).stage("turn", turn).stage("note", text).end_loop().build()
    after.stage("careful", careful).build()
    loop.stage("turn", turn).stage("note", text).stage("reader", reader).end_loop().build()


async def test_a_default_stands_in_until_the_body_has_run() -> None:
    """A parameter with a default takes the field as soon as there is one."""
    seen: list[str] = []

    async def careful(note: str = "none") -> None:
        seen.append(note)

    loop = Pipeline().loop_while(lambda ctx: ctx.turn < 3, carry={"turn": 0})
    await loop.stage("careful", careful).stage("turn", turn).stage("note", text).end_loop().build().run()
    assert seen == ["none", "1", "2"]


def test_a_loop_changes_types_for_its_own_start() -> None:
    """What the body leaves behind is what its first stage finds the next time."""

    async def begin() -> int:
        return 0

    loop = Pipeline().stage("turn", begin).loop_while(lambda ctx: ctx["turn"] != "3", max_iterations=9)
    with pytest.raises(
        BuildError,
        match="loop/turn: parameter 'turn' needs int, but 'loop/turn' itself provides 'turn' as str for the next iteration",
    ):
        loop.stage("turn", text).end_loop().build()


def test_the_carried_type_is_the_bodys() -> None:
    """A first value of None fits where the body gives an optional."""

    async def body(note: str | None) -> Turned:
        return Turned(1, note)

    loop = Pipeline().loop_while(lambda ctx: ctx.note is None, carry={"note": None})
    loop.stage("body", body).end_loop().build()

    async def needs_text(note: str) -> Turned:
        return Turned(1, note)

    with pytest.raises(BuildError, match=r"needs str, but 'loop' or 'loop/body' provides 'note' as str \| None"):
        loop.stage("body", needs_text).end_loop().build()


def test_loops_that_cannot_change_their_mind() -> None:
    """A predicate that reads only what the body never writes is a fault; one that looks elsewhere is not."""
    begin = Pipeline(n=int, counter=Counter, m=int)
    with pytest.raises(BuildError, match="never ends, or never begins"):
        begin.loop_while(lambda ctx: ctx.n < 3 and ctx.m < 2).stage("turn", lambda n: n).through(int).end_loop().build()
    seen: list[int] = []
    for predicate in (
        lambda ctx: len(seen) < ctx.n,
        lambda ctx: ctx.counter.n < 3,
        lambda ctx: len(vars(ctx)) < 3,
        lambda ctx: ctx.turn < 3 or ctx.n,
    ):
        loop = begin.loop_while(predicate, carry={"turn": 0})
        loop.stage("turn", turn).end_loop().build()


def test_a_condition_makes_a_maybe_field_a_note() -> None:
    """A predicate that reads a field only behind a condition gets a note instead of a fault."""
    loop = Pipeline().loop_while(lambda ctx: ctx.turn == 0 or ctx.note != "3", carry={"turn": 0})
    plan = loop.stage("turn", turn).stage("note", text).end_loop().build()
    assert [str(note) for note in plan.notes] == [
        "loop: the predicate reads the field 'note', which may not be there, under a condition"
    ]


async def test_async_predicates() -> None:
    """A predicate may be a coroutine function."""

    async def more(ctx: Any) -> bool:
        return bool(ctx.turn < 2)

    loop = Pipeline().loop_while(more, carry={"turn": 0}).stage("turn", turn).end_loop()
    assert (await loop.build().run()).turn == 2
