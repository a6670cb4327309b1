"""``list``, ``show`` and ``trace``: what they read of runs that ended, that go on, and that broke off."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_kit import Cli, environment

from metta_sweep import SweepExperiment, TrialContext, Uniform


@pytest.fixture
def ran(cli: Cli) -> Cli:
    """The command line in a folder in which ``tried`` has run eight trials, of which number 3 failed."""
    assert cli("run", "tried_sweep.py", "--budget", "8").code == 0
    return cli


def test_list_shows_each_run_in_a_line(ran: Cli) -> None:
    """With its status, sums, best score and tags."""
    header, line = ran("list").lines
    assert header.split() == ["name", "id", "status", "ended", "failed", "best", "began", "tags"]
    assert line.split()[0] == "tried"
    assert line.split()[2:5] == ["budget_trials", "8", "1"]
    assert line.endswith("first")


def test_list_as_json(ran: Cli) -> None:
    """One object per run."""
    (run,) = json.loads(ran("list", "--json").out)
    assert run["name"] == "tried"
    assert run["status"] == "budget_trials"
    assert (run["trials"], run["failed"], run["pid"]) == (8, 1, None)
    assert run["tags"] == ["first"]


def test_list_of_a_store_without_runs_and_without_a_store(cli: Cli) -> None:
    """The second is an error, and makes no file."""
    said = cli("list")
    assert said.code == 1
    assert "there is no such file" in said.err
    assert not list(cli.folder.glob("*.db"))
    cli("run", "tried_sweep.py", "--budget", "1", "--store", "memory")
    assert "nothing of it outlives" in cli("list", "--store", "memory").err


def test_show_of_a_run(ran: Cli) -> None:
    """Branches, best trial, stop reason, spend, and the failed trials with their errors."""
    said = ran("show", "tried")
    assert said.code == 0
    for told in ("8 trials", "tree", "net", "best ", "stop    budget_trials", "status  ended", "budget  8 trials", "seed 0"):
        assert told in said.out
    assert "trial[3]  attempt 1  ValueError: it [bold]broke[/bold] \\x1b[31m" in said.out
    assert "\x1b" not in said.out


def test_show_of_a_run_as_json(ran: Cli) -> None:
    """All that a result tells, with status, budget, store and provenance."""
    told = json.loads(ran("show", "tried", "--json").out)
    assert told["status"] == "budget_trials"
    assert told["budget"]["trials"] == 8
    assert told["spend"]["trials"] == 8
    assert set(told["branches"]) == {"tree", "net"}
    assert [trial["state"] for trial in told["trials"]].count("failed") == 1
    assert "python" in told["provenance"]["versions"]


def test_show_tells_the_budget_that_counts_now(ran: Cli) -> None:
    """That of the last time the run was taken up, not that of the first."""
    assert ran("run", "tried_sweep.py", "--more", "3").code == 0
    assert "budget  11 trials" in ran("show", "tried").lines


def test_show_by_id(ran: Cli) -> None:
    """A run is found by its id as well."""
    (run,) = json.loads(ran("list", "--json").out)
    assert json.loads(ran("show", run["run_id"], "--json").out)["name"] == "tried"


def test_show_of_a_trial(ran: Cli) -> None:
    """Its params, metrics and reports."""
    said = ran("show", "tried", "trial[1]")
    assert said.lines[0].startswith("trial[1] of ")
    assert "completed, attempt 1" in said.lines[0]
    assert "params   x=" in said.out
    assert [line for line in said.lines if line.startswith("report")] == [
        "report   attempt 1, step 1: loss 0.5",
        "report   attempt 1, step 2: loss 0.25",
    ]


def test_show_of_a_failed_trial(ran: Cli) -> None:
    """Its error with the traceback; control characters are spelled out."""
    said = ran("show", "tried", "trial[3]#1")
    assert "failed" in said.lines[0]
    assert "error    attempt 1: ValueError: it [bold]broke[/bold] \\x1b[31m" in said.out
    assert "in train" in said.out
    assert "\x1b" not in said.out
    told = json.loads(ran("show", "tried", "trial[3]", "--json").out)
    assert told["error"]["type"] == "ValueError"
    assert [event["kind"] for event in told["events"]] == ["pick", "dispatch", "error", "score"]


def test_show_of_a_stage(ran: Cli) -> None:
    """The events that it made, and those of all four of an iteration."""
    assert [line.split()[1] for line in ran("show", "tried", "sweep[0]/pick").lines] == ["draw", "pick", "draw", "pick"]
    assert len(ran("show", "tried", "sweep[0]").lines) > 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "tryed"], "Did you mean 'tried'?"),
        (["show", "tried", "trial[99]"], "there is no trial '99'"),
        (["show", "tried", "sweep[99]/pick"], "nothing is kept at 'sweep[99]/pick'"),
        (["trace", "nothing-like-it"], "expected one of tried"),
        (["trace", "tried", "--kind", "picks"], "Did you mean 'pick'?"),
    ],
)
def test_names_of_nothing(ran: Cli, arguments: list[str], told: str) -> None:
    """One clear message, and an exit code that is not 0."""
    said = ran(*arguments)
    assert said.code in (1, 2)
    assert told in said.err
    assert said.out == ""


def test_trace_tells_each_event_with_its_reason(ran: Cli) -> None:
    """In order, from the first draw to the stop."""
    lines = ran("trace", "tried").lines
    assert [int(line.split()[0]) for line in lines] == list(range(len(lines)))
    assert "ucb inf, not tried yet" in lines[1]
    assert lines[-1].split()[1] == "stop"


def test_trace_of_some_events(ran: Cli) -> None:
    """By kind, by trial, the last ones, and all of these together."""
    whole = ran("trace", "tried").lines
    assert ran("trace", "tried", "--last", "3").lines == whole[-3:]
    assert {line.split()[1] for line in ran("trace", "tried", "--kind", "pick", "--kind", "stop").lines} == {"pick", "stop"}
    of_trial = [json.loads(line) for line in ran("trace", "tried", "--trial", "1", "--json").lines]
    assert {event["trial_id"] for event in of_trial} == {"1"}
    assert [event["kind"] for event in of_trial] == ["pick", "dispatch", "report", "report", "result", "score"]
    (last,) = ran("trace", "tried", "--trial", "1", "--kind", "report", "--last", "1").lines
    assert "step 2" in last


def test_a_run_that_goes_on_is_shown_as_it_stands(cli: Cli) -> None:
    """While another process would drive it: status, running trials and the trace so far, and the run is not disturbed."""

    async def train(trial: TrialContext) -> float:
        if trial.number == 2:
            looking = [("list", "--json"), ("show", "going", "--json"), ("show", "going", "trial[2]"), ("trace", "going")]
            for arguments in looking:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "metta_sweep", *arguments, env=environment(), stdout=subprocess.PIPE
                )
                out, _ = await process.communicate()
                seen.append(out.decode())
        return float(trial.params["x"])

    seen: list[str] = []
    experiment = SweepExperiment(name="going", objective=train, search_space={"x": Uniform(0, 1)}, slots=1, store="kept.db")
    result = experiment.run(budget=4)
    listed, shown = json.loads(seen[0]), json.loads(seen[1])
    assert (listed[0]["status"], listed[0]["pid"], listed[0]["trials"]) == ("running", os.getpid(), 2)
    assert shown["status"] == "running"
    assert [trial["state"] for trial in shown["trials"]] == ["completed", "completed", "running"]
    assert seen[2].startswith("trial[2]: running, attempt 1")
    assert "stop" not in {line.split()[1] for line in seen[3].splitlines()}
    assert len(result.trials) == 4


def test_a_run_whose_process_is_gone_is_broken_off(cli: Cli) -> None:
    """``show`` says how it goes on."""
    script = cli.file(
        "dies.py",
        "import os\nfrom metta_sweep import *\n"
        "async def train(trial):\n    if trial.number == 2: os._exit(9)\n    return trial.params['x']\n"
        "e = SweepExperiment(name='dead', objective=train, search_space={'x': Uniform(0, 1)}, slots=1, store='kept.db')\n"
        "if __name__ == '__main__': e.run(budget=5)\n",
    )
    assert subprocess.run([sys.executable, script], env=environment(), stderr=subprocess.DEVNULL, check=False).returncode == 9
    assert json.loads(cli("list", "--json").out)[0]["status"] == "broken off"
    assert "broken off: the process that ran it is gone; run it again to go on" in cli("show", "dead").out


def test_a_run_that_was_cancelled_is_told_from_one_that_broke_off(cli: Cli) -> None:
    """Its process left it in order."""

    async def cancelled() -> None:
        experiment = SweepExperiment(name="left", objective=wait, search_space={"x": Uniform(0, 1)}, store="kept.db")
        task = asyncio.create_task(experiment.arun(budget=5))
        await started.wait()
        task.cancel()
        await asyncio.wait({task})

    async def wait(trial: TrialContext) -> float:
        started.set()
        await asyncio.sleep(60)
        return 1.0

    started = asyncio.Event()
    asyncio.run(cancelled())
    assert json.loads(cli("list", "--json").out)[0]["status"] == "cancelled"
    assert "cancelled: it was left before its end; run it again to go on" in cli("show", "left").out


def test_reading_changes_nothing(ran: Cli) -> None:
    """Not one byte of the database."""
    gc.collect()  # the writer closes its file with the object, and tidies up then
    before = ran.journal()
    for arguments in (("list",), ("show", "tried"), ("show", "tried", "trial[3]"), ("trace", "tried")):
        assert ran(*arguments).code == 0
    assert ran.journal() == before


def test_who_reads_may_leave_early(ran: Cli) -> None:
    """``metta-sweep trace NAME | head -1`` ends without a complaint."""
    said = subprocess.run(
        f"{sys.executable} -m metta_sweep trace tried | head -1",
        shell=True,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path.cwd(),
    )
    assert said.stderr == ""
    assert len(said.stdout.splitlines()) == 1


PAUSING = """
from metta_sweep import SweepExperiment, Uniform
from metta_sweep.schedulers import ASHAScheduler


def train(trial):
    for epoch in range(trial.resume_step + 1, 5):
        yield {"step": epoch, "score": trial.params["x"]}


experiment = SweepExperiment(
    name="paused",
    objective=train,
    search_space={"x": Uniform(0, 1)},
    scheduler=ASHAScheduler(max_epochs=4, reduction_factor=2, grace_period=1),
    seed=0,
    slots=1,
    store="kept.db",
)
"""


def test_show_and_trace_of_a_run_with_paused_trials(cli: Cli) -> None:
    """They are counted, and no trial is said to be kept from an earlier run; the trace says why each goes on."""
    cli.file("paused_sweep.py", PAUSING)
    assert cli("run", "paused_sweep.py", "--budget", "8").code == 0

    said, trace = cli("show", "paused"), cli("trace", "paused")

    assert said.lines[0].startswith("paused: 8 trials in ")
    assert "kept" not in said.lines[0]
    assert " paused of 8 trials, before their end" in said.out
    assert "paused after step 1" in trace.out
    assert "goes on after step 1: number" in trace.out
