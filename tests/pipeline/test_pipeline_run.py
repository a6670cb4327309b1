"""Running a plan: order, hooks, errors, events, profile."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.errors import ContractError, GateError, InvalidInput
from metta_sweep.pipeline import (
    HookFailed,
    Pipeline,
    PipelineEvent,
    Plan,
    StageFailed,
    StageFinished,
    StageRetried,
    StageStarted,
    hooks,
)


class Result(BaseModel):
    score: float


async def train(n: int) -> Result:
    return Result(score=n / 2)


async def test_a_chain() -> None:
    """Stages run in order; each reads what the ones before it provided; constants are passed."""

    async def suggest(n: int) -> list[int]:
        return list(range(n))

    def total(suggest: list[int], scale: int) -> int:
        return sum(suggest) * scale

    plan = Pipeline(n=int).stage("suggest", suggest).stage("total", total).through(total=int, scale=2).build()
    result = await plan.run(n=4)
    assert (result.suggest, result["total"], result.context.n) == ([0, 1, 2, 3], 12, 4)
    assert result.seconds > 0
    assert (await plan.run(inputs={"n": 2})).total == 2


def test_a_beginning_can_be_shared() -> None:
    """Each call returns a new pipeline."""
    beginning = Pipeline(n=int).stage("a", train)
    one = beginning.stage("b", lambda: None)
    two = beginning.through(Result, after=lambda d: None)
    assert [len(pipeline.build().nodes) for pipeline in (beginning, one, two)] == [1, 2, 1]


async def test_writing_a_field_again_replaces_it() -> None:
    """With its new type."""

    async def text(n: int) -> str:
        return str(n)

    async def length(n: str) -> int:
        return len(n)

    result = await Pipeline(n=int).stage("text", text).through(n=str).stage("length", length).build().run(n=123)
    assert (result.n, result.length) == ("123", 3)


async def test_the_order_of_hooks() -> None:
    """Global before, before, function, validate, after, metrics, global after."""
    told: list[str] = []

    async def stage(n: int) -> Result:
        told.append("stage")
        return Result(score=n)

    async def slow_after(d: Result) -> None:
        await asyncio.sleep(0)
        told.append(f"after {d.score}")

    plan = (
        Pipeline(n=int)
        .stage("train", stage)
        .through(
            Result,
            before=lambda d: told.append(f"before {d.n}"),
            validate=lambda d: told.append(f"validate {d.score}"),
            after=slow_after,
            metrics=lambda m: told.append(f"metrics {m}"),
        )
        .with_global_hooks(
            before=lambda stage, d: told.append(f"[{stage}] {d.n}"),
            after=lambda stage, d: told.append(f"{stage.address} {d.score}"),
        )
        .build()
    )
    await plan.run(n=3)
    assert told == ["[train] 3", "before 3", "stage", "validate 3.0", "after 3.0", "metrics {'score': 3.0}", "train 3.0"]


async def test_global_hooks_of_several_calls_are_all_told() -> None:
    """A second ``with_global_hooks`` adds to the first, in order; one that raises keeps none of the others from being told."""
    told: list[str] = []

    def broken(stage: Any, data: Any) -> None:
        raise RuntimeError("cannot look")

    plan = (
        Pipeline(n=int)
        .with_global_hooks(before=lambda stage, d: told.append("before 1"), after=lambda stage, d: told.append("after 1"))
        .with_global_hooks(after=broken)
        .stage("train", train)
        .through(Result)
        .with_global_hooks(before=lambda stage, d: told.append("before 2"), after=lambda stage, d: told.append("after 2"))
        .build()
    )
    await plan.run(n=1)
    assert told == ["before 1", "before 2", "after 1", "after 2"]


async def test_hook_sets_merge() -> None:
    """Plain dicts and ``hooks(...)`` unpack and merge; a later hook wins."""
    told: list[str] = []
    base = hooks(after=lambda d: told.append("base"), retry=1)
    merged = base | {"after": lambda d: told.append("merged")}
    await Pipeline(n=int).stage("train", train).through(Result, **merged).build().run(n=1)
    assert told == ["merged"]
    assert merged["retry"] == 1


@pytest.mark.parametrize("hook", ["before", "after", "metrics"])
async def test_a_failing_observer_loses_nothing(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged as a warning and told as an event; the result stands."""
    events: list[PipelineEvent] = []
    observers: dict[str, Any] = {hook: lambda d: 1 / 0}
    plan = Pipeline(n=int).stage("train", train).through(Result, **observers).build()
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        result = await plan.run(n=1, listeners=[events.append])
    assert result.score == 0.5
    assert [event.hook for event in events if isinstance(event, HookFailed)] == [hook]
    assert f"hook '{hook}' of stage 'train' at train raised ZeroDivisionError" in caplog.text


