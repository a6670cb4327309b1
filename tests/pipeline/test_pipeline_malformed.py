"""Bad input: each malformed hook, name and pipeline gives one clear error before anything runs."""

# ruff: noqa: D102, D103  # stages and helpers; each test says what it shows
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError, HookError, InvalidInput, InvalidName
from metta_sweep.pipeline import Cache, Pipeline, Retry, fields, hooks, ref


class Trials(BaseModel):
    trials: list[int]


class Recorder:
    """A class that is no hook, but its instances might be."""

    def __call__(self, data: Any) -> None: ...


async def make() -> Trials:
    return Trials(trials=[1])


async def count(n: int) -> int:
    return n


async def grow(n: int, step: int = 1) -> int:
    return n + step


async def yielding(n: int) -> Any:
    yield n


class Yielding:
    """A callable object that is an asynchronous generator."""

    async def __call__(self, n: int) -> Any:
        yield n


def anything(*args: Any, **kwargs: Any) -> int:
    return len(args) + len(kwargs)


def two(a: int, b: int) -> None: ...


def step(**through: Any) -> Callable[[], Any]:
    """Builds a pipeline of one stage with these keywords."""
    return lambda: Pipeline(n=int).stage("train", count).through(int, **through).build()


HOOKS: list[tuple[Callable[[], Any], str, str, str]] = [
    (lambda: hooks(timeout="300"), "timeout", "'300'", "Write timeout=300"),  # type: ignore[arg-type]
    (lambda: hooks(timeout=0), "timeout", "0", "Write timeout=300"),
    (lambda: hooks(timeout=float("nan")), "timeout", "nan", "Write timeout=300"),
    (lambda: hooks(timeout=True), "timeout", "True", "Write timeout=300"),
    (lambda: hooks(timeout=10**400), "timeout", "1000", "Write timeout=300"),
    (lambda: hooks(retry=-1), "retry", "-1", "Write retry=3"),
    (lambda: hooks(retry=1.5), "retry", "1.5", "Write retry=3"),  # type: ignore[arg-type]
    (lambda: hooks(after=3), "after", "3", "Write after=lambda d: ..."),  # type: ignore[arg-type]
    (lambda: hooks(validate=two), "validate", "two(a", "Write validate=lambda d: ..."),  # type: ignore[arg-type]
    (
        lambda: hooks(after=Recorder),  # type: ignore[arg-type]
        "after",
        "Recorder",
        "Pass an instance",
    ),
    (lambda: hooks(timeout=float), "timeout", "float", "fields(timeout=float)"),  # type: ignore[arg-type]
    (lambda: hooks(checkpoint="yes"), "checkpoint", "'yes'", "Write checkpoint=False"),  # type: ignore[arg-type]
    (lambda: hooks(afterr=len), "afterr", "len", "Did you mean 'after'?"),
    (lambda: hooks(cache="yes"), "cache", "'yes'", "Write cache=True"),  # type: ignore[arg-type]
    (lambda: hooks(on_code_change="stop"), "on_code_change", "'stop'", "Write on_code_change='rerun'"),  # type: ignore[arg-type]
    (lambda: Cache(key=3), "Cache(key=)", "3", "Write key=lambda ctx:"),  # type: ignore[arg-type]
    (lambda: Cache(key=two), "Cache(key=)", "two", "Write key=lambda ctx:"),  # type: ignore[arg-type]
    (lambda: Cache(version=1.5), "Cache(version=)", "1.5", "Write version=2"),  # type: ignore[arg-type]
    (lambda: Cache(include="helper"), "Cache(include=)", "'helper'", "Write include=[helper]"),  # type: ignore[arg-type]
    (lambda: Cache(include=[3]), "Cache(include=)", "3", "Give values to the stage as constants"),
    (lambda: hooks(on_success=len), "on_success", "len", "Did you mean 'after'?"),
    (lambda: Retry(-1), "retries=", "-1", "Write Retry(3)"),
    (lambda: Retry(True), "retries=", "True", "Write Retry(3)"),
    (lambda: Retry(1, backoff=-1), "backoff=", "-1", "Write backoff=0.5"),
    (lambda: Retry(1, jitter=2), "jitter=", "2", "Write jitter=0.5"),
    (lambda: Retry(1, on=BaseException), "on=", "BaseException", "Write on=("),  # type: ignore[arg-type]
    (lambda: Retry(1, on=()), "on=", "()", "Write on=("),
]


@pytest.mark.parametrize(("make_it", "name", "found", "remedy"), HOOKS)
def test_malformed_hooks(make_it: Callable[[], Any], name: str, found: str, remedy: str) -> None:
    """A hook set of the wrong kind is refused where it is made."""
    with pytest.raises(HookError) as caught:
        make_it()
    for part in (name, found, remedy):
        assert part in str(caught.value)


