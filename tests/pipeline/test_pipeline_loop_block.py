"""Loops whose body is a pipeline: the same as between ``loop_while`` and ``end_loop``."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError, LoopLimit
from metta_sweep.pipeline import Pipeline, PipelineEvent, StageFinished, ref


class State(BaseModel, frozen=True):
    """What each iteration works on."""

    n: int
    total: int = 0


class Notes(BaseModel):
    """What stages may change."""

    taken: list[int]
    last: int


@dataclass(slots=True)
class Journal:
    """The same as a dataclass."""

    taken: list[int]
    last: int


async def turn(turn: int) -> int:
    return turn + 1


async def text(turn: int) -> str:
    return str(turn)


BODY = Pipeline().stage("turn", turn)


def counting(limit: int, body: Any = BODY, *, carry: Any = None, **options: Any) -> Pipeline:
    return Pipeline().loop(body, while_=lambda ctx: ctx.turn < limit, carry=carry or {"turn": 0}, **options)


def faults(pipeline: Pipeline) -> list[str]:
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    return [str(fault) for fault in caught.value.faults]


async def test_a_body_carries() -> None:
    """Each iteration sees what the one before left; the last values are there afterwards."""
    result = await counting(5).stage("after", text).build().run()
    assert (result.turn, result.after) == (5, "5")
    assert (await counting(0).build().run()).turn == 0


async def test_max_iterations() -> None:
    """Going on after the limit is an error that names loop and limit."""
    with pytest.raises(LoopLimit, match=r"'count'.*max_iterations=4"):
        await counting(5, max_iterations=4, name="count").build().run()


async def test_both_forms_are_the_same() -> None:
    """The block form has the addresses, events and results of the fluent one."""

    async def events_of(pipeline: Pipeline) -> list[Any]:
        events: list[PipelineEvent] = []
        await pipeline.build().run(listeners=[events.append])
        return [(type(event), event.address) for event in events]

    fluent = Pipeline().loop_while(lambda ctx: ctx.turn < 3, carry={"turn": 0}).stage("turn", turn).end_loop()
    assert await events_of(fluent) == await events_of(counting(3))


async def test_a_state_model_goes_round() -> None:
    """A body over a state model reads and replaces its fields."""

    async def add(state: State) -> State:
        return State(n=state.n - 1, total=state.total + state.n)

    plan = Pipeline(State).loop(Pipeline(State).stage("add", add), while_=lambda state: state.n > 0).build()
    assert (await plan.run(n=4)).total == 10


async def test_loops_in_loops() -> None:
    """Bodies hold loops, in either form."""
    events: list[PipelineEvent] = []
    plan = counting(
        2, BODY.loop(Pipeline().stage("k", lambda k: k + 1).through(k=int), while_=lambda ctx: ctx.k < 1, carry={"k": 0})
    )
    await plan.build().run(listeners=[events.append])
    assert [event.address for event in events if isinstance(event, StageFinished)] == [
        "loop[0]/turn",
        "loop[0]/loop[0]/k",
        "loop[1]/turn",
        "loop[1]/loop[0]/k",
    ]


async def test_carried_lists_begin_anew_in_each_run() -> None:
    """A stage that changes a carried list in place does not change what the next run of the plan begins with."""

    async def note(turn: int, notes: list[int], seen: dict[str, list[int]]) -> list[int]:
        notes.append(turn)
        seen["turns"].append(turn)
        return notes

    body = BODY.stage("note", note).through(notes=list[int])
    plan = counting(2, body, carry={"turn": 0, "notes": [], "seen": {"turns": []}}).build()
    for _ in range(2):
        result = await plan.run()
        assert (result.notes, result.seen) == ([1, 2], {"turns": [1, 2]})


@pytest.mark.parametrize("kind", [Notes, Journal])
async def test_carried_models_begin_anew_in_each_run(kind: type[Notes | Journal]) -> None:
    """Also where a stage changes a model itself, or a list within it."""

    async def note(turn: int, notes: Any) -> Any:
        notes.taken.append(turn)
        notes.last = turn
        return notes

    body = BODY.stage("note", note).through(notes=kind)
    first = kind(taken=[], last=0)
    plan = counting(2, body, carry={"turn": 0, "notes": first}).build()
    for _ in range(2):
        result = await plan.run()
        assert (result.notes.taken, result.notes.last) == ([1, 2], 2)
    assert first == kind(taken=[], last=0)


def test_what_the_body_declares_must_be_there() -> None:
    """With a fitting type, at the place of the loop and after each iteration; a carried value counts."""
    counting(3, Pipeline(turn=int).stage("turn", turn)).build()
    (fault,) = faults(counting(3, Pipeline(turn=int, lr=float).stage("turn", turn)))
    assert fault.startswith("loop: the declared input 'lr' of its body needs the field 'lr', which nothing provides")
    (fault, _) = faults(counting(3, Pipeline(turn=str).stage("turn", turn)))
    assert "the declared input 'turn' of its body needs str" in fault


def test_stalled_and_wrongly_carried() -> None:
    """A predicate that the body never changes, and a first value of the wrong type, are faults here too."""
    (fault,) = faults(Pipeline(n=int).loop(Pipeline().stage("x", lambda n: n).through(int), while_=lambda ctx: ctx.n < 3))
    assert fault.startswith("loop: the loop never ends, or never begins: its predicate reads 'n'")
    (fault,) = faults(counting(3, carry={"turn": "0"}))
    assert fault.startswith("loop: the carried field 'turn' begins with a value that does not fit")
    (fault,) = faults(counting(3, carry={"turn": ref("nowhere")}))
    assert "carry={'turn': ref('nowhere')} needs the field 'nowhere'" in fault


async def test_a_field_that_is_written_on_some_ways_only() -> None:
    """Where only one block of a branch replaces a carried field, its first value may be of another type."""
    body = BODY.branch(lambda ctx: ctx.turn == 2, Pipeline().stage("note", text))
    plan = counting(3, body, carry={"turn": 0, "note": None}).build()
    assert (await plan.run()).note == "2"

    async def reads(note: str) -> str:
        return note

    (fault,) = faults(counting(3, body, carry={"turn": 0, "note": None}).stage("reads", reads))
    assert "needs str" in fault
    assert "None" in fault


def test_the_type_of_what_is_written_on_some_ways_only() -> None:
    """A first value that fits what may be written has its type: a list of int is none of str."""

    async def more(turn: int) -> list[int]:
        return [turn]

    async def length(item: str) -> int:
        return len(item)

    def around(fn: Any) -> Pipeline:
        sides = BODY.branch(lambda ctx: ctx.turn > 1, then=Pipeline().stage("xs", more).through(xs=list[int]), otherwise=None)
        return counting(3, sides.map("lengths", fn, over="xs"), carry={"turn": 0, "xs": [1, 2]})

    around(turn).build()
    assert len(faults(around(length))) == 1


def test_what_is_written_twice() -> None:
    """A first value fits one of the types that may stand at the end of the body."""
    body = Pipeline().stage("turn", turn).branch(lambda ctx: ctx.turn > 1, Pipeline().stage("turn", text).through(turn=str))
    plan = Pipeline().loop(body, while_=lambda ctx: ctx.turn != "3", carry={"turn": 0})
    (fault,) = faults(plan)
    assert "parameter 'turn' needs int" in fault


def test_a_carried_field_that_is_misspelt() -> None:
    """One that the loop neither writes nor reads, called nearly like one that it writes, is a fault; one that is read is none."""

    async def grow(n: int) -> int:
        return n + 1

    async def total(n: int, total: int) -> int:
        return n + total

    async def totals(n: int, totals: int) -> int:
        return n + totals

    def around(fn: Any) -> Pipeline:
        body = Pipeline().stage("n", grow).stage("total", fn).through(total=int)
        return Pipeline().loop(body, while_=lambda ctx: ctx.n < 3, carry={"n": 0, "totals": 0, "total": 0})

    around(totals).build()
    around(total).build()
    body = Pipeline().stage("n", grow).stage("total", lambda n: n).through(total=int)
    (fault,) = faults(Pipeline().loop(body, while_=lambda ctx: ctx.n < 3, carry={"n": 0, "totals": 0}))
    assert (
        fault == "loop: it carries 'totals', which it neither writes nor reads; its body provides n, total. Did you mean 'total'?"
    )


def test_one_mistake_is_one_fault() -> None:
    """A body that is none, is empty, or declares an input of another type, is told once."""
    assert len(faults(Pipeline(n=int).loop(turn, while_=lambda ctx: ctx.n < 3))) == 1  # type: ignore[call-overload]
    assert len(faults(Pipeline(n=int).loop(Pipeline(), while_=lambda ctx: ctx.n < 3))) == 1
    reads: Pipeline[Any, Any] = Pipeline(n=float)
    body = reads.stage("a", lambda n: n).through(a=float).stage("n", half).through(n=str)
    assert len(faults(Pipeline(n=str).loop(body, while_=lambda ctx: ctx.n < 3))) == 1


async def half(n: float) -> str:
    return str(n / 2)


def no_argument() -> bool:
    return True


MALFORMED: list[tuple[Pipeline, str, str]] = [
    (counting(3, turn), "loop", "the body is no pipeline; found the function turn"),
    (Pipeline().loop(BODY, while_=lambda ctx: True, carry={"turn": 0}), "loop", "its predicate reads no field"),
    (counting(3, Pipeline()), "loop", "there is nothing to run"),
    (counting(3, max_iterations=0), "loop", "max_iterations cannot be used; found 0"),
    (counting(3, BODY.loop_while(lambda ctx: ctx.turn < 2)), "loop/loop", "never ended"),
    (counting(3, BODY.stage("turn", turn)), "loop/turn", "the name 'turn' is taken"),
    (counting(3, BODY.end_loop()), "loop/end_loop", "there is no open loop"),
    (Pipeline().loop(BODY, while_=3, carry={"turn": 0}), "loop", "the predicate cannot be called"),  # type: ignore[call-overload]
    (counting(3, Pipeline().stage("turn", text)), "loop", "the carried field 'turn'"),
    (Pipeline().loop(BODY, while_=cast("Any", no_argument), carry={"turn": 0}), "loop", "the predicate takes other arguments"),
    (counting(3).loop(BODY, while_=lambda ctx: ctx.turn < 9, name="loop"), "loop", "the name 'loop' is taken"),
    (counting(3, BODY.with_global_hooks(befor=print)), "loop/global hooks", "there is no global hook 'befor'"),
]


@pytest.mark.parametrize(("pipeline", "stage", "part"), MALFORMED)
def test_malformed(pipeline: Pipeline, stage: str, part: str) -> None:
    """Every fault names the loop or what is within it."""
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    assert stage in [fault.stage for fault in caught.value.faults]
    assert part in str(caught.value)


async def test_global_hooks_of_a_body() -> None:
    """They are told about the body's stages only."""
    told: list[str] = []
    body = BODY.with_global_hooks(after=lambda stage, data: told.append(stage.address))
    await counting(2, body).stage("after", text).build().run()
    assert told == ["loop[0]/turn", "loop[1]/turn"]
