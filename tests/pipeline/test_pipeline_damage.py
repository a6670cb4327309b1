"""Damaged checkpoints: every one is noticed, none is used."""

# ruff: noqa: D103  # stages; each test says what it shows
from __future__ import annotations

import logging
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline, PipelineEvent, StageReused, StageStarted
from metta_sweep.store import SqliteStore

STAGES: Final = ("load", "loop[0]/step", "loop[1]/step", "each[item=0]", "each[item=1]", "report")
COLUMNS: Final = ("inputs", "schema", "code", "digest", "seal", "payload")
Row = tuple[Any, ...]
Damage = Callable[[random.Random, Row, Row], Row]


class Report(BaseModel):
    total: int
    parts: list[int]


def pipeline() -> Pipeline:
    async def load(n: int) -> list[int]:
        return [n, n + 1]

    async def step(i: int, load: list[int]) -> int:
        return i + 1

    async def each(item: int) -> int:
        return item * 10

    async def report(each: list[int], i: int) -> Report:
        return Report(total=sum(each) + i, parts=each)

    loop = Pipeline(n=int).stage("load", load).loop_while(lambda ctx: ctx.i < 2, carry={"i": 0})
    mapped = loop.stage("step", step).through(i=int).end_loop().map("each", each, over="load")
    return mapped.stage("report", report)


def truncated(rng: random.Random, row: Row, other: Row) -> Row:
    payload = row[-1]
    return (*row[:-1], payload[: rng.randrange(len(payload))])


def flipped(rng: random.Random, row: Row, other: Row) -> Row:
    payload = bytearray(row[-1])
    payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
    return (*row[:-1], bytes(payload))


def swapped_payload(rng: random.Random, row: Row, other: Row) -> Row:
    """The payload of another address or run, with the digest that fits it."""
    return (*row[:3], other[3], row[4], other[5])


def swapped_row(rng: random.Random, row: Row, other: Row) -> Row:
    """All that is kept of another address or run, its seal included."""
    return other


def renamed_inputs(rng: random.Random, row: Row, other: Row) -> Row:
    """What would make it look as if it had been made of what is read now, or of other code."""
    column = rng.randrange(3)
    return (*row[:column], str(row[column])[::-1], *row[column + 1 :])


def emptied(rng: random.Random, row: Row, other: Row) -> Row:
    return (*row[:-1], rng.choice([b"", b"{}", b"null", "text", 3, b"\x00" * len(row[-1])]))


@pytest.mark.parametrize("damage", [truncated, flipped, swapped_payload, swapped_row, renamed_inputs, emptied])
async def test_damage_is_noticed_and_never_used(damage: Damage, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At least 60 times each: a payload cut, flipped, emptied, or swapped between addresses and runs; a column that was changed.

    The stage at that address runs again, with a warning; the result is that of an undamaged run; the others are reused.
    """
    rng = random.Random(damage.__name__)
    store = SqliteStore(tmp_path / "store.db")
    plan = pipeline().build()
    for name, n in (("one", 1), ("two", 5)):
        await plan.run(name=name, store=store, n=n)
    done = 0
    for _ in range(6):
        for name, n in (("one", 1), ("two", 5)):
            for address in STAGES:
                other = rng.choice([place for place in _places() if place != (name, address)])
                damaged = damage(rng, _read(store, name, address), _read(store, *other))
                if damaged == _read(store, name, address):
                    continue
                _write(store, name, address, damaged)
                assert plan.plan_resume(name=name, store=store, n=n).of("rerun")[0].address == address
                caplog.clear()
                events: list[PipelineEvent] = []
                with caplog.at_level(logging.WARNING, "metta_sweep"):
                    result = await plan.run(name=name, store=store, n=n, listeners=[events.append])
                assert result.total == 10 * (n + n + 1) + 2
                assert result.parts == [n * 10, n * 10 + 10]
                assert [event.address for event in events if isinstance(event, StageStarted)] == [address]
                assert {event.address for event in events if isinstance(event, StageReused)} == {*STAGES} - {address}
                assert f"the checkpoint at {address}: what is recorded is damaged and is not used" in caplog.text
                done += 1
    assert done >= 60
    store.close()


async def test_a_flipped_bit_in_the_file_is_noticed(tmp_path: Path) -> None:
    """One bit in the payload of a checkpoint, in the database's file itself, thirty times."""
    rng = random.Random(0)
    path = tmp_path / "store.db"
    for turn in range(30):
        store = SqliteStore(path)
        plan = pipeline().build()
        await plan.run(name="one", store=store, n=turn // 10)
        address = STAGES[turn % len(STAGES)]
        payload, seal = (_read(store, "one", address)[index] for index in (5, 4))
        store.close()
        content = bytearray(path.read_bytes())
        place = content.find(seal + payload)
        assert place >= 0
        content[place + rng.randrange(len(seal) + len(payload))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        store = SqliteStore(path)
        events: list[PipelineEvent] = []
        result = await plan.run(name="one", store=store, n=turn // 10, listeners=[events.append])
        store.close()
        assert result.total == 10 * (turn // 10 * 2 + 1) + 2
        assert [event.address for event in events if isinstance(event, StageStarted)] == [address]


async def test_a_lost_row_is_made_again(tmp_path: Path) -> None:
    """A checkpoint that is gone is work that was not done."""
    store = SqliteStore(tmp_path / "store.db")
    plan = pipeline().build()
    await plan.run(name="one", store=store, n=1)
    with store._writer as cursor:
        cursor.execute("DELETE FROM checkpoints WHERE address = 'load'")
    events: list[PipelineEvent] = []
    assert (await plan.run(name="one", store=store, n=1, listeners=[events.append])).total == 32
    assert [event.address for event in events if isinstance(event, StageStarted)] == ["load"]
    store.close()


def _places() -> list[tuple[str, str]]:
    return [(name, address) for name in ("one", "two") for address in STAGES]


_WHERE: Final = "WHERE address = ? AND run = (SELECT id FROM runs WHERE name = ?)"


def _read(store: SqliteStore, name: str, address: str) -> Row:
    with store._writer as cursor:
        found: Row = cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM checkpoints {_WHERE}", (address, name)).fetchone()
    return found


def _write(store: SqliteStore, name: str, address: str, row: Row) -> None:
    with store._writer as cursor:
        assert isinstance(cursor, sqlite3.Cursor)
        sets = ", ".join(f"{column} = ?" for column in COLUMNS)
        cursor.execute(f"UPDATE checkpoints SET {sets} {_WHERE}", (*row, address, name))
