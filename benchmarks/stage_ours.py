"""Ten no-op stages in a row as this system does them, and the floors: what the least code by hand costs.

The functions have the form of those in ``stage_timing.py``.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from stage_timing import RELAXED, STAGES, Contender, awaited, fresh

from metta_sweep.pipeline import Pipeline, Plan, StageContext
from metta_sweep.store import SqliteStore

__all__ = ["OURS"]

TURNS: Final = 100


class Counted(NamedTuple):
    """The output of a stage with a named tuple as its contract."""

    total: int


class Model(BaseModel):
    """The output of a stage with a pydantic model as its contract."""

    model_config = ConfigDict(frozen=True)
    total: int


async def step(count: int) -> int:
    return count


async def step_of_item(item: int) -> int:
    return item


async def step_tuple(count: int) -> Counted:
    return Counted(count)


async def step_model(count: int) -> Model:
    return Model(total=count)


async def step_with_context(count: int, context: StageContext) -> int:
    return count


def _ignore(count: int) -> None:
    """A hook that does nothing."""


STEPS: Final[dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]] = {
    "named field": (step, (), {"count": int}),
    "named tuple": (step_tuple, (Counted,), {}),
    "pydantic model": (step_model, (Model,), {}),
    "stage context": (step_with_context, (), {"count": int}),
    "after hook": (step, (), {"count": int, "after": _ignore}),
    "profile": (step, (), {"count": int, "profile": True}),
    "timeout": (step, (), {"count": int, "timeout": 60}),
}
"""Kinds of stages: the function, and what its ``.through()`` gets."""


def chain(kind: str) -> Plan:
    """Ten stages of one kind."""
    fn, contract, keywords = STEPS[kind]
    pipeline = Pipeline(count=int)
    for number in range(STAGES):
        pipeline = pipeline.stage(f"s{number}", fn).through(*contract, **keywords)
    return pipeline.build()


def turning() -> Plan:
    """Ten stages, one after another, in a loop of 100 iterations."""

    async def turned(turn: int) -> int:
        return turn + 1

    pipeline = Pipeline(count=int).loop_while(lambda ctx: ctx.turn < TURNS, carry={"turn": 0})
    for number in range(STAGES - 1):
        pipeline = pipeline.stage(f"s{number}", step).through(count=int)
    return pipeline.stage("turned", turned).through(turn=int).end_loop().build()


def floor(runs: int, _: Path) -> float:
    """Ten plain awaits."""

    async def once() -> None:
        count = 1
        for _ in range(STAGES):
            count = await step(count)

    return asyncio.run(awaited(once, runs))


def in_memory(kind: str, runs: int, _: Path) -> float:
    """Ten stages of one kind, kept nowhere."""
    plan = chain(kind)
    return asyncio.run(awaited(lambda: plan.run(count=1), runs))


def in_loop(runs: int, _: Path) -> float:
    """As many stages in a loop: of a hundred iterations each time, so that a run's own cost vanishes."""
    plan = turning()
    loops = max(1, runs // TURNS)
    return asyncio.run(awaited(lambda: plan.run(count=1), loops)) / loops / TURNS * runs


def kept_by_hand(runs: int, folder: Path) -> float:
    """The least that keeps ten outputs: a row and a commit for each, without a wait for the disk."""
    with closing(sqlite3.connect(fresh(folder), isolation_level=None)) as connection:
        for pragma in RELAXED:
            connection.execute(pragma)
        connection.execute("CREATE TABLE kept (run INTEGER, stage TEXT, output TEXT, PRIMARY KEY (run, stage))")
        numbers = iter(range(10**9))

        async def once() -> None:
            run, count = next(numbers), 1
            for number in range(STAGES):
                count = await step(count)
                connection.execute("INSERT INTO kept VALUES (?, ?, ?)", (run, f"s{number}", json.dumps(count)))

        return asyncio.run(awaited(once, runs))


def kept(runs: int, folder: Path, *, durability: Literal["process", "power"] = "process") -> float:
    """Ten stages, each kept before the next; every run is a new one, which is opened, kept and released too."""
    plan = chain("named field")
    with closing(SqliteStore(fresh(folder), durability=durability)) as store:
        return asyncio.run(awaited(lambda: plan.run(count=1, store=store), runs))


def kept_in_loop(runs: int, folder: Path) -> float:
    """As many kept stages in a loop, so that opening the run weighs nothing."""
    plan = turning()
    loops = max(1, runs // TURNS)
    with closing(SqliteStore(fresh(folder))) as store:
        return asyncio.run(awaited(lambda: plan.run(count=1, store=store), loops)) / loops / TURNS * runs


def kept_in_map(runs: int, folder: Path) -> float:
    """As many items of a map, 64 at a time, each kept by itself."""
    plan = Pipeline(items=list[int]).map("each", step_of_item, over="items", into="counts", limit=64).through(int).build()
    maps = max(1, runs // TURNS)
    items = list(range(STAGES * TURNS))
    with closing(SqliteStore(fresh(folder))) as store:
        return asyncio.run(awaited(lambda: plan.run(items=items, store=store), maps)) / maps / TURNS * runs


OURS: Final[dict[str, Contender]] = {
    "floor": floor,
    **{kind: partial(in_memory, kind) for kind in STEPS},
    "in a loop": in_loop,
    "kept floor": kept_by_hand,
    "kept": kept,
    "kept in a loop": kept_in_loop,
    "kept in a map": kept_in_map,
    "kept, power": partial(kept, durability="power"),
}
