"""A trial that has been picked and is not scored yet, as the fold keeps it."""

from __future__ import annotations

from metta_sweep.core.events import Draw, Error, Result
from metta_sweep.core.trial import TERMINAL_STATES, Report, Trial, TrialError, TrialState

__all__ = ["LiveTrial"]


class LiveTrial:
    """The one mutable record of a trial between its pick and its score. ``trial()`` shows it as the frozen noun."""

    __slots__ = (
        "_ended",
        "attempt",
        "branch",
        "checkpoint",
        "draw",
        "due",
        "failures",
        "id",
        "kept",
        "lost",
        "number",
        "outcome",
        "params",
        "reports",
        "state",
        "step",
    )

    def __init__(self, trial_id: str, number: int, branch: str | None, draw: Draw) -> None:
        self.id = trial_id
        self.number = number
        self.branch = branch
        self.draw = draw
        self.params = draw.params
        """The draw's, until it goes on with others."""
        self.state = TrialState.PENDING
        self.attempt = 0
        self.failures = 0
        """Attempts that failed by themselves."""
        self.due = 0.0
        """When its next attempt may start, in active seconds of the run; known of trials whose attempt failed before a resume."""
        self.lost = 0
        """Attempts in a row that were lost with their driver."""
        self.reports: list[Report] = []
        self.kept = 0
        """How many of the reports were made before the last pause: the next attempt goes on after them."""
        self.step: int | None = None
        """The step after which the next attempt goes on; None: it begins anew."""
        self.checkpoint: str | None = None
        """What its directory holds when the next attempt starts, as a digest; None: whatever is there."""
        self.outcome: Result | Error | None = None
        self._ended: Trial | None = None

    def starting(self) -> Trial:
        """The trial as its next attempt sees it, with the report of the step after which it goes on."""
        draw = self.draw
        return Trial(
            id=self.id,
            number=self.number,
            params=self.params,
            branch=self.branch,
            origin=draw.origin,
            parent=draw.parent,
            index=draw.suggestion,
            state=TrialState.RUNNING,
            attempt=self.attempt + 1,
            reports=tuple(self.reports) if self.kept else (),
        )

    def trial(self, score: float | None = None) -> Trial:
        """The trial as it stands, with its score where it has one."""
        if self._ended is not None and self._ended.score == score:
            return self._ended
        draw, outcome = self.draw, self.outcome
        result = outcome if type(outcome) is Result else None
        error = outcome if type(outcome) is Error else None
        trial = Trial(
            id=self.id,
            number=self.number,
            params=dict(self.params),
            branch=self.branch,
            origin=draw.origin,
            parent=draw.parent,
            index=draw.suggestion,
            state=self.state,
            attempt=self.attempt,
            reports=tuple(self.reports),
            metrics=dict(result.metrics) if result is not None else {},
            score=score,
            error=TrialError(error.type, error.message, error.traceback) if error is not None else None,
            reason=result.stopped if result is not None else None,
            seconds=outcome.seconds if outcome is not None else None,
            metadata=(outcome.metadata if outcome is not None else None) or {},
        )
        if self.state in TERMINAL_STATES:
            self._ended = trial
        return trial
