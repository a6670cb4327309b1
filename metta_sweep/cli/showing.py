"""``show``: a run, or what happened at one address of it."""

from __future__ import annotations

import shlex
from typing import Final

from metta_sweep.cli.addresses import show_address
from metta_sweep.cli.exits import DONE
from metta_sweep.cli.families import called, is_child, locate, root_of
from metta_sweep.cli.kept import outline, reader_at, start_note, status_of
from metta_sweep.cli.lineage import origin_lines
from metta_sweep.cli.stages import address_lines, recorded_addresses
from metta_sweep.cli.text import as_json, duration, moment, out, plain
from metta_sweep.errors import DamagedPayload, StoreError
from metta_sweep.experiments.read_back import read_sweep
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.start_note import StartNote
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader

__all__ = ["show_run"]

SHOWN_FAILURES: Final = 20
_UNFINISHED: Final = {
    "broken off": "the process that ran it is gone",
    "cancelled": "it was left before its end",
    "failed": "it ended with an error",
}


def show_run(name: str, address: str | None, store: str | None, *, json: bool) -> int:
    """A run: its branches, best trial, stop reason, spend and failures; or what happened at one address of it."""
    with reader_at(store) as reader:
        found = locate(reader, name, address)
        row, within = found.kept, found.address
        note = start_note(reader, row.run_id, last=True)
        if within is not None:
            show_address(reader, row, note, within, json=json)
        elif note is not None:
            _show_intact(reader, row, note, json=json)
        else:
            _show_pipeline(reader, row, json=json)
    return DONE


def _show_intact(reader: SqliteReader, row: RunRow, note: StartNote, *, json: bool) -> None:
    results = read_sweep(reader, row, note)
    try:
        _show_sweep(reader, row, note, results, json=json)
    except DamagedPayload as error:
        # the fold has read the journal from its beginning to its end
        intact = "The journal, which holds all that happened, is intact"
        trace = f"metta-sweep trace {shlex.quote(called(row))} shows it"
        raise StoreError(error.where, error.what, remedy=f"{intact}: {trace}") from error


def _show_sweep(reader: SqliteReader, row: RunRow, note: StartNote, results: SweepResult, *, json: bool) -> None:
    status, pid, why = status_of(reader, row.run_id)
    if json:
        more = {"status": status, "pid": pid, "store": str(reader.path), "budget": note.budget.describe(), "tags": row.tags}
        family = {"why": why, "forked_from": row.forked_from, "within": len(reader.runs(under=called(row)))}
        out(as_json({**results.to_dict(), **more, **family, "provenance": note.provenance}))
        return
    lines = results.summary().splitlines()
    out(plain("\n".join(lines if results.stop_reason is not None else lines[:-1])))
    out(plain(f"status  {_status_line(reader, status, pid, why, row)}"))
    out(f"budget  {_budget_line(note)}")
    out(plain(f"kept    as {row.run_id} in {reader.path}, since {moment(row.created)}; seed {note.seed}"))
    for line in origin_lines(reader, row):
        out(plain(line))
    _print_failures(reader, row, results)


def _status_line(reader: SqliteReader, status: str, pid: int | None, why: str | None, row: RunRow) -> str:
    if pid is not None:
        return f"running, by process {pid}"
    if status not in _UNFINISHED:
        return "done" if status == "done" else "ended"
    return f"{status}: {why.splitlines()[0] if why else _UNFINISHED[status]}; {_again(reader, row)}"


def _again(reader: SqliteReader, row: RunRow) -> str:
    """How a run goes on that has not come to its end: a child does so with its root."""
    if not is_child(row):
        return "run it again to go on" if row.name is not None else "it has no name, so it cannot go on"
    root = root_of(called(row))
    found = reader.find_run(root)
    if found is None or found.name is None:
        return f"it goes on with {root} only, which has no name and so cannot"
    return f"run {root} again to go on"


def _budget_line(note: StartNote) -> str:
    budget = note.budget
    caps = [
        f"{budget.trials} trials" if budget.trials is not None else "",
        duration(budget.seconds) if budget.seconds is not None else "",
        f"cost {budget.cost:g}" if budget.cost is not None else "",
    ]
    return ", ".join(cap for cap in caps if cap) or "none"


def _print_failures(reader: SqliteReader, row: RunRow, results: SweepResult) -> None:
    from metta_sweep.experiments.codec import decode_trial

    count = reader.trial_sums(row.run_id).failed
    failed = list(reader.failed_rows(row.run_id, SHOWN_FAILURES))
    if failed:
        out("\nfailed trials")
    for trial in map(decode_trial, failed):
        error = trial.error
        told = "no error is kept" if error is None else f"{error.type}: {error.message}".splitlines()[0]
        out(plain(f"  trial[{trial.id}]  attempt {trial.attempt}  {told}"))
    if count > len(failed):
        out(f"  ... and {count - len(failed)} more")
    if failed:
        out(plain(f"  metta-sweep show {shlex.quote(called(row))} 'trial[{failed[0].id}]' shows the traceback"))


def _show_pipeline(reader: SqliteReader, row: RunRow, *, json: bool) -> None:
    it = outline(reader, row)
    addresses = recorded_addresses(reader, row)
    if json:
        within = len(reader.runs(under=called(row)))
        out(as_json({**it._asdict(), "store": str(reader.path), "addresses": addresses, "within": within}))
        return
    if it.status == "not begun":
        begun = "nothing has been recorded, so the process that made it ended before it began"
        out(plain(f"{row.name or row.run_id}: not begun: {begun}; kept in {reader.path}, since {moment(row.created)}"))
        return
    name = row.name or row.run_id
    out(plain(f"{name}: a pipeline, kept stage by stage in {reader.path}, since {moment(row.created)}"))
    out(plain(f"status  {_status_line(reader, it.status, it.pid, it.why, row)}"))
    for line in origin_lines(reader, row):
        out(plain(line))
    out("recorded")
    for line in address_lines(addresses) or ["nothing yet"]:
        out(plain(f"  {line}"))
    if addresses:
        out(plain(f"metta-sweep show {shlex.quote(name)} {shlex.quote(addresses[0])} shows what a stage gave"))
