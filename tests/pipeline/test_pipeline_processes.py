"""Stage functions in processes: they are really ended, and what goes wrong there is said here."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import staged_elsewhere as elsewhere

from metta_sweep.errors import BuildError, ContractError, StageProcessError, StageTimeout
from metta_sweep.pipeline import Pipeline, Retry

IN_PROCESS: dict[str, Any] = {"timeout_mode": "process"}
LONG = 30
"""A timeout that never passes here."""


def stage(fn: Callable[..., Any], contract: Any = int, **hooks: Any) -> Pipeline:
    """One stage in a process."""
    return Pipeline().stage("s", fn).through(contract, **{**IN_PROCESS, **hooks})


def is_gone(pid: int) -> bool:
    """Whether a process has ended; gives it a while."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


async def test_it_runs_in_another_process() -> None:
    """The function runs elsewhere, and its output is checked here."""
    first = await stage(elsewhere.pid, timeout=LONG).build().run()
    again = await stage(elsewhere.pid, timeout=LONG).build().run()
    assert first.s != os.getpid()
    assert again.s == first.s, "the process is used again"


async def test_inputs_constants_and_methods_cross() -> None:
    """Fields, constants, whole contexts, methods, callable objects and partials cross."""
    fns: list[tuple[str, Callable[..., Any], Any]] = [
        ("plain", elsewhere.add, int),
        ("method", elsewhere.Doubling(3).work, int),
        ("object", elsewhere.Doubling(4), int),
        ("partial", functools.partial(elsewhere.add, more=10), int),
        ("context", elsewhere.keys, list[str]),
    ]
    pipeline = Pipeline(n=int)
    for name, fn, contract in fns:
        pipeline = pipeline.stage(name, fn).through(contract, **IN_PROCESS)
    pipeline = pipeline.stage("constant", elsewhere.add, more=5).through(int, **IN_PROCESS)
    result = await pipeline.build().run(n=2)
    assert (result.plain, result.method, result.object, result.partial, result.constant) == (3, 6, 8, 12, 7)
    assert result["context"] == ["method", "n", "object", "partial", "plain"]


async def test_it_is_ended_at_its_deadline(tmp_path: Path) -> None:
    """``StageTimeout`` says so, and the process is gone, with what it started itself."""
    mark = tmp_path / "pids"
    started = time.monotonic()
    with pytest.raises(StageTimeout, match=r"stage 's' at s did not end within 2 s: its process was ended\.") as caught:
        await (
            Pipeline(path=str).stage("s", elsewhere.sleeps_beside).through(int, timeout=2, **IN_PROCESS).build().run(path=str(mark))
        )
    assert time.monotonic() - started < 20
    assert caught.value.still_running == ()
    assert [is_gone(int(pid)) for pid in mark.read_text(encoding="utf-8").split()] == [True, True]


async def test_a_retry_gets_a_new_process(tmp_path: Path) -> None:
    """After a timeout the next attempt does not wait for anything."""
    plan = Pipeline(path=str).stage("s", elsewhere.sleeps_once).through(int, timeout=1, retry=1, **IN_PROCESS).build()
    assert (await plan.run(path=str(tmp_path / "mark"))).s == 7


async def test_cancelling_the_run_ends_the_process(tmp_path: Path) -> None:
    """Nothing is left of a run that was cancelled."""
    mark = tmp_path / "pids"
    plan = Pipeline(path=str).stage("s", elsewhere.sleeps_beside).through(int, **IN_PROCESS).build()
    run = asyncio.create_task(plan.run(path=str(mark)))
    while not mark.exists() or not mark.read_text(encoding="utf-8"):  # noqa: ASYNC110  # a file says it
        await asyncio.sleep(0.005)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert [is_gone(int(pid)) for pid in mark.read_text(encoding="utf-8").split()] == [True, True]


@pytest.mark.parametrize("moment", [0.0, 0.002, 0.02, 0.08])
async def test_cancelling_while_a_process_begins(moment: float) -> None:
    """Whenever it comes, a run ends cancelled or with its result, no process is left in between, and the next run has one."""
    fresh = functools.partial(elsewhere.add, more=round(moment * 1000))
    plan = Pipeline(n=int).stage("s", fresh).through(int, **IN_PROCESS).build()
    runs = [asyncio.create_task(plan.run(n=1)) for _ in range(3)]
    await asyncio.sleep(moment)
    for run in runs:
        run.cancel()
    for end in await asyncio.gather(*runs, return_exceptions=True):
        assert isinstance(end, asyncio.CancelledError) or end.s == 1 + round(moment * 1000)  # type: ignore[union-attr]
    assert (await plan.run(n=1)).s == 1 + round(moment * 1000)


