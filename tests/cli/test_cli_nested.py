"""``show``, ``trace``, ``run`` and ``resume`` of experiments inside experiments, and where suggestions come from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_kit import Cli, environment
from nested_kit import GOAL, SPACE, fill, leaf

from metta_sweep import SweepExperiment
from metta_sweep.optimizers import RandomOptimizer, SuggestionQueue
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteStore

INNER = "trial[2]>middle/trial[1]>SweepExperiment"


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


@pytest.mark.parametrize(
    "arguments",
    [
        ("meta", f"{INNER}/trial[1]"),
        ("meta", "trial[2]#1>middle/trial[1]#7>SweepExperiment/trial[1]#1"),
        (f"meta/{INNER}", "trial[1]"),
        (f"meta/{INNER}/trial[1]",),
        ("meta/trial[2]>middle", "trial[1]>SweepExperiment/trial[1]"),
        ("meta/trial[2]>middle/trial[1]>SweepExperiment/trial[1]#1",),
    ],
)
def test_a_trial_at_any_depth_is_shown(ran: Cli, arguments: tuple[str, ...]) -> None:
    """By the name of any run above it, and the rest of the address; with what is around it up to the root."""
    said = ran("show", *arguments)
    assert said.lines[0] == "trial[1]: completed, attempt 1"
    assert [line for line in said.lines if line.startswith("origin")] == ["origin   random, suggestion 1"]
    within = [line for line in said.lines if line.startswith("within")]
    assert within[0].startswith("within   trial[1] of meta/trial[2]>middle: x=0.")
    assert within[1:] == ["within   trial[2] of meta: x=0.9"]


def test_a_trial_shows_what_ran_inside_it(ran: Cli) -> None:
    """The experiments, how they ended, their best scores and trials."""
    (line,) = [line for line in ran("show", "meta", "trial[0]").lines if line.startswith("ran ")]
    assert line.startswith("ran      trial[0]>middle: budget_trials, best 0.")
    assert line.endswith(", 2 trials")
    assert not [line for line in ran("show", "meta", "trial[1]").lines if line.startswith(("ran ", "within"))]


def test_lineage_as_json(ran: Cli) -> None:
    """The same as one object."""
    told = json.loads(ran("show", f"meta/{INNER}", "trial[1]", "--json").out)["lineage"]
    assert (told["origin"], told["suggestion"], told["branch"], told["follows"]) == ("random", 1, None, [])
    assert [(place["run"], place["place"]) for place in told["within"]] == [
        ("meta/trial[2]>middle", "trial[1]"),
        ("meta", "trial[2]"),
    ]
    assert told["within"][1]["params"] == {"x": 0.9}
    assert (told["takes_from"], told["warm_start"], told["copied_from"], told["ran"]) == ([], [], None, [])
    (inner,) = json.loads(ran("show", "meta", "trial[2]", "--json").out)["lineage"]["ran"]
    assert (inner["address"], inner["status"], inner["trials"]) == ("trial[2]>middle", "budget_trials", 2)


def test_a_run_at_any_depth_is_shown(ran: Cli) -> None:
    """As any other, with what is around and inside it."""
    said = ran("show", "meta", "trial[2]>middle")
    assert said.lines[0].startswith("meta/trial[2]>middle: 2 trials in ")
    assert "within  trial[2] of meta: x=0.9" in said.lines
    assert "inside  2 experiments: metta-sweep tree 'meta/trial[2]>middle' shows them" in said.lines
    assert "inside  7 experiments: metta-sweep tree meta shows them" in ran("show", "meta").lines
    told = json.loads(ran("show", "meta/trial[2]>middle", "--json").out)
    assert (told["name"], told["within"], told["forked_from"]) == ("meta/trial[2]>middle", 2, None)


def test_a_fork_says_what_it_is_a_copy_of(cli: Cli) -> None:
    """Of its trials those that it has from its source; not those that it ran itself."""
    with SqliteStore("kept.db") as store:
        sweep = SweepExperiment(name="first", objective=lambda x: x, search_space=SPACE, seed=1, slots=1, store=store)
        sweep.run(budget=2)
        source = store.find_run("first")
        assert source is not None
        store.fork_run(source.run_id, RunRow("fork-1", "second", 1.0))
        end = store.end_of("fork-1")
        again = SweepExperiment(name="second", objective=sweep.objective, search_space=SPACE, seed=1, slots=1, store=store)
        again.run(budget=4)
    assert f"fork    of first: events before number {end} are its" in cli("show", "second").lines
    assert "copied   from first, where it was run: this run is a fork of it" in cli("show", "second", "trial[1]").lines
    for arguments in (("second", "trial[2]"), ("first", "trial[1]")):
        assert not [line for line in cli("show", *arguments).lines if line.startswith("copied")]
    assert json.loads(cli("show", "second", "trial[0]", "--json").out)["lineage"]["copied_from"] == "first"
    assert cli("tree", "second").lines[1].endswith("forked from first")
    with SqliteStore("kept.db") as store:
        store.fork_run("fork-1", RunRow("fork-2", "third", 1.0))
    copied = [json.loads(cli("show", "third", f"trial[{n}]", "--json").out)["lineage"]["copied_from"] for n in range(4)]
    assert copied == ["first", "first", "second", "second"]


def test_a_fork_has_used_what_it_used_itself(cli: Cli) -> None:
    """Neither seconds nor cost of its source are its own, in ``tree`` and in ``show``; before it is taken up it used nothing."""
    with SqliteStore("kept.db") as store:
        sweep = SweepExperiment(name="first", objective=leaf, search_space=SPACE, goal=GOAL, seed=1, slots=1, store=store)
        first = sweep.run(budget=4)
        store.fork_run(first.run_id, RunRow("fork-1", "second", 1.0))
        fresh = json.loads(cli("tree", "second", "--json").out)
        again = SweepExperiment(name="second", objective=leaf, search_space=SPACE, goal=GOAL, seed=1, slots=1, store=store)
        second = again.run(budget=6)
    assert (fresh["trials"], fresh["spend"]) == (4, {"trials": 0, "seconds": 0.0, "cost": 0.0})
    told = json.loads(cli("tree", "second", "--json").out)["spend"]
    assert told["cost"] == second.spend.cost == 1.0
    assert told["trials"] == 2
    assert told["seconds"] < first.spend.seconds + second.spend.seconds
    shown = json.loads(cli("show", "second", "--json").out)["spend"]
    assert (shown["trials"], shown["cost"]) == (2, 1.0)
    assert json.loads(cli("tree", "first", "--json").out)["spend"]["cost"] == 2.0


def test_followed_trials_and_earlier_runs_are_told(cli: Cli) -> None:
    """The whole line of trials that follow each other; and what the optimizer began with."""
    from metta_sweep.core.trial import Suggestion

    with SqliteStore("kept.db") as store:
        line = [Suggestion(params={"x": 0.1}, id="a"), Suggestion(params={"x": 0.2}, id="b", parent="a", branch="up")]
        line.append(Suggestion(params={"x": 0.3}, id="c", parent="b", branch="up", origin="by hand"))
        queued = SweepExperiment(name="first", objective=lambda x: x, optimizer=SuggestionQueue(line), slots=1, store=store).run()
        sweep = SweepExperiment(
            name="second", objective=lambda x: x, search_space=SPACE, optimizer=RandomOptimizer(), warm_start=queued, store=store
        )
        sweep.run(budget=1)
    said = cli("show", "first", "trial[c]")
    assert "origin   by hand, suggestion 2 of up" in said.lines
    assert "follows  trial[b], which follows trial[a]" in said.lines
    assert json.loads(cli("show", "first", "trial[c]", "--json").out)["lineage"]["follows"] == ["b", "a"]
    assert "learned  the optimizer began with 3 trials of first" in cli("show", "second", "trial[0]").lines
    assert "warm    its optimizer began with 3 trials of first" in cli("show", "second").lines


def test_a_checkpoint_that_was_taken_over_is_told(cli: Cli) -> None:
    """In a population, of whom and after which step."""
    cli.file(
        "population.py",
        "from metta_sweep import SweepExperiment, Uniform\n"
        "from metta_sweep.schedulers import PBTScheduler\n"
        "def train(trial):\n"
        "    for epoch in range(trial.resume_step + 1, 5):\n"
        "        yield {'step': epoch, 'score': trial.params['x'] + epoch}\n"
        "experiment = SweepExperiment(name='population', objective=train, search_space={'x': Uniform(0, 1)},\n"
        "    scheduler=PBTScheduler(population_size=4, epochs_per_generation=1, num_generations=4),\n"
        "    seed=0, slots=1, store='kept.db')\n",
    )
    assert cli("run", "population.py").code == 0
    taken = [json.loads(line) for line in cli("trace", "population", "--kind", "resume", "--json").lines]
    event = next(event for event in taken if event["source"] is not None)
    said = cli("show", "population", f"trial[{event['trial_id']}]")
    told = f"went on  from the checkpoint of trial[{event['source']}] after step {event['step']}, with x={event['params']['x']:.4g}"
    assert told in said.lines
    lineage = json.loads(cli("show", "population", f"trial[{event['trial_id']}]", "--json").out)["lineage"]
    assert {"trial": event["source"], "step": event["step"], "params": event["params"]} in lineage["takes_from"]


def test_a_stage_shows_what_ran_inside_it(ran: Cli) -> None:
    """Below what it gave; in JSON there is that only."""
    said = ran("show", "cur", "tasks[1]/optimize")
    assert said.lines[-1].startswith("ran      tasks[1]/optimize>SweepExperiment: budget_trials, best 0.")
    assert json.loads(ran("show", "cur", "tasks[1]/optimize", "--json").out) == {"task": 2}
    assert sum(line.startswith("ran ") for line in ran("show", "cur", "tasks").lines) == 2
    assert "inside  2 experiments: metta-sweep tree cur shows them" in ran("show", "cur").lines
    inner = ran("show", "cur", "tasks[1]/optimize>SweepExperiment/trial[0]")
    assert "within   tasks[1]/optimize of cur" in inner.lines


def test_a_stage_that_has_given_nothing_yet_shows_what_runs_inside_it(cli: Cli) -> None:
    """It is not said that nothing is there."""
    from metta_sweep.pipeline.keeping.recording import open_kept

    with SqliteStore("kept.db") as store:
        kept, _ = open_kept(store, "it", 1, {"kind": "pipeline"})
        store.create_run(RunRow("inner", "it/fit>inner", 1.0))
        assert cli("show", "it", "fit").lines == ["fit: nothing is recorded of it yet", "ran      fit>inner: not begun"]
        assert json.loads(cli("show", "it", "fit", "--json").out) == {"address": "fit", "addresses": [], "ran": ["fit>inner"]}
        store.release(kept.run_id)


@pytest.mark.parametrize("command", ["show", "trace"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("meta", "trial[2]>midle"), "Did you mean 'trial[2]>middle'?"),
        (("meta", f"{INNER[:-1]}"), f"Did you mean '{INNER.partition('/')[2]}'?"),
        (("meta/trial[7]>middle",), "run 'meta': no experiment ran at 'trial[7]>middle'; expected one of trial[0]>middle"),
        (("mete/trial[2]>middle",), "there is no run 'mete'; expected one of meta, cur, Curriculum-"),
        (("cur", "tasks[7]/optimize>SweepExperiment"), "expected one of tasks[0]/optimize>SweepExperiment, tasks[1]"),
    ],
)
def test_addresses_of_nothing(ran: Cli, command: str, arguments: tuple[str, ...], told: str) -> None:
    """What there is, and what was probably meant."""
    said = ran(command, *arguments)
    assert (said.code, said.out) == (1, "")
    assert told in said.err


def test_the_name_of_a_place_is_no_address(ran: Cli) -> None:
    """What is called so is suggested."""
    said = ran("show", "meta", "trial[2]middle")
    assert "nothing is kept at 'trial[2]middle'" in said.err
    assert "Did you mean 'trial[2]>middle'?" in said.err


@pytest.mark.parametrize("command", ["show", "trace"])
def test_what_is_not_kept_itself_cannot_be_shown(ran: Cli, command: str) -> None:
    """It says where to look; what ran inside it can be shown."""
    (*_, unnamed) = json.loads(ran("list", "--json").out)
    said = ran(command, unnamed["name"])
    assert said.code == 1
    assert f"Look at what ran inside it: metta-sweep tree {unnamed['name']}" in said.err
    assert ran(command, unnamed["name"], "tasks[0]/optimize>SweepExperiment").code == 0


def test_trace_at_any_depth(ran: Cli) -> None:
    """Of a run inside another one, of one trial of it, and of a stage."""
    whole = [json.loads(line) for line in ran("trace", "meta", INNER, "--json").lines]
    assert [event["kind"] for event in whole].count("result") == 3
    trial = ran("trace", "meta", f"{INNER}/trial[1]").lines
    assert [line.split()[1] for line in trial] == ["pick", "dispatch", "result", "score"]
    assert trial == ran("trace", f"meta/{INNER}", "--trial", "1").lines
    assert trial == ran("trace", "meta", f"{INNER}/trial[1]#1").lines
    assert [line.split()[1] for line in ran("trace", "meta", f"{INNER}/trial[1]#2").lines] == ["pick", "score"]
    assert [line.split()[1] for line in ran("trace", "meta", f"{INNER}/sweep[0]/pick").lines] == ["draw", "pick"]
    assert ran("trace", "meta", f"{INNER}/sweep[0]", "--last", "1").lines == ran("show", f"meta/{INNER}", "sweep[0]").lines[-1:]
    assert ran("trace", "meta", f"{INNER}/trial[1]", "--trial", "2").code == 2
    stages = ran("trace", "cur", "tasks[1]").lines
    assert stages == ["cur: no events are kept of a pipeline; its recorded stages are:", "  tasks[1]/optimize"]


@pytest.mark.parametrize("command", ["run", "resume"])
@pytest.mark.parametrize("target", ["tried_sweep.py:meta/trial[2]>middle", "meta/trial[2]>middle"])
def test_a_run_inside_another_one_cannot_be_run_by_itself(ran: Cli, command: str, target: str) -> None:
    """It says what can."""
    said = ran(command, target)
    file = target.rpartition(":")[0] or "FILE"
    assert said.code == 2
    assert "it ran inside another experiment, which alone can go on with it; found 'meta/trial[2]>middle'" in said.err
    assert f"Go on with that: metta-sweep resume {file}:meta" in said.err


DIES = """
import os
from metta_sweep import SweepExperiment, Uniform

