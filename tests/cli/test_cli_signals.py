"""Ctrl-C and SIGTERM at random moments of ``run``: exit codes, the last line, nothing left behind, and the run can go on."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from cli_kit import Cli, command, environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

BUDGET: Final = 300
SLOTS: Final = 3
CASES: Final = {
    "ctrl-c": [signal.SIGINT],
    "ctrl-c twice": [signal.SIGINT] * 2,
    "ctrl-c three times": [signal.SIGINT] * 3,
    "sigterm": [signal.SIGTERM],
}
SWEEP: Final = f"""
import asyncio, os, time

from metta_sweep import SweepExperiment, Uniform


async def train(trial):
    if "HURRY" in os.environ:
        return trial.params["x"]
    print("running", trial.id, flush=True)
    if trial.number % 7 == 0:                      # does not look at should_stop, and outlives the grace
        await asyncio.sleep(0.2)
    if trial.number % 11 == 0:                     # holds the event loop for a while
        time.sleep(0.02)
    for _ in range(trial.number % 5):
        await asyncio.sleep(0.003)
        if trial.should_stop:
            break
    return trial.params["x"]


experiment = SweepExperiment(
    name="cut", objective=train, search_space={{"x": Uniform(0, 1)}}, seed=0, slots={SLOTS}, grace=0.1, store="kept.db"
)
"""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: list[str]


def interrupted(folder: Path, numbers: Sequence[int], chance: random.Random) -> Ended:
    """Start the run, send it signals at random moments once its first trial runs, and see it end with all its children."""
    process = subprocess.Popen(
        command("run", "cut_sweep.py", "--budget", str(BUDGET)),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heeds_ctrl_c,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("running")
        time.sleep(chance.uniform(0.0, 0.25))
        for number in numbers:
            process.send_signal(number)
            time.sleep(chance.choice([0.0, chance.uniform(0.0, 0.02), chance.uniform(0.0, 0.2), chance.uniform(0.5, 1.5)]))
        out, err = process.communicate(timeout=20)
        assert gone(process.pid), "a process of the run is left behind"
    finally:
        if not gone(process.pid, patience=0.0):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Ended(process.returncode, out, err.strip().splitlines())


def heeds_ctrl_c() -> None:
    """What runs in the background of a shell ignores Ctrl-C, and its children inherit that: not this one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def gone(group: int, patience: float = 2.0) -> bool:
    """Whether no process of the group lives, at the latest after some seconds."""
    until = time.monotonic() + patience
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.005)


def check(cli: Cli, numbers: Sequence[int], seed: int) -> int:
    """One run of the matrix. Returns the exit code."""
    for path in cli.folder.glob("kept.db*"):
        path.unlink()
    it = interrupted(cli.folder, numbers, random.Random(seed))
    number = numbers[0]
    # 3: in order; 128 + number: cancelled or exited; -number: it came while the interpreter closed down
    assert it.code in ({0, 3} if len(numbers) == 1 else {0, 3, 128 + number, -number}), it
    kept = json.loads(cli("show", "cut", "--json").out)
    if kept["stop_reason"] != "budget_trials":
        assert shlex.split(it.err[-1])[1:] == ["-m", "metta_sweep", "resume", "cut_sweep.py:experiment"], it
        if it.code == 3:
            assert kept["stop_reason"] == "interrupted"
        assert kept["status"] in ("interrupted", "cancelled", "broken off")
        again = subprocess.run(
            it.err[-1],
            shell=True,
            cwd=cli.folder,
            env=environment(HURRY="1"),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert again.returncode == 0, again.stderr
    told = json.loads(cli("show", "cut", "--json").out)
    assert told["stop_reason"] == "budget_trials"
    numbers_of = [trial["number"] for trial in told["trials"]]
    assert numbers_of == list(range(BUDGET))
    # what had ended before is as it was
    before = {trial["id"]: trial for trial in kept["trials"] if trial["state"] in ("completed", "stopped", "failed")}
    after = {trial["id"]: trial for trial in told["trials"]}
    assert all(after[trial_id] == trial for trial_id, trial in before.items())
    return it.code


@pytest.mark.parametrize("case", CASES)
def test_signals_at_one_random_moment(cli: Cli, case: str) -> None:
    """One of each, in every test run."""
    cli.file("cut_sweep.py", SWEEP)
    check(cli, CASES[case], seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", CASES)
def test_signals_at_fifty_random_moments(cli: Cli, case: str) -> None:
    """Fifty of each; both orderly ends and, with several signals, cancelled ones are among them."""
    cli.file("cut_sweep.py", SWEEP)
    codes = [check(cli, CASES[case], seed) for seed in range(50)]
    assert 3 in codes
    if len(CASES[case]) > 1:
        assert 130 in codes


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_the_second_signal_has_its_own_exit_code(cli: Cli, number: int, code: int) -> None:
    """A trial that does not end by itself is cancelled; there is no traceback, and the last line resumes."""
    cli.file(
        "long_sweep.py",
        "import asyncio\nfrom metta_sweep import *\n"
        "async def train(trial):\n    print('running', flush=True)\n    await asyncio.sleep(600)\n    return 1.0\n"
        "e = SweepExperiment(name='long', objective=train, search_space={'x': Uniform(0, 1)}, slots=1, grace=60, store='kept.db')",
    )
    process = subprocess.Popen(
        command("run", "long_sweep.py"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_ctrl_c,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.send_signal(number)
    lines = [process.stderr.readline()]
    while "interrupted, nothing new starts" not in lines[-1]:
        lines.append(process.stderr.readline())
    process.send_signal(number)
    _, rest = process.communicate(timeout=20)
    err = "".join([*lines, rest])
    assert process.returncode == code
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].endswith("resume long_sweep.py:e")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_a_signal_while_what_is_left_is_closed_prints_nothing(cli: Cli, number: int, code: int) -> None:
    """The store is closed after the last line is told: a signal that comes then only ends the process."""
    cli.file(
        "slow_end.py",
        "import time\nfrom metta_sweep import *\nfrom metta_sweep.store.sql.writer import Writer\n"
        "close = Writer._close_connection\n"
        "def slowly(writer):\n    print('closing', flush=True)\n    time.sleep(30)\n    close(writer)\n"
        "Writer._close_connection = slowly\n"
        "e = SweepExperiment(name='done', objective=lambda x: x, search_space={'x': Uniform(0, 1)}, store='kept.db')",
    )
    process = subprocess.Popen(
        command("run", "slow_end.py", "--budget", "2"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_ctrl_c,
    )
    assert process.stdout is not None
    while "closing" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Exception ignored" not in err
    assert "Traceback" not in err
