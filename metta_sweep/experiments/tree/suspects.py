"""Whether a trial whose attempts were lost with their process may be what ends it, or something inside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metta_sweep.core.events import Event, Stop
from metta_sweep.experiments.start_note import read_start
from metta_sweep.experiments.tree.node import Node
from metta_sweep.pipeline.keeping.recording import ending_of
from metta_sweep.records import Record, RunRow, Store

__all__ = ["waited_inside"]


def waited_inside(node: Node, place: str) -> bool:
    """Whether an experiment that runs in a trial has begun and not come to its end: what was lost is in there, and counts there."""
    from metta_sweep.experiments.codec import decode_events  # pydantic, which is slow to import, is behind it

    within = f"{node.name}/{place}>"
    rows = [row for row in node.store.runs(under=node.name) if (row.name or "").startswith(within)]
    return any(not _has_ended(node.store, row, decode_events) for row in rows)


def _has_ended(store: Store, row: RunRow, decode_events: Callable[[Record], Sequence[Event]]) -> bool:
    start = next(iter(store.records(row.run_id, kind="start")), None)
    if start is None:
        return False
    if not read_start(row.run_id, start).is_sweep:
        return ending_of(store, row.run_id) == "done"
    last = list(store.records(row.run_id, max(0, store.end_of(row.run_id) - 1), kind="events"))
    return bool(last) and any(isinstance(event, Stop) for event in decode_events(last[-1]))
