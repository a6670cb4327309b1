"""What a run has at one address: a trial with its reports and errors, the events of a stage, or the output of one."""

from __future__ import annotations

import json as json_library
from dataclasses import asdict
from typing import Any

from metta_sweep.cli.events import event_dict, event_json, event_line, events_of, holding_any
from metta_sweep.cli.families import TRIAL, called, children_of
from metta_sweep.cli.lineage import lineage_lines, lineage_of, ran_lines, trial_of
from metta_sweep.cli.stages import address_lines, nothing_at, recorded_addresses
from metta_sweep.cli.stages import within as recorded_within
from metta_sweep.cli.text import as_json, duration, number, out, params_text, plain, shown_json
from metta_sweep.core.events import Error, Event, Reported
from metta_sweep.core.trial import Metric, Trial, metric_mean
from metta_sweep.errors import StoreError, did_you_mean
from metta_sweep.experiments.start_note import StartNote
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader

__all__ = ["show_address"]


def show_address(reader: SqliteReader, row: RunRow, note: StartNote | None, address: str, *, json: bool) -> None:
    """Show what is kept at an address. Raises ``StoreError`` when there is nothing."""
    found = TRIAL.fullmatch(address)
    if found is not None and note is not None:
        _show_trial(reader, row, note, found["id"], found["attempt"], json=json)
    else:
        _show_stage(reader, row, address, json=json, sweep=note is not None)


def _show_trial(reader: SqliteReader, row: RunRow, note: StartNote, trial_id: str, attempt: str | None, *, json: bool) -> None:
    trial = trial_of(reader, row, note, trial_id)
    number_of = None if attempt is None else int(attempt)
    events = [
        event
        for event in events_of(reader, row.run_id, wanted=holding_any([trial_id]))
        if getattr(event, "trial_id", None) == trial_id and number_of in (None, getattr(event, "attempt", number_of))
    ]
    if json:
        lineage = lineage_of(reader, row, trial, events)
        out(as_json({**_trial_dict(trial), "lineage": lineage.as_dict(), "events": [event_dict(event) for event in events]}))
        return
    of = f" of {plain(trial.branch)}" if trial.branch is not None else ""
    out(plain(f"trial[{trial.id}]{of}: {trial.state.value}, attempt {trial.attempt}"))
    for title, told in [*_trial_facts(trial), *lineage_lines(reader, row, trial, events)]:
        out(plain(f"{title:<9}{told}"))
    for event in events:
        _print_event_of_trial(event)


def _trial_facts(trial: Trial) -> list[tuple[str, str]]:
    facts = [("params", params_text(trial.params) or "none")]
    if trial.score is not None:
        facts.append(("score", number(trial.score)))
    if trial.metrics:
        facts.append(("metrics", _metrics(trial.metrics)))
    if trial.reason is not None:
        facts.append(("stopped", plain(trial.reason)))
    if trial.seconds is not None:
        facts.append(("took", duration(trial.seconds)))
    if trial.metadata:
        facts.append(("metadata", as_json(trial.metadata)))
    return facts


def _print_event_of_trial(event: Event) -> None:
    if isinstance(event, Reported):
        out(plain(f"report   attempt {event.attempt}, step {event.step}: {_metrics(event.metrics)}"))
    elif isinstance(event, Error):
        out(plain(f"error    attempt {event.attempt}: {event.type}: {event.message}"))
        out(plain("\n".join(f"         {line}" for line in event.traceback.splitlines())))


def _metrics(metrics: dict[str, Metric]) -> str:
    return plain(", ".join(f"{name} {number(metric_mean(value))}" for name, value in metrics.items()))


def _trial_dict(trial: Trial) -> dict[str, Any]:
    told = asdict(trial)
    told["reports"] = [report._asdict() for report in trial.reports]
    told["error"] = None if trial.error is None else trial.error._asdict()
    return told


def _show_stage(reader: SqliteReader, row: RunRow, address: str, *, json: bool, sweep: bool) -> None:
    checkpoint = reader.get_checkpoint(row.run_id, address)
    if checkpoint is not None:
        out(
            shown_json(checkpoint.payload.decode())
            if json
            else plain(json_library.dumps(json_library.loads(checkpoint.payload), indent=2))
        )
        if not json:
            _print_ran(reader, row, address)
        return
    if not sweep:
        _show_within(reader, row, address, json=json)
        return
    within = f"{address}/"
    events = list(
        events_of(reader, row.run_id, wanted=lambda record: record.address == address or record.address.startswith(within))
    )
    if not events:
        guess = did_you_mean(address, [twig.label for twig in children_of(reader, called(row))])
        raise StoreError(
            f"run {called(row)!r}",
            f"nothing is kept at {address!r}",
            expected="the address of a trial such as trial[5], or of a stage such as sweep[17]/pick",
            remedy=f"Did you mean {guess!r}?" if guess else None,
        )
    for event in events:
        out(event_json(event) if json else event_line(event))


def _show_within(reader: SqliteReader, row: RunRow, address: str, *, json: bool) -> None:
    """What is recorded within an address of a pipeline that has no output of its own there: the items of a map, say."""
    addresses = recorded_addresses(reader, row)
    inner = recorded_within(addresses, address)
    ran = [twig.label for twig in children_of(reader, called(row), address)]
    if not inner and not ran:
        raise nothing_at(row, address, addresses)
    if json:
        out(as_json({"address": address, "addresses": inner, "ran": ran}))
        return
    if inner:
        out(plain(f"{address}: {len(inner)} recorded within it, show one of them:"))
        for line in address_lines(inner):
            out(plain(f"  {line}"))
    else:
        out(plain(f"{address}: nothing is recorded of it yet"))
    _print_ran(reader, row, address)


def _print_ran(reader: SqliteReader, row: RunRow, place: str) -> None:
    """The experiments that ran in a stage, where there are any."""
    for line in ran_lines(reader, row, place):
        out(plain(f"ran      {line}"))
