"""``run`` and ``resume``: what runs, what is printed where, and the exit codes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from cli_kit import Cli, command, environment

from metta_sweep.cli.running import resume_command


def test_a_sweep_is_run_and_its_summary_printed(cli: Cli) -> None:
    """The summary goes to the standard output, one line per trial to the standard error."""
    said = cli("run", "tried_sweep.py", "--budget", "6")
    assert said.code == 0
    assert "tried: 6 trials" in said.lines[0]
    assert "stop    budget_trials: 6 of 6 trials" in said.out
    lines = [line for line in said.err.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == [f"[{number}/6" for number in range(1, 7)]
    assert any("trial 3  failed" in line and "ValueError: it [bold]broke[/bold] \\x1b[31m" in line for line in lines)


def test_json_is_all_there_is_on_the_standard_output(cli: Cli) -> None:
    """Progress stays on the standard error, so that the output can be read by programs."""
    said = cli("run", "tried_sweep.py:experiment", "--budget", "trials=4,seconds=60", "--json")
    told = json.loads(said.out)
    assert told["name"] == "tried"
    assert told["stop_reason"] == "budget_trials"
    assert len(told["trials"]) == 4


def test_more_and_fresh(cli: Cli) -> None:
    """``--more`` adds trials to those there are; ``--fresh`` starts over and keeps the old run."""
    cli("run", "tried_sweep.py", "--budget", "2")
    assert len(json.loads(cli("run", "tried_sweep.py", "--more", "3", "--json").out)["trials"]) == 5
    assert len(json.loads(cli("run", "tried_sweep.py", "--fresh", "--budget", "1", "--json").out)["trials"]) == 1
    assert {run["name"] for run in json.loads(cli("list", "--json").out)} == {"tried", "tried@1"}


def test_a_store_on_the_command_line_goes_before_that_of_the_file(cli: Cli) -> None:
    """The run is kept there, and the experiment's own store is not touched."""
    said = cli("run", "tried_sweep.py", "--budget", "2", "--store", "other.db")
    assert said.code == 0
    assert (cli.folder / "other.db").exists()
    assert not (cli.folder / "kept.db").exists()


def test_resume_goes_on_with_the_budget_that_was_given(cli: Cli) -> None:
    """A finished run is complete; nothing runs again."""
    cli("run", "tried_sweep.py", "--budget", "5")
    said = cli("resume", "tried_sweep.py")
    assert said.code == 0
    assert "5 of 5 trials" in said.out
    assert not [line for line in said.err.splitlines() if line.startswith("[")]


def test_resume_without_a_run_says_how_to_start_one(cli: Cli) -> None:
    """Nothing is run, and nothing is counted as wrong but the command."""
    said = cli("resume", "tried_sweep.py")
    assert said.code == 2
    assert "no run 'tried' is kept in" in said.err
    assert "run tried_sweep.py:experiment" in said.err
    assert "found" not in said.err
    assert said.out == ""
    assert [path.name for path in cli.folder.glob("kept.db*")] == []


@pytest.mark.parametrize("on_path", [True, False])
def test_the_command_that_resumes_is_spelled_as_this_one_was(cli: Cli, monkeypatch: pytest.MonkeyPatch, on_path: bool) -> None:
    """By its name where the shell finds it, else by its path; the store is named where it is not the default one."""
    script = cli.file("metta-sweep", "#!/bin/sh")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script), "run"])
    monkeypatch.setenv("PATH", str(cli.folder) if on_path else "/usr/bin")
    program = "metta-sweep" if on_path else str(script)
    assert resume_command("a b.py:e", "my runs.db") == f"{program} resume 'a b.py:e' --store 'my runs.db'"
    assert resume_command("a.py:e", None) == f"{program} resume a.py:e --store kept.db"
    assert resume_command("a.py:e", None, own=True) == f"{program} resume a.py:e"
    monkeypatch.delenv("METTA_SWEEP_STORE")
    assert resume_command("a.py:e", None) == f"{program} resume a.py:e"


