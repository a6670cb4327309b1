"""``doctor``: what it looks at, and what it finds wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cli_kit import Cli

from metta_sweep import SweepExperiment, TrialContext, Uniform
from metta_sweep.cli.doctor import sqlite_finding


def findings(cli: Cli, *arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
    """The exit code, and the findings by topic."""
    said = cli("doctor", "--json", *arguments)
    return said.code, {finding["topic"]: finding for finding in json.loads(said.out)}


def test_all_is_well_before_the_first_run(cli: Cli) -> None:
    """The store is not made by looking."""
    code, found = findings(cli)
    assert code == 0
    assert "python" in str(found["versions"]["told"])
    assert "not there yet" in str(found["store"]["told"])
    assert "METTA_SWEEP_STORE" in str(found["store"]["told"])
    assert found["write test"]["ok"]
    assert {path.name for path in cli.folder.iterdir()} == {"tried_sweep.py"}


def test_what_a_store_holds(cli: Cli) -> None:
    """Its size, its runs, and who holds them."""
    cli("run", "tried_sweep.py", "--budget", "2")
    code, found = findings(cli)
    assert code == 0
    assert found["content"]["told"] == "1 run"
    assert found["locks"]["told"] == "none held"


async def test_a_run_that_goes_on_is_named_with_its_process(cli: Cli) -> None:
    """So that people know whom to wait for."""
    seen: list[dict[str, dict[str, object]]] = []

    async def train(trial: TrialContext) -> float:
        seen.append(findings(cli)[1])
        return 1.0

    await SweepExperiment(name="held", objective=train, search_space={"x": Uniform(0, 1)}, store="kept.db").run(budget=1)
    assert seen[0]["locks"]["told"] == f"held: held by process {os.getpid()}"


async def test_runs_inside_others_are_counted(cli: Cli) -> None:
    """They end with those."""
    seen: list[dict[str, dict[str, object]]] = []

    async def inner(x: float) -> float:
        seen.append(findings(cli)[1])
        return x

    async def outer(trial: TrialContext) -> float:
        await SweepExperiment(objective=inner, search_space={"x": Uniform(0, 1)}).run(budget=1)
        return 1.0

    await SweepExperiment(name="held", objective=outer, search_space={"x": Uniform(0, 1)}, store="kept.db").run(budget=1)
    assert seen[0]["locks"]["told"] == f"held: held by process {os.getpid()}, 1 more, inside other runs"


def test_a_folder_that_is_not_there(cli: Cli) -> None:
    """It is told as bad, with what to do, and as the exit code."""
    code, found = findings(cli, "--store", "nowhere/x.db")
    assert code == 1
    assert "make it" in str(found["write test"]["told"])


def test_a_file_that_is_no_store(cli: Cli) -> None:
    """It is not touched."""
    path = cli.file("text.db", "this is no database, and is long enough to be read as one" * 20)
    before = path.read_bytes()
    code, found = findings(cli, "--store", "text.db")
    assert code == 1
    assert not found["content"]["ok"]
    assert path.read_bytes() == before


def test_a_store_in_memory(cli: Cli) -> None:
    """There is nothing to look at."""
    code, found = findings(cli, "--store", "memory")
    assert code == 0
    assert "nothing outlives its process" in str(found["store"]["told"])


@pytest.mark.parametrize(
    ("version", "has_it"),
    [((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 52, 0), False)],
)
def test_the_known_fault_of_sqlite(version: tuple[int, ...], has_it: bool) -> None:
    """Which versions have it, and how it is avoided."""
    finding = sqlite_finding(version)
    assert finding.ok
    assert ("It is avoided" in finding.told) == has_it


def test_text_for_people(cli: Cli) -> None:
    """One line per finding, ``ok`` or ``BAD``."""
    lines = cli("doctor", "--store", str(Path("nowhere") / "x.db")).lines
    assert [line.split()[0] for line in lines] == ["ok", "ok", "ok", "BAD"]
