"""Whether an experiment inside a stage goes on with what it did there before, or has something else to do now."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from metta_sweep.experiments.start_note import StartNote
from metta_sweep.experiments.tree.node import Node
from metta_sweep.pipeline.running.run import Scope

__all__ = ["begins_anew", "reads_of"]

logger: Final = logging.getLogger("metta_sweep")


def reads_of(node: Node) -> str:
    """The digest of what the stage reads in which it runs; empty outside of kept stages."""
    return node.place.reads if isinstance(node.place, Scope) else ""


def begins_anew(node: Node, last: StartNote | None, definition: Mapping[str, Any], code: object) -> bool:
    """Whether the stage around a sweep reads other values than when the sweep was begun, and the sweep is another one, too.

    Its trials are answers to another question then. Where only the stage reads other values (a larger budget, say), and the sweep
    is what it was, it goes on.

    Args:
        node: the sweep, in its place.
        last: what was noted when it was last taken up; None: it was not.
        definition: what it is now.
        code: the digest of its trial function, with what that closes over.
    """
    reads = reads_of(node)
    if last is None or not reads or not last.reads or reads == last.reads:
        return False
    if last.code == code and last.definition == definition:
        return False
    logger.info("%s begins anew: its stage reads other values now. What it did before is kept beside it", node.address)
    return True
