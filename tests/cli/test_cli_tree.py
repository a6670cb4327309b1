"""``tree``: a run and the experiments inside it, and ``list``, which leaves those out."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from cli_kit import Cli
from nested_kit import GOAL, fill, leaf

from metta_sweep import Experiment, Optimizer, Pipeline, SweepExperiment, TrialContext, Uniform
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader, SqliteStore

TREE = """\
meta (SweepExperiment)                queue_empty        3       1  0.860584     6
├─ trial[0]>middle (SweepExperiment)  budget_trials      2          0.860584     3
│  ├─ trial[0]>SweepExperiment        budget_trials      3          0.860584   1.5
│  └─ trial[1]>SweepExperiment        budget_trials      3          0.726482   1.5
├─ trial[2]>middle (SweepExperiment)  budget_trials      2          0.767498     3
│  ├─ trial[0]>SweepExperiment        budget_trials      3          0.262489   1.5
│  └─ trial[1]>SweepExperiment        budget_trials      3          0.905672   1.5
└─ trial[9]>middle (SweepExperiment)  budget_trials      2          0.860584      -        forked from trial[0]>middle"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with experiments inside experiments."""
    path = tmp_path_factory.mktemp("nested") / "kept.db"
    fill(path)
    return path


@pytest.fixture
def ran(cli: Cli, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line, with that store."""
    monkeypatch.setenv("METTA_SWEEP_STORE", str(kept))
    return cli


def timeless(lines: list[str]) -> list[str]:
    """Without the times, and the header."""
    return [re.sub(r"  +\d+\.\d s", "", line) for line in lines[1:]]


def names(lines: list[str]) -> list[str]:
    """What is in the first column, drawing and all."""
    width = lines[0].index("state")
    return [line[:width].rstrip() for line in lines[1:]]


def by_hand(*names: str) -> None:
    """Runs that have not begun."""
    with SqliteStore("kept.db") as store:
        for name in names:
            store.create_run(RunRow(f"id of {name}", name, 1.0))


def test_tree_shows_every_experiment_in_a_line(ran: Cli) -> None:
    """Where it ran and what it is called, state, trials, best score, time and cost, with what ran inside it below it."""
    said = ran("tree", "meta")
    assert said.lines[0].split() == ["state", "ended", "failed", "best", "took", "cost"]
    assert [re.sub(r"0\.\d{3,}", "best", line) for line in timeless(said.lines)] == [
        re.sub(r"0\.\d{3,}", "best", line) for line in TREE.splitlines()
    ]
    assert max(map(len, said.lines[:-1])) <= 100


def test_best_scores_go_up_the_tree(ran: Cli) -> None:
    """Each sweep has the best of those inside it, as its trials return it."""
    top = json.loads(ran("tree", "meta", "--json").out)
    for node in (top, *top["children"]):
        within = [inner["best_score"] for inner in node["children"]]
        if within:
            assert node["best_score"] == max(within)


def test_tree_as_json(ran: Cli) -> None:
    """Objects within each other, with all that ``list`` tells and the spend."""
    top = json.loads(ran("tree", "meta", "--json").out)
    assert (top["name"], top["status"], top["trials"], top["failed"], top["within"]) == ("meta", "queue_empty", 3, 1, 7)
    first, _, fork = top["children"]
    assert (first["name"], first["label"], first["class_name"]) == ("meta/trial[0]>middle", "trial[0]>middle", "SweepExperiment")
    assert (fork["forked_from"], fork["children"]) == ("meta/trial[0]>middle", [])
    assert top["spend"]["cost"] == 6.0
    assert first["spend"] == {"trials": 2, "seconds": first["spend"]["seconds"], "cost": 3.0}
    assert [inner["within"] for inner in top["children"]] == [2, 2, 0]
    assert "children" not in json.loads(ran("tree", "meta", "--json", "--depth", "0").out)


def test_tree_to_a_depth(ran: Cli) -> None:
    """What is below it is counted."""
    assert len(ran("tree", "meta", "--depth", "2").lines) == 9
    lines = ran("tree", "meta", "--depth", "1").lines
    assert [line.endswith("2 within it") for line in lines] == [False, False, True, True, False]
    (_, only) = ran("tree", "meta", "--depth", "0").lines
    assert only.endswith("7 within it")


@pytest.mark.parametrize(
    "arguments",
    [("meta/trial[2]>middle",), ("meta", "trial[2]>middle"), ("meta", "trial[2]#3>middle"), ("{id}", "trial[2]>middle")],
)
def test_tree_of_a_part(ran: Cli, arguments: tuple[str, ...]) -> None:
    """By its whole name, by that of the root and the address, and by the id of the root; attempts make no difference."""
    (meta, *_) = json.loads(ran("list", "--json").out)
    said = ran("tree", *(argument.format(id=meta["run_id"]) for argument in arguments))
    assert names(said.lines) == [
        "meta/trial[2]>middle (SweepExperiment)",
        "├─ trial[0]>SweepExperiment",
        "└─ trial[1]>SweepExperiment",
    ]


def test_tree_of_a_pipeline(ran: Cli) -> None:
    """Its trials are those of the sweeps in it; its cost is theirs."""
    assert [line.split() for line in timeless(ran("tree", "cur").lines)] == [
        ["cur", "(Curriculum)", "done", "4", "-", "2"],
        ["├─", "tasks[0]/optimize>SweepExperiment", "budget_trials", "2", *_best(ran, 0), "1"],
        ["└─", "tasks[1]/optimize>SweepExperiment", "budget_trials", "2", *_best(ran, 1), "1"],
    ]


def _best(ran: Cli, number: int) -> list[str]:
    return [f"{json.loads(ran('tree', 'cur', '--json').out)['children'][number]['best_score']:.6g}"]


def test_tree_of_what_is_not_kept_itself(ran: Cli) -> None:
    """A pipeline without a name has a line for what ran inside it, and can be asked for."""
    (*_, unnamed) = json.loads(ran("list", "--json").out)
    assert (unnamed["status"], unnamed["children"]) == ("not kept", 2)
    assert unnamed["name"].startswith("Curriculum-")
    said = ran("tree", unnamed["name"])
    assert said.lines[1].split("  ")[0] == unnamed["name"]
    assert said.lines[1].endswith("not kept itself")
    assert len(said.lines) == 4
    assert json.loads(ran("tree", unnamed["name"], "--json").out)["kept"] is False


def test_list_leaves_out_what_ran_inside_others(ran: Cli) -> None:
    """It counts what ran directly in each, and says how to see them; ``--all`` lists every run by its whole name."""
    *runs, hint = ran("list").lines
    assert runs[0].split()[3] == "children"
    assert [line.split()[0] for line in runs[1:3]] == ["meta", "cur"]
    assert hint == "11 runs lie within these: metta-sweep tree NAME shows them, metta-sweep list --all lists them"
    every = json.loads(ran("list", "--all", "--json").out)
    assert {run["name"]: run["children"] for run in every if run["name"].startswith("meta")} == {
        "meta": 3,
        "meta/trial[0]>middle": 2,
        "meta/trial[0]>middle/trial[0]>SweepExperiment": 0,
        "meta/trial[0]>middle/trial[1]>SweepExperiment": 0,
        "meta/trial[2]>middle": 2,
        "meta/trial[2]>middle/trial[0]>SweepExperiment": 0,
        "meta/trial[2]>middle/trial[1]>SweepExperiment": 0,
        "meta/trial[9]>middle": 0,
    }
    assert len(ran("list", "--all").lines) == 1 + len(every) == 14


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("meat",), 1, "Did you mean 'meta'?"),
        (("meta", "trial[0]>midle"), 1, "no experiment ran at 'trial[0]>midle'; expected one of trial[0]>middle, trial[2]>middle"),
        (("meta", "trial[0]>midle"), 1, "Did you mean 'trial[0]>middle'?"),
        (("meta/trial[0]>middle/trial[1]>x",), 1, "run 'meta/trial[0]>middle': no experiment ran at 'trial[1]>x'"),
        (("meta/trial[9]>middle/trial[1]>x",), 1, "no experiment ran inside it"),
        (("meta", "trial[0]"), 2, "Look at it: metta-sweep show meta 'trial[0]'"),
        (("meta", "--depth", "-1"), 2, "--depth: it must be at least 0"),
    ],
)
def test_trees_of_nothing(ran: Cli, arguments: tuple[str, ...], code: int, told: str) -> None:
    """One clear message."""
    said = ran("tree", *arguments)
    assert (said.code, said.out) == (code, "")
    assert told in said.err


def test_a_wide_tree_is_shortened(cli: Cli) -> None:
    """The first 20 places in their order, by number; one more is no reason to leave it out."""
    by_hand("wide", *(f"wide/trial[{number}]>it" for number in reversed(range(100))))
    said = cli("tree", "wide")
    assert names(said.lines)[1:-1] == [f"├─ trial[{number}]>it" for number in range(20)]
    assert said.lines[-1] == "└─ ... 80 more: --all"
    whole = cli("tree", "wide", "--all").lines
    assert [line.split()[1] for line in whole[2:]] == [f"trial[{number}]>it" for number in range(100)]
    assert len(json.loads(cli("tree", "wide", "--json").out)["children"]) == 100
    by_hand("less", *(f"less/trial[{number}]>it" for number in range(21)))
    assert len(cli("tree", "less").lines) == 23


def test_what_is_left_out_of_a_wide_tree_is_not_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size costs the names only."""
    by_hand("wide", *(f"wide/trial[{number}]>it" for number in range(1000)))
    asked: list[str] = []
    fetch = SqliteReader._fetch

    def counted(self: SqliteReader, statement: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        asked.append(statement)
        return fetch(self, statement, values)

    monkeypatch.setattr(SqliteReader, "_fetch", counted)
    assert cli("tree", "wide").code == 0
    assert len(asked) < 21 * 12


def test_places_of_all_kinds_come_in_order(cli: Cli) -> None:
    """Stages, items, turns and trials, by name and number; several experiments in one place; those without a run of their own."""
    by_hand(
        "it",
        "it/trial[10]>b",
        "it/trial[2]>b",
        "it/trial[2]>a",
        "it/tasks[10]/fit>x/trial[0]>y",
        "it/tasks[9]/fit>x",
        "it/fit[item=7]>x",
    )
    assert names(cli("tree", "it").lines) == [
        "it",
        "├─ fit[item=7]>x",
        "├─ tasks[9]/fit>x",
        "├─ tasks[10]/fit>x",
        "│  └─ trial[0]>y",
        "├─ trial[2]>a",
        "├─ trial[2]>b",
        "└─ trial[10]>b",
    ]


def test_states_of_experiments_in_a_tree(cli: Cli) -> None:
    """What runs is told, and by which process once; what was cancelled with its parent says so; a damaged one hides no other."""

    async def waits(trial: TrialContext) -> float:
        await SweepExperiment(name="inner", objective=stops, search_space={"x": Uniform(0, 1)}, slots=1).run(budget=2)
        return 1.0

    async def stops(trial: TrialContext) -> float:
        if trial.number == 1:
            seen.append(cli("tree", "it").out)
            started.set()
            await asyncio.sleep(60)
        return 1.0

    async def cancelled() -> None:
        experiment = SweepExperiment(name="it", objective=waits, search_space={"x": Uniform(0, 1)}, slots=1, store="kept.db")
        task = asyncio.create_task(experiment.arun(budget=5))
        await started.wait()
        task.cancel()
        await asyncio.wait({task})

    seen: list[str] = []
    started = asyncio.Event()
    asyncio.run(cancelled())
    _, top, inner = seen[0].splitlines()
    assert f"running ({os.getpid()})" in top
    assert re.search(r"running +0 ", inner)
    _, top, inner = cli("tree", "it").lines
    assert "cancelled" in top
    assert re.search(r"cancelled .*trial\[0\] of it was ended$", inner)
    assert "cancelled: trial[0] of it was ended; run it again to go on" in cli("show", "it/trial[0]>inner").out
    with SqliteStore("kept.db") as store:
        store.create_run(RunRow("more", "it/trial[1]>more", 1.0))
        store._connection.execute("UPDATE records SET payload = x'00' WHERE run = 2")
        store._connection.commit()
    _, top, inner, more = cli("tree", "it").lines
    assert "cancelled" in top
    assert "damaged" in inner
    assert "not begun" in more


def test_a_pipeline_that_failed_says_why(cli: Cli) -> None:
    """At the top and inside another one, in a tree and by itself."""

    class Fails(Experiment):
        def pipeline(self) -> Pipeline:
            return Pipeline().stage("fit", self.fit).through(x=float)

        async def fit(self) -> float:
            raise ValueError("no data\ud800\nat all")

    async def trial(x: float) -> float:
        return float((await Fails(name="inner").run()).x)

    outer = SweepExperiment(name="it", objective=trial, search_space={"x": Uniform(0, 1)}, slots=1, store="kept.db")
    asyncio.run(outer.arun(budget=1))
    with pytest.raises(ValueError, match="no data"):
        asyncio.run(Fails(name="alone", store="kept.db").arun())
    assert re.search(r"inner \(Fails\) +failed .*  ValueError: no data\\ud800$", cli("tree", "it").lines[2])
    assert re.search(r"alone \(Fails\) +failed .*  ValueError: no data\\ud800$", cli("tree", "alone").lines[1])
    assert "status  failed: ValueError: no data\\ud800; run it again to go on" in cli("show", "alone").lines
    assert json.loads(cli("tree", "alone", "--json").out)["why"] == "ValueError: no data\\ud800\nat all"


def test_a_sweep_that_failed_says_why(cli: Cli) -> None:
    """Whatever its error says: what no terminal can hold is spelled out."""

    class Fails(Optimizer):
        def suggest(self, n: int) -> list[dict[str, float]]:
            raise OSError("no file caf\udce9")

    sweep = SweepExperiment(
        name="it", objective=leaf, search_space={"x": Uniform(0, 1)}, goal=GOAL, optimizer=Fails(), slots=1, store="kept.db"
    )
    with pytest.raises(Exception, match="no file"):
        asyncio.run(sweep.arun(budget=1))
    assert "no file caf\\udce9" in cli("tree", "it").lines[1]
    assert "no file caf\\udce9" in json.loads(cli("tree", "it", "--json").out)["why"]


@pytest.mark.parametrize("columns", ["84", "77"])
def test_names_are_cut_where_the_terminal_ends(ran: Cli, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """Classes are left out first, then middles of names; notes stand below. What is piped elsewhere is whole."""
    whole = ran("tree", "meta").lines
    monkeypatch.setattr("metta_sweep.cli.tree._is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    cut = ran("tree", "meta").lines
    assert "…" not in "".join(whole)
    assert names(cut)[1] == "├─ trial[0]>middle"
    assert names(cut)[2] == ("│  ├─ trial[0]>SweepExperiment" if columns == "84" else "│  ├─ trial[0]>…periment")
    assert names(cut)[-2] == "└─ trial[9]>middle"
    assert cut[-1].strip() == "forked from trial[0]>middle"
    assert max(len(line) for line in cut) <= int(columns)
    monkeypatch.setenv("COLUMNS", "200")
    assert ran("tree", "meta").lines == whole


def test_trees_are_drawn_with_what_the_output_can_hold(ran: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain characters, where it is ASCII."""
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    assert ran("tree", "cur").code == 0
    output.flush()
    text = raw.getvalue().decode()
    assert "|- tasks[0]/optimize>SweepExperiment" in text
    assert "`- tasks[1]/optimize>SweepExperiment" in text


def test_looking_at_trees_changes_nothing(ran: Cli, kept: Path) -> None:
    """Not one byte of the database."""
    before = kept.read_bytes()
    for arguments in (("tree", "meta"), ("list", "--all"), ("show", "meta/trial[0]>middle"), ("trace", "meta", "trial[0]>middle")):
        assert ran(*arguments).code == 0
    assert kept.read_bytes() == before


async def test_the_kit_counts_costs() -> None:
    """So that the trees above have some."""
    assert (await leaf(0.5))["cost"] == 0.5
