"""The order of all that surrounds a stage function, and what hooks can and cannot do."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from metta_sweep.clock import crash_points
from metta_sweep.errors import BuildError, ContractError, GateError, HookError
from metta_sweep.pipeline import HookFailed, Pipeline, PipelineEvent, StageFinished, StageReused, hooks
from metta_sweep.store import MemoryStore
from metta_sweep.testing.virtual import run_virtual

ATTEMPT = ["function", "contract", "validate"]
BEFORE = ["global before", "before"]
AFTER = ["after", "metrics", "global after"]
PERSIST = ["persist.before", "persist.after"]


class Log:
    """Writes down what is called, in order."""

    def __init__(self, *, asynchronous: bool = False, refusals: int = 0) -> None:
        self.lines: list[str] = []
        self._asynchronous = asynchronous
        self._refusals = refusals

    def note(self, line: str, *_: Any) -> Any:
        """Write it down; asynchronous hooks do so after a while."""
        if not self._asynchronous:
            self.lines.append(line)
            return None

        async def later() -> None:
            await asyncio.sleep(0)
            self.lines.append(line)

        return later()

    def says(self, line: str) -> Callable[..., Any]:
        """A hook that writes this line."""
        return functools.partial(self.note, line)

    def checked(self, value: int) -> int:
        """Part of the contract."""
        self.lines.append("contract")
        return value

    def gate(self, value: int) -> bool:
        """Refuses some times."""
        self.lines.append("validate")
        self._refusals -= 1
        return self._refusals < 0

    def persisted(self, point: str) -> None:
        """A crash point was passed."""
        self.lines.append(point.split(" ", maxsplit=1)[0])

    def hooks(self) -> dict[str, Any]:
        """All of them."""
        told = {name: self.one(name) for name in ("before", "after", "metrics")}
        return {**told, "validate": self.gate}

    def one(self, line: str) -> Callable[[Any], Any]:
        """A hook of one argument."""
        return lambda data: self.note(line)

    def around(self, name: str = "global") -> dict[str, Any]:
        """Global hooks."""
        return {
            "before": lambda stage, data: self.note(f"{name} before"),
            "after": lambda stage, data: self.note(f"{name} after"),
        }

    def without_reading_back(self) -> list[str]:
        """The lines, without a check of what was written to a store, which comes after the last gate."""
        last = max(index for index, line in enumerate(self.lines) if line == "validate")
        return [line for index, line in enumerate(self.lines) if line != "contract" or index < last]

    @property
    def contract(self) -> Any:
        """An int that says when it is checked."""
        return Annotated[int, AfterValidator(self.checked)]


def pipeline(log: Log, *, threaded: bool = False, fn: Callable[..., Any] | None = None, **more: Any) -> Pipeline:
    """One stage with everything attached."""

    def works() -> int:
        log.lines.append("function")
        return 1

    async def works_async() -> int:
        return works()

    stage = fn or (works if threaded else works_async)
    return Pipeline().stage("s", stage).through(log.contract, **{**log.hooks(), **more}).with_global_hooks(**log.around())


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("seconds", [None, 30])
async def test_the_order(threaded: bool, asynchronous: bool, seconds: float | None) -> None:
    """Global before, before, attempt (function, contract, gate), after, metrics, global after."""
    log = Log(asynchronous=asynchronous)
    await pipeline(log, threaded=threaded, timeout=seconds).build().run()
    assert log.lines == [*BEFORE, *ATTEMPT, *AFTER]


@pytest.mark.parametrize("total", [None, 30])
async def test_the_order_of_a_kept_and_retried_stage(total: float | None) -> None:
    """Attempts repeat function, contract and gate; the record is made once, before observers are told of the output."""
    log = Log(refusals=2)
    with crash_points(log.persisted):
        await pipeline(log, retry=2, timeout=30, total_timeout=total).build().run(store=MemoryStore())
    assert log.without_reading_back() == [*BEFORE, *ATTEMPT * 3, *PERSIST, *AFTER]


async def test_a_replacement_is_checked_and_recorded_like_an_output() -> None:
    """After the last attempt: ``on_error``, then contract and gate again, then the record."""
    log = Log()

    async def fails() -> int:
        log.lines.append("function")
        raise OSError

    def replaces(error: Exception) -> int:
        log.lines.append("on_error")
        return 5

    told: list[PipelineEvent] = []
    with crash_points(log.persisted):
        result = await pipeline(log, fn=fails, retry=1, on_error=replaces).build().run(store=MemoryStore(), listeners=[told.append])
    assert log.without_reading_back() == [*BEFORE, "function", "function", "on_error", "contract", "validate", *PERSIST, *AFTER]
    assert result.s == 5
    finished = told[-1]
    assert isinstance(finished, StageFinished)
    assert finished.attempts == 2


async def test_a_reused_stage_did_not_run() -> None:
    """Its observers are not told: the event ``StageReused`` is."""
    log, store = Log(), MemoryStore()
    await pipeline(log).build().run(store=store, name="kept")
    log.lines.clear()
    told: list[PipelineEvent] = []
    await pipeline(log).build().run(store=store, name="kept", listeners=[told.append])
    assert [line for line in log.lines if line != "contract"] == []
    assert [type(event) for event in told] == [StageReused]


async def test_the_order_around_nested_pipelines() -> None:
    """Hooks of the enclosing pipeline are outermost, also around the stages inside; each stage has its own inside of them."""
    log = Log()
    told = {name: log.one(f"fit {name}") for name in ("before", "after")}
    inner = Pipeline().stage("fit", lambda: log.note("function") or 1).through(int, **told)
    inner = inner.with_global_hooks(**log.around("inner"))
    told = {name: log.one(f"train {name}") for name in ("before", "after")}
    outer = Pipeline().stage("train", inner).through(int, **told)
    await outer.with_global_hooks(**log.around("outer")).build().run()
    assert log.lines == [
        "outer before",
        "train before",
        "outer before",
        "inner before",
        "fit before",
        "function",
        "fit after",
        "inner after",
        "outer after",
        "train after",
        "outer after",
    ]


async def test_the_order_for_items_of_a_map() -> None:
    """Each item has the whole order of its own; the label of global hooks knows its address."""
    log = Log()
    addresses: list[str] = []

    async def works(n: int) -> int:
        log.lines.append("function")
        return n

    plan = (
        Pipeline(ns=list[int])
        .map("each", works, over="ns", into="out", limit=1)
        .through(log.contract, **log.hooks())
        .with_global_hooks(**log.around())
        .with_global_hooks(before=lambda stage, data: addresses.append(stage.address))
    )
    result = await plan.build().run(ns=[1, 2])
    assert log.lines == [*BEFORE, *ATTEMPT, *AFTER] * 2
    assert addresses == ["each[item=0]", "each[item=1]"]
    assert result.out == [1, 2]


async def test_the_order_of_several_global_hooks() -> None:
    """Those of several calls are told in the order of the calls, before and after."""
    log = Log()
    several = pipeline(log).with_global_hooks(**log.around("second"))
    await several.build().run()
    assert log.lines == ["global before", "second before", "before", *ATTEMPT, "after", "metrics", "global after", "second after"]


# -- what hooks cannot do -------------------------------------------------------------------------------------------------------


def broken(*_: Any) -> None:
    """A hook with a mistake."""
    raise KeyError("mistake")


@pytest.mark.parametrize(
    ("name", "everywhere"), [("before", False), ("after", False), ("metrics", False), ("before", True), ("after", True)]
)
async def test_an_observer_never_loses_a_result(name: str, everywhere: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged and told; with strict hooks it is raised, after the record was made."""

    async def works() -> int:
        return 1

    described = Pipeline().stage("s", works).through(int, **({} if everywhere else {name: broken}))
    plan = (described.with_global_hooks(**{name: broken}) if everywhere else described).build()
    told: list[PipelineEvent] = []
    assert (await plan.run(listeners=[told.append])).s == 1
    (failed,) = [event for event in told if isinstance(event, HookFailed)]
    assert (failed.hook, failed.address) == (name, "s")
    assert f"hook '{name}' of stage 's' at s raised KeyError: 'mistake'" in caplog.text
    store = MemoryStore()
    with pytest.raises(KeyError) as caught:
        await plan.run(strict_hooks=True, store=store, name="kept")
    assert any(f"in hook '{name}' of stage 's' at s" in note for note in caught.value.__notes__)
    again: list[PipelineEvent] = []
    if name != "before":
        await plan.run(strict_hooks=True, store=store, name="kept", listeners=[again.append])
        assert [type(event) for event in again] == [StageReused]


