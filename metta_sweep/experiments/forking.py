"""Runs that begin with the journal of another one, and go on from there by themselves, perhaps with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from metta_sweep.core.budget import Spend
from metta_sweep.errors import a_kind
from metta_sweep.records import RunRow, Store

__all__ = ["Fork", "begun_fork", "kept_fork", "new_fork"]

_STRATEGIES: Final = ("optimizer", "scheduler", "search_space", "seed")
"""The parts of a definition on which it depends what an optimizer suggests."""


class Fork(NamedTuple):
    """That a run is a fork of another one."""

    source: str
    """The id of the run that it is a fork of."""
    seq: int
    """The number of the first event that is its own."""
    anew: int
    """The number of the first event since its strategies were last changed: of what is before, the optimizer knows what became of
    the trials, as of earlier runs, and not how they came about."""
    spend: Spend | None
    """What the source had used when it was forked, which is no spend of the fork's own; None until its journal has been read."""

    def note(self) -> dict[str, Any]:
        """As it is kept in the notes of its starts."""
        return {"from": self.source, "seq": self.seq, "anew": self.anew, "spend": (self.spend or Spend())._asdict()}


def kept_fork(note: Mapping[str, Any]) -> Fork | None:
    """The fork that a note of a start tells of. Raises ``TypeError`` or ``LookupError`` when what it holds is none."""
    kept = note.get("forked")
    if kept is None:
        return None
    spend = Spend(**kept["spend"])
    fork = Fork(kept["from"], kept["seq"], kept["anew"], spend)
    if not isinstance(fork.source, str) or type(fork.seq) is not int or type(fork.anew) is not int:
        raise TypeError(f"its fork is {a_kind(kept)} of something else")
    return fork


def begun_fork(row: RunRow, kept: Fork | None) -> Fork | None:
    """The fork that the run is, when it has been taken up since it was forked; None for no fork, and for one that begins now."""
    return kept if kept is not None and kept.source == row.forked_from else None


def new_fork(store: Store, row: RunRow, kept: Fork | None, before: Mapping[str, Any], now: Mapping[str, Any]) -> Fork | None:
    """The fork that begins now: with the definition that the source had, or with another one; None for a run that is none.

    Args:
        store: where it is kept.
        row: the run.
        kept: what the last note says, which is the source's.
        before: the definition of the source.
        now: its own.
    """
    if row.forked_from is None:
        return None
    end = store.end_of(row.run_id)
    same = all(before.get(part) == now.get(part) for part in _STRATEGIES)
    return Fork(row.forked_from, end, (0 if kept is None else kept.anew) if same else end, None)
