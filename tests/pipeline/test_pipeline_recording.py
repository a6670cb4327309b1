"""Kept runs: checkpoints, resuming, and recorders of others."""

# ruff: noqa: D102  # stages and helpers; each test says what it shows
from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from metta_sweep.errors import BuildError, ContractError
from metta_sweep.pipeline import Pipeline, PipelineEvent, StageReused
from metta_sweep.records import Checkpoint, LoopState
from metta_sweep.store.memory import MemoryStore


class Turned(NamedTuple):
    turn: int


class Machine:
    """Something that has no JSON form."""


class Journal:
    """A recorder of someone else: keeps outputs as they are and says where loops go on."""

    keeps = True
    needs_inputs = False

    def __init__(self, states: Mapping[str, LoopState] | None = None) -> None:
        self.entries: list[tuple[str, object]] = []
        self.states = states or {}

    def recorded(self, address: str) -> Checkpoint | None:
        raise AssertionError("a recorder that needs no inputs is never asked")

    def record(self, address: str, output: object, checkpoint: Checkpoint | None) -> None:
        assert checkpoint is None
        self.entries.append((address, output))

    def loop_state(self, address: str) -> LoopState | None:
        return self.states.get(address)


class Steps:
    """Stages that count their calls, and fail once where they are told to."""

    def __init__(self, fail_at: int = -1) -> None:
        self.calls: list[str] = []
        self.fail_at = fail_at

    async def load(self, n: int) -> list[int]:
        self.calls.append("load")
        return list(range(n))

    async def turn(self, turn: int, load: list[int]) -> int:
        self.calls.append(f"turn {turn}")
        if turn == self.fail_at:
            raise OSError("crash")
        return turn + 1

    def total(self, load: list[int], turn: int) -> float:
        self.calls.append("total")
        return float(sum(load) + turn)

    def pipeline(self) -> Pipeline:
        loop = Pipeline(n=int).stage("load", self.load).loop_while(lambda ctx: ctx.turn < len(ctx.load), carry={"turn": 0})
        return loop.stage("turn", self.turn).end_loop().stage("total", self.total)


async def test_a_kept_run_goes_on_where_it_was() -> None:
    """Recorded outputs are reused, the failure is not replayed, and the result is that of an uninterrupted run."""
    store = MemoryStore()
    broken, mended = Steps(fail_at=2), Steps()
    with pytest.raises(OSError, match="crash"):
        await broken.pipeline().build().run(name="kept", store=store, n=4)
    events: list[PipelineEvent] = []
    result = await mended.pipeline().build().run(name="kept", store=store, n=4, listeners=[events.append])
    assert mended.calls == ["turn 2", "turn 3", "total"]
    assert (result.total, result.turn) == (10.0, 4)
    assert [event.address for event in events if isinstance(event, StageReused)] == ["load", "loop[0]/turn", "loop[1]/turn"]


async def test_other_inputs_are_other_work() -> None:
    """A recorded output is reused only where the stage reads the same."""
    store = MemoryStore()
    await Steps().pipeline().build().run(name="kept", store=store, n=2)
    again, other = Steps(), Steps()
    await again.pipeline().build().run(name="kept", store=store, n=2)
    await other.pipeline().build().run(name="kept", store=store, n=3)
    assert again.calls == []
    assert other.calls == ["load", "turn 0", "turn 1", "turn 2", "total"]


async def test_unnamed_runs_share_nothing() -> None:
    """A run without a name is kept under an id of its own."""
    store, steps = MemoryStore(), Steps()
    for _ in range(2):
        await steps.pipeline().build().run(store=store, n=0)
    assert steps.calls == ["load", "total"] * 2
    assert len(store.runs()) == 2


async def test_a_run_is_released_however_it_ends() -> None:
    """After a failure the run can be started again."""
    store = MemoryStore()
    for _ in range(2):
        with pytest.raises(OSError, match="crash"):
            await Steps(fail_at=0).pipeline().build().run(name="kept", store=store, n=1)


async def test_opting_out() -> None:
    """``checkpoint=False`` keeps a stage out; it runs again."""
    store, calls = MemoryStore(), []

    async def load() -> int:
        calls.append(1)
        return 1

    for _ in range(2):
        await Pipeline().stage("load", load).through(int, checkpoint=False).build().run(name="kept", store=store)
    assert len(calls) == 2


async def test_what_cannot_be_kept_is_a_fault() -> None:
    """A field without a JSON form stops a kept run before it begins, unless its stage opts out."""

    async def build() -> Machine:
        return Machine()

    plan = Pipeline().stage("machine", build).build()
    with pytest.raises(BuildError, match="machine: the field 'machine' cannot be kept as JSON; found the type Machine"):
        await plan.run(store=MemoryStore())
    assert isinstance((await plan.run()).machine, Machine)
    await Pipeline().stage("machine", build).through(checkpoint=False).build().run(store=MemoryStore())


