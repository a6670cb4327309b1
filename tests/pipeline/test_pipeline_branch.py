"""Branches: which block runs, what is surely there afterwards, what is checked."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

from typing import Any, cast

import pytest

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import BranchTaken, Pipeline, PipelineEvent, StageFinished, StageReused, ref
from metta_sweep.store.memory import MemoryStore


async def big(n: int) -> str:
    return f"big {n}"


async def small(n: int) -> int:
    return n


async def text(kind: str) -> str:
    return kind


async def either(kind: str | int) -> str:
    return str(kind)


THEN = Pipeline().stage("big", big).through(kind=str)
OTHERWISE = Pipeline().stage("small", small).through(kind=int)


def chosen(then: Any = THEN, otherwise: Any = OTHERWISE, **options: Any) -> Pipeline:
    return Pipeline(n=int).branch(lambda ctx: ctx.n > 3, then, otherwise, **options)


def faults(pipeline: Pipeline) -> list[str]:
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    return [str(fault) for fault in caught.value.faults]


async def test_one_of_the_blocks_runs() -> None:
    """The predicate says which; stages are addressed by branch and block; an event tells the way."""
    events: list[PipelineEvent] = []
    plan = chosen(name="choose").stage("either", either).build()
    assert (await plan.run(n=7, listeners=[events.append])).either == "big 7"
    assert (await plan.run(n=1, listeners=[events.append])).either == "1"
    assert [event for event in events if isinstance(event, BranchTaken)] == [
        BranchTaken("choose", "then"),
        BranchTaken("choose", "otherwise"),
    ]
    addresses = [event.address for event in events if isinstance(event, StageFinished)]
    assert addresses == ["choose/then/big", "either", "choose/otherwise/small", "either"]


async def test_nothing_runs_without_otherwise() -> None:
    """A branch without its second block may do nothing, and says so."""
    events: list[PipelineEvent] = []
    result = await chosen(otherwise=None).build().run(n=1, listeners=[events.append])
    assert "kind" not in result.context
    assert events == [BranchTaken("branch", "")]


def test_both_blocks_provide_it_surely() -> None:
    """A field of both blocks is there afterwards, as the union of its types."""
    state = chosen().build().outputs["kind"]
    assert state.definite
    assert state.type == str | int
    (fault,) = faults(chosen().stage("text", text))
    assert fault == (
        "text: parameter 'kind' needs str, but 'branch/otherwise/small' provides 'kind' as int "
        "(kind: provides int, needs str). Change the contract or the annotation."
    )


def test_what_one_block_provides_is_maybe_there() -> None:
    """A reader afterwards needs a default, or a first value from before."""
    (fault,) = faults(chosen(otherwise=None).stage("either", either))
    assert fault == (
        "either: parameter 'kind' needs the field 'kind', which only 'branch/then/big' provides, and that may not have run. "
        "Let every way provide it, give what reads it a default, or provide it before."
    )
    other = Pipeline().stage("small", small).through(another=int)
    assert len(faults(chosen(otherwise=other).stage("either", either))) == 1

    async def first() -> str:
        return "none"

    before = Pipeline(n=int).stage("first", first).through(kind=str)
    before.branch(lambda ctx: ctx.n > 3, THEN).stage("text", text).build()

    async def careful(kind: str = "-") -> str:
        return kind

    chosen(otherwise=None).stage("careful", careful).build()


def test_blocks_see_what_is_there() -> None:
    """What a block declares or reads must be there; what the predicate reads as well."""
    needs = Pipeline(m=int).stage("small", small).through(kind=int)
    (fault,) = faults(chosen(then=needs))
    assert fault.startswith("branch/then: the declared input 'm' of its body needs the field 'm', which nothing provides")
    (fault, _) = faults(chosen(then=Pipeline(n=str).stage("big", big).through(kind=str)))
    assert "the declared input 'n' of its body needs str, but 'inputs' provides 'n' as int" in fault
    (fault,) = faults(Pipeline(n=int).branch(lambda ctx: ctx.nn > 3, THEN, OTHERWISE))
    assert fault.startswith("branch: the predicate needs the field 'nn'")
    assert "Did you mean 'n'?" in fault
    (fault,) = faults(chosen(then=Pipeline().stage("big", text).through(kind=str)))
    assert fault.startswith("branch/then/big: parameter 'kind' needs the field 'kind'")


def test_a_block_does_not_see_the_other() -> None:
    """What ``then`` provides is not there in ``otherwise``."""
    otherwise = Pipeline().stage("text", text)
    (fault,) = faults(chosen(otherwise=otherwise))
    assert fault.startswith("branch/otherwise/text: parameter 'kind' needs the field 'kind'")


def no_argument() -> bool:
    return True


def two(n: Any, m: Any) -> bool:
    return True


MALFORMED: list[tuple[Pipeline, str, str]] = [
    (Pipeline(n=int).branch("n > 3", THEN), "branch", "the predicate cannot be called; found 'n > 3'"),  # type: ignore[call-overload]
    (
        Pipeline(n=int).branch(cast("Any", no_argument), THEN),
        "branch",
        "the predicate takes other arguments than it gets; found no_argument()",
    ),
    (Pipeline(n=int).branch(cast("Any", two), THEN), "branch", "a function of one argument, the context"),
    (Pipeline(n=int).branch(lambda ctx: False, THEN), "branch", "one of its ways never runs: its predicate reads no field"),
    (chosen(then=big), "branch", "then is no pipeline; found the function big"),
    (chosen(otherwise=lambda n: n), "branch", "otherwise is no pipeline; found a lambda"),
    (chosen(then=None), "branch", "then is no pipeline; found None"),
    (chosen(then=Pipeline()), "branch/then", "there is nothing to run"),
    (chosen(otherwise=Pipeline()), "branch/otherwise", "there is nothing to run"),
    (chosen(then=THEN.loop_while(lambda ctx: ctx.n > 3)), "branch/then/loop", "never ended"),
    (chosen(then=Pipeline(m=3).stage("big", big)), "branch/then/inputs", "the input 'm' needs a type"),
    (chosen(then=THEN.stage("big", big)), "branch/then/big", "the name 'big' is taken"),
    (chosen(name="n").branch(lambda ctx: ctx.n > 3, THEN, name="n"), "n", "the name 'n' is taken"),
]


@pytest.mark.parametrize(("pipeline", "stage", "part"), MALFORMED)
def test_malformed_branches(pipeline: Pipeline, stage: str, part: str) -> None:
    """Every fault names the branch or what is within it, and what was found."""
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    assert caught.value.faults[0].stage == stage
    assert part in caught.value.faults[0].message


async def test_names_are_taken_once_per_block() -> None:
    """Both blocks may have a stage of the same name; branches are numbered."""
    same = Pipeline().stage("kind", small).through(kind=int)
    pipeline = chosen(then=same, otherwise=same).branch(lambda ctx: ctx.kind > 3, same)
    plan = pipeline.build()
    events: list[PipelineEvent] = []
    await plan.run(n=4, listeners=[events.append])
    finished = [event.address for event in events if isinstance(event, StageFinished)]
    assert finished == ["branch/then/kind", "branch2/then/kind"]


async def test_branches_in_loops() -> None:
    """A field that only one block of a loop's body replaces keeps its carried value otherwise; addresses have the iteration."""

    async def grow(n: int) -> int:
        return n + 1

    async def note(n: int) -> str:
        return f"at {n}"

    body = Pipeline().stage("n", grow).branch(lambda ctx: ctx.n == 2, Pipeline().stage("note", note))
    pipeline = Pipeline().loop(body, while_=lambda ctx: ctx.n < 3, carry={"n": 0, "note": None})
    plan = pipeline.build()
    assert plan.outputs["note"].type == str | None
    events: list[PipelineEvent] = []
    result = await plan.run(listeners=[events.append])
    assert result.note == "at 2"
    assert "loop[1]/branch/then/note" in [event.address for event in events]


