"""Ctrl-C and SIGTERM while runs are driven by blocking code: in processes of their own, and raised in this one."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metta_sweep import Budget, Experiment, MemoryStore, Pipeline, StopReason, SweepExperiment, TrialContext, Uniform
from metta_sweep.experiments import signals as signals_module
from metta_sweep.experiments.signals import Signals, run_blocking

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("signal_script.py")
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def nothing_unfinished(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is left for the exit of the process, which is the test run's here."""
    left: dict[str, str] = {}
    monkeypatch.setattr(signals_module, "_unfinished", left)
    return left


# -- in a process of its own -------------------------------------------------------------------------------------------------------


@contextmanager
def script(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The script in a process group of its own, which is ended in any case."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heeds_ctrl_c,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def heeds_ctrl_c() -> None:
    """What runs in the background of a shell ignores Ctrl-C, and its children inherit that: not this one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """This process heeds Ctrl-C, too, wherever it was started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_for(process: subprocess.Popen[str], start: str, *, stderr: bool = False, count: int = 1) -> None:
    """Read until so many lines have begun with ``start``."""
    stream = process.stderr if stderr else process.stdout
    assert stream is not None
    for line in stream:
        count -= start in line
        if not count:
            return
    raise AssertionError(f"the process ended without saying {start!r}")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """Exit code, what remained of the output, and the lines of the standard error."""
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err.strip().splitlines()


@BOTH
def test_the_first_signal_ends_the_run_in_order_and_the_last_line_resumes_it(tmp_path: Path, number: int) -> None:
    """The result is returned, the script goes on, and the last line printed is a command that finishes the run."""
    with script(tmp_path, "run", "polite") as process:
        wait_for(process, "running", count=2)
        process.send_signal(number)
        code, out, err = ended(process)
    assert code == 0
    assert "stopped interrupted, 2 trials" in out
    assert shlex.split(err[-1])[1:] == [str(SCRIPT), "run", "polite"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HURRY": "1"}
    again = subprocess.run(
        err[-1], shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    assert "stopped budget_trials, 6 trials" in again.stdout
    assert "signal_script" not in again.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("which", ["run", "stream"])
def test_the_second_signal_cancels(tmp_path: Path, number: int, code: int, which: str) -> None:
    """Trials that do not end by themselves are cancelled, and the script ends with them."""
    with script(tmp_path, which, "stubborn") as process:
        wait_for(process, "running", count=2)
        process.send_signal(number)
        wait_for(process, "interrupted", stderr=True)
        process.send_signal(number)
        found, out, err = ended(process)
    assert found == code
    assert "stopped" not in out
    assert shlex.split(err[-1])[1:] == [str(SCRIPT), which, "stubborn"]


@BOTH
def test_the_third_signal_exits_at_once(tmp_path: Path, number: int) -> None:
    """Even where a trial holds the event loop and nothing else can end it."""
    with script(tmp_path, "run", "blocking") as process:
        wait_for(process, "running")
        until = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < until:
            process.send_signal(number)
            time.sleep(0.01)
        code, out, err = ended(process)
    assert code == 128 + number
    assert "stopped" not in out
    assert shlex.split(err[-1])[1:] == [str(SCRIPT), "run", "blocking"]


def test_threads_that_cannot_be_ended_do_not_hold_the_exit(tmp_path: Path) -> None:
    """After the grace the run is over, and the process ends although its threads sleep on."""
    with script(tmp_path, "run", "in_thread") as process:
        wait_for(process, "running", count=2)
        process.send_signal(signal.SIGINT)
        code, out, _ = ended(process)
    assert code == 0
    assert "stopped interrupted" in out


def test_a_coroutine_that_swallows_its_cancellation_does_not_hold_the_exit(tmp_path: Path) -> None:
    """After the grace it is given up: the result is returned, and the process ends with the command that goes on."""
    with script(tmp_path, "run", "swallows") as process:
        wait_for(process, "running", count=2)
        process.send_signal(signal.SIGINT)
        code, out, err = ended(process)
    assert code == 0
    assert "stopped interrupted" in out
    assert shlex.split(err[-1])[1:] == [str(SCRIPT), "run", "swallows"]


def test_a_stream_ends_with_its_last_update(tmp_path: Path) -> None:
    """The loop over a stream gets the update with the results, and ends."""
    with script(tmp_path, "stream", "polite") as process:
        wait_for(process, "running", count=2)
        process.send_signal(signal.SIGINT)
        code, out, _ = ended(process)
    assert code == 0
    assert "stopped interrupted" in out


def test_a_pipeline_is_cancelled_by_the_first_signal(tmp_path: Path) -> None:
    """It has no trials to wait for; a kept one says how it goes on."""
    with script(tmp_path, "pipeline", "waits") as process:
        wait_for(process, "running stage")
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)
    assert code == 143
    assert shlex.split(err[-1])[1:] == [str(SCRIPT), "pipeline", "waits"]


# -- in this process ---------------------------------------------------------------------------------------------------------------


def sweep(objective: Any, **settings: Any) -> SweepExperiment:
    """A sweep with two slots, in memory."""
    return SweepExperiment(**{"objective": objective, "search_space": {"x": Uniform(0, 1)}, "seed": 0, "slots": 2, **settings})


def signalling(at: int, *numbers: int, then: float = 0.0) -> Any:
    """A trial function that sends this process signals in its trial number ``at``."""

    async def objective(trial: TrialContext) -> float:
        if trial.number == at:
            for number in numbers:
                signal.raise_signal(number)
            await asyncio.sleep(then)
        return 1.0

    return objective


@BOTH
def test_a_run_that_is_interrupted_returns_its_result(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing new starts after the signal; what ran has its result; the handlers are those from before."""
    before = [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)]
    result = sweep(signalling(3, number), name="one").run(budget=50)
    assert result.stop_reason is StopReason.INTERRUPTED
    assert 4 <= len(result.trials) <= 6
    assert [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)] == before
    assert "one: interrupted, nothing new starts" in capsys.readouterr().err


def test_a_trial_that_holds_the_event_loop_gets_its_word_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """It is said before the trial ends, once, and counts the trials that have just been started."""
    seen: list[str] = []

    async def objective(trial: TrialContext) -> float:
        if trial.number == 0:
            signal.raise_signal(signal.SIGINT)
            seen.append(capfd.readouterr().err)
        return 1.0

    sweep(objective, name="held").run(budget=9)
    assert "held: interrupted, nothing new starts; 2 running trials get" in seen[0]
    assert "interrupted" not in capfd.readouterr().err


def test_a_second_ctrl_c_is_a_keyboard_interrupt() -> None:
    """What still runs is cancelled, and ``run`` raises; the run itself can go on afterwards."""
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        sweep(signalling(3, signal.SIGINT, signal.SIGINT, then=60), name="two", store=store).run(budget=5)
    result = sweep(signalling(99), name="two", store=store).run(budget=5)
    assert result.stop_reason is StopReason.BUDGET_TRIALS


def test_a_second_sigterm_is_a_system_exit() -> None:
    """With the status that shells give to processes that SIGTERM ended."""
    with pytest.raises(SystemExit) as left:
        sweep(signalling(3, signal.SIGTERM, signal.SIGTERM, then=60)).run(budget=5)
    assert left.value.code == 143


def test_the_last_line_says_why_a_run_cannot_be_resumed(nothing_unfinished: dict[str, str]) -> None:
    """An unnamed run, and one in memory, are not promised to go on."""
    sweep(signalling(1, signal.SIGINT), store=MemoryStore()).run(budget=9)
    sweep(signalling(1, signal.SIGINT), name="kept", store=MemoryStore()).run(budget=9)
    unnamed, in_memory = nothing_unfinished.values()
    assert "cannot be resumed, since it has no name" in unnamed
    assert "kept was kept in memory only" not in unnamed
    assert "run kept cannot be resumed, since it was kept in memory only" in in_memory


def test_a_run_that_is_finished_after_all_leaves_no_last_line(tmp_path: Path, nothing_unfinished: dict[str, str]) -> None:
    """Taken up again in the same process, it has nothing left to resume."""
    place = tmp_path / "kept.db"
    sweep(signalling(1, signal.SIGINT), name="again", store=place).run(budget=9)
    assert list(nothing_unfinished.values()) == [signals_module.command_line()]
    sweep(signalling(99), name="again", store=place).run(budget=9)
    assert not nothing_unfinished


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("how", "told"),
    [({"fresh": True}, "take out fresh=True, which starts over; then: "), ({"more": 6}, "take out more=6, which adds")],
)
def test_a_command_that_would_not_go_on_is_told_to_be_changed(
    tmp_path: Path, nothing_unfinished: dict[str, str], how: dict[str, Any], told: str, stream: bool
) -> None:
    """The script would start over, or add trials again: the last line says so, beside the command."""
    one = sweep(signalling(1, signal.SIGINT), name="again", store=tmp_path / "kept.db")
    if stream:
        for _ in one.stream(**how):
            pass
    else:
        one.run(**how)
    (line,) = nothing_unfinished.values()
    assert told in line
    assert line.endswith(signals_module.command_line())


def test_a_signal_before_the_run_is_open_interrupts_it_as_soon_as_it_is() -> None:
    """Nothing is lost between the installation of the handlers and the first stage."""

    async def main() -> Any:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        return await sweep(signalling(99)).arun(budget=9)

    result = run_blocking(main, graceful=True)
    assert result.stop_reason is StopReason.INTERRUPTED
    assert len(result.trials) == 0


def test_a_run_that_was_complete_already_is_not_interrupted(tmp_path: Path) -> None:
    """A signal while a finished run is opened changes nothing of it."""
    place = tmp_path / "kept.db"
    sweep(signalling(99), name="done", store=place).run(budget=4)

    async def main() -> Any:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        return await sweep(signalling(99), name="done", store=place).arun(budget=4)

    assert run_blocking(main, graceful=True).stop_reason is StopReason.BUDGET_TRIALS


def test_handlers_of_the_user_are_left_alone() -> None:
    """Who handles SIGTERM does so while runs go on, too."""
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    try:
        result = sweep(signalling(1, signal.SIGTERM)).run(budget=4)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM]
    assert result.stop_reason is StopReason.BUDGET_TRIALS


def test_nothing_is_installed_outside_the_main_thread() -> None:
    """A run that another thread drives leaves the handlers of the process alone."""
    seen: list[Any] = []

    async def objective(trial: TrialContext) -> float:
        seen.append([signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)])
        return 1.0

    before = [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)]
    thread = threading.Thread(target=lambda: sweep(objective).run(budget=1))
    thread.start()
    thread.join()
    assert seen == [before]


async def test_nothing_is_installed_inside_an_event_loop_of_the_user() -> None:
    """Who awaits a run owns the loop, and what signals do to it."""
    seen: list[Any] = []

    async def objective(trial: TrialContext) -> float:
        seen.append([signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)])
        return 1.0

    before = [signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)]
    await sweep(objective).run(budget=1)
    assert seen == [before]


def test_a_run_within_the_loop_over_a_stream_takes_signals_for_itself() -> None:
    """The innermost run is the one that is interrupted; the outer one goes on."""
    inner: list[Any] = []
    outer: list[Any] = []
    for update in sweep(signalling(99)).stream(budget=4):
        if not inner:
            inner.append(sweep(signalling(1, signal.SIGINT)).run(budget=50).stop_reason)
        if update.results is not None:
            outer.append(update.results.stop_reason)
    assert inner == [StopReason.INTERRUPTED]
    assert outer == [StopReason.BUDGET_TRIALS]


@pytest.mark.parametrize("in_thread", [True, False])
def test_a_run_within_a_trial_is_interrupted_with_the_run_around_it(in_thread: bool) -> None:
    """Both end in order, whether the trial awaits the inner run or blocks on it in its thread."""
    inner: list[Any] = []

    async def leaf(trial: TrialContext) -> float:
        if trial.number == 2:
            os.kill(os.getpid(), signal.SIGINT)
            while not trial.should_stop:  # noqa: ASYNC110  # as users write it
                await asyncio.sleep(0.001)
        return 1.0

    def blocks(trial: TrialContext) -> float:
        inner.append(sweep(leaf).run(budget=500).stop_reason)
        return 1.0

    async def awaits(trial: TrialContext) -> float:
        inner.append((await sweep(leaf).run(budget=500)).stop_reason)
        return 1.0

    result = sweep(blocks if in_thread else awaits, slots=1).run(budget=9)
    assert inner == [StopReason.INTERRUPTED]
    assert result.stop_reason is StopReason.INTERRUPTED
    assert len(result.trials) == 1


def test_a_signal_between_two_updates_ends_the_stream_in_order() -> None:
    """The body of the loop is not torn: the stream comes to its last update."""
    updates = []
    for update in sweep(signalling(99)).stream(budget=500):
        updates.append(update)
        if len(updates) == 2:
            signal.raise_signal(signal.SIGTERM)
    assert updates[-1].results is not None
    assert updates[-1].results.stop_reason is StopReason.INTERRUPTED
    assert len(updates[-1].results.trials) < 500


def test_a_signal_while_the_store_of_a_stream_is_opened_ends_the_run_in_order(nothing_unfinished: dict[str, str]) -> None:
    """The database may just be being made: the run is interrupted as soon as it is open, and says how it goes on."""
    experiment = sweep(signalling(99), name="slow", store=MemoryStore())
    given = experiment._store

    def opening() -> Any:
        signal.raise_signal(signal.SIGINT)
        return given()

    experiment._store = opening
    updates = list(experiment.stream(budget=9))
    assert updates[-1].results is not None
    assert updates[-1].results.stop_reason is StopReason.INTERRUPTED
    assert len(nothing_unfinished) == 1


def test_a_second_signal_between_two_updates_is_raised_there() -> None:
    """The body of the loop is interrupted, and the run ends with it; handlers are restored."""
    before = signal.getsignal(signal.SIGINT)

    def body() -> None:
        for _ in sweep(signalling(99)).stream(budget=500):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        body()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_pipeline_in_this_process_is_cancelled_by_the_first_ctrl_c() -> None:
    """It raises ``KeyboardInterrupt``, as anything else does that Ctrl-C ends."""

    async def stage() -> int:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)
        return 1

    class One(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("stage", stage)

    with pytest.raises(KeyboardInterrupt):
        One().run()


def test_a_user_who_cancels_sees_the_cancellation() -> None:
    """Only cancellations by signals become ``KeyboardInterrupt``."""

    async def main() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_blocking(main, graceful=True)


def test_signals_are_used_within_their_context_only() -> None:
    """There is no event loop outside."""

    async def main() -> None:
        raise AssertionError("never called")

    with pytest.raises(RuntimeError, match="with Signals"):
        Signals().run(main)


def test_an_interrupted_run_counts_against_its_budget_as_before() -> None:
    """Budgets are totals: the run goes on to the same number of trials."""
    store = MemoryStore()
    first = sweep(signalling(3, signal.SIGINT), name="total", store=store).run(budget=Budget(trials=8))
    second = sweep(signalling(99), name="total", store=store).run()
    assert first.stop_reason is StopReason.INTERRUPTED
    assert second.stop_reason is StopReason.BUDGET_TRIALS
    assert len(second.trials) == 8
