"""Whether a trial that was lost with its process may be what ends it, or got on with what runs inside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from metta_sweep.experiments.tree.node import Node

__all__ = ["events_inside"]


def events_inside(node: Node, trial_ids: Collection[str]) -> dict[str, int]:
    """How many events there are in the journals of all that ran inside these trials, by id; those without any are left out."""
    if not trial_ids:
        return {}
    store, skipped = node.store, len(node.name) + 1
    found: Counter[str] = Counter()
    for row in store.runs(under=node.name):
        place = (row.name or "")[skipped:].partition(">")[0]
        trial_id = place.removeprefix("trial[").removesuffix("]")
        if place == f"trial[{trial_id}]" and trial_id in trial_ids:
            found[trial_id] += store.end_of(row.run_id)
    return dict(found)
