"""Suggestions and trials: what is proposed, what becomes of it, and the one table that says what may follow what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from metta_sweep.errors import IllegalTransition

__all__ = [
    "ACTIVE_STATES",
    "TERMINAL_STATES",
    "TRANSITIONS",
    "Metric",
    "Report",
    "Suggestion",
    "Trial",
    "TrialError",
    "TrialState",
    "Verdict",
    "check_transition",
    "metric_mean",
]

Metric = float | tuple[float, float]
"""A metric: a float, or ``(mean, sem)`` where the standard error of the mean is known."""


class TrialState(StrEnum):
    """The states of a trial."""

    PENDING = "pending"
    """Picked, and not started: it counts, and waits for its start (or, after a failed attempt, for its next one)."""
    RUNNING = "running"
    PAUSED = "paused"
    """Stopped at a report with its checkpoint kept; it may run on."""
    COMPLETED = "completed"
    STOPPED = "stopped"
    """Ended early by a verdict, a deadline or an interrupt."""
    FAILED = "failed"


TRANSITIONS: Final[Mapping[TrialState, frozenset[TrialState]]] = MappingProxyType(
    {
        TrialState.PENDING: frozenset({TrialState.RUNNING, TrialState.STOPPED, TrialState.FAILED}),
        TrialState.RUNNING: frozenset(
            {TrialState.PENDING, TrialState.PAUSED, TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED}
        ),
        TrialState.PAUSED: frozenset({TrialState.PENDING, TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED}),
        TrialState.COMPLETED: frozenset(),
        TrialState.STOPPED: frozenset(),
        TrialState.FAILED: frozenset(),
    }
)
"""What may follow what. RUNNING to PENDING is a failed or lost attempt that is tried again."""

TERMINAL_STATES: Final = frozenset(state for state, following in TRANSITIONS.items() if not following)
ACTIVE_STATES: Final = frozenset(TRANSITIONS) - TERMINAL_STATES


def check_transition(trial_id: str, before: TrialState, after: TrialState, cause: str) -> None:
    """Raise ``IllegalTransition``, telling the story, unless the table lets ``after`` follow ``before``."""
    if after not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing: it has ended"
        raise IllegalTransition(
            f"trial {trial_id!r} is {before} and cannot become {after} by {cause!r}; from {before} it may become {allowed}."
        )


class Verdict(StrEnum):
    """What a scheduler says of a running trial at a report."""

    CONTINUE = "continue"
    PAUSE = "pause"
    """End this attempt, keep the trial's checkpoint: it may run on later."""
    STOP = "stop"
    COMPLETE = "complete"
    """It has had all that it needs: it ends as COMPLETED, with the metrics of its last report."""


class Report(NamedTuple):
    """Metrics of a running trial at one of its steps."""

    step: int
    metrics: dict[str, Metric]

    def value(self, name: str) -> float:
        """A metric without its standard error. Raises ``KeyError`` when it was not reported."""
        return metric_mean(self.metrics[name])


class TrialError(NamedTuple):
    """An exception as data: it crosses process borders and is kept in the journal."""

    type: str
    """The qualified name of the exception's class."""
    message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Parameters proposed, to be evaluated by one trial.

    Args:
        params: the values, a plain dict of JSON values.
        branch: the research direction it belongs to; statistics are kept per branch.
        id: the id of its trial; by default the trial's number.
        origin: which optimizer, and which phase of it, proposed this; filled in by the sweep where left out.
        parent: the id of the trial that it follows up, where there is one.
    """

    params: dict[str, Any]
    branch: str | None = None
    id: str | None = None
    origin: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One evaluation of a suggestion, as it stands at one moment. Never changes: later moments are other objects."""

    id: str
    number: int
    """The order of its pick, from 0."""
    params: dict[str, Any]
    branch: str | None = None
    origin: str | None = None
    parent: str | None = None
    index: int = 0
    """The number of its suggestion among all suggestions of the sweep, from 0. Its seed comes from this."""
    state: TrialState = TrialState.PENDING
    attempt: int = 0
    """1 while and after the first attempt runs, 0 before."""
    reports: tuple[Report, ...] = ()
    """While it runs and until it has been scored, its reports; of trials read back later, the last one."""
    metrics: dict[str, Metric] = field(default_factory=dict)
    score: float | None = None
    """The metric named by the goal, in the user's units; None unless COMPLETED."""
    error: TrialError | None = None
    reason: str | None = None
    """Why it was stopped, where it was."""
    seconds: float | None = None
    """How long its last attempt ran."""
    metadata: dict[str, Any] = field(default_factory=dict)

    def value(self, name: str) -> float:
        """A metric of the finished trial without its standard error. Raises ``KeyError`` when it has none of that name."""
        return metric_mean(self.metrics[name])

    @property
    def last_report(self) -> Report | None:
        """The newest report, or None."""
        return self.reports[-1] if self.reports else None


def metric_mean(metric: Metric) -> float:
    """The value of a metric without its standard error."""
    return metric[0] if isinstance(metric, tuple) else metric
