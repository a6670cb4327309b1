"""From events of a sweep to the standard logger ``metta_sweep``: failures as warnings, stops as infos, all else for debugging."""

from __future__ import annotations

from collections.abc import Sequence
from logging import DEBUG, INFO, WARNING, getLogger
from typing import Final

from metta_sweep.core.events import Error, Event, Stop

__all__ = ["LEVELS", "note_events"]

LEVELS: Final[dict[type, int]] = {Error: WARNING, Stop: INFO}
"""Levels of kinds of events; those left out are DEBUG."""

_log = getLogger("metta_sweep")


def note_events(events: Sequence[Event], address: str) -> None:
    """Log the events that are wanted. What is not wanted is not formatted."""
    wanted = events if _log.isEnabledFor(DEBUG) else [event for event in events if type(event) in LEVELS]
    for event in wanted:
        level = LEVELS.get(type(event), DEBUG)
        if _log.isEnabledFor(level):
            subject = f" trial[{event.trial_id}]" if event.trial_id is not None else ""
            _log.log(level, "%s %s%s: %s", address, event.kind, subject, event.explanation)