def test_refs_and_branches() -> None:
    """Within a block, stages before the branch and of the block itself can be named; from outside, the block's cannot."""

    async def shown(value: int) -> str:
        return str(value)

    begin = Pipeline(n=int).stage("first", small)
    inside = (
        Pipeline().stage("again", small).stage("a", shown, value=ref("first.first")).stage("b", shown, value=ref("again.again"))
    )
    whole = begin.branch(lambda ctx: ctx.n > 3, inside)
    whole.build()
    (fault,) = faults(whole.stage("c", shown, value=ref("again.again")))
    assert "no stage 'again' has surely run before" in fault


async def test_async_predicates_and_their_errors() -> None:
    """A predicate may be a coroutine function; its error names the branch."""

    async def asks(ctx: Any) -> bool:
        return bool(1 / ctx.n > 0)

    plan = Pipeline(n=int).branch(asks, THEN, name="choose").build()
    assert (await plan.run(n=7)).kind == "big 7"
    with pytest.raises(ZeroDivisionError) as caught:
        await plan.run(n=0)
    assert caught.value.__notes__ == ["in the predicate of branch 'choose' at choose"]


async def test_a_kept_branch_is_replayed() -> None:
    """A resumed run takes the same way, and reuses what was done on it."""
    store = MemoryStore()
    plan = chosen().stage("either", either).build()
    await plan.run(n=7, name="kept", store=store)
    events: list[PipelineEvent] = []
    result = await plan.run(n=7, name="kept", store=store, listeners=[events.append])
    assert result.either == "big 7"
    assert [event.address for event in events if isinstance(event, StageReused)] == ["branch/then/big", "either"]


async def test_global_hooks_of_a_block() -> None:
    """They are told about the stages of the block only, inside of those of the whole."""
    told: list[str] = []
    inner = THEN.with_global_hooks(
        before=lambda stage, data: told.append(f"inner before {stage}"),
        after=lambda stage, data: told.append(f"inner after {stage}"),
    )
    pipeline = chosen(then=inner).stage("either", either)
    whole = pipeline.with_global_hooks(
        before=lambda stage, data: told.append(f"before {stage}"), after=lambda stage, data: told.append(f"after {stage}")
    )
    await whole.build().run(n=7)
    assert told == ["before big", "inner before big", "inner after big", "after big", "before either", "after either"]


async def test_profile_of_a_block() -> None:
    """``profile=True`` of a block measures its stages, by path."""
    result = await chosen(then=THEN.with_global_hooks(profile=True), name="choose").build().run(n=7)
    assert list(result.profile) == ["choose/then/big"]


async def test_what_cannot_be_kept_in_a_block() -> None:
    """A stage of either block whose output has no JSON form is a fault of a kept run."""

    class Odd:
        """It has no JSON form."""

    async def odd(n: int) -> Odd:
        raise LookupError(n)

    with pytest.raises(BuildError, match="branch/otherwise/odd: the field 'odd' cannot be kept as JSON"):
        await chosen(otherwise=Pipeline().stage("odd", odd)).build().run(n=7, name="kept", store=MemoryStore())
