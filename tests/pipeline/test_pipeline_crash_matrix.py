"""A kept run that dies at any address, before or after it is recorded, goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from crash_kit import PLACES, STAGES, run_it, summary

from metta_sweep.clock import crash_points
from metta_sweep.store.memory import MemoryStore
from metta_sweep.store.sql.store import SqliteStore
from metta_sweep.testing import CrashPlan, crash_at

Moment = Literal["before", "after"]
KIT = Path(__file__).with_name("crash_kit.py")
MOMENTS: tuple[Moment, ...] = ("before", "after")
KILLED = (
    "load",
    "train[item=0]/fit",
    "train[item=1]/fit",
    "train[item=2]/score",
    "train[item=1]",
    "rate[item=2]",
    "loop[0]/odd/then/shrink",
    "loop[1]/turn",
    "loop[1]/odd/otherwise/add",
    "refine/steps[1]/step",
    "refine/deep/settle",
    "refine/deep",
    "refine",
    "choose/otherwise/rates[item=1]",
    "total",
)
"""Addresses of every kind."""


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, Any]:
    """What the run leaves behind when nothing happens to it."""
    return summary(asyncio.run(run_it(MemoryStore(), lambda _: None)))


@pytest.fixture
def where(tmp_path: Path) -> str:
    """A store in a file."""
    return str(tmp_path / "kept.db")


def _until_the_crash(plan: CrashPlan, done: list[str]) -> Callable[[str], None]:
    """Takes down what came to its end; in a process that died, items beside the one that crashed would not come to theirs."""
    return lambda place: None if plan.crashed else done.append(place)


def _runs(crashed: str, moment: Moment) -> dict[str, int]:
    """How often each stage should have come to its end: only what died before it was recorded runs again."""
    return {stage: 2 if stage == crashed and moment == "before" else 1 for stage in STAGES}


async def test_the_matrix_covers_every_address() -> None:
    """Each address is recorded once: those of stages in loops, branches, items and nested pipelines, and of these themselves."""
    passed: list[str] = []
    done: list[str] = []
    with crash_points(passed.append):
        await run_it(MemoryStore(), done.append)
    persisted = [place.removeprefix("persist.before ") for place in passed if place.startswith("persist.before ")]
    assert sorted(persisted) == sorted(PLACES)
    assert sorted(done) == sorted(STAGES)
    assert set(KILLED) <= PLACES


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("address", sorted(PLACES))
async def test_a_crash_at_any_address_changes_nothing(
    address: str, moment: Moment, where: str, uninterrupted: dict[str, Any]
) -> None:
    """The result is that of an uninterrupted run, and nothing that was recorded ran again."""
    done: list[str] = []
    with crash_at(address, moment) as plan, closing(SqliteStore(where)) as store:
        await run_it(store, _until_the_crash(plan, done))
    with closing(SqliteStore(where)) as store:
        assert summary(await run_it(store, done.append)) == uninterrupted
    assert Counter(done) == _runs(address, moment)


class Death(BaseException):
    """The end of a process that died many times before."""


class Mortal:
    """Dies at each address once, wherever it comes to first. ``dead`` is for the rest of the life at hand."""

    def __init__(self) -> None:
        self.died_at: set[str] = set()
        self.dead = False

    def __call__(self, passing: str) -> None:
        """Die here, if it is time."""
        point, _, address = passing.partition(" ")
        if point != "persist.before":
            return
        if not self.dead and address in self.died_at:
            return
        self.died_at |= set() if self.dead else {address}
        self.dead = True
        raise Death(address)


def _deaths_only(error: BaseException) -> bool:
    """Items that die side by side raise a group."""
    return error.split(Death)[1] is None if isinstance(error, BaseExceptionGroup) else isinstance(error, Death)


async def test_crashes_one_after_another(where: str, uninterrupted: dict[str, Any]) -> None:
    """A run that dies at every address in turn, before it is recorded, comes to its end all the same."""
    done: list[str] = []
    mortal = Mortal()
    with crash_points(mortal):
        for _ in PLACES:
            mortal.dead = False
            with closing(SqliteStore(where)) as store, pytest.raises(BaseException) as caught:  # noqa: PT011  # or a group of them
                await run_it(store, lambda place: None if mortal.dead else done.append(place))
            assert _deaths_only(caught.value)
        assert mortal.died_at == PLACES
        mortal.dead = False
        with closing(SqliteStore(where)) as store:
            assert summary(await run_it(store, done.append)) == uninterrupted
    assert Counter(done) == dict.fromkeys(STAGES, 2)


async def test_a_finished_run_runs_nothing_again(where: str, uninterrupted: dict[str, Any]) -> None:
    """Every output is there: no stage runs a second time."""
    done: list[str] = []
    for _ in range(2):
        with closing(SqliteStore(where)) as store:
            assert summary(await run_it(store, done.append)) == uninterrupted
    assert sorted(done) == sorted(STAGES)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("address", KILLED)
def test_a_killed_process_changes_nothing(
    address: str, moment: Moment, where: str, tmp_path: Path, uninterrupted: dict[str, Any]
) -> None:
    """The same with a process that ends by SIGKILL, and another one that goes on."""
    log = tmp_path / "done.log"
    killed = _child(where, log, address, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert killed.stdout == ""
    resumed = _child(where, log)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout) == uninterrupted
    assert Counter(log.read_text().split()) == _runs(address, moment)


def _child(where: str, log: Path, *crash: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, KIT, where, log, *crash], capture_output=True, text=True, check=False, timeout=60)