async def test_damage_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """A payload that is not what was written is never used."""
    store, again = MemoryStore(), Steps()
    await Steps().pipeline().build().run(name="kept", store=store, n=0)
    run = store.runs()[0].run_id
    kept = store.get_checkpoint(run, "load")
    assert kept is not None
    store.put_checkpoint(run, kept._replace(payload=b'{"load":[9]}'))
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        result = await again.pipeline().build().run(name="kept", store=store, n=0)
    assert result.load == []
    assert again.calls == ["load"]
    assert "the checkpoint at load: what is recorded is damaged and is not used" in caplog.text


async def test_a_changed_contract_is_a_clear_error() -> None:
    """A recorded value that no longer fits names its field."""
    store = MemoryStore()

    async def count() -> Any:
        return 3

    await Pipeline().stage("count", count).through(n=int).build().run(name="kept", store=store)
    with pytest.raises(ContractError, match="field 'n' \\(str\\)"):
        await Pipeline().stage("count", count).through(n=str).build().run(name="kept", store=store)


async def test_changed_code_warns(caplog: pytest.LogCaptureFixture) -> None:
    """By default the recorded output is used, and a warning says that the code changed."""
    store = MemoryStore()
    await Pipeline().stage("count", lambda: 3).through(n=int).build().run(name="kept", store=store)
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        result = await Pipeline().stage("count", lambda: 2 + 2).through(n=int).build().run(name="kept", store=store)
    assert result.n == 3
    assert "stage 'count' at count: its code has changed since; the recorded output is used" in caplog.text


async def test_a_recorder_gets_outputs_as_they_are() -> None:
    """Frozen outputs are recorded by identity, under their addresses, before the next stage starts."""
    made: list[Turned] = []
    journal = Journal()

    async def turn(turn: int) -> Turned:
        assert len(journal.entries) == turn
        made.append(Turned(turn + 1))
        return made[-1]

    loop = Pipeline().loop_while(lambda ctx: ctx.turn < 3, carry={"turn": 0}, name="sweep").stage("pick", turn)
    for hooks in ({}, {"after": lambda d: None, "checkpoint": False}):
        made.clear()
        journal.entries.clear()
        await loop.through(Turned, **hooks).end_loop().build().run(recorder=journal, address="top")
        assert [address for address, _ in journal.entries] == ["top/sweep[0]/pick", "top/sweep[1]/pick", "top/sweep[2]/pick"]
        assert all(output is one for (_, output), one in zip(journal.entries, made, strict=True))


async def test_a_journalled_loop_goes_on_from_its_state() -> None:
    """Index and carried values come from the recorder; nothing before is run again."""
    journal = Journal({"sweep": LoopState(7, {"turn": 7})})

    async def turn(turn: int) -> Turned:
        return Turned(turn + 1)

    loop = Pipeline().loop_while(lambda ctx: ctx.turn < 9, carry={"turn": 0}, name="sweep").stage("pick", turn).end_loop()
    result = await loop.build().run(recorder=journal)
    assert [address for address, _ in journal.entries] == ["sweep[7]/pick", "sweep[8]/pick"]
    assert result.turn == 9


async def test_memory_does_not_grow_with_iterations() -> None:
    """A long loop leaves nothing behind."""
    import tracemalloc

    async def turn(turn: int) -> Turned:
        return Turned(turn + 1)

    async def used(limit: int) -> int:
        loop = Pipeline().loop_while(lambda ctx: ctx.turn < ctx.limit, carry={"turn": 0, "limit": limit})
        plan = loop.stage("turn", turn).end_loop().build()
        tracemalloc.start()
        try:
            await plan.run()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = await used(100), await used(5000)
    assert large < small + 20_000


async def test_a_stage_that_changes_what_it_reads_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A resumed run would not see the change: one warning names stage and field. What is returned as that field is none."""

    def extend(xs: list[int]) -> int:
        xs.append(4)
        return len(xs)

    def extended(xs: list[int]) -> list[int]:
        xs.append(4)
        return xs

    first = Pipeline(n=int).stage("make", lambda n: [n] * 3).through(xs=list[int])
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        await (
            first.stage("extend", extended)
            .through(xs=list[int])
            .stage("use", lambda xs: len(xs))
            .through(int)
            .build()
            .run(store=MemoryStore(), n=1)
        )
        await first.stage("extend", extend).through(checkpoint=False).build().run(store=MemoryStore(), n=1)
        await first.stage("extend", extend).build().run(n=1)
    assert caplog.messages == []
    looping = first.loop(Pipeline().stage("extend", extend).through(n=int), while_=lambda ctx: ctx.n < 6)
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        await looping.build().run(store=MemoryStore(), n=1)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("stage 'loop/extend' changes what it reads in place: 'xs'. A resumed run, which")
