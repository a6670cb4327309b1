"""Crashes at will."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_sweep import Experiment, SweepExperiment, Uniform
from metta_sweep.errors import InvalidInput
from metta_sweep.pipeline import Pipeline, Plan
from metta_sweep.store import MemoryStore
from metta_sweep.testing import Crashed, NeverReached, crash_at

ROOT = Path(__file__).resolve().parents[2]


def counting() -> tuple[Plan, list[str]]:
    """A plan of two stages and a loop of three turns, and a list of the stages that ran."""
    ran: list[str] = []

    async def load(n: int) -> int:
        ran.append("load")
        return n

    async def step(total: int) -> int:
        ran.append("step")
        return total + 1

    async def report(total: int) -> str:
        ran.append("report")
        return f"total {total}"

    pipeline = (
        Pipeline(n=int)
        .stage("load", load)
        .loop_while(lambda ctx: ctx.total < 3, carry={"total": 0}, name="sum")
        .stage("step", step)
        .through(total=int)
        .end_loop()
        .stage("report", report)
    )
    return pipeline.build(), ran


@pytest.mark.parametrize(
    ("address", "moment", "again"),
    [
        ("load", "before", ["load", "step", "step", "step", "report"]),
        ("load", "after", ["step", "step", "step", "report"]),
        ("sum[1]/step", "before", ["step", "step", "report"]),
        ("sum[1]/step", "after", ["step", "report"]),
        ("report", "after", []),
    ],
)
async def test_a_run_ends_there_and_goes_on_from_there(address: str, moment: Any, again: list[str]) -> None:
    """Before the record the stage runs again on resume, after it not; the result is the same."""
    plan, ran = counting()
    store = MemoryStore()
    with crash_at(address, moment) as crash:
        await plan.run(name="kept", store=store, n=1)
    assert crash.crashed
    assert list(crash.passed)[-1] == address
    ran.clear()
    assert (await plan.run(name="kept", store=store, n=1)).report == "total 3"
    assert ran == again


async def test_no_handler_and_no_retry_sees_the_crash() -> None:
    """It is no error of the stage: hooks are not asked, nothing is tried again."""
    seen: list[Any] = []

    async def fragile() -> int:
        seen.append("ran")
        return 1

    plan = (
        Pipeline()
        .stage("fragile", fragile)
        .through(int, retry=3, on_error=seen.append, after=lambda d: seen.append("after"))
        .build()
    )
    with crash_at("fragile"):
        await plan.run(name="kept", store=MemoryStore())
    assert seen == ["ran"]


async def test_a_dead_run_records_nothing_more() -> None:
    """What cleans up after the crash, or runs beside it, finds the store closed to it."""
    plan, ran = counting()
    store = MemoryStore()
    with crash_at("load"):
        with pytest.raises(Crashed, match="ends before the output of load"):
            await plan.run(name="kept", store=store, n=1)
        with pytest.raises(Crashed, match="came too late"):
            await plan.run(name="another", store=store, n=1)
    ran.clear()
    await plan.run(name="another", store=store, n=1)
    assert ran[0] == "load"


async def test_the_second_time_that_an_address_is_passed() -> None:
    """Several runs in one block pass the same addresses: ``occurrence`` counts them."""
    plan, _ = counting()
    store = MemoryStore()
    done: list[str] = []
    with crash_at("load", occurrence=2):
        for name in ("first", "second", "third"):
            await plan.run(name=name, store=store, n=1)
            done.append(name)
    assert done == ["first"]


@pytest.mark.parametrize(
    ("address", "kept", "occurrence", "says"),
    [
        ("sum[1]/stepp", True, 1, r"recorded were: load, sum\[0\]/step, .*, report\. Did you mean 'sum\[1\]/step'\?"),
        ("load", True, 3, r"an output was recorded there once; found occurrence=3\. Lower it\."),
        ("load", False, 1, r"nothing was recorded in the block; .* Pass name= and store="),
    ],
)
async def test_a_crash_that_never_comes_fails_the_test(address: str, kept: bool, occurrence: int, says: str) -> None:
    """It says where the run did come, and what to mend."""
    plan, _ = counting()
    with pytest.raises(NeverReached, match=says), crash_at(address, occurrence=occurrence):
        await (plan.run(name="kept", store=MemoryStore(), n=1) if kept else plan.run(n=1))


def test_another_error_stays_what_it_is() -> None:
    """With a note that the crash had not come yet."""
    with pytest.raises(ValueError, match="mine") as caught, crash_at("load"):
        raise ValueError("mine")
    assert caught.value.__notes__[0].startswith("before the crash: crash_at('load'): nothing was recorded")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: crash_at("a", "during"), r"found 'during'; expected 'before' or 'after'"),  # type: ignore[arg-type]
        (lambda: crash_at("a", occurrence=0), r"the first time is 1; found 0"),
        (lambda: crash_at("a", occurrence="1"), r"the first time is 1; found '1'"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_are_refused(call: Callable[[], Any], says: str) -> None:
    """A moment that there is not, an occurrence that cannot be."""
    with pytest.raises(InvalidInput, match=says), call():
        pass


SCRIPT = """
import asyncio, sys
from metta_sweep import Pipeline, SqliteStore
from metta_sweep.testing import crash_at

async def load(n: int) -> int:
    print("load", flush=True)
    return n

async def double(load: int) -> int:
    print("double", flush=True)
    return load * 2

plan = Pipeline(n=int).stage("load", load).stage("double", double).build()
if sys.argv[2] == "die":
    with crash_at("double", kill=True):
        asyncio.run(plan.run(name="kept", store=SqliteStore(sys.argv[1]), n=4))
else:
    print(asyncio.run(plan.run(name="kept", store=SqliteStore(sys.argv[1]), n=4)).double)
"""


def test_a_process_can_really_be_killed(tmp_path: Path) -> None:
    """With ``kill=True`` the process ends by SIGKILL; another one goes on."""

    def child(word: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "kept.db"), word]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)

    died = child("die")
    assert (died.returncode, died.stdout.split()) == (-signal.SIGKILL, ["load", "double"])
    resumed = child("go on")
    assert (resumed.returncode, resumed.stdout.split(), resumed.stderr) == (0, ["double", "8"], "")


async def test_a_crash_goes_through_blocks_that_wait_for_another_one() -> None:
    """A block whose run another one's crash has ended does not say that all is well."""
    plan, _ = counting()
    after: list[str] = []
    with crash_at("load") as outer:
        with crash_at("nowhere"):
            await plan.run(name="both", store=MemoryStore(), n=1)
        after.append("reached")
    assert outer.crashed
    assert after == []


def test_a_crash_inside_a_trial_ends_the_whole_tree() -> None:
    """The sweep around it records no failure of that trial: run again, it goes on in the stage that was not recorded."""
    ran: list[str] = []

    class Inner(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline(x=float).stage("load", self.load).through(data=int).stage("fit", self.fit).through(score=float)

        async def load(self) -> int:
            ran.append("load")
            return 1

        async def fit(self, data: int, x: float) -> float:
            ran.append("fit")
            return data * x

    store = MemoryStore()

    def run() -> Any:
        return SweepExperiment(
            name="outer", objective=Inner(), search_space={"x": Uniform(0.0, 1.0)}, slots=1, seed=0, store=store
        ).run(budget=3)

    with crash_at("fit", occurrence=2):
        run()
    assert ran == ["load", "fit", "load", "fit"]
    assert [str(trial.state) for trial in run().trials] == ["completed"] * 3
    assert ran[4:] == ["fit", "load", "fit"]
