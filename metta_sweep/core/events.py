"""The events of a sweep: everything that happened, in order. The state of a sweep is a fold over them.

Events are named tuples: several are made per trial, and a journal holds a million of them. ``seq`` and ``address`` come from
the envelope in which they were kept (see ``metta_sweep.records``) and are filled in when events are read.
New fields go before ``seq`` and have defaults, so that older journals stay readable.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from metta_sweep.core.decisions import Expand, PaperTrigger, Paused, Prune, Resume, Stop, Wait
from metta_sweep.core.trial import Metric

__all__ = [
    "EVENT_TYPES",
    "Dispatch",
    "Draw",
    "Error",
    "Event",
    "Expand",
    "PaperTrigger",
    "Paused",
    "Pick",
    "Prune",
    "Reported",
    "Result",
    "Resume",
    "Score",
    "Stop",
    "Wait",
]


def _in_words(event: Event) -> str:
    from metta_sweep.core.reasons import reason_of

    return reason_of(event)


class Draw(NamedTuple):
    """A suggestion entered the pool. It is no trial before it is picked."""

    suggestion: int
    """Its number among all suggestions of the sweep, from 0."""
    params: dict[str, Any]
    branch: str | None = None
    id: str | None = None
    origin: str | None = None
    parent: str | None = None
    asked: int = 0
    """How many suggestions the optimizer was asked for: on the first draw of one call; 0 on its others and on follow-ups."""
    fixed: dict[str, Any] | None = None
    """What was fixed in that call, on its first draw."""
    within: str | None = None
    """The branch that the optimizer was asked within in that call, on its first draw; see ``Optimizer.branches``."""
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["draw"]:
        """The name of this kind of event in the trace."""
        return "draw"

    @property
    def trial_id(self) -> None:
        """It is about no trial."""
        return None

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Pick(NamedTuple):
    """A waiting suggestion became a trial, and is to start."""

    suggestion: int
    """The suggestion's number."""
    trial_id: str
    number: int
    """The trial's number: the order of picks, from 0."""
    branch: str | None = None
    score: float | None = None
    """What the scheduler compared; ``inf`` for a branch that was never tried. ``score = mean + bonus`` for UCB."""
    mean: float | None = None
    bonus: float | None = None
    runs: int | None = None
    pending: int | None = None
    others: tuple[tuple[str, float], ...] = ()
    """Branches and scores that were compared: all of up to 32, beyond that the best of each run count."""
    compared: int = 0
    """How many branches the pick was chosen from."""
    busy: int = 0
    """Slots in use before this pick."""
    free: int = 0
    """Slots free before this pick."""
    why: str = ""
    """What the scheduler says beyond the numbers."""
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["pick"]:
        """The name of this kind of event in the trace."""
        return "pick"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Dispatch(NamedTuple):
    """An attempt of a trial was handed to the executor."""

    trial_id: str
    branch: str | None
    attempt: int
    """1 for the first."""
    time_limit: float | None = None
    """Seconds that the attempt may take, where it is limited."""
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["dispatch"]:
        """The name of this kind of event in the trace."""
        return "dispatch"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Reported(NamedTuple):
    """A running trial reported metrics at a step."""

    trial_id: str
    branch: str | None
    attempt: int
    step: int
    metrics: dict[str, Metric]
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["report"]:
        """The name of this kind of event in the trace."""
        return "report"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Result(NamedTuple):
    """An attempt ended with metrics, or was stopped."""

    trial_id: str
    branch: str | None
    attempt: int
    metrics: dict[str, Metric]
    seconds: float
    stopped: str | None = None
    """Why it was stopped ("verdict", "deadline", "interrupt", or "complete" by such a verdict); None when it ran to its end."""
    metadata: dict[str, Any] | None = None
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["result"]:
        """The name of this kind of event in the trace."""
        return "result"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Error(NamedTuple):
    """An attempt failed."""

    trial_id: str
    branch: str | None
    attempt: int
    type: str
    message: str
    traceback: str
    seconds: float
    final: bool = True
    """Whether the trial has failed by it; else it is tried again after ``backoff`` seconds."""
    backoff: float = 0.0
    metadata: dict[str, Any] | None = None
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["error"]:
        """The name of this kind of event in the trace."""
        return "error"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


class Score(NamedTuple):
    """What an ended trial means: its score, its reward and the statistics of its branch after it."""

    trial_id: str
    branch: str | None
    score: float | None
    """In the user's units; None unless the trial completed."""
    reward: float | None
    """What the bandit learns, higher is better; None where nothing is learned (cut trials), or where a failure has no value yet."""
    runs: int
    """Runs of the branch, this one among them."""
    mean: float | None
    """Mean reward of the branch after this result."""
    best: bool = False
    """Whether this is the best score so far."""
    counts: bool = True
    """Whether it is a run of its branch; trials cut by a deadline or an interrupt are not."""
    seq: int = -1
    address: str = ""

    @property
    def kind(self) -> Literal["score"]:
        """The name of this kind of event in the trace."""
        return "score"

    @property
    def explanation(self) -> str:
        """Why it happened, in words."""
        return _in_words(self)


Event = Draw | Pick | Dispatch | Reported | Result | Error | Score | PaperTrigger | Prune | Expand | Wait | Stop | Paused | Resume
"""Any event of a sweep."""

EVENT_TYPES: Final[dict[str, type[Event]]] = {
    "draw": Draw,
    "pick": Pick,
    "dispatch": Dispatch,
    "report": Reported,
    "result": Result,
    "error": Error,
    "score": Score,
    "paper.trigger": PaperTrigger,
    "prune": Prune,
    "expand": Expand,
    "wait": Wait,
    "stop": Stop,
    "pause": Paused,
    "resume": Resume,
}
"""Kinds and their types, in the order in which they usually come."""
