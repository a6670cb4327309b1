"""``trace``: what happened in a run, one line per event."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from metta_sweep.cli.events import event_json, event_line, events_of, holding_any
from metta_sweep.cli.exits import DONE, UsageError
from metta_sweep.cli.families import TRIAL, locate
from metta_sweep.cli.kept import outline, reader_at
from metta_sweep.cli.stages import address_lines, recorded_addresses
from metta_sweep.cli.stages import within as recorded_within
from metta_sweep.cli.text import as_json, out, plain
from metta_sweep.core.events import EVENT_TYPES, Event
from metta_sweep.errors import did_you_mean
from metta_sweep.records import Record, RunRow
from metta_sweep.store import SqliteReader

__all__ = ["TraceOptions", "trace_run"]


class TraceOptions(NamedTuple):
    """Which events are told, and how."""

    kinds: tuple[str, ...] = ()
    trial: str | None = None
    last: int | None = None
    json: bool = False
    attempt: int | None = None
    """Of that trial."""


def trace_run(name: str, address: str | None, store: str | None, options: TraceOptions) -> int:
    """The events of a run, or of one trial or stage of it, one line each."""
    _check(options)
    with reader_at(store) as reader:
        found = locate(reader, name, address)
        row, within = found.kept, found.address
        it = outline(reader, row)
        if it.kind == "pipeline":
            _tell_stages(reader, row, within, options)
            return DONE
        trial = TRIAL.fullmatch(within) if within is not None else None
        if trial is not None:
            if options.trial not in (None, trial["id"]):
                raise UsageError("--trial", f"the address names trial {trial['id']!r}", found=options.trial, remedy="Leave it out")
            options = options._replace(trial=trial["id"], attempt=None if trial["attempt"] is None else int(trial["attempt"]))
            within = None
        if within is None and options._replace(json=False) == TraceOptions():
            _tell_warm_start(reader, row, json=options.json)
        for event in _chosen(reader, row, within, options):
            out(event_json(event) if options.json else event_line(event))
    return DONE


def _tell_warm_start(reader: SqliteReader, row: RunRow, *, json: bool) -> None:
    """What came before the first event: what the optimizer knew then, and from where."""
    from metta_sweep.experiments.warm_start import warm_sources

    for source in warm_sources(reader, row.run_id):
        told = f"{'-':>6}  {'warm':<13}  {'optimizer':<16}  it begins with {source.in_words()}"
        out(as_json({"kind": "warm", **source._asdict()}) if json else plain(told))


def _check(options: TraceOptions) -> None:
    for kind in options.kinds:
        if kind not in EVENT_TYPES:
            guess = did_you_mean(kind, EVENT_TYPES)
            raise UsageError(
                "--kind",
                "there is no such kind of event",
                found=kind,
                expected="one of " + ", ".join(EVENT_TYPES),
                remedy=f"Did you mean {guess!r}?" if guess else None,
            )
    if options.last is not None and options.last < 1:
        raise UsageError("--last", "it must be at least 1", found=options.last, expected="a whole number, 1 or more")


def _chosen(reader: SqliteReader, row: RunRow, within: str | None, options: TraceOptions) -> Iterable[Event]:
    """The events that are asked for. Of those that are not, as few as may be are even decoded."""
    kinds, trial, last, attempt = options.kinds, options.trial, options.last, options.attempt
    needles = [trial] if trial is not None else list(kinds)
    start = max(0, reader.end_of(row.run_id) - last) if last is not None and not needles and within is None else 0
    holding = holding_any(needles) if needles else None

    def wanted(record: Record) -> bool:
        at = within is None or record.address == within or record.address.startswith(f"{within}/")
        return at and (holding is None or holding(record))

    found = (
        event
        for event in events_of(reader, row.run_id, start=start, wanted=wanted)
        if (not kinds or event.kind in kinds)
        and (trial is None or getattr(event, "trial_id", None) == trial)
        and attempt in (None, getattr(event, "attempt", attempt))
    )
    return found if last is None else deque(found, maxlen=last)


def _tell_stages(reader: SqliteReader, row: RunRow, address: str | None, options: TraceOptions) -> None:
    """What there is to tell of a pipeline, of which no events are kept."""
    name = row.name or row.run_id
    if options.kinds or options.trial is not None:
        raise UsageError(f"trace {name}", "no events are kept of a pipeline", remedy="Leave --kind and --trial out")
    addresses = recorded_addresses(reader, row)
    if address is not None:
        addresses = [one for one in addresses if one == address] + recorded_within(addresses, address)
    addresses = addresses[-(options.last or 0) :]
    if options.json:
        for one in addresses:
            out(as_json({"kind": "recorded", "address": one}))
        return
    stages = "its recorded stages are:" if addresses else "nothing is recorded of its stages"
    out(plain(f"{name}: no events are kept of a pipeline; {stages}"))
    for line in address_lines(addresses):
        out(plain(f"  {line}"))
