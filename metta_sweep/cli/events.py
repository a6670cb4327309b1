"""Events of a kept run: those that are asked for, as lines or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from metta_sweep.cli.text import as_json, plain
from metta_sweep.core.events import Draw, Event
from metta_sweep.records import Record
from metta_sweep.store import SqliteReader

__all__ = ["event_dict", "event_json", "event_line", "events_of", "holding_any"]


def events_of(
    reader: SqliteReader, run_id: str, *, start: int = 0, wanted: Callable[[Record], bool] | None = None
) -> Iterator[Event]:
    """The events of a run from number ``start`` on, in order, of the records that are ``wanted``. Others are not even decoded."""
    from metta_sweep.experiments.codec import decode_events

    for record in reader.records(run_id, start):
        if record.kind == "events" and (wanted is None or wanted(record)):
            for event in decode_events(record):
                if event.seq >= start:
                    yield event


def holding_any(values: Sequence[str]) -> Callable[[Record], bool]:
    """Whether a record may have an event with one of these strings in it: decides without decoding, and never misses one."""
    from pydantic_core import to_json

    needles = [to_json(value) for value in values]
    return lambda record: any(needle in record.payload for needle in needles)


def event_line(event: Event) -> str:
    """An event in one line: its number, kind, what it is about, and its reason."""
    return (
        plain(f"{event.seq:>6}  {event.kind:<13}  {_subject(event):<16}  {event.explanation}").replace("\n", " ").replace("\t", " ")
    )


def event_dict(event: Event) -> dict[str, Any]:
    """An event as JSON values, with its reason in words as ``explanation``."""
    fields = {name: value for name, value in event._asdict().items() if name not in ("seq", "address")}
    return {"seq": event.seq, "kind": event.kind, "address": event.address, **fields, "explanation": event.explanation}


def event_json(event: Event) -> str:
    """An event as one line of JSON."""
    return as_json(event_dict(event))


def _subject(event: Event) -> str:
    trial_id = getattr(event, "trial_id", None)
    branch = getattr(event, "branch", None)
    name = f"trial {trial_id}" if trial_id is not None else f"suggestion {event.suggestion}" if isinstance(event, Draw) else ""
    return f"{name} ({branch})" if name and branch is not None else name or branch or ""
