"""A pipeline as a stage of another one: closed, with all hooks of a stage on it as a whole."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError, ContractError, GateError, StageTimeout
from metta_sweep.pipeline import Pipeline, PipelineEvent, StageContext, StageFinished, StageReused, StageStarted, ref
from metta_sweep.store.memory import MemoryStore


class Fitted(BaseModel, frozen=True):
    """What training gives."""

    loss: float
    steps: int


class Settings(NamedTuple):
    """Inputs, one with a default."""

    x: int
    lr: float = 0.5


async def scale(x: int) -> int:
    return x + 1


async def fit(scaled: int, lr: float) -> Fitted:
    return Fitted(loss=scaled * lr, steps=scaled)


async def report(loss: float) -> str:
    return f"loss {loss}"


TRAIN = Pipeline(x=int, lr=float).stage("scale", scale).through(scaled=int).stage("fit", fit)


def faults(pipeline: Pipeline) -> list[str]:
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    return [str(fault) for fault in caught.value.faults]


async def test_it_gets_its_inputs_by_name() -> None:
    """Inputs come from the fields of that name, constants win; its stages are addressed under it; its last gives its output."""
    events: list[PipelineEvent] = []
    plan = Pipeline(x=int, lr=str).stage("train", TRAIN, lr=0.5).stage("report", report).build()
    result = await plan.run(x=3, lr="unused", listeners=[events.append])
    assert result.report == "loss 2.0"
    assert set(result.context) == {"x", "lr", "loss", "steps", "report"}
    assert [event.address for event in events if isinstance(event, StageStarted | StageFinished)] == [
        "train",
        "train/scale",
        "train/scale",
        "train/fit",
        "train/fit",
        "train",
        "report",
        "report",
    ]


async def test_its_values_are_its_own() -> None:
    """What it writes is not seen outside, and what is outside is not seen in it."""
    inner = Pipeline(x=int).stage("x", scale).stage("y", lambda ctx: sorted(ctx)).through(y=list[str])
    result = await Pipeline(x=int, z=int).stage("inner", inner).build().run(x=1, z=2)
    assert (result.x, result.y) == (1, ["x"])


async def test_through_picks_among_all_its_fields() -> None:
    """Named fields, and models, are picked among what it surely has at its end; a bare type renames its one output."""
    picked = Pipeline(x=int).stage("train", TRAIN, lr=0.5).through(scaled=int, loss=float)
    assert set((await picked.build().run(x=3)).context) == {"x", "scaled", "loss"}

    class Picked(BaseModel):
        scaled: int
        note: str = "none"

    result = await Pipeline(x=int).stage("train", TRAIN, lr=0.5).through(Picked).build().run(x=3)
    assert (result.scaled, result.note) == (4, "none")
    renamed = Pipeline(x=int).stage("grown", Pipeline(x=int).stage("scale", scale)).through(int)
    assert (await renamed.build().run(x=3)).grown == 4


def test_picks_that_are_not_there() -> None:
    """A field that nothing in it provides, or only on some ways, or as another type, is a fault with the remedy."""
    (fault,) = faults(Pipeline(x=int).stage("train", TRAIN, lr=0.5).through(los=float))
    assert fault == (
        "train: the contract of the pipeline 'train' has the field 'los', which nothing in it provides; "
        "at its end are: x, lr, scaled, loss, steps. Did you mean 'loss'?"
    )
    (fault,) = faults(Pipeline(x=int).stage("train", TRAIN, lr=0.5).through(loss=str))
    assert "needs str, but 'train/fit' in it provides float" in fault
    maybe = Pipeline(x=int).stage("scale", scale).branch(lambda ctx: ctx.x > 1, Pipeline().stage("y", scale).through(y=int))
    (fault,) = faults(Pipeline(x=int).stage("m", maybe).through(y=int))
    assert "only 'm/branch/then/y' in it provides, and that may not have run" in fault


def test_a_pick_takes_every_type_that_it_may_have() -> None:
    """A field with one type on one way and another on the other is not taken for one of them."""

    async def shown(x: int) -> str:
        return str(x)

    way = Pipeline().stage("y", scale).through(y=int)
    either = Pipeline(x=int).branch(lambda ctx: ctx.x > 1, way, Pipeline().stage("y", shown).through(y=str))
    (fault,) = faults(Pipeline(x=int).stage("m", either).through(y=int))
    assert "needs int, but 'm/branch/then/y' or 'm/branch/otherwise/y' in it provides int | str" in fault
    assert "y: provides int | str, needs int" in fault
    Pipeline(x=int).stage("m", either).through(y=int | str).build()


async def test_a_loop_or_branch_at_its_end() -> None:
    """It provides what they surely leave."""
    loop = Pipeline(x=int).loop(
        Pipeline().stage("n", lambda n: n + 1).through(n=int), while_=lambda ctx: ctx.n < ctx.x, carry={"n": 0}
    )
    result = await Pipeline(x=int).stage("count", loop).build().run(x=3)
    assert result.n == 3
    way = Pipeline().stage("y", scale).through(y=int)
    both = Pipeline(x=int).branch(lambda ctx: ctx.x > 1, way, way.stage("z", scale).through(z=int))
    assert set(Pipeline(x=int).stage("both", both).build().outputs) == {"x", "y"}


async def test_a_model_of_inputs_has_defaults() -> None:
    """The fields of a state model are the inputs; those with defaults need not be there."""
    begin: Pipeline[Any, Any] = Pipeline(Settings)
    inner = begin.stage("scale", scale).through(scaled=int).stage("fit", fit)
    assert (await Pipeline(x=int).stage("train", inner).build().run(x=3)).loss == 2.0
    assert (await Pipeline(x=int, lr=float).stage("train", inner).build().run(x=3, lr=1.0)).loss == 4.0
    (fault,) = faults(Pipeline().stage("train", inner))
    assert fault.startswith("train: the declared input 'x' of the pipeline 'train' needs the field 'x', which nothing provides")


def test_reads_that_are_not_declared() -> None:
    """A stage within that reads what is there outside only is told to declare it."""
    inner = Pipeline(x=int).stage("scale", scale).through(scaled=int).stage("fit", fit)
    (fault,) = faults(Pipeline(x=int, lr=float).stage("train", inner))
    assert fault.startswith("train/fit: parameter 'lr' needs the field 'lr', which is there outside of the pipeline 'train' only")
    assert "the pipeline 'train' declares no input 'lr'; write Pipeline(lr=...)" in fault


MALFORMED: list[tuple[Pipeline, str, str]] = [
    (Pipeline(x=int, lr=str).stage("train", TRAIN), "train", "parameter 'lr' needs float, but 'inputs' provides 'lr' as str"),
    (Pipeline(x=int).stage("train", TRAIN), "train", "the declared input 'lr' of the pipeline 'train' needs the field 'lr'"),
    (Pipeline(x=int).stage("train", TRAIN, lr="fast"), "train", "the constant 'lr' does not fit its parameter"),
    (Pipeline(x=int).stage("train", TRAIN, lr=0.1, steps=3), "train", "the constant 'steps' is no input of the pipeline 'train'"),
    (Pipeline(x=int).stage("train", TRAIN, lr=0.1, timeout=3), "train", "Hooks go into .through(timeout=...)"),
    (Pipeline(x=int).stage("train", TRAIN, lrr=0.1), "train", "Did you mean 'lr'?"),
    (Pipeline(x=int).stage("train", Pipeline(x=int)), "train", "there is nothing to run"),
    (
        Pipeline(x=int).stage("train", Pipeline(x=int).loop_while(lambda ctx: ctx.x < 3).stage("x", scale)),
        "train/loop",
        "never ended",
    ),
    (Pipeline(x=int).stage("train", Pipeline(x=int).stage("a", fit)), "train/a", "needs the field 'scaled'"),
    (Pipeline(x=int).stage("train", TRAIN, lr=0.1).through(timeout="1"), "train", "the hook 'timeout'"),
    (Pipeline(x=int).stage("train", TRAIN, lr=0.1).stage("r", report, loss=ref("fit.loss")), "r", "no stage 'fit' has surely run"),
    (Pipeline(x=int).stage("train", TRAIN, lr=ref("y")), "train", "lr=ref('y') needs the field 'y'"),
]


@pytest.mark.parametrize(("pipeline", "stage", "part"), MALFORMED)
def test_malformed(pipeline: Pipeline, stage: str, part: str) -> None:
    """Every fault names the stage, or what is within it."""
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    assert caught.value.faults[0].stage == stage
    assert part in str(caught.value)


async def test_hooks_on_the_whole() -> None:
    """Observers, gate and metrics of the stage are about the pipeline as a whole."""
    told: list[Any] = []
    plan = (
        Pipeline(x=int)
        .stage("train", TRAIN, lr=0.5)
        .through(
            Fitted,
            before=lambda d: told.append(d.x),
            after=lambda d: told.append(d),
            metrics=told.append,
            validate=lambda d: d.loss < 10,
        )
        .build()
    )
    await plan.run(x=3)
    assert told == [3, Fitted(loss=2.0, steps=4), {"loss": 2.0, "steps": 4}]
    with pytest.raises(GateError, match="stage 'train' at train"):
        await plan.run(x=30)


async def test_errors_name_both() -> None:
    """An error within names the stage and what encloses it."""

    async def fails(x: int) -> int:
        raise LookupError(x)

    with pytest.raises(LookupError) as caught:
        await Pipeline(x=int).stage("train", Pipeline(x=int).stage("fit", fails)).build().run(x=1)
    assert caught.value.__notes__ == ["in stage 'fit' at train/fit", "in stage 'train' at train"]


async def test_retry_and_replacement_of_the_whole() -> None:
    """A retried pipeline begins anew; ``on_error`` replaces its output, which is checked."""
    calls: list[str] = []

    async def first(x: int) -> int:
        calls.append("first")
        return x

    async def flaky(first: int) -> int:
        calls.append("flaky")
        if len(calls) < 4:
            raise ConnectionError
        return first

    inner = Pipeline(x=int).stage("first", first).stage("flaky", flaky)
    assert (await Pipeline(x=int).stage("train", inner).through(flaky=int, retry=1).build().run(x=5)).flaky == 5
    assert calls == ["first", "flaky"] * 2
    calls.clear()
    replaced = Pipeline(x=int).stage("train", inner).through(flaky=int, on_error=lambda error: -1).build()
    assert (await replaced.run(x=5)).flaky == -1
    calls.clear()
    with pytest.raises(ContractError):
        await Pipeline(x=int).stage("train", inner).through(flaky=int, on_error=lambda error: "no").build().run(x=5)


async def test_a_retried_pipeline_of_a_kept_run_reuses_what_is_done() -> None:
    """In a kept run the stages within that were finished are not run again by a retry, or by a resumed run."""
    calls: list[str] = []

    async def first(x: int) -> int:
        calls.append("first")
        return x

    async def flaky(first: int) -> int:
        calls.append("flaky")
        if calls.count("flaky") < 3:
            raise ConnectionError
        return first

    store = MemoryStore()
    inner = Pipeline(x=int).stage("first", first).stage("flaky", flaky)
    plan = Pipeline(x=int).stage("train", inner).through(flaky=int, retry=1).build()
    with pytest.raises(ConnectionError):
        await plan.run(x=5, name="kept", store=store)
    assert calls == ["first", "flaky", "flaky"]
    assert (await plan.run(x=5, name="kept", store=store)).flaky == 5
    assert calls == ["first", "flaky", "flaky", "flaky"]
    events: list[PipelineEvent] = []
    await plan.run(x=5, name="kept", store=store, listeners=[events.append])
    assert events == [StageReused("train", "train")], "the whole is kept as well"


async def test_refs_within_a_kept_pipeline() -> None:
    """What a stage within reads by the name of another is there again when only some of them run."""
    store = MemoryStore()
    fails = [True]

    async def again(x: int, first: int) -> int:
        if fails.pop():
            raise ConnectionError
        return x + first

    inner = Pipeline(x=int).stage("first", scale).stage("second", again, first=ref("first.first")).through(y=int)
    plan = Pipeline(xs=list[int]).map("each", inner, over="xs", limit=1).build()
    with pytest.raises(ConnectionError):
        await plan.run(xs=[1], name="kept", store=store)
    fails[:] = [False, False]
    assert (await plan.run(xs=[1, 5], name="kept", store=store)).each == [3, 11]


async def test_timeout_of_the_whole() -> None:
    """The deadline of the whole cuts what runs within, which knows how much time is left."""
    left: list[float | None] = []

    async def slow(x: int, context: StageContext) -> int:
        left.append(context.remaining())
        await asyncio.sleep(30)
        return x

    plan = Pipeline(x=int).stage("train", Pipeline(x=int).stage("slow", slow)).through(slow=int, timeout=0.02).build()
    with pytest.raises(StageTimeout, match=r"stage 'train' at train did not end within 0\.02 s"):
        await plan.run(x=1)
    assert left[0] is not None
    assert 0 < left[0] <= 0.02


@pytest.mark.parametrize("changed", ["constant", "code", "input"])
async def test_what_changes_within_a_kept_pipeline_is_noticed(changed: str, caplog: pytest.LogCaptureFixture) -> None:
    """Another constant or input of what is within runs it again; other code is warned about, as for any stage."""
    store = MemoryStore()

    def plan(step: int, fn: Any) -> Any:
        return Pipeline(x=int).stage("train", Pipeline(x=int).stage("add", fn, step=step).through(y=int)).build()

    async def add(x: int, step: int) -> int:
        return x + step

    async def other(x: int, step: int) -> int:
        return x + step + 100

    assert (await plan(1, add).run(x=1, name="kept", store=store)).y == 2
    if changed == "constant":
        assert (await plan(2, add).run(x=1, name="kept", store=store)).y == 3
    elif changed == "input":
        assert (await plan(1, add).run(x=2, name="kept", store=store)).y == 3
    else:
        assert (await plan(1, other).run(x=1, name="kept", store=store)).y == 2
        assert "code has changed" in caplog.text


async def test_deep_nesting() -> None:
    """Pipelines in pipelines in loops: addresses say all of it, and refs stay within."""
    leaf = Pipeline(x=int).stage("scale", scale).stage("again", scale, x=ref("scale.scale")).through(y=int)
    middle = Pipeline(x=int).stage("leaf", leaf).stage("out", lambda y: y).through(x=int)
    plan = Pipeline(x=int).loop(Pipeline().stage("middle", middle), while_=lambda ctx: ctx.x < 5).build()
    events: list[PipelineEvent] = []
    assert (await plan.run(x=1, listeners=[events.append])).x == 5
    finished = [event.address for event in events if isinstance(event, StageFinished)]
    assert finished[:3] == ["loop[0]/middle/leaf/scale", "loop[0]/middle/leaf/again", "loop[0]/middle/leaf"]


async def test_global_hooks_and_profile_within() -> None:
    """Hooks of the whole see the stage and what is within; those of the pipeline see what is within only."""
    outer: list[str] = []
    inner: list[str] = []
    within = TRAIN.with_global_hooks(before=lambda stage, data: inner.append(f"{stage}@{stage.address}"), profile=True)
    plan = (
        Pipeline(x=int)
        .stage("train", within, lr=0.5)
        .with_global_hooks(after=lambda stage, data: outer.append(f"{stage}@{stage.address}"))
        .build()
    )
    result = await plan.run(x=3)
    assert inner == ["scale@train/scale", "fit@train/fit"]
    assert outer == ["scale@train/scale", "fit@train/fit", "train@train"]
    assert list(result.profile) == ["train/scale", "train/fit"]


async def test_a_pipeline_is_never_part_of_itself() -> None:
    """Each call gives a new pipeline, so that a pipeline put into itself is the one from before."""
    twice = TRAIN.stage("more", TRAIN).through(loss=float)
    assert (await Pipeline(x=int).stage("t", twice, lr=0.5).build().run(x=3)).loss == 2.0


def test_its_outline() -> None:
    """Tables and drawings show a pipeline with its parts."""
    (part,) = (node.outline() for node in Pipeline(x=int).stage("train", TRAIN, lr=0.5).build().nodes)
    assert (part.kind, [inner.path for inner in part.groups[0].parts]) == ("pipeline", ["train/scale", "train/fit"])
