"""Runs that are kept, read without touching them, also while they go on."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import NamedTuple, cast

from metta_sweep.cli.exits import UsageError
from metta_sweep.clock import wall_time
from metta_sweep.core.budget import Spend
from metta_sweep.core.events import Stop
from metta_sweep.core.goal import Goal
from metta_sweep.core.pareto import Front
from metta_sweep.core.values import encodable
from metta_sweep.errors import DamagedPayload, StoreError
from metta_sweep.experiments.forking import begun_fork
from metta_sweep.experiments.start_note import StartNote, read_start
from metta_sweep.experiments.stores import DEFAULT_PLACE, STORE_VARIABLE
from metta_sweep.experiments.tree.spent import read_spent
from metta_sweep.pipeline.keeping.recording import ending_of, why_of
from metta_sweep.records import Record, RunRow, Store
from metta_sweep.store import SqliteReader, open_reader
from metta_sweep.store.places import file_of

__all__ = [
    "Outline",
    "Status",
    "check_place",
    "first_note",
    "outline",
    "place_of",
    "reader_at",
    "safe_outline",
    "spend_of",
    "start_note",
    "status_of",
]


class Outline(NamedTuple):
    """A run in one line."""

    name: str | None
    run_id: str | None
    """None for one that is not kept itself."""
    kind: str
    """``sweep`` or ``pipeline``; ``unknown`` where nothing tells."""
    status: str
    """``running``; a stop reason, or ``done`` or ``failed`` for a pipeline; ``cancelled`` for a run that was left before its end;
    ``broken off`` for one whose process died; ``not begun`` for a run without a record; ``damaged`` for one that cannot be read."""
    pid: int | None
    """The process that drives it."""
    trials: int | None
    """Trials that have ended."""
    failed: int | None
    best_score: float | None
    created: float
    tags: tuple[str, ...]
    front: int | None = None
    """How many trials no other dominates, with several objectives, where there is no best score."""
    class_name: str | None = None
    """The class of the experiment."""
    why: str | None = None
    """Why it was left before its end, where that is known."""
    forked_from: str | None = None
    """The id of the run whose journal it began with."""
    children: int = 0
    """How many runs lie directly within it; where they were counted."""


def check_place(store: str | None) -> None:
    """Raise ``UsageError`` when what the command line or METTA_SWEEP_STORE names can be no store."""
    place = place_of(store)
    if place == "memory":
        return
    try:
        file_of(place, "store")
    except StoreError as error:
        where = "--store" if store else STORE_VARIABLE
        raise UsageError(where, error.what, found=place, expected=error.expected, remedy=error.remedy) from None


def place_of(store: str | None) -> str:
    """Where runs are looked for: as given, as METTA_SWEEP_STORE says, or ``./metta_sweep.db``."""
    return store or os.environ.get(STORE_VARIABLE) or DEFAULT_PLACE


def reader_at(store: str | None) -> SqliteReader:
    """A reader of the store that the command line names. Raises ``StoreError`` when there is none."""
    place = place_of(store)
    if place == "memory":
        raise StoreError(
            "store 'memory'", "nothing of it outlives its process", remedy="Name a file, with --store or METTA_SWEEP_STORE"
        )
    check_place(store)
    return open_reader(place)


def first_note(reader: SqliteReader, run_id: str, *, last: bool = False) -> StartNote | None:
    """The note of the process that began the run, or of the last one that took it up; None for one that has not begun.

    Raises:
        StoreError: it is no such note.
    """
    starts = reader.records(run_id, kind="start")
    found = next(starts, None)
    if found is not None and last:
        for found in starts:  # noqa: B007  # the last one
            pass
    return None if found is None else read_start(run_id, found)


def start_note(reader: SqliteReader, run_id: str, *, last: bool = False) -> StartNote | None:
    """The same for a sweep; None for what is none."""
    note = first_note(reader, run_id, last=last)
    return note if note is not None and note.is_sweep else None


class Status(NamedTuple):
    """What a sweep is doing."""

    name: str
    """``running``, a stop reason, ``cancelled`` or ``broken off``."""
    pid: int | None
    """The process that drives it."""
    why: str | None = None
    """Why it was left before its end, where that is known."""


def status_of(reader: SqliteReader, run_id: str) -> Status:
    """What a sweep is doing."""
    pid = reader.driver_of(run_id)
    return Status("running", pid) if pid is not None else _ending(reader, run_id)


def _ending(reader: SqliteReader, run_id: str) -> Status:
    """How a run that nobody drives has ended, from the last records of its journal."""
    from metta_sweep.experiments.codec import decode_events

    status, why = "broken off", None
    for record in reader.records(run_id, max(0, reader.end_of(run_id) - 1)):
        if record.kind == "start":
            status, why = "broken off", None
        elif record.kind == "end" and status == "broken off":
            status, why = "cancelled", _why(record)
        elif record.kind == "events":
            for event in decode_events(record):
                status = event.reason if isinstance(event, Stop) and event.trial_id is None else "broken off"
    return Status(status, None, why)


def _why(record: Record) -> str | None:
    """What the note of an end says of its cause. What is no such note says nothing: it has been noted that it ended."""
    try:
        why = json.loads(record.payload)["why"]
    except (ValueError, TypeError, LookupError):
        return None
    return encodable(why) if isinstance(why, str) and why != "cancelled" else None


def spend_of(reader: SqliteReader, row: RunRow, outline: Outline) -> Spend:
    """What a run itself has used: trials, active seconds, and the cost of its trials that have ended and of all that ran inside it.

    The trials of a pipeline are those of the sweeps directly inside it. What a fork has from its source is not counted.
    """
    from metta_sweep.experiments.codec import decode_trial

    if outline.status in ("damaged", "not begun"):
        return Spend()
    try:
        inside = {record.address: read_spent(record) for record in reader.records(row.run_id, kind="child")}
        trials = [decode_trial(one) for one in reader.rows_holding(row.run_id, "cost")]
        inherited = _inherited(reader, row)
    except StoreError:
        return Spend(outline.trials or 0)  # what is damaged is told by what shows it
    count = sum(spend.trials for spend in inside.values()) if outline.trials is None else outline.trials
    cost = sum(trial.value("cost") for trial in trials if "cost" in trial.metrics) + sum(spend.cost for spend in inside.values())
    if inherited is None:
        return Spend()
    seconds = reader.active_seconds(row.run_id, wall_time() if outline.status == "running" else None)
    return Spend(max(0, count - inherited.trials), max(0.0, seconds - inherited.seconds), cost - inherited.cost)


def _inherited(reader: SqliteReader, row: RunRow) -> Spend | None:
    """What the run had used that it was forked from; None for a fork that has not been taken up, which has used nothing itself."""
    if row.forked_from is None:
        return Spend()
    note = first_note(reader, row.run_id, last=True)
    fork = None if note is None else begun_fork(row, note.fork)
    return None if fork is None else fork.spend


def outline(reader: SqliteReader, row: RunRow) -> Outline:
    """A run in one line, without its fold: from the rows of its trials."""
    note = first_note(reader, row.run_id, last=row.forked_from is not None)
    if note is None or not note.is_sweep:
        return _without_trials(reader, row, note)
    sums = reader.trial_sums(row.run_id)
    best = sums.highest if note.goal.sign > 0 else sums.lowest
    front = None
    if note.goal.has_several:
        best, front = None, _front_size(reader, row, note.goal)
    status, pid, why = status_of(reader, row.run_id)
    return Outline(
        *(row.name, row.run_id, "sweep", status, pid, sums.ended, sums.failed, best, row.created, row.tags, front),
        class_name=_class_name(note),
        why=why,
        forked_from=row.forked_from,
    )


def _front_size(reader: SqliteReader, row: RunRow, goal: Goal) -> int:
    """How many of the trials that have ended no other dominates. Reads them all."""
    from metta_sweep.experiments.codec import decode_trial

    front = Front([one.sign for one in goal.objectives])
    for trial in map(decode_trial, reader.trial_rows(row.run_id)):
        if trial.score is not None:
            front.add(trial.number, tuple(goal.scores(trial.metrics).values()))
    return len(front)


def safe_outline(reader: SqliteReader, row: RunRow) -> Outline:
    """The same; and where the run cannot be read, what can be told of it."""
    try:
        return outline(reader, row)
    except DamagedPayload:
        return _damaged_outline(row)
    except StoreError as error:
        # of the file as a whole: all the others would be damaged, too
        if isinstance(error.__cause__, sqlite3.Error):
            raise
        return _damaged_outline(row)


def _damaged_outline(row: RunRow) -> Outline:
    return Outline(row.name, row.run_id, "unknown", "damaged", None, None, None, None, row.created, row.tags)


def _without_trials(reader: SqliteReader, row: RunRow, note: StartNote | None) -> Outline:
    pid = reader.driver_of(row.run_id)
    kind, status, why = "unknown", "not begun", None
    if note is not None:
        kind, status = "pipeline", ending_of(cast("Store", reader), row.run_id) or "broken off"
        why = why_of(cast("Store", reader), row.run_id) if pid is None else None
    return Outline(
        *(row.name, row.run_id, kind, status if pid is None else "running", pid, None, None, None, row.created, row.tags),
        class_name=None if note is None else _class_name(note),
        why=why,
        forked_from=row.forked_from,
    )


def _class_name(note: StartNote) -> str | None:
    """As the definition says, without the functions and classes that the class was defined in."""
    name = note.definition.get("class")
    return name.rpartition(".")[2] if isinstance(name, str) else None
