"""What is shown while a run goes on: lines elsewhere, a table on a terminal, and sums that cost the same however long the run."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cli_kit import Cli, command, environment
from rich.console import Console

from metta_sweep import Choice, SweepExperiment, Trial, TrialContext, TrialState, Uniform
from metta_sweep.cli.display import shown, trial_line
from metta_sweep.cli.logs import logs_shown
from metta_sweep.cli.progress import Pace, Progress, best_branches, progress_of
from metta_sweep.cli.text import duration, plain
from metta_sweep.core.trial import TrialError
from metta_sweep.experiments.sweep_run import SweepRun
from metta_sweep.schedulers import IterationScheduler


def sweep(objective: Any, **settings: Any) -> SweepExperiment:
    """A sweep over two branches, in memory."""
    space = {"x": Uniform(0, 1), "model": Choice(["tree", "net"])}
    return SweepExperiment(
        objective=objective,
        search_space=space,
        scheduler=IterationScheduler(branch_by="model", prune_floor=None, paper_threshold=None),
        seed=0,
        slots=2,
        **settings,
    )


async def drive(experiment: SweepExperiment, console: Console, budget: int) -> SweepRun:
    """Run it, shown on a console."""
    plan = experiment.build()
    async with experiment.open(budget) as run:
        async with shown(run, console):
            await plan.run(recorder=run.recorder, seed=run.seed, inputs={"sweep": run})
        return run


async def test_one_line_per_trial_where_there_is_no_terminal() -> None:
    """In the order of their ends, all of them, and none before it is committed."""

    async def train(trial: TrialContext) -> float:
        told.append(len(out.getvalue().splitlines()))
        return float(trial.params["x"])

    told: list[int] = []
    out = io.StringIO()
    run = await drive(sweep(train), Console(file=out, force_terminal=False), 12)
    lines = out.getvalue().splitlines()
    assert [line.split("]")[0] for line in lines] == [f"[{number}/12" for number in range(1, 13)]
    assert len({line.split()[2] for line in lines}) == 12
    assert run.state.picked == 12


async def test_a_table_on_a_terminal() -> None:
    """States, best trial, rate and branches; it is taken away at the end."""

    async def train(trial: TrialContext) -> float:
        return float(trial.params["x"])

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, _environ={})
    await drive(sweep(train, name="tabled"), console, 12)
    text = out.getvalue()
    assert "tabled: " in text
    assert "mean reward" in text
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


async def test_a_terminal_that_has_gone_does_not_end_the_run() -> None:
    """Nothing more is shown, and the trials go on."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("the terminal has gone")

    async def train(trial: TrialContext) -> float:
        return float(trial.params["x"])

    run = await drive(sweep(train), Console(file=Gone(), force_terminal=False), 12)
    assert run.state.picked == 12


async def test_sums_of_a_run() -> None:
    """They are those of its state, and only the best branches are listed."""

    async def train(trial: TrialContext) -> float:
        if trial.number == 5:
            raise ValueError("no")
        return 1.0 if trial.params["model"] == "net" else 0.0

    run = await drive(sweep(train), Console(file=io.StringIO()), 10)
    progress = progress_of(run)
    assert (progress.picked, progress.limit, progress.ended) == (10, 10, 10)
    assert progress.states == {"completed": 9, "failed": 1}
    assert progress.best is not None
    assert progress.best.score == 1.0
    (first,), more = best_branches(run, 1)
    assert (first.name, more) == ("net", 1)


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    """And the time left is at that rate, or what the budget of seconds leaves."""
    pace = Pace()
    for second in range(0, 100, 10):
        pace.see(at(second, ended=second * 2 if second < 60 else 120 + (second - 60) * 4))
    assert pace.rate == 4.0
    assert pace.left(at(90, ended=240, limit=280), None) == 10.0
    assert pace.left(at(90, ended=240, limit=280), 95.0) == 5.0
    assert pace.left(at(90, ended=240), None) is None


def test_a_rate_that_cannot_be_told_yet() -> None:
    """One look, or nothing that ended between two, gives none."""
    pace = Pace()
    assert pace.rate is None
    pace.see(at(1, ended=0))
    pace.see(at(2, ended=0))
    assert pace.rate is None
    assert pace.left(at(2, ended=0, limit=9), None) is None


