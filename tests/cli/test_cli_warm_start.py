"""``trace`` and ``show`` of a run that began with earlier trials."""

from __future__ import annotations

import json

from cli_kit import Cli

from metta_sweep import SweepExperiment, Uniform
from metta_sweep.store import SqliteStore

SPACE = {"x": Uniform(0, 1)}


def _line(x: float) -> float:
    return x


def test_trace_begins_with_what_the_optimizer_knew(cli: Cli) -> None:
    """One line for each run that it knew of, before the first event; none where events are chosen; the summary tells it, too."""
    path = str(cli.folder / "kept.db")
    with SqliteStore(path) as store:
        first = SweepExperiment(name="first", objective=_line, search_space=SPACE, store=store, seed=0).run(3)
        given = [first, *first.trials[:1]]
        SweepExperiment(name="second", objective=_line, search_space=SPACE, store=store, seed=0, warm_start=given).run(2)
    lines = cli("trace", "second", "--store", path).lines
    assert [line.split(maxsplit=3)[1:] for line in lines[:2]] == [
        ["warm", "optimizer", "it begins with 3 trials of first"],
        ["warm", "optimizer", "it begins with 1 trial"],
    ]
    assert lines[2].split()[:2] == ["0", "draw"]
    told = [json.loads(line) for line in cli("trace", "second", "--json", "--store", path).lines]
    assert told[:2] == [{"kind": "warm", "run": "first", "trials": 3}, {"kind": "warm", "run": None, "trials": 1}]
    assert [event["seq"] for event in told[2:]] == list(range(len(told) - 2))
    assert cli("trace", "second", "--last", "99", "--store", path).lines == lines[2:]
    assert not [line for line in cli("trace", "first", "--store", path).lines if "warm" in line]
    shown = json.loads(cli("show", "second", "--json", "--store", path).out)
    assert shown["warm_start"] == [{"run": "first", "trials": 3}, {"run": None, "trials": 1}]