async def test_a_failing_listener_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and raises only where hooks are strict."""

    def listener(event: PipelineEvent) -> None:
        raise ZeroDivisionError

    plan = Pipeline(n=int).stage("train", train).build()
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        assert (await plan.run(n=1, listeners=[listener])).score == 0.5
    assert "a listener raised ZeroDivisionError at train" in caplog.text
    with pytest.raises(ZeroDivisionError):
        await plan.run(n=1, listeners=[listener], strict_hooks=True)


async def test_strict_hooks_raise() -> None:
    """Under ``strict_hooks`` an observer's error ends the run, with a note that names it."""
    plan = Pipeline(n=int).stage("train", train).through(Result, after=lambda d: 1 / 0).build()
    with pytest.raises(ZeroDivisionError) as caught:
        await plan.run(n=1, strict_hooks=True)
    assert caught.value.__notes__ == ["in hook 'after' of stage 'train' at train"]


async def test_observers_cannot_change_data() -> None:
    """What they return is ignored."""
    plan = (
        Pipeline(n=int).stage("train", train).through(Result, before=lambda d: {"n": 100}, after=lambda d: Result(score=9)).build()
    )
    assert (await plan.run(n=1)).score == 0.5


async def test_the_gate() -> None:
    """``validate`` refuses by returning False or by raising; None and True pass; it may be async."""

    async def asserts(d: Result) -> None:
        raise AssertionError("too low")

    for gate, error in ((lambda d: d.score > 1, GateError), (asserts, AssertionError)):
        with pytest.raises(error):
            await Pipeline(n=int).stage("train", train).through(Result, validate=gate).build().run(n=1)
    assert (await Pipeline(n=int).stage("train", train).through(Result, validate=lambda d: None).build().run(n=1)).score == 0.5


async def test_users_errors_are_not_wrapped() -> None:
    """They propagate as they are, with a note that names stage and address."""

    async def fails(n: int) -> int:
        raise LookupError("nothing there")

    def fails_in_thread(n: int) -> int:
        raise LookupError("nothing there")

    for fn in (fails, fails_in_thread):
        with pytest.raises(LookupError, match="nothing there") as caught:
            await Pipeline(n=int).stage("fetch", fn).build().run(n=1)
        assert caught.value.__notes__ == ["in stage 'fetch' at fetch"]


async def test_a_wrong_output_names_the_place() -> None:
    """A contract error carries the address as well."""
    plan = Pipeline(n=int).stage("train", lambda n: "3").through(score=float).build()
    with pytest.raises(ContractError, match="stage 'train': field 'score': found '3'") as caught:
        await plan.run(n=1, address="outer")
    assert caught.value.__notes__ == ["in stage 'train' at outer/train"]


async def test_on_error() -> None:
    """It may give a replacement, which is validated; None and an error of its own leave the error standing."""

    async def fails(n: int) -> Result:
        raise LookupError("nothing there")

    async def replaced(handler: Any) -> Any:
        return await Pipeline(n=int).stage("train", fails).through(Result, on_error=handler).build().run(n=1)

    async def slowly(error: Exception) -> Result:
        return Result(score=3)

    assert (await replaced(lambda error: Result(score=7))).score == 7
    assert (await replaced(slowly)).score == 3
    with pytest.raises(LookupError):
        await replaced(lambda error: None)
    with pytest.raises(LookupError) as caught:
        await replaced(lambda error: 1 / 0)
    assert caught.value.__notes__[0] == "its on_error hook raised ZeroDivisionError: division by zero"
    with pytest.raises(ContractError):
        await replaced(lambda error: {"score": "no"})