def at(seconds: float, *, ended: int, limit: int | None = None) -> Progress:
    """A run at one moment."""
    return Progress(ended, limit, ended, {}, None, seconds)


def test_the_line_of_a_trial() -> None:
    """State, branch, score, the best so far, time and params; errors in their first line."""
    good = Trial(id="7", number=7, params={"x": 0.123456}, branch="net", state=TrialState.COMPLETED, score=0.5, seconds=1.26)
    assert trial_line(good, 8, 60, good) == "[8/60]  trial 7  completed  net  score 0.5  the best so far  1.3 s  x=0.1235"
    bad = Trial(id="8", number=8, params={}, state=TrialState.FAILED, error=TrialError("ValueError", "one\ntwo\x1b", ""))
    assert trial_line(bad, 9, None, good).split("  ")[:5] == ["[9]", "trial 8", "failed", "ValueError: one", "best 0.5"]


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 01 s"), (7500, "2 h 05 min")])
def test_durations(seconds: float, text: str) -> None:
    """In two units at most."""
    assert duration(seconds) == text


def test_control_characters_are_spelled_out() -> None:
    """Whatever a journal holds, nothing of it moves the cursor or changes colours."""
    assert plain("a\x1b[31mb\x07\tc\nd\x9b\r") == "a\\x1b[31mb\\x07\tc\nd\\x9b\\x0d"


@contextmanager
def no_handlers() -> Iterator[logging.Logger]:
    """The logger of the package, without the handlers of the test run."""
    logger = logging.getLogger("metta_sweep")
    logger.propagate = False
    try:
        yield logger
    finally:
        logger.propagate = True


def test_logs_go_through_the_console_and_nothing_is_left_behind() -> None:
    """Warnings by default; from another level on when asked; the logger is as before afterwards."""
    out = io.StringIO()
    with no_handlers() as logger:
        before = (logger.level, list(logger.handlers))
        with logs_shown(Console(file=out), None):
            logger.warning("a %s", "warning [bold]")
            logger.info("an info")
        with logs_shown(Console(file=out), "info"):
            logger.info("another info")
        assert (logger.level, list(logger.handlers)) == before
    assert [line.split(" ", 1)[1] for line in out.getvalue().splitlines()] == ["WARNING a warning [bold]", "INFO another info"]


def test_logging_that_the_user_set_up_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, what it sends to the standard error goes above the table."""
    console = Console(file=io.StringIO(), force_terminal=True)
    theirs, proxy = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", theirs)
    handler = logging.StreamHandler(theirs)
    with no_handlers() as logger:
        logger.addHandler(handler)
        try:
            with logs_shown(console, None):
                monkeypatch.setattr(sys, "stderr", proxy)
                logger.warning("within")
            logger.warning("after")
        finally:
            logger.removeHandler(handler)
    assert (proxy.getvalue(), theirs.getvalue()) == ("within\n", "after\n")


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
def test_on_a_real_terminal_the_table_and_the_summary_do_not_mix(cli: Cli) -> None:
    """The table goes away, and the summary is what remains; the cursor is shown again."""
    import pty

    leader, follower = pty.openpty()
    process = os.posix_spawn(
        sys.executable,
        [*command("run", "tried_sweep.py", "--budget", "6")],
        environment(TERM="xterm"),
        file_actions=[(os.POSIX_SPAWN_DUP2, follower, fd) for fd in (0, 1, 2)],
    )
    os.close(follower)
    text = read_all(leader)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "mean reward" in text
    assert "WARNING sweep[" in text
    assert "[1/6]" not in text
    assert "stop    budget_trials: 6 of 6 trials" in text[text.rindex("\x1b[?25h") :]


def read_all(leader: int) -> str:
    """What was written to a terminal until nobody has it open any more."""
    chunks = []
    try:
        while chunk := os.read(leader, 65536):
            chunks.append(chunk)
    except OSError:
        pass
    finally:
        os.close(leader)
    return b"".join(chunks).decode()