async def test_observers_change_nothing() -> None:
    """What they return is dropped; a replaced field of what they get reaches nobody."""

    async def works(n: int) -> int:
        return n + 1

    plan = Pipeline(n=int).stage("s", works).through(int, before=lambda d: {"n": 9}, after=lambda d: 99, metrics=clear).build()
    assert (await plan.run(n=1)).s == 2


def clear(metrics: dict[str, Any]) -> None:
    """Spoils what it gets."""
    metrics.clear()


def test_on_error_replaces_no_cancellation() -> None:
    """A cancelled run ends, whatever its handlers would give; they are not even asked."""
    asked: list[Any] = []

    async def slow() -> int:
        await asyncio.sleep(100)
        return 1

    def replaces(error: Exception) -> int:
        asked.append(error)
        return 1

    async def main() -> None:
        run = asyncio.create_task(Pipeline().stage("s", slow).through(int, on_error=replaces).build().run())
        await asyncio.sleep(1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    run_virtual(main())
    assert asked == []


async def test_a_replacement_that_does_not_fit() -> None:
    """It is refused like an output; the error says that it is the replacement, and of which error."""

    async def fails() -> int:
        raise OSError("down")

    described = Pipeline().stage("s", fails)
    with pytest.raises(ContractError) as misfit:
        await described.through(int, on_error=lambda error: "text").build().run()
    with pytest.raises(GateError) as refused:
        await described.through(int, on_error=lambda error: -1, validate=lambda n: n > 0).build().run()
    for caught in (misfit, refused):
        assert "this is the replacement that its on_error hook gave for OSError: down" in caught.value.__notes__
    with pytest.raises(OSError, match="down"):
        await described.through(int, on_error=lambda error: None).build().run()


# -- what hooks must be ---------------------------------------------------------------------------------------------------------


class Telling:
    """A callable object."""

    def __call__(self, data: Any) -> None:
        """Told."""

    async def later(self, data: Any) -> None:
        """Told, asynchronously."""


async def yields(data: Any) -> AsyncIterator[int]:
    """An asynchronous generator."""
    yield 1


def yields_too(data: Any) -> Iterator[int]:
    """A generator."""
    yield 1


def no_argument() -> None:
    """Takes nothing."""


def two(stage: Any, data: Any) -> None:
    """Takes two."""


BAD: list[tuple[str, Any, str]] = [
    ("timeout", "300", "Write timeout=300"),
    ("timeout", -1, "Write timeout=300"),
    ("timeout", [3], "Write timeout=300"),
    ("timeout", lambda d: 3, "Write timeout=300"),
    ("total_timeout", 0, "Write total_timeout=3600"),
    ("total_timeout", float("nan"), "Write total_timeout=3600"),
    ("total_timeout", True, "Write total_timeout=3600"),
    ("timeout_mode", "fork", "Write timeout_mode='process'"),
    ("timeout_mode", True, "Write timeout_mode='process'"),
    ("retry", -1, "Write retry=3"),
    ("retry", "3", "Write retry=3"),
    ("retry", 2.0, "Write retry=3"),
    ("checkpoint", 1, "Write checkpoint=False"),
    ("profile", "yes", "Write profile=True"),
    ("after", 3, "Write after=lambda d: ..."),
    ("after", "print", "Write after=lambda d: ..."),
    ("after", Telling, "Pass an instance, or write fields(after=Telling)"),
    ("after", int, "Pass an instance, or write fields(after=int)"),
    ("after", no_argument, "Write after=lambda d: ..."),
    ("before", two, "Write before=lambda d: ..."),
    ("validate", yields, "Leave the yield out"),
    ("metrics", yields_too, "Leave the yield out"),
    ("on_error", functools.partial(two, 1, 2), "Write on_error=lambda d: ..."),
]


@pytest.mark.parametrize(("name", "value", "remedy"), BAD)
def test_values_that_hooks_cannot_have(name: str, value: Any, remedy: str) -> None:
    """Each is a fault of the build, and refused by ``hooks()`` at once; both say how to mend it."""
    with pytest.raises(BuildError) as caught:
        Pipeline(n=int).stage("s", abs_of).through(int, **{name: value}).build()
    (fault,) = caught.value.faults
    assert fault.stage == "s"
    assert name in fault.message
    assert remedy in fault.message
    with pytest.raises(HookError) as refused:
        hooks(**{name: value})
    assert remedy in str(refused.value)


async def abs_of(n: int) -> int:
    """A stage."""
    return abs(n)


@pytest.mark.parametrize("good", [Telling(), Telling().later, lambda d: None, lambda *d: None, lambda d, more=1: None, print])
async def test_values_that_hooks_can_have(good: Any) -> None:
    """Objects, methods, lambdas and builtins, sync and async."""
    assert (await Pipeline(n=int).stage("s", abs_of).through(int, after=good).build().run(n=-2)).s == 2


# -- figures --------------------------------------------------------------------------------------------------------------------


async def test_only_what_asks_is_measured() -> None:
    """``profile=True`` of one stage measures that stage; of the pipeline all but those that say False."""

    async def count(n: int) -> int:
        return n + 1

    chain = Pipeline(n=int).stage("a", count).through(n=int, profile=True).stage("b", count).through(n=int)
    one = await chain.build().run(n=1)
    assert list(one.profile) == ["a"]
    every = chain.stage("c", count).through(n=int, profile=False).with_global_hooks(profile=True)
    assert list((await every.build().run(n=1)).profile) == ["a", "b"]


async def test_figures_of_nested_paths() -> None:
    """Stages inside of loops, maps and pipelines are counted by their path; as text it is a table."""

    async def count(n: int) -> int:
        return n + 1

    async def turn(turn: int) -> int:
        return turn + 1

    inner = Pipeline(n=int).stage("fit", count).through(n=int)
    whole = (
        Pipeline(n=int, ns=list[int])
        .stage("train", inner)
        .through(n=int)
        .loop_while(lambda ctx: ctx.turn < 3, carry={"turn": 0}, name="loop")
        .stage("turned", turn)
        .through(turn=int)
        .end_loop()
        .map("each", count, over="ns", into="out")
        .with_global_hooks(profile=True)
    )
    result = await whole.build().run(n=1, ns=[1, 2])
    assert {path: figures.calls for path, figures in result.profile.items()} == {
        "train/fit": 1,
        "train": 1,
        "loop/turned": 3,
        "each": 2,
    }
    for figures in result.profile.values():
        assert 0 < figures.p50 <= figures.p95 <= figures.total
    head, *lines = str(result.profile).splitlines()
    assert head.split() == ["stage", "calls", "total", "p50", "p95"]
    assert [line.split()[:2] for line in lines] == [["train/fit", "1"], ["train", "1"], ["loop/turned", "3"], ["each", "2"]]
    assert len({len(line) for line in (head, *lines)}) == 1
    assert "profile=True" in str((await inner.build().run(n=1)).profile)