async def test_what_a_stage_may_ask_there() -> None:
    """Address, attempt, seed, generator, key and remaining time are what they are in this process."""
    local = await Pipeline(n=int).stage("s", elsewhere.asks).through(dict[str, Any], timeout=LONG).build().run(n=1, seed=3)
    there = (
        await Pipeline(n=int)
        .stage("s", elsewhere.asks)
        .through(dict[str, Any], timeout=LONG, **IN_PROCESS)
        .build()
        .run(n=1, seed=3)
    )
    for name in ("address", "attempt", "seed", "draw"):
        assert there.s[name] == local.s[name]
    assert 0 < there.s["left"] <= LONG
    assert "not in a process" in there.s["refusal"]
    assert len(there.s["key"]) == 32


async def test_exceptions_cross_as_data() -> None:
    """The error names the class, the message and the place; the object itself does not cross."""
    with pytest.raises(StageProcessError, match="its process raised Refused: not today") as caught:
        await stage(elsewhere.refuses).build().run()
    error = caught.value
    assert error.kinds[0] == "staged_elsewhere.Refused"
    assert error.is_a(elsewhere.Refused)
    assert error.is_a(OSError)
    assert not error.is_a(ValueError)
    assert "in refuses\n" in error.trace
    assert "process_worker" not in error.trace
    assert any("in refuses" in note for note in error.__notes__)


async def test_retry_knows_the_classes_of_such_errors() -> None:
    """``on=`` matches the exception in the process, by the names of its classes; else it is not retried."""
    attempts: dict[str, int] = {}
    for name, on in {"own": elsewhere.Refused, "base": OSError, "other": KeyError, "process": StageProcessError}.items():
        told: list[Any] = []
        with pytest.raises(StageProcessError):
            await stage(elsewhere.refuses, retry=Retry(1, on=on)).build().run(listeners=[told.append])
        attempts[name] = told[-1].attempts
    assert attempts == {"own": 2, "base": 2, "other": 1, "process": 2}


@pytest.mark.parametrize(
    ("fn", "says"),
    [
        (elsewhere.exits, r"its process raised SystemExit: 3"),
        (elsewhere.dies, r"its process ended by itself, with exit code 4\."),
        (elsewhere.is_killed, r"its process was ended by SIGKILL\."),
        (elsewhere.gives_a_lock, r"its output cannot cross from its process: .*lock.* Return plain data"),
        (elsewhere.gives_a_misread, r"it cannot be read here \(ValueError: unreadable\)"),
    ],
)
async def test_what_goes_wrong_there_is_said_here(fn: Callable[..., Any], says: str) -> None:
    """A process that dies, exits or cannot answer is one clear error and no hang; the next call works."""
    with pytest.raises(StageProcessError, match=f"(?s)stage 's' at s.*{says}"):
        await stage(fn, contract=object, timeout=LONG).build().run()
    assert (await Pipeline(n=int).stage("s", elsewhere.add).through(int, **IN_PROCESS).build().run(n=1)).s == 2


async def test_what_cannot_cross_to_it() -> None:
    """An input that cannot be pickled is a clear error of the stage."""
    loose = Pipeline(n=Any).stage("s", elsewhere.sleeps).through(int, **IN_PROCESS).build()
    with pytest.raises(StageProcessError, match=r"stage 's' at s: what it reads cannot cross to its process .*Give it plain data"):
        await loose.run(n=threading.Lock())


async def test_contracts_are_checked_here() -> None:
    """What crosses is validated as any output."""
    with pytest.raises(ContractError):
        await stage(elsewhere.anything, contract=str).build().run()


async def test_many_at_once() -> None:
    """Each call has a process of its own: what ends one leaves the others alone."""
    good = [Pipeline(n=int).stage("s", elsewhere.add).through(int, **IN_PROCESS).build().run(n=n) for n in range(3)]
    bad = stage(elsewhere.dies).build().run()
    *sums, error = await asyncio.gather(*good, bad, return_exceptions=True)
    assert [result.s for result in sums] == [1, 2, 3]  # type: ignore[union-attr]
    assert isinstance(error, StageProcessError)


def local_function() -> Callable[[], int]:
    """A function inside of a function."""

    def inner() -> int:
        return 1

    return inner


@pytest.mark.parametrize(
    ("fn", "why"),
    [
        (lambda: 1, "a lambda has no name to be found by"),
        (local_function(), "it is defined inside of a function"),
        (functools.partial(local_function()), "it is defined inside of a function"),
        (elsewhere.Stubborn().work, "it cannot be pickled"),
    ],
)
def test_only_what_can_be_imported(fn: Callable[..., Any], why: str) -> None:
    """Anything else is a fault of the build, which says why."""
    with pytest.raises(BuildError, match="timeout_mode='process' needs a function that another process can import") as caught:
        stage(fn).build()
    assert why in str(caught.value)
    assert "Define it at the top of a module" in str(caught.value)


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_coroutines_need_no_mode(mode: str) -> None:
    """A mode for an async function is a fault: it is cancelled anyway."""
    with pytest.raises(BuildError, match=r"for synchronous functions; found .*add_async.*Leave timeout_mode out"):
        Pipeline(n=int).stage("s", elsewhere.add_async).through(int, timeout_mode=mode).build()


