"""The contracts of the four stages of a sweep. Each holds the events that the stage decided on; recording them makes them so."""

from __future__ import annotations

from typing import NamedTuple

from metta_sweep.core.budget import StopReason
from metta_sweep.core.events import Event

__all__ = ["FannedOut", "Happened", "Picked", "Scored"]


class Picked(NamedTuple):
    """What starts now: ``draw``, ``pick`` and ``wait`` events, or the ``stop`` of the run."""

    picks: tuple[Event, ...]
    stop_reason: StopReason | None = None

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of this output, in order."""
        return self.picks


class Happened(NamedTuple):
    """What happened: ``dispatch``, ``report``, ``result`` and ``error`` events, as plain facts."""

    facts: tuple[Event, ...]
    acknowledge: int = 0
    """How many of the executor's events they cover."""

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of this output, in order."""
        return self.facts


class Scored(NamedTuple):
    """What it means: ``score`` events with running statistics, and verdicts on running trials."""

    scores: tuple[Event, ...]
    go_on: tuple[tuple[str, int], ...] = ()
    """Trials and steps whose reports were judged, and which go on."""

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of this output, in order."""
        return self.scores


class FannedOut(NamedTuple):
    """What follows: ``paper.trigger``, ``prune`` and ``expand`` events, with the ``draw`` of each follow-up."""

    follow: tuple[Event, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of this output, in order."""
        return self.follow