space = {"x": Uniform(0, 1)}

async def inner(trial):
    if trial.number == 1 and os.environ.get("DIE"): os._exit(9)
    return trial.params["x"]

async def outer(x):
    return (await SweepExperiment(name="inner", objective=inner, search_space=space, slots=1).run(budget=2)).best_score

dead = SweepExperiment(name="dead", objective=outer, search_space=space, slots=1, store="kept.db")
if __name__ == "__main__": dead.run(budget=2)
"""


def test_a_run_whose_process_is_gone_goes_on_with_its_root(cli: Cli) -> None:
    """Which it names."""
    script = cli.file("dies.py", DIES)
    died = subprocess.run([sys.executable, script], env=environment(DIE="1"), stderr=subprocess.DEVNULL, check=False)
    assert died.returncode == 9
    assert sum("broken off" in line for line in cli("tree", "dead").lines) == 2
    assert "broken off: the process that ran it is gone; run dead again to go on" in cli("show", "dead", "trial[0]>inner").out
    assert cli("resume", "dies.py:dead").code == 0
    assert "broken off" not in cli("tree", "dead").out


def test_a_run_inside_one_without_a_name_cannot_go_on(cli: Cli) -> None:
    """It says why."""
    with SqliteStore("kept.db") as store:
        ran = SweepExperiment(objective=leaf, search_space=SPACE, goal=GOAL, store=store).run(budget=1)
        start = next(store.records(ran.run_id, kind="start"))
        store.begin_run(RunRow("inner", f"{ran.run_id}/trial[0]>inner", 1.0), [start])
        store.release("inner")
        store.begin_run(RunRow("orphan", "gone/trial[0]>inner", 1.0), [start])
        store.release("orphan")
    for root, name in ((ran.run_id, f"{ran.run_id}/trial[0]>inner"), ("gone", "gone/trial[0]>inner")):
        told = f"broken off: the process that ran it is gone; it goes on with {root} only, which has no name and so cannot"
        assert told in cli("show", name).out


def test_what_ran_inside_a_run_is_kept_aside_with_it(cli: Cli) -> None:
    """When it starts over; the new run has children of its own."""
    cli.file("dies.py", DIES)
    assert cli("run", "dies.py:dead", "--budget", "2").code == 0
    before = cli("tree", "dead").lines
    assert cli("run", "dies.py:dead", "--budget", "1", "--fresh").code == 0
    assert [line[6:] for line in cli("tree", "dead@1").lines[2:]] == [line[6:] for line in before[2:]]
    assert len(before) == 4
    assert len(cli("tree", "dead").lines) == 3
    assert [run["name"] for run in json.loads(cli("list", "--json").out)] == ["dead@1", "dead"]


def test_pipelines_take_budgets(cli: Cli) -> None:
    """Of the trials of the sweeps directly inside them."""
    cli.file(
        "cur.py",
        "from metta_sweep import *\n"
        "class Cur(Experiment):\n"
        "    name = 'cur'\n"
        "    store = 'kept.db'\n"
        "    def pipeline(self): return Pipeline().stage('fit', self.fit).through(n=int)\n"
        "    async def fit(self):\n"
        "        sweep = SweepExperiment(objective=lambda x: x, search_space={'x': Uniform(0, 1)}, slots=1)\n"
        "        return len((await sweep.run(budget=50)).trials)\n",
    )
    assert json.loads(cli("run", "cur.py", "--budget", "5", "--json").out) == {"n": 5}
    assert json.loads(cli("tree", "cur", "--json").out)["spend"]["trials"] == 5