async def test_modes_within_pipelines_and_maps() -> None:
    """A pipeline has no mode, its stages may; a deadline around them ends their processes; items of a map have theirs."""
    inner = Pipeline(n=int).stage("add", elsewhere.add).stage("sleeps", elsewhere.sleeps, n=1).through(int, **IN_PROCESS)
    with pytest.raises(BuildError, match=r"train: timeout_mode='process' is for functions; found a pipeline"):
        Pipeline(n=int).stage("train", inner).through(int, **IN_PROCESS).build()
    with pytest.raises(StageTimeout, match="stage 'train' at train did not end within 1 s: it was cancelled") as caught:
        await Pipeline(n=int).stage("train", inner).through(int, timeout=1).build().run(n=1)
    assert caught.value.still_running == ()
    plan = Pipeline(ns=list[int]).map("each", elsewhere.add, over="ns", into="out", limit=2).through(int, **IN_PROCESS).build()
    assert (await plan.run(ns=[1, 2, 3])).out == [2, 3, 4]


def run_script(tmp_path: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, or kill it after a long time."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text), encoding="utf-8")
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=60, check=False)


MAIN = """
    import asyncio, sys, time
    from dataclasses import dataclass
    from metta_sweep.pipeline import Pipeline

    @dataclass(frozen=True)
    class Point:
        x: int

    class Odd(ValueError):
        pass

    def make(n: int) -> Point:
        print("made in a process", flush=True)
        if n % 2:
            raise Odd(n)
        return Point(n)

    def hang() -> None:
        time.sleep(60)

    async def main() -> None:
        plan = Pipeline(n=int).stage("make", make).through(point=Point, timeout_mode="process", timeout=30).build()
        print(await plan.run(n=4))
        try:
            await plan.run(n=5)
        except Exception as error:
            print(error, error.is_a(Odd))
        await Pipeline().stage("hang", hang).through(None, timeout_mode=sys.argv[1], timeout=0.1).build().run()
"""


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_script_ends_when_its_stage_hangs(tmp_path: Path, mode: str) -> None:
    """Functions and classes of the script itself cross; the script ends soon after the timeout, in both modes; prints are seen."""
    started = time.monotonic()
    done = run_script(tmp_path, MAIN + '\n    if __name__ == "__main__":\n        asyncio.run(main())\n', mode)
    assert time.monotonic() - started < 20
    assert done.returncode == 1, done.stderr
    assert "StageTimeout: stage 'hang' at hang did not end within 0.1 s" in done.stderr
    assert "ResourceWarning" not in done.stderr
    assert done.stdout.count("made in a process") == 2
    assert "PipelineResult(n=4, point=Point(x=4); " in done.stdout
    assert "its process raised Odd: 5 True" in done.stdout


KEPT = """
    from metta_sweep import Experiment, Pipeline

    def work(n: int) -> int:
        return n

    class Kept(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline(n=int).stage("make", work).through(int, timeout_mode="process", timeout=30)

    Kept(name="it", store="kept.db").run(n=1)
"""


@pytest.mark.parametrize("text", [MAIN + "\n    asyncio.run(main())\n", KEPT])
def test_an_unguarded_script_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A script that would start itself again and again gets one clear error, without what happened in the process."""
    monkeypatch.chdir(tmp_path)
    done = run_script(tmp_path, text, "process")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-2:]
    assert "StageProcessError: stage 'make' at make did not begin: a run is to be started while the main script" in last[0]
    assert last[0].endswith("Put what the script runs under: if __name__ == '__main__':")
    assert last[1] == "in stage 'make' at make"
    assert done.stderr.count("Traceback") == 1
    assert "RunInUse" not in done.stderr


def test_no_orphans_when_the_parent_is_killed(tmp_path: Path) -> None:
    """Killing the parent ends a process in the middle of its stage, and what that started."""
    mark = tmp_path / "pids"
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import asyncio
            from metta_sweep.pipeline import Pipeline
            from staged_elsewhere import sleeps_beside
            plan = Pipeline(path=str).stage("s", sleeps_beside).through(int, timeout_mode="process").build()
            asyncio.run(plan.run(path={str(mark)!r}))
            """
        ),
        encoding="utf-8",
    )
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        for _ in range(2000):
            if mark.exists() and mark.read_text(encoding="utf-8"):
                break
            time.sleep(0.01)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert [is_gone(int(pid)) for pid in mark.read_text(encoding="utf-8").split()] == [True, True]
