"""Hooks and policies that are attached as they should be."""

# ruff: noqa: D102  # stages; the cases say what they show
from __future__ import annotations

from typing import Any

from metta_sweep.pipeline import Context, Retry, hooks

from .cases import Pipeline, right
from .parts import SuggestionOutput, Trial, count, grow, load, suggest


class Log:
    """An observer that is an object."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, data: Any) -> None:
        self.seen.append(data)


def _flaky(failures: int) -> Any:
    left = [failures]

    async def stage(n: int) -> int:
        if left[0]:
            left[0] -= 1
            raise ConnectionError("not yet")
        return n + 1

    return stage


@right(inputs={"seed": 1}, gives={"trials": [Trial(id="1", score=1.0)]})
def all_that_read_what_is_there() -> Any:
    """Each hook reads fields that it has: before the input, the others the output."""
    return (
        Pipeline(seed=int)
        .stage("suggest", suggest)
        .through(
            SuggestionOutput,
            before=lambda d: d.seed,
            after=lambda d: len(d.trials),
            validate=lambda d: len(d.trials) > 0,
            on_error=lambda error: None,
            metrics=lambda d: d["trials"],
            profile=True,
            timeout=300,
            checkpoint=True,
        )
    )


@right(inputs={"n": 1}, gives={"m": 2}, unchecked=("m",))
def on_a_bare_value() -> Any:
    """With one field, the hooks get the value itself, and may use what its type has."""
    return Pipeline(n=int).stage("m", count).through(int, validate=lambda d: d > 0, after=lambda d: d.bit_length())


@right(inputs={"path": "ab"}, gives={"rows": [2.0, 1.0]})
def methods_of_a_bare_value() -> Any:
    """Methods of a list are there."""
    return Pipeline(path=str).stage("load", load).through(rows=list[float], validate=lambda d: d.count(1.0) == 1)


@right(inputs={"n": 1}, gives={"a": 1, "b": 2})
def on_several_fields() -> Any:
    """With several fields, the hooks get a context of them."""

    def pair(n: int) -> dict[str, int]:
        return {"a": n, "b": n + 1}

    return Pipeline(n=int).stage("pair", pair).through(a=int, b=int, validate=lambda d: d.a < d.b, after=lambda d: d.keys())


@right(inputs={"n": 1}, gives={"m": 2})
def asynchronous() -> Any:
    """Hooks may be asynchronous."""

    async def check(output: int) -> bool:
        return output > 0

    async def tell(context: Context) -> None: ...

    return Pipeline(n=int).stage("count", count).through(m=int, validate=check, before=tell)


@right(inputs={"n": 1}, gives={"m": 2}, unchecked=("count",))
def objects_and_functions_of_python() -> Any:
    """Objects that can be called and functions without a signature are hooks, and listed as unchecked."""
    return Pipeline(n=int).stage("count", count).through(m=int, before=Log(), after=Log(), validate=Log(), metrics=sorted)


@right(inputs={"n": 1}, gives={"m": 2})
def absent() -> Any:
    """None is no hook this time."""
    return Pipeline(n=int).stage("count", count).through(m=int, after=None, retry=None, timeout=None)


@right(inputs={"n": 1}, gives={"m": 2})
def retried() -> Any:
    """Three more attempts."""
    return Pipeline(n=int).stage("m", _flaky(3)).through(int, retry=3)


@right(inputs={"n": 1}, gives={"m": 2})
def retried_by_a_policy() -> Any:
    """Only these errors, with back-off."""
    return Pipeline(n=int).stage("m", _flaky(2)).through(int, retry=Retry(2, backoff=0.0005, jitter=0.5, on=ConnectionError))


@right(inputs={"n": 1}, gives={"m": -1})
def replaced() -> Any:
    """A handler gives what is used instead."""
    return Pipeline(n=int).stage("m", _flaky(9)).through(int, retry=1, on_error=lambda error: -1)


@right(inputs={"n": 1}, gives={"m": 2}, unchecked=("m",))
def sets() -> Any:
    """Sets of hooks are merged, and passed on."""
    debug, production = hooks(after=Log().seen.append, timeout=5), hooks(retry=2, checkpoint=True)
    return Pipeline(n=int).stage("m", _flaky(1)).through(int, **(debug | production))


@right(inputs={"n": 1}, gives={"m": 2, "k": 3})
def plain_dicts() -> Any:
    """Hook sets may be plain dicts."""
    production: dict[str, Any] = {"retry": 3, "checkpoint": True, "on_error": lambda error: None}
    debug: dict[str, Any] = {"before": lambda d: d.n, "profile": True}
    first = Pipeline(n=int).stage("m", count).through(int, **production)
    return first.stage("n", grow).through(k=int, step=2, **debug)


@right(inputs={"n": 1}, gives={"m": 2, "k": 3})
def of_all_stages() -> Any:
    """Global hooks get the stage and the data; several of them add up."""
    told: list[str] = []
    return (
        Pipeline(n=int)
        .stage("m", count)
        .stage("k", grow, step=2)
        .with_global_hooks(before=lambda stage, data: told.append(f"[{stage}]"), profile=True)
        .with_global_hooks(after=lambda stage, data: told.append(f"{stage}.complete"))
    )


@right(inputs={"seed": 1}, gives={"trials": [Trial(id="1", score=1.0)]})
def comprehension_in_a_gate() -> Any:
    """What a comprehension does with the elements is not the hook's reading of the output."""
    return Pipeline(seed=int).stage("suggest", suggest).through(SuggestionOutput, validate=lambda d: all(t.id for t in d.trials))


@right(inputs={"n": 1}, gives={"n": 3, "m": 3})
def field_that_may_be_there() -> Any:
    """What is read under a condition is a note where it may be there, and no fault."""
    return (
        Pipeline(n=int)
        .loop_while(lambda ctx: ctx.n < 3)
        .stage("n", count)
        .through(int, before=lambda d: d.m if d.n > 1 else 0)
        .stage("m", grow, step=0)
        .through(int)
        .end_loop()
    )