ATTACHED: list[tuple[Callable[[], Any], str, str]] = [
    (step(timeout="300"), "'300'", "Write timeout=300"),
    (step(retry=-1), "-1", "Write retry=3"),
    (step(after=two), "two(a", "Write after=lambda d: ..."),
    (step(after=Recorder), "Recorder", "Pass an instance, or write fields(after=Recorder)"),
    (step(timeout=float), "float", "Write fields(timeout=float)"),
    (step(retry=Retry), "is the class itself", "retry=Retry(3, backoff=0.5)"),
    (step(cache=Cache), "is the class itself", "cache=Cache(version=...)"),
    (step(cache=1.5), "1.5", "Write cache=True"),
    (step(migrate=two), "two(a", "Write migrate=lambda d:"),
    (step(on_code_change=True), "True", "Write on_code_change='rerun'"),
    (step(timeout_mode="fork"), "'fork'", "Write timeout_mode='process'"),
    (step(timeout_mode=["process"]), "['process']", "Write timeout_mode='process'"),
    (step(total_timeout=float("inf")), "inf", "Write total_timeout=3600"),
    (step(total_timeout="60"), "'60'", "Write total_timeout=3600"),
    (step(afterr=len), "len", "Did you mean 'after'?"),
    (step(timout=3), "3", "Did you mean 'timeout'?"),
    (step(profile="yes"), "'yes'", "Write profile=True"),
    (step(result="int"), "'int'", "without quotes"),
    (lambda: Pipeline(n=int).stage("train", count).with_global_hooks(after=len).build(), "len", "lambda stage, data"),
    (lambda: Pipeline(n=int).stage("train", count).with_global_hooks(on_error=len).build(), "len", "Attach it to a stage"),
    (lambda: Pipeline(n=int).stage("train", count).with_global_hooks(befor=len).build(), "len", "Did you mean 'before'?"),
]


@pytest.mark.parametrize(("build", "found", "remedy"), ATTACHED)
def test_malformed_hooks_of_stages(build: Callable[[], Any], found: str, remedy: str) -> None:
    """A bad hook of a stage is a fault of the build, naming the stage."""
    with pytest.raises(BuildError) as caught:
        build()
    (fault,) = caught.value.faults
    assert fault.stage in {"train", "global hooks"}
    assert found in fault.message
    assert remedy in fault.message


NAMES: list[tuple[Callable[[], Any], str]] = [
    (lambda: Pipeline().stage("", make), "''"),
    (lambda: Pipeline().stage("a/b", make), "'a/b'"),
    (lambda: Pipeline().stage("a b", make), "'a b'"),
    (lambda: Pipeline().stage("a[1]", make), "'a[1]'"),
    (lambda: Pipeline().stage(3, make), "3"),  # type: ignore[call-overload]
    (lambda: Pipeline().stage("x" * 300, make), "x" * 150),
    (lambda: Pipeline(_hidden=int), "'_hidden'"),
    (lambda: Pipeline(**{"not valid": int}), "'not valid'"),
    (lambda: Pipeline(**{"class": int}), "'class'"),
    (lambda: Pipeline().loop_while(lambda ctx: ctx.n, carry={"a-b": 1}), "'a-b'"),
    (lambda: Pipeline().loop_while(lambda ctx: ctx.n, carry={3: 1}), "3"),  # type: ignore[dict-item]
    (lambda: Pipeline().loop_while(lambda ctx: ctx.n, name="a>b"), "'a>b'"),
    (lambda: fields(_x=int), "'_x'"),
    (lambda: fields(x=3), "3"),
    (lambda: ref(3), "3"),  # type: ignore[arg-type]
    (lambda: ref("a.b c"), "'a.b c'"),
]


@pytest.mark.parametrize(("make_it", "found"), NAMES)
def test_malformed_names(make_it: Callable[[], Any], found: str) -> None:
    """A name that cannot be part of an address, or of a context, is refused at once."""
    with pytest.raises(InvalidName) as caught:
        make_it()
    assert found in str(caught.value)
    assert caught.value.remedy


def looped(predicate: Any, body: Callable[..., Any] = count, **options: Any) -> Callable[[], Any]:
    """Builds a loop with one stage, called n, in it."""
    return lambda: Pipeline(n=int).loop_while(predicate, **options).stage("n", body).end_loop().build()


