"""Overriding a stage by its path: what stays, what is checked, what cannot be overridden."""

# ruff: noqa: D103  # stages and helpers; each test says what it shows
from __future__ import annotations

from typing import Any

import pytest

from metta_sweep.errors import BuildError, GateError
from metta_sweep.pipeline import Pipeline


async def scale(x: int, by: int = 2) -> int:
    return x * by


async def shift(x: int) -> int:
    return x + 100


async def describe(x: int) -> str:
    return str(x)


async def grow(n: int) -> int:
    return n + 1


BODY = Pipeline(x=int).stage("scale", scale).through(y=int)
WHOLE = (
    Pipeline(x=int, xs=list[int])
    .stage("first", scale, by=3)
    .through(first=int, validate=lambda d: d < 1000)
    .stage("train", BODY.stage("fit", scale))
    .map("each", scale, over="xs")
    .map("bodies", BODY, over="xs")
    .branch(lambda ctx: ctx.x > 3, Pipeline().stage("fit", scale), Pipeline().stage("fit", scale), name="choose")
    .loop(Pipeline().stage("n", grow), while_=lambda ctx: ctx.n < 2, carry={"n": 0})
)


def faults(pipeline: Pipeline) -> list[str]:
    with pytest.raises(BuildError) as caught:
        pipeline.build()
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("path", "field", "expected"),
    [
        ("train/fit", "fit", 105),
        ("each", "each", [101, 102]),
        ("bodies/scale", "bodies", [101, 102]),
        ("choose/then/fit", "fit", 105),
        ("train", "fit", 10),
    ],
)
async def test_the_stage_at_a_path(path: str, field: str, expected: Any) -> None:
    """The one stage calls something else, at any depth; all others are as they were."""
    replacement: Any = shift if path != "train" else Pipeline(x=int).stage("fit", scale)
    result = await WHOLE.override(path, replacement).build().run(x=5, xs=[1, 2])
    if path == "train/fit":
        assert (await Pipeline(x=int).stage("train", BODY.stage("fit", scale)).override(path, shift).build().run(x=5)).fit == 105
    else:
        assert result[field] == expected
    assert result.first == 15
    assert (await WHOLE.build().run(x=5, xs=[1, 2])).fit == 10, "the pipeline itself is not changed"


async def test_the_stage_keeps_its_name_contract_hooks_and_constants() -> None:
    """The replacement gets the constants, and its output passes contract and gate."""

    async def other(x: int, by: int) -> int:
        return x * by + 1

    result = await WHOLE.override("first", other).build().run(x=5, xs=[])
    assert result.first == 16

    async def large(x: int, by: int) -> int:
        return 5000

    with pytest.raises(GateError, match="stage 'first'"):
        await WHOLE.override("first", large).build().run(x=5, xs=[])


async def test_a_pipeline_for_a_function_and_back() -> None:
    """A function may be replaced by a pipeline, and a pipeline by a function; the contract stays."""
    pipeline = Pipeline(x=int).stage("y", scale).through(y=int)
    assert (await pipeline.override("y", Pipeline(x=int).stage("y", shift)).build().run(x=1)).y == 101
    nested = Pipeline(x=int).stage("train", BODY)
    assert (await nested.override("train", shift).build().run(x=1)).y == 101


async def test_within_an_open_loop() -> None:
    """What has been described so far can be overridden, also in a loop that is not ended yet, and by its whole path."""

    async def jump(n: int) -> int:
        return n + 10

    begun = Pipeline().loop_while(lambda ctx: ctx.n < 2, carry={"n": 0}).stage("n", grow)
    assert (await begun.override("loop/n", jump).end_loop().build().run()).n == 10
    assert (await begun.end_loop().override("loop/n", jump).build().run()).n == 10


def test_it_is_checked_against_the_contract() -> None:
    """A replacement that can never fit, reads what is not there, or does not take the constants, is a fault of the stage."""
    (fault,) = faults(WHOLE.override("train/fit", describe))
    assert fault.startswith("train/fit: the stage function returns str, which its contract never takes; expected int")
    (fault,) = faults(WHOLE.override("first", shift))
    assert fault.startswith("first: the constant 'by' is no parameter of the stage function; found 3; expected one of x")

    async def asks(z: int) -> int:
        return z

    (fault,) = faults(WHOLE.override("train/fit", asks))
    assert fault.startswith("train/fit: parameter 'z' needs the field 'z', which nothing provides")
    (fault,) = faults(WHOLE.override("train/fit", 3))  # type: ignore[arg-type]
    assert fault.startswith("train/fit: the stage function cannot be called; found 3")
    (fault,) = faults(WHOLE.override("each", describe))
    assert fault.startswith("each: the stage function returns str")
    (fault,) = faults(WHOLE.override("train", Pipeline(x=int).stage("other", scale)))
    assert fault.startswith("train: the contract of the pipeline 'train' has the field 'fit', which nothing in it provides")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("train/fitt", "Did you mean 'train/fit'?"),
        ("fit", "Did you mean 'train/fit'?"),
        ("loop", "is about a loop, which has no function to replace; expected a stage, one of first, train, train/scale"),
        ("choose", "is about a branch"),
        ("choose/fit", "Did you mean 'train/fit'?"),
        ("nothing", "names no stage"),
        ("", "names no stage"),
        (3, "needs the path of a stage; found 3"),
    ],
)
def test_paths_of_no_stage(path: Any, part: str) -> None:
    """A path that is none, or of a loop or branch, is a fault that lists the stages."""
    (fault,) = faults(WHOLE.override(path, shift))
    assert fault.startswith("override: override(")
    assert part in fault


async def test_local_types_of_a_replacement() -> None:
    """The annotations of a replacement may name classes that are local to where it is given."""

    class Local:
        """A class of this test."""

    def make() -> Local:
        return Local()

    async def use(made: Local) -> bool:
        return isinstance(made, Local)

    pipeline = Pipeline().stage("made", make).stage("used", lambda made: made is None).through(bool)
    assert (await pipeline.override("used", use).build(strict=False).run()).used
