"""Decisions of a sweep as events: triggers, prunings, expansions, waits, stops, pauses. See ``metta_sweep.core.events``."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

__all__ = ["Expand", "PaperTrigger", "Paused", "Prune", "Resume", "Stop", "Wait"]


def _in_words(event: PaperTrigger | Prune | Expand | Wait | Stop | Paused | Resume) -> str:
    from metta_sweep.core.reasons import reason_of

    return reason_of(event)


class PaperTrigger(NamedTuple):
    """A branch's mean reward reached the threshold for the first time."""

    trial_id: str
    branch: str | None
    mean: float
    threshold: float
    runs: int
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["paper.trigger"]:
        """The name of this kind of event in the trace."""
        return "paper.trigger"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Prune(NamedTuple):
    """A branch was given up: its mean reward lies below the floor."""

    trial_id: str
    branch: str | None
    mean: float
    floor: float
    runs: int
    dropped: int = 0
    """How many waiting suggestions left the pool with it."""
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["prune"]:
        """The name of this kind of event in the trace."""
        return "prune"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Expand(NamedTuple):
    """A result brought follow-ups; their ``draw`` events come right after."""

    trial_id: str
    branch: str | None
    reward: float
    threshold: float
    follow_ups: tuple[str, ...]
    """The ids of the follow-ups."""
    refused: int = 0
    """How many more the expander returned that were left out (their branch is pruned)."""
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["expand"]:
        """The name of this kind of event in the trace."""
        return "expand"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Wait(NamedTuple):
    """Slots stay idle, and why."""

    why: str
    busy: int
    free: int
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["wait"]:
        """The name of this kind of event in the trace."""
        return "wait"

    @property
    def trial_id(self) -> None:
        """It is about no trial."""
        return None

    @property
    def branch(self) -> None:
        """It is about no branch."""
        return None

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Stop(NamedTuple):
    """The run ended; or, with ``trial_id``, a running trial is to be stopped or paused."""

    reason: str
    """A ``StopReason`` of the run; the verdict on a trial otherwise."""
    detail: str = ""
    trial_id: str | None = None
    branch: str | None = None
    step: int | None = None
    """The step of the report that was judged."""
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["stop"]:
        """The name of this kind of event in the trace."""
        return "stop"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Paused(NamedTuple):
    """An attempt ended at a report by the verdict to pause; the trial may run on later, from its checkpoint."""

    trial_id: str
    branch: str | None
    attempt: int
    step: int
    """The step of its last report."""
    seconds: float
    checkpoint: str | None = None
    """The digest of what its directory held; None where it held nothing."""
    metadata: dict[str, Any] | None = None
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["pause"]:
        """The name of this kind of event in the trace."""
        return "pause"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Resume(NamedTuple):
    """A paused trial is to run on: from its own checkpoint, or from that of another trial and with other parameters."""

    trial_id: str
    branch: str | None
    step: int
    """The step after which it goes on."""
    checkpoint: str | None = None
    """What its directory is to hold."""
    source: str | None = None
    """The trial whose checkpoint it takes; None: its own."""
    params: dict[str, Any] | None = None
    """Its parameters from now on; None: as before."""
    busy: int = 0
    """Slots in use before it."""
    free: int = 0
    why: str = ""
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["resume"]:
        """The name of this kind of event in the trace."""
        return "resume"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)