def test_a_run_that_another_process_drives_is_refused(cli: Cli) -> None:
    """At once, naming the process."""
    cli.file(
        "held_sweep.py",
        "import sys\nfrom metta_sweep import *\n"
        "def train(x):\n    print('running', flush=True)\n    sys.stdin.readline()\n    return x\n"
        "e = SweepExperiment(name='held', objective=train, search_space={'x': Uniform(0, 1)}, slots=1, store='kept.db')\n",
    )
    with subprocess.Popen(
        command("run", "held_sweep.py", "--budget", "1"),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        said = cli("run", "held_sweep.py")
        process.communicate("\n", timeout=20)
    assert said.code == 1
    assert f"the run 'held' is being run by process {process.pid} already" in said.err
    assert process.returncode == 0


def test_resume_of_an_experiment_without_a_name(cli: Cli) -> None:
    """It has no run to go on with."""
    cli.file(
        "nameless.py", "from metta_sweep import *\ne = SweepExperiment(objective=lambda x: x, search_space={'x': Uniform(0, 1)})"
    )
    said = cli("resume", "nameless.py")
    assert said.code == 2
    assert "has no name" in said.err


def test_a_bad_stop_reason_has_an_exit_code_of_its_own(cli: Cli) -> None:
    """The summary is printed all the same."""
    cli.file(
        "failing.py",
        "from metta_sweep import *\ndef f(x): raise RuntimeError('no')\n"
        "e = SweepExperiment(name='failing', objective=f, search_space={'x': Uniform(0, 1)})",
    )
    said = cli("run", "failing.py", "--budget", "50")
    assert said.code == 3
    assert "stop    failure_rate" in said.out


def test_the_command_that_resumes_names_no_other_store_than_the_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What METTA_SWEEP_STORE says counts only for an experiment that has no store of its own: else the run would not be found."""
    monkeypatch.setenv("METTA_SWEEP_STORE", "elsewhere.db")
    cli.file("stopped.py", f"{INTERRUPTED}, store='kept.db')")
    cli.file("stopped_too.py", f"{INTERRUPTED})")
    said = cli("run", "stopped.py")
    assert said.code == 3
    assert said.err.splitlines()[-1].endswith(" resume stopped.py:e")
    assert cli("run", "stopped_too.py").err.splitlines()[-1].endswith(" resume stopped_too.py:e --store elsewhere.db")
    assert cli("run", "stopped.py", "--store", "third.db").err.splitlines()[-1].endswith(" resume stopped.py:e --store third.db")


INTERRUPTED = (
    "import signal\nfrom metta_sweep import *\n"
    "async def f(trial: TrialContext) -> float:\n"
    "    if trial.number == 0: signal.raise_signal(signal.SIGTERM)\n    return 1.0\n"
    "e = SweepExperiment(name='stopped', objective=f, search_space={'x': Uniform(0, 1)}, slots=1"
)


def test_an_error_of_ours_is_one_message(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback; METTA_SWEEP_DEBUG=1 shows it."""
    cli.file("template.py", "from metta_sweep import *\ne = SweepExperiment(name='t', search_space={'x': Uniform(0, 1)})")
    said = cli("run", "template.py")
    assert said.code == 2
    assert said.err.startswith("metta-sweep: SweepExperiment: the sweep has no objective")
    assert "Traceback" not in said.err
    monkeypatch.setenv("METTA_SWEEP_DEBUG", "1")
    with pytest.raises(ValueError, match="no objective"):
        cli("run", "template.py")


def test_errors_of_users_keep_their_traceback(cli: Cli) -> None:
    """What their file raises is theirs to see."""
    cli.file("broken_file.py", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        cli("run", "broken_file.py")


def test_another_definition_is_told_in_one_message(cli: Cli) -> None:
    """With each difference, and what can be done."""
    cli("run", "tried_sweep.py", "--budget", "2")
    text = (cli.folder / "tried_sweep.py").read_text()
    cli.file("tried_sweep.py", text.replace("Uniform(0, 1)", "Uniform(0.0, 2.0)"))
    said = cli("run", "tried_sweep.py", "--budget", "3")
    assert said.code == 1
    assert "another experiment is kept under the name 'tried'" in said.err
    assert "fresh=True" in said.err


def test_a_pipeline_is_run_too(cli: Cli) -> None:
    """What it gives is printed; it takes a budget, but not more trials."""
    cli.file(
        "piped.py",
        "from metta_sweep import *\n"
        "class Piped(Experiment):\n"
        "    def pipeline(self): return Pipeline().stage('one', lambda: 41).through(int)\n"
        "piped = Piped(name='piped', store='kept.db')",
    )
    assert json.loads(cli("run", "piped.py", "--json").out) == {"one": 41}
    assert "Result(one=41; " in cli("run", "piped.py").out
    assert cli("run", "piped.py", "--budget", "seconds=60").code == 0
    said = cli("run", "piped.py", "--more", "3")
    assert said.code == 2
    assert "no sweep" in said.err
    assert [run["kind"] for run in json.loads(cli("list", "--json").out)] == ["pipeline"]
    assert "a pipeline, kept stage by stage" in cli("show", "piped").out
    assert cli("show", "piped", "one").out.strip().endswith("}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("many", "'many' is no whole number"),
        ("1e3", "'1e3' is no whole number"),
        ("-3", "found -3"),
        ("trials=x", "'x' is no whole number"),
        ("trials=1,trials=2", "'trials' comes twice"),
        ("seconds=soon", "'soon' is no number"),
        ("seconds=nan", "it is no budget"),
        ("n_trials=60", "Did you mean 'trials'?"),
        ("trials=", "'' is no whole number"),
    ],
)
def test_budgets_that_are_none(cli: Cli, text: str, told: str) -> None:
    """Each is refused before anything is written, with what was found and what is allowed."""
    said = cli("run", "tried_sweep.py", f"--budget={text}")
    assert said.code == 2
    assert "--budget" in said.err
    assert told in said.err
    assert not (cli.folder / "kept.db").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rum"], 'Did you mean "run"?'),
        (["run"], "target"),
        (["run", "tried_sweep.py", "--budgett", "3"], "--budgett"),
        (["run", "tried_sweep.py", "--more", "some"], "some"),
        (["run", "tried_sweep.py", "--log", "loud"], "there is no such level"),
        (["trace", "tried", "--last", "0"], "--last"),
        (["run", "tried_sweep.py", "--more", "0"], "--more: it must be at least 1"),
        (["run", "tried_sweep.py", "--more=-1"], "--more: it must be at least 1"),
        (["run", "tried_sweep.py", "--more", "5", "--budget", "5"], "--more: --budget and --more exclude each other"),
        (["run", "tried_sweep.py", "--store", "mysql://x"], "--store: there is no store for 'mysql'"),
        (["list", "--store", "mysql://x"], "--store: there is no store for 'mysql'"),
    ],
)
def test_wrong_command_lines(cli: Cli, arguments: list[str], told: str) -> None:
    """They are told on the standard error, and have the exit code 2."""
    said = cli(*arguments)
    assert said.code == 2
    assert told.lower() in said.err.lower()
    assert said.out == ""


def test_help_and_version_are_no_errors(cli: Cli) -> None:
    """They go to the standard output."""
    said = cli("--help")
    assert said.code == 0
    for name in ("run", "resume", "list", "show", "trace", "doctor", "Exit codes"):
        assert name in said.out
    assert cli("--version").out.startswith("0.")


def test_logs_are_shown_from_a_level_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are warnings and shown by default; decisions only when asked for; JSON stays clean."""
    # without the handlers of the test run
    monkeypatch.setattr(logging.getLogger("metta_sweep"), "propagate", False)
    quiet = cli("run", "tried_sweep.py", "--budget", "5", "--json", "--store", "a.db")
    loud = cli("run", "tried_sweep.py", "--budget", "5", "--json", "--store", "b.db", "--log", "debug")
    assert "WARNING sweep[" in quiet.err
    assert "DEBUG" not in quiet.err
    assert "DEBUG sweep[0]/pick pick trial[0]: ucb inf" in loud.err
    json.loads(loud.out)
