"""``list`` and ``show`` of runs that are damaged, odd or not begun: one message each, and the other runs are shown."""

from __future__ import annotations

import json
import sqlite3

import pytest
from cli_kit import Cli

from metta_sweep.cli.text import moment
from metta_sweep.records import Record, RunRow
from metta_sweep.store import SqliteStore


@pytest.fixture
def ran(cli: Cli) -> Cli:
    """The command line in a folder in which ``tried`` has run eight trials, of which number 3 failed."""
    assert cli("run", "tried_sweep.py", "--budget", "8").code == 0
    return cli


def add_run(cli: Cli, name: str, start: bytes | None, created: float = 0.0) -> None:
    """A run whose start was noted so; None: it was made, and nothing more."""
    store = SqliteStore(cli.folder / "kept.db")
    try:
        store.create_run(RunRow(name, name, created))
        store.acquire(name)
        if start is not None:
            store.append(name, [Record(0, 0, "sweep", "start", 0.0, 0.0, start)])
        store.release(name)
    finally:
        store.close()


def damage(cli: Cli, statement: str) -> None:
    """Change the file behind the back of the store."""
    with sqlite3.connect(cli.folder / "kept.db") as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


NOTES = [
    b"nojson",
    b"[]",
    b'{"budget": 5}',
    b'{"budget": {}}',
    b'{"seed": 1, "budget": 5, "definition": {"kind": "sweep"}}',
    b'{"seed": 1, "budget": {"days": 5}, "definition": {"kind": "sweep"}}',
    b'{"seed": "x", "budget": {}, "definition": {"kind": "sweep"}}',
    b'{"seed": 1, "budget": {}, "definition": {"kind": "sweep", "goal": 7}}',
    b'{"seed": 1, "budget": {}, "definition": 7}',
]


@pytest.mark.parametrize("note", NOTES)
def test_an_odd_start_note_is_one_message_and_hides_no_other_run(ran: Cli, note: bytes) -> None:
    """``list`` goes on, and ``show`` raises nothing that has a traceback."""
    add_run(ran, "odd", note)
    listed = {run["name"]: run["status"] for run in json.loads(ran("list", "--json").out)}
    assert listed["tried"] == "budget_trials"
    assert listed["odd"] in ("damaged", "kept")
    said = ran("show", "odd")
    assert said.code == (1 if listed["odd"] == "damaged" else 0)
    assert ("no note of a start" in said.err) == (said.code == 1)


def test_a_damaged_record_marks_its_run_and_hides_no_other(ran: Cli) -> None:
    """The table says which run it is."""
    add_run(ran, "whole", None)
    damage(ran, "UPDATE records SET payload = CAST('{}' AS BLOB) WHERE kind = 'start'")
    said = ran("list")
    assert said.code == 0
    assert {line.split()[0]: line.split()[2] for line in said.lines[1:]} == {"tried": "damaged", "whole": "not"}


def test_a_damaged_trial_row_is_told_apart_from_the_journal(ran: Cli) -> None:
    """The run is listed, and the message says that the journal is intact and how it is read."""
    damage(ran, "UPDATE trials SET payload = CAST('{}' AS BLOB) WHERE number = 1")
    assert json.loads(ran("list", "--json").out)[0]["trials"] == 8
    said = ran("show", "tried", "--json")
    assert said.code == 1
    assert "the row of trial 1 is damaged" in said.err
    assert "The journal, which holds all that happened, is intact: metta-sweep trace tried shows it" in said.err
    assert ran("trace", "tried").code == 0


def test_a_run_without_a_record_has_not_begun(ran: Cli) -> None:
    """It may be a sweep that was killed just after it was made: it is not called a pipeline."""
    add_run(ran, "new", None)
    assert [run["status"] for run in json.loads(ran("list", "--json").out)] == ["budget_trials", "not begun"]
    assert "pipeline" not in ran("list").out
    assert ran("show", "new").out.startswith("new: not begun")


def test_a_run_from_beyond_all_calendars_is_listed(ran: Cli) -> None:
    """The time of its beginning is no time: it is shown as such."""
    add_run(ran, "far", None, created=1e300)
    assert ran("list").code == 0
    assert ran("show", "far").code == 0
    assert [moment(when) for when in (1e300, float("nan"), float("inf"))] == ["?"] * 3


def test_sums_in_the_list_are_those_of_the_trials(ran: Cli) -> None:
    """They are counted in the database; the best is the one of the result, in the direction of the goal."""
    (run,) = json.loads(ran("list", "--json").out)
    shown = json.loads(ran("show", "tried", "--json").out)
    assert (run["trials"], run["failed"]) == (8, 1)
    assert run["best_score"] == shown["best_score"]


def test_json_of_a_stage_is_json_whatever_is_in_it(cli: Cli) -> None:
    """Control characters are spelled as JSON spells them, so that a program reads what was kept."""
    cli.file(
        "odd_piped.py",
        "from metta_sweep import *\n"
        "class Odd(Experiment):\n"
        "    def pipeline(self): return Pipeline().stage('one', lambda: 'a\\x7f\\x9b31m\\x01').through(str)\n"
        "odd = Odd(name='odd', store='kept.db')",
    )
    ran = cli("run", "odd_piped.py", "--json")
    shown = cli("show", "odd", "one", "--json")
    assert json.loads(ran.out) == {"one": "a\x7f\x9b31m\x01"}
    assert json.loads(shown.out) == {"one": "a\x7f\x9b31m\x01"}
    assert all(" " <= char <= "~" or char == "\n" for char in ran.out + shown.out)
