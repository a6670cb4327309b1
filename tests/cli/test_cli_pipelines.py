"""The command line with experiments that are no sweeps: a class with a pipeline, kept stage by stage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from cli_kit import Cli, environment

from metta_sweep.cli.exits import CAUGHT

PIPED = """
import os
from metta_sweep import Experiment, Pipeline

def numbers(n: int) -> list[int]:
    return list(range(n))

def square(x: int) -> int:
    if x == 13: raise ValueError("unlucky")
    if x == 14: os._exit(9)
    return x * x

class Piped(Experiment):
    name = "squares-1"
    store = "kept.db"

    def pipeline(self):
        return (
            Pipeline(n=int, label=str)
            .stage("numbers", numbers).through(xs=list[int])
            .map("square", square, over="xs", into="squares", limit=1)
            .stage("add", sum_of).through(total=int)
        )

def sum_of(squares: list[int], label: str) -> int:
    return sum(squares)
"""


@pytest.fixture
def piped(cli: Cli) -> Cli:
    """The command line in a folder with ``piped.py``."""
    cli.file("piped.py", PIPED)
    return cli


@pytest.fixture
def ran(piped: Cli) -> Cli:
    """The same, after a run."""
    assert piped("run", "piped.py", "--input", "n=12", "--input", "label=3").code == 0
    return piped


def status(cli: Cli) -> str:
    """The status of the one run, as listed."""
    (run,) = json.loads(cli("list", "--json").out)
    assert f"{run['status']} (a pipeline)" in cli("list").out
    return str(run["status"])


@pytest.mark.parametrize("target", ["piped.py", "piped.py:Piped", "piped.py:squares-1"])
def test_a_class_is_picked(piped: Cli, target: str) -> None:
    """The only one that can be made without arguments, by its name in the file, and by the name that it gives."""
    said = piped("run", target, "--input", "n=4", "--input", "label=x", "--json")
    assert said.err.count("kept in") <= 1
    assert json.loads(said.out)["total"] == 14


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (["n"], "--input: it is no input; found 'n'; expected NAME=VALUE. Write --input n=3."),
        (["m=3"], "'m' is no declared input; found 'm=3'; expected one of n, label."),
        (["lable=3"], "Did you mean 'label'?"),
        (["n=3", "n=4"], "'n' comes twice"),
        (["n=three", "label=a"], "Piped.run(n=): the input 'n' does not fit its type"),
        (["n=3"], "Piped.run(label=): the input 'label' is missing"),
    ],
)
def test_inputs_that_are_none(piped: Cli, inputs: list[str], told: str) -> None:
    """One message, and nothing runs."""
    said = piped("run", "piped.py", *(word for text in inputs for word in ("--input", text)))
    assert said.code in (1, 2)
    assert told in said.err


def test_sweeps_take_no_inputs(cli: Cli) -> None:
    """It is said so."""
    said = cli("run", "tried_sweep.py", "--input", "n=3")
    assert said.code == 2
    assert "--input: the experiment is a sweep, which takes no inputs" in said.err


def test_fresh_starts_over(ran: Cli) -> None:
    """The run before stays, with a number."""
    assert ran("run", "piped.py", "--input", "n=2", "--input", "label=a", "--fresh").code == 0
    assert [run["name"] for run in json.loads(ran("list", "--json").out)] == ["squares-1@1", "squares-1"]


def test_show_lists_what_is_recorded(ran: Cli) -> None:
    """In order of their numbers, the items of a map in one line; as JSON all of them."""
    lines = ran("show", "squares-1").lines
    assert lines[1:] == [
        "status  done",
        "recorded",
        "  add",
        "  numbers",
        "  square[item=0] ... square[item=11] (12)",
        "metta-sweep show squares-1 add shows what a stage gave",
    ]
    addresses = json.loads(ran("show", "squares-1", "--json").out)["addresses"]
    assert addresses[-2:] == ["square[item=10]", "square[item=11]"]


def test_show_of_a_map_lists_its_items(ran: Cli) -> None:
    """There is no output of its own at its address."""
    assert ran("show", "squares-1", "square").lines == [
        "square: 12 recorded within it, show one of them:",
        "  square[item=0] ... square[item=11] (12)",
    ]
    assert len(json.loads(ran("show", "squares-1", "square", "--json").out)["addresses"]) == 12
    assert json.loads(ran("show", "squares-1", "square[item=3]", "--json").out) == {"square": 9}


def test_addresses_of_nothing(ran: Cli) -> None:
    """The error says what there is, and never speaks of trials."""
    said = ran("show", "squares-1", "squar")
    assert said.code == 1
    assert "nothing is recorded at 'squar'; expected one of add, numbers, square[item=0] ... " in said.err
    assert "Did you mean 'square'?" in said.err
    assert "trial" not in said.err


def test_trace_lists_the_stages(ran: Cli) -> None:
    """No events are kept, which is said; as JSON one object per line."""
    lines = ran("trace", "squares-1").lines
    assert lines[0] == "squares-1: no events are kept of a pipeline; its recorded stages are:"
    assert lines[1:] == ["  add", "  numbers", "  square[item=0] ... square[item=11] (12)"]
    told = [json.loads(line) for line in ran("trace", "squares-1", "--json", "--last", "2").lines]
    assert [it["address"] for it in told] == ["square[item=10]", "square[item=11]"]
    assert "Leave --kind and --trial out" in ran("trace", "squares-1", "--kind", "pick").err


def test_the_list_tells_how_it_ended(piped: Cli) -> None:
    """Done, failed (which leaves no handler of signals behind), and broken off by its end; ``show`` says how it goes on."""
    handlers = [signal.getsignal(number) for number in CAUGHT]
    with pytest.raises(ValueError, match="unlucky"):
        piped("run", "piped.py", "--input", "n=14", "--input", "label=a")
    assert [signal.getsignal(number) for number in CAUGHT] == handlers
    assert status(piped) == "failed"
    assert "status  failed: ValueError: unlucky; run it again to go on" in piped("show", "squares-1").lines
    assert piped("run", "piped.py", "--input", "n=3", "--input", "label=a").code == 0
    assert status(piped) == "done"
    piped.file("piped.py", PIPED.replace("x == 13", "x == 15"))
    command = [sys.executable, "-m", "metta_sweep", "run", "piped.py", "--input", "n=15", "--input", "label=a"]
    assert subprocess.run(command, env=environment(), capture_output=True, check=False).returncode == 9
    assert status(piped) == "broken off"


def test_the_remedy_of_an_empty_file_names_both_kinds(cli: Cli) -> None:
    """A pipeline is an experiment, too."""
    cli.file("nothing_here.py", "x = 1")
    assert "SweepExperiment(...), or class Mine(Experiment)," in cli("run", "nothing_here.py").err