PIPELINES: list[tuple[Callable[[], Any], str, str | None, tuple[str, ...]]] = [
    (lambda: Pipeline().stage("a", count).build(), "a", "n", ("needs the field 'n'", "Pipeline(n=...)")),
    (lambda: Pipeline(n=str).stage("a", count).build(), "a", "n", ("provides 'n' as str", "needs int")),
    (lambda: Pipeline(nn=int).stage("a", count).build(), "a", "n", ("'n'", "nn")),
    (lambda: Pipeline(n=3).stage("a", count).build(), "inputs", "n", ("found 3", "needs a type")),
    (lambda: Pipeline(3).build(), "inputs", None, ("found 3", "Pipeline(n=int)")),  # type: ignore[call-overload]
    (lambda: Pipeline(n=int).stage("a", count).stage("a", count).build(), "a", None, ("'a' is taken", "Rename")),
    (lambda: Pipeline().stage("a", 3).build(), "a", None, ("found 3", "function")),  # type: ignore[call-overload]
    (lambda: Pipeline(n=int).stage("a", grow, stepp=3).build(), "a", None, ("'stepp'", "found 3", "Did you mean 'step'?")),
    (lambda: Pipeline(n=int).stage("a", grow, step="3").build(), "a", None, ("'step'", "'3'", "takes int")),
    (lambda: Pipeline(n=int).stage("a", grow, step=ref("m")).build(), "a", "m", ("ref('m')", "nothing provides")),
    (lambda: Pipeline(n=int).stage("a", grow, step=ref("b.n")).build(), "a", "n", ("no stage 'b'", "surely run before")),
    (
        lambda: Pipeline(n=int).stage("a", count).through(m=int).stage("b", grow, step=ref("a.k")).build(),
        "b",
        "k",
        ("'a' provides m", "not 'k'"),
    ),
    (lambda: Pipeline(n=int).stage("a", count).through("int").build(), "a", None, ("'int'", "without quotes")),
    (
        lambda: Pipeline(n=int).stage("a", lambda n: n).through(m=list["int"]).build(),
        "a",
        None,
        ("'int'", "list['int']", "without quotes"),
    ),
    (lambda: Pipeline(n=int).stage("a", count).through(3).build(), "a", None, ("found 3", "expected a type")),
    (lambda: Pipeline(n=int).stage("a", count).through(Trials, m=int).build(), "a", None, ("Trials", "'m'", "one of the two")),
    (lambda: Pipeline(n=int).stage("a", count).through(_m=int).build(), "a", None, ("'_m'", "Use letters")),
    (lambda: Pipeline(n=int).stage("a", count).through(m=str).build(), "a", None, ("returns int", "expected str", "Mend")),
    (lambda: Pipeline(n=int).stage("a", count).through(m=int, k=int).build(), "a", None, ("returns int", "fields m, k", "Mend")),
    (lambda: Pipeline(n=int).stage("a", count).through(Trials).build(), "a", None, ("returns int", "expected Trials", "Mend")),
    (lambda: Pipeline(n=int).stage("a", count).through(None).build(), "a", None, ("returns int", "expected None", "Mend")),
    (lambda: Pipeline(n=int).stage("a-b", count).build(), "a-b", None, ("'a-b'", ".through(result=int)")),
    (lambda: Pipeline().through(int).build(), "through", None, ("found .through()", "Add a .stage()")),
    (lambda: Pipeline().end_loop().build(), "end_loop", None, ("found end_loop()", "Remove it")),
    (lambda: Pipeline(n=int).loop_while(lambda c: c.n).stage("n", count).build(), "loop", None, ("never ended", "Add .end_loop()")),
    (
        lambda: Pipeline(n=int).loop_while(lambda c: c.x > 0, carry={"x": 1}).end_loop().build(),
        "loop",
        None,
        ("no stages", "Add one"),
    ),
    (looped(lambda ctx: ctx.k < 3), "loop", "k", ("the predicate needs the field 'k'", "nothing provides")),
    (looped(3), "loop", None, ("found 3", "Write loop_while(lambda")),
    (looped(lambda ctx: ctx.n < 3, carry={"n": "0"}), "loop", "n", ("'n'", "'0'", "provides int")),
    (looped(lambda ctx: ctx.m < 3, carry={"m": 1}), "loop", "m", ("'m'", "provides n")),
    (looped(lambda ctx: ctx.n < 3, carry=3), "loop", None, ("carry=", "found 3", "carry={'n': 0}")),
    (looped(lambda ctx: ctx.n < 3, max_iterations=0), "loop", None, ("found 0", "Write max_iterations=100")),
    (looped(lambda ctx: ctx.n < 3, max_iterations=True), "loop", None, ("found True", "Write max_iterations=100")),
    (
        lambda: Pipeline().stage("a", make).through(Trials, before=lambda d: len(d.trials)).build(),
        "a",
        "trials",
        ("'before'", "Use after="),
    ),
    (
        lambda: Pipeline().stage("a", make).through(Trials, after=lambda d: d.trails).build(),
        "a",
        "trails",
        ("'trails'", "Did you mean 'trials'?"),
    ),
    (
        lambda: Pipeline(n=int).stage("a", count).through(m=int, validate=lambda d: d.m > 0).build(),
        "a",
        "m",
        ("'m'", "the value itself"),
    ),
    (lambda: Pipeline(n=int).stage("a", lambda m: m).through(int).stage("m", count).build(), "a", "m", ("only later", "'m'")),
    (looped(lambda ctx: len(vars(ctx)), two), "loop/n", "a", ("'a'", "nothing provides")),
    (lambda: Pipeline().build(), "pipeline", None, ("found no stages", "Add a .stage()")),
    (lambda: Pipeline(n=int).with_global_hooks(profile=True).build(), "pipeline", None, ("found no stages", "Add a .stage()")),
    (lambda: Pipeline(n=int).stage("a", lambda *n: 1).through(int).build(), "a", None, ("takes *n only", "without the star")),
    (lambda: Pipeline(n=int).stage("a", anything).through(int).build(), "a", None, ("takes *args only", "without the star")),
    (looped(lambda ctx: ctx.n < 3, partial(yielding, n=1)), "loop/n", None, ("asynchronous generator", "in a list")),
    (lambda: Pipeline(n=int).stage("a", Yielding()).through(m=Any).build(), "a", None, ("asynchronous generator", "in a list")),
    (
        lambda: (
            Pipeline(f=Recorder)
            .stage("a", lambda f: 1)
            .through(int, checkpoint=True)
            .stage("b", lambda f: f)
            .through(r=Recorder, checkpoint=True)
            .build()
        ),
        "b",
        "r",
        ("Recorder", "checkpoint=False"),
    ),
]