async def test_the_events() -> None:
    """One stream tells what happened, with addresses."""
    events: list[PipelineEvent] = []
    tries: list[int] = []

    async def flaky(n: int) -> int:
        tries.append(n)
        if len(tries) < 3:
            raise LookupError
        return n

    async def fails(n: int) -> int:
        raise ValueError

    plan = Pipeline(n=int).stage("a", flaky).through(int, retry=3).stage("b", fails).build()
    with pytest.raises(ValueError):  # noqa: PT011
        await plan.run(n=1, listeners=[events.append])
    assert [(type(event), event.address) for event in events] == [
        (StageStarted, "a"),
        (StageRetried, "a"),
        (StageRetried, "a"),
        (StageFinished, "a"),
        (StageStarted, "b"),
        (StageFailed, "b"),
    ]


async def test_the_profile() -> None:
    """Figures per stage: calls, total, p50, p95."""
    plan = Pipeline(n=int).stage("a", train).through(Result, profile=True).stage("b", train).build()
    result = await plan.run(n=1)
    figures = result.profile["a"]
    assert figures.calls == 1
    assert 0 <= figures.p50 <= figures.p95 <= figures.total
    everywhere = await Pipeline(n=int).stage("a", train).with_global_hooks(profile=True).build().run(n=1)
    assert list(everywhere.profile) == ["a"]
    assert (await Pipeline(n=int).stage("a", train).build().run(n=1)).profile == {}


async def test_runs_side_by_side() -> None:
    """A plan holds no state of its runs."""

    async def wait(n: int) -> int:
        await asyncio.sleep(0)
        return n

    plan = Pipeline(n=int).stage("a", wait).stage("b", lambda a: a * 2).through(int).build()
    results = await asyncio.gather(*(plan.run(n=n) for n in range(10)))
    assert [result.b for result in results] == [n * 2 for n in range(10)]


async def hears(event: PipelineEvent) -> None:
    """A listener that nobody would await."""


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"store": "runs.db"}, r"Plan.run\(store=\): this is no store; found 'runs.db'; .* Write store=SqliteStore\('runs.db'\)\."),
        ({"seed": "seven"}, r"Plan.run\(seed=\): this is no seed; found 'seven'; expected an int"),
        ({"seed": True}, r"Plan.run\(seed=\)"),
        ({"inputs": [3]}, r"Plan.run\(inputs=\): these are no inputs; found \[3\]; expected a mapping"),
        ({"listeners": print}, r"Plan.run\(listeners=\): listeners come as a list"),
        ({"listeners": [7]}, r"Plan.run\(listeners=\): a listener cannot be called; found 7"),
        ({"listeners": [hears]}, r"Plan.run\(listeners=\): a listener is asynchronous, .* Use plan.stream\(\)"),
    ],
)
async def test_options_that_are_none_are_refused(option: dict[str, Any], message: str) -> None:
    """Before anything runs, with what was found and what to write: nothing fails far from there, or is lost without a word."""
    ran: list[int] = []
    plan = Pipeline(n=int).stage("s", ran.append).build()
    with pytest.raises(InvalidInput, match=message):
        await plan.run(**{"inputs": {"n": 1}, **option})
    assert ran == []


async def test_inputs_may_be_called_like_any_keyword_of_run() -> None:
    """The remedy for a missing input says ``inputs=`` for each of them."""
    keywords = [name for name, each in inspect.signature(Plan.run).parameters.items() if each.kind is each.KEYWORD_ONLY]
    for name in keywords:
        plan = Pipeline(**{name: int}).stage("s", lambda: None).build()
        with pytest.raises(InvalidInput, match=rf"Pass inputs=\{{'{name}': \.\.\.\}}"):
            await plan.run()
