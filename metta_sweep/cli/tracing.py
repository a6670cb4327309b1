"""``trace``: what happened in a run, one line per event."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from metta_sweep.cli.events import event_json, event_line, events_of, holding_any
from metta_sweep.cli.exits import DONE, UsageError
from metta_sweep.cli.kept import outline, reader_at, run_named
from metta_sweep.cli.stages import address_lines, recorded_addresses
from metta_sweep.cli.text import as_json, out, plain
from metta_sweep.core.events import EVENT_TYPES
from metta_sweep.errors import did_you_mean
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader

__all__ = ["trace_run"]


def trace_run(name: str, store: str | None, *, kinds: Sequence[str], trial: str | None, last: int | None, json: bool) -> int:
    """The events of a run, one line each."""
    for kind in kinds:
        if kind not in EVENT_TYPES:
            guess = did_you_mean(kind, EVENT_TYPES)
            raise UsageError(
                "--kind",
                "there is no such kind of event",
                found=kind,
                expected="one of " + ", ".join(EVENT_TYPES),
                remedy=f"Did you mean {guess!r}?" if guess else None,
            )
    if last is not None and last < 1:
        raise UsageError("--last", "it must be at least 1", found=last, expected="a whole number, 1 or more")
    with reader_at(store) as reader:
        row = run_named(reader, name)
        it = outline(reader, row)
        if it.kind == "pipeline":
            _tell_stages(reader, row, chosen=bool(kinds) or trial is not None, last=last, json=json)
            return DONE
        needles = [trial] if trial is not None else list(kinds)
        start = max(0, reader.end_of(row.run_id) - last) if last is not None and not needles else 0
        found = (
            event
            for event in events_of(reader, row.run_id, start=start, wanted=holding_any(needles) if needles else None)
            if (not kinds or event.kind in kinds) and (trial is None or getattr(event, "trial_id", None) == trial)
        )
        for event in found if last is None else deque(found, maxlen=last):
            out(event_json(event) if json else event_line(event))
    return DONE


def _tell_stages(reader: SqliteReader, row: RunRow, *, chosen: bool, last: int | None, json: bool) -> None:
    """What there is to tell of a pipeline, of which no events are kept."""
    name = row.name or row.run_id
    if chosen:
        raise UsageError(f"trace {name}", "no events are kept of a pipeline", remedy="Leave --kind and --trial out")
    addresses = recorded_addresses(reader, row)[-(last or 0) :]
    if json:
        for address in addresses:
            out(as_json({"kind": "recorded", "address": address}))
        return
    stages = "its recorded stages are:" if addresses else "nothing is recorded of its stages"
    out(plain(f"{name}: no events are kept of a pipeline; {stages}"))
    for line in address_lines(addresses):
        out(plain(f"  {line}"))
