"""Whether an experiment inside a stage goes on with what it did there before, or is asked something else now.

A stage runs again when it reads other values. What runs inside it has the same address as before; but what it did was an answer to
other values. So it begins anew, and what it did then is kept beside it, as ``name@1``. A sweep that is what it was goes on: its
trial function is the same, with all that it closes over, and only how much is to be done of it may have changed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from metta_sweep.core.budget import Spend
from metta_sweep.errors import StoreError
from metta_sweep.experiments.start_note import StartNote
from metta_sweep.experiments.tree.node import Node
from metta_sweep.pipeline.keeping.fingerprint import NoFingerprint, fingerprint
from metta_sweep.pipeline.keeping.recording import StoreRecorder
from metta_sweep.pipeline.running.run import Scope
from metta_sweep.records import Store

__all__ = ["begins_anew", "count_aside", "note_reads", "pipeline_begins_anew", "question_of", "reads_of", "sweep_begins_anew"]

logger: Final = logging.getLogger("metta_sweep")

_KIND: Final = "reads"


def reads_of(node: Node) -> str:
    """The digest of what the stage reads in which it runs; empty outside of kept stages."""
    return node.place.reads if isinstance(node.place, Scope) else ""


def question_of(objective: object, definition: Mapping[str, Any]) -> str:
    """The digest of what a sweep asks: its trial function by content, and its definition. Empty where that has no content."""
    try:
        return fingerprint([objective, definition])
    except NoFingerprint:
        return ""


def sweep_begins_anew(node: Node, last: StartNote | None, question: str) -> bool:
    """Whether the stage around a sweep reads other values than when that was taken up last, and it asks another question, or may.

    Args:
        node: the sweep, in its place.
        last: what was noted when it was last taken up; None: it was not.
        question: what it asks now.
    """
    reads = reads_of(node)
    if last is None or not reads or not last.reads or reads == last.reads or (question and question == last.question):
        return False
    _say(node)
    return True


def pipeline_begins_anew(node: Node, store: Store) -> bool:
    """Whether the stage around an experiment without trials reads other values than when that was taken up last."""
    reads = reads_of(node)
    row = store.find_run(node.name) if reads else None
    before = None if row is None else _last_reads(store, row.run_id)
    if before is None or before == reads:
        return False
    _say(node)
    return True


def note_reads(kept: StoreRecorder, node: Node) -> None:
    """Keep what the stage around it reads, where that is something new."""
    reads = reads_of(node)
    if reads and _last_reads(kept.store, kept.run_id) != reads:
        kept.note(_KIND, json.dumps(reads).encode())


def begins_anew(node: Node, fresh: bool) -> bool:
    """Whether an experiment begins anew, as ``fresh`` says. What it did before is remembered, since that counts in its parent."""
    row = node.store.find_run(node.name) if fresh and node.parent is not None else None
    node.aside = "" if row is None else row.run_id
    return fresh


def count_aside(node: Node) -> None:
    """What an experiment did before it began anew is kept aside; what that cost is spent, and counts where it ran."""
    from metta_sweep.experiments.read_back import address_of, read_result

    parent, row = node.parent, node.store.find_run(node.aside) if node.aside else None
    if parent is None or row is None or parent.run is None:
        return
    try:
        cost = read_result(node.store, row).spend.cost
    except StoreError as error:  # that may be why it begins anew
        logger.warning("what %s cost before it began anew is not known, and not counted: %s", node.address, error)
        return
    if cost:
        aside = Spend(cost=cost)
        parent.know(address_of(row), aside)
        parent.run.child_ended(address_of(row), aside)
        parent.run.child_ended(node.address, Spend())


def _last_reads(store: Store, run_id: str) -> str | None:
    last = None
    for record in store.records(run_id, kind=_KIND):
        last = record
    return None if last is None else str(json.loads(last.payload))


def _say(node: Node) -> None:
    logger.info("%s begins anew: its stage reads other values now; what it did before is kept beside it", node.address)