@pytest.mark.parametrize(("build", "stage", "field", "parts"), PIPELINES)
def test_malformed_pipelines(build: Callable[[], Any], stage: str, field: str | None, parts: tuple[str, ...]) -> None:
    """Every structural fault names its stage and field, what was found, and how to mend it."""
    with pytest.raises(BuildError) as caught:
        build()
    fault = caught.value.faults[0]
    assert (fault.stage, fault.field) == (stage, field)
    for part in parts:
        assert part in fault.message
    assert fault.message in str(caught.value)


async def test_what_is_bound_to_an_open_ended_function_is_enough() -> None:
    """A partial that fills ``*args``, and constants for ``**kwargs``, are no faults; nor are ``*args`` after a parameter."""
    pipeline = (
        Pipeline(n=int)
        .stage("filled", partial(anything, 1, 2))
        .through(int)
        .stage("named", anything)
        .through(int, a=1)
        .stage("more", lambda n, *rest: n + len(rest))
        .through(int)
    )
    result = await pipeline.build().run(n=5)
    assert (result.filled, result.named, result.more) == (2, 1, 5)


def test_all_faults_come_at_once() -> None:
    """One error lists the faults of the whole pipeline, in order."""
    with pytest.raises(BuildError) as caught:
        (
            Pipeline(n=int)
            .stage("a", grow, stepp=3)
            .through(int, timeout="1")
            .loop_while(lambda ctx: ctx.k < 3)
            .stage("b", count, n=ref("m"))
            .end_loop()
            .stage("c", count)
            .through(int, cache="yes")
            .build()
        )
    assert [fault.stage for fault in caught.value.faults] == ["a", "a", "loop", "loop/b", "c"]
    assert "the pipeline has 5 faults:" in str(caught.value)


def test_strict_builds_leave_nothing_unchecked() -> None:
    """What cannot be checked is listed, and is a fault under ``strict``."""
    pipeline = Pipeline(n=int).stage("a", lambda ctx: vars(ctx)).through(dict)
    assert [edge.stage for edge in pipeline.build().unchecked] == ["a"]
    with pytest.raises(BuildError, match="Annotate it"):
        pipeline.build(strict=True)


INPUTS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "'n' is missing", "Pass n=..."),
    ({"n": "3"}, "found '3'", "nothing is converted"),
    ({"n": 1, "m": 2}, "'m' is no declared input", "Pipeline(m=...)"),
    ({"nn": 2}, "'nn'", "Did you mean 'n'?"),
    ({"n": 1, "name": "kept"}, "'kept'", "MemoryStore"),
    ({"n": 1, "name": ""}, "''", "MemoryStore"),
]


@pytest.mark.parametrize(("given", "found", "remedy"), INPUTS)
async def test_malformed_inputs(given: dict[str, Any], found: str, remedy: str) -> None:
    """Inputs are checked before anything runs."""
    with pytest.raises(InvalidInput) as caught:
        await Pipeline(n=int).stage("a", count).build().run(**given)
    assert found in str(caught.value)
    assert remedy in str(caught.value)
