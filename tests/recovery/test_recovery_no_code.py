"""What is kept is data. A database that somebody else wrote, its seals right, makes nothing happen but a clear error."""

from __future__ import annotations

import gc
import importlib
import json
import pickle
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from load_paths import OFFENCES, CodeFromData

from metta_sweep import SweepExperiment, Uniform
from metta_sweep.errors import MettaSweepError, StoreError
from metta_sweep.experiments import codec
from metta_sweep.records import Record, TrialRow
from metta_sweep.store import open_reader
from metta_sweep.store.sql.sealing import seal_record, seal_row

NAME = "digits"
EVENTS = 16
"""How many there are after three trials."""


def opens_a_file(place: Path) -> bytes:
    """A pickle that makes a file when it is loaded."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return open, (str(place), "w")

    return pickle.dumps(Evil())


def payloads(place: Path) -> dict[str, bytes]:
    """What somebody might put where a payload belongs."""
    call = f"__import__('pathlib').Path({str(place)!r}).touch()"
    return {
        "a pickle": opens_a_file(place),
        "code": call.encode(),
        "code in JSON": json.dumps([["draw", call, call]]).encode(),
        "a kind that is a module": b'[["os.system", "true"]]',
        "a kind that is a list": b'[[["draw"], 1]]',
        "a class by name": b'[{"py/object": "subprocess.Popen", "__class__": "subprocess.Popen"}]',
        "huge numbers": b'[["draw", 1' + b"0" * 5000 + b', {}], ["draw", 1e999, {}]]',
        "deep nesting": b"[" * 100_000 + b"]" * 100_000,
        "deep params": b'[["draw", 0, ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"]]",
        "no JSON": b"\xff\x00\xfe",
        "nothing": b"",
        "a number": b"7",
        "null": b"null",
        "a mapping": b'{"seed": {}, "budget": [], "definition": 3}',
        "a mapping of other things": b'{"seed": 1, "budget": {"__class__": "os"}, "definition": {}}',
        "events that cannot be": b'[["pick", 99, "99", 0], ["score", "99", null, 1.0, 1.0, 1, 1.0, true, true]]',
    }


KINDS = sorted(payloads(Path("none")))


def objective(x: float) -> float:
    """The parameter."""
    return x


def experiment(path: Path) -> SweepExperiment:
    """The sweep that is kept there."""
    return SweepExperiment(name=NAME, objective=objective, search_space={"x": Uniform(0, 1)}, seed=1, slots=1, store=path)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a run of three trials."""
    path = tmp_path_factory.mktemp("template") / "sweeps.db"
    experiment(path).run(budget=3)
    gc.collect()
    assert not Path(f"{path}-wal").exists()
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(template, tmp_path))


def forge(path: Path, kind: str, payload: bytes) -> None:
    """Put a payload in the first record of a kind, with the seal that belongs to it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        statement = "SELECT id, run, seq, count, address, kind, time, elapsed FROM records WHERE kind = ? ORDER BY id"
        position, run, *columns = connection.execute(statement, (kind,)).fetchone()
        seal = seal_record(run, Record(*[*columns, payload]))
        connection.execute("UPDATE records SET payload = ?, seal = ? WHERE id = ?", (payload, seal, position))
    finally:
        connection.close()


def forge_trial(path: Path, payload: bytes) -> None:
    """Put a payload in the row of trial 1, with the seal that belongs to it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        statement = "SELECT run, number, branch, state, score, attempt, seconds FROM trials WHERE number = 1"
        run, number, branch, state, score, attempt, seconds = connection.execute(statement).fetchone()
        seal = seal_row(run, TrialRow(number, str(number), branch, state, score, attempt, seconds, payload))
        connection.execute("UPDATE trials SET payload = ?, seal = ? WHERE number = 1", (payload, seal))
    finally:
        connection.close()


@pytest.mark.parametrize("hostile", KINDS)
@pytest.mark.parametrize("kind", ["events", "start"])
def test_a_hostile_record_does_nothing(path: Path, kind: str, hostile: str) -> None:
    """Going on with the run is refused with an error that names the record, and nothing is written."""
    place = path.with_name("pwned")
    forge(path, kind, payloads(place)[hostile])
    with pytest.raises(StoreError, match="record ") as caught:
        experiment(path).run(budget=5)
    assert len(str(caught.value)) < 1000
    assert not place.exists()
    with open_reader(path) as reader:
        run = reader.find_run(NAME)
        assert run is not None
        assert reader.end_of(run.run_id) == EVENTS
        assert len(list(reader.records(run.run_id, kind="start"))) == 1


@pytest.mark.parametrize("hostile", KINDS)
def test_a_hostile_row_of_a_trial_does_nothing(path: Path, hostile: str) -> None:
    """Looking at the trial is refused with an error that names it; the others are shown."""
    place = path.with_name("pwned")
    forge_trial(path, payloads(place)[hostile])
    results = experiment(path).run(budget=3)
    with pytest.raises(StoreError, match="trial '1'"):
        _ = results.trials[1]
    assert results.trials[2].score is not None
    assert not place.exists()


def unused_module() -> str:
    """A small module of the standard library that nobody has imported yet."""
    return next(name for name in ("colorsys", "sched", "nturl2path", "tabnanny") if name not in sys.modules)


def load(job: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do it within a function that reads what is kept."""
    monkeypatch.setattr(codec, "from_json", lambda *_, **__: job())
    codec.decode_facts(Record(0, 1, "sweep[0]/pick", "events", 0.0, 0.0, b"[]"))


@pytest.mark.parametrize(
    "job",
    [
        lambda: pickle.loads(pickle.dumps(MettaSweepError)),
        lambda: eval("[]"),
        lambda: exec("pass"),
        lambda: importlib.import_module(unused_module()),
        lambda: __import__(unused_module()),
    ],
    ids=["pickle", "eval", "exec", "import_module", "__import__"],
)
def test_the_watch_notices(job: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way of making code of data raises there, whatever handlers there are, and is an offence of the test."""
    with pytest.raises(CodeFromData):
        load(job, monkeypatch)
    assert len(OFFENCES) == 1
    OFFENCES.clear()
