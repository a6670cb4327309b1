"""One attempt of a trial in simulated time."""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import Any, Final

from metta_sweep.core.trial import Metric, TrialError
from metta_sweep.errors import MetricError, TrialTimeout
from metta_sweep.executors.context import ask_to_stop, has_noticed, kept_metadata
from metta_sweep.executors.executor import Ended, StopCause, TrialTask
from metta_sweep.executors.failure import error_name, trial_error
from metta_sweep.executors.simulation.course import Course, ReportOfCourse

__all__ = ["Happening", "Moment", "SimulatedAttempt"]


class Moment(Enum):
    """What may happen to an attempt, beside a report and an error."""

    END = auto()
    """Its trial function has returned."""
    CUT = auto()
    """The grace is over."""
    TIMEOUT = auto()
    """Its time limit is over."""


Happening = ReportOfCourse | TrialError | Moment
"""What happens next to an attempt."""
_EXCUSED: Final = ("deadline", "interrupt")


class SimulatedAttempt:
    """What is known of one attempt. Its executor says when things happen to it."""

    __slots__ = (
        "cause",
        "course",
        "cut",
        "cut_at",
        "due",
        "ended",
        "factor",
        "judged",
        "limit_at",
        "next",
        "order",
        "started",
        "task",
        "turn",
        "waiting",
    )

    def __init__(self, task: TrialTask, course: Course, order: int, started: float, factor: float) -> None:
        self.task = task
        self.course = course
        self.order = order
        """Its number among all that were dispatched."""
        self.started = started
        self.factor = factor
        limit = task.resources.time_limit
        self.limit_at = math.inf if limit is None else started + limit
        self.cut_at = math.inf
        self.cause: StopCause | None = None
        """Why it was asked to stop."""
        self.cut = False
        self.ended = False
        """Whether its terminal event is on the bus: nothing follows it."""
        self.turn = 0
        """Counts what was planned for it: only the last plan holds."""
        self.due = started
        self.next: Happening = Moment.END
        """What happens to it at ``due``."""
        self.waiting: int | None = None
        """The step of the report whose verdict it waits for."""
        self.judged: int | None = None
        """The step from which its reports are judged; None: none of them."""

    def planned(self, due: float, what: Happening) -> tuple[float, Happening]:
        """What really happens, and when: a limit or the end of its grace may come first."""
        if due > self.limit_at and self.limit_at <= self.cut_at:
            return self.limit_at, Moment.CUT if self.cause is not None else Moment.TIMEOUT
        return (self.cut_at, Moment.CUT) if due > self.cut_at else (due, what)

    def ask(self, cause: StopCause) -> None:
        """Ask it to end. The first cause counts."""
        if self.cause is None:
            self.cause = cause
        ask_to_stop(self.course.context)

    def end(self, now: float, happening: Happening | None) -> Ended:
        """Close it and tell how it ended; ``happening`` is what ended it, None the verdict on its report."""
        self.ended = True
        self.waiting = None
        self.turn += 1
        self.cut = happening is Moment.CUT
        metrics: dict[str, Metric] | None = None
        error = happening if isinstance(happening, TrialError) else None
        try:
            if happening is Moment.END:
                metrics = self._result()
            else:
                self.course.close()
        except (Exception, SystemExit) as wrong:  # noqa: BLE001  # errors of trials are data
            error = error or trial_error(wrong)
        ended = self._told(now, metrics, error, timed_out=happening is Moment.TIMEOUT)
        self.course.release()
        return ended

    def _result(self) -> dict[str, Metric] | None:
        return None if self.cause is not None and self.course.is_void else self.course.result()

    def _told(self, now: float, metrics: dict[str, Metric] | None, error: TrialError | None, *, timed_out: bool) -> Ended:
        metadata: dict[str, Any] | None = None
        try:
            metadata = kept_metadata(self.course.context)
        except MetricError as wrong:
            error = error or trial_error(wrong)
        if timed_out:
            error = self._timeout()
        elif error is not None and (self.cause in _EXCUSED or (self.cause is not None and self.cut)):
            metadata = {"error": f"{error.type}: {error.message}", **(metadata or {})}
            metrics = error = None
        if error is not None:
            metrics = None
        ran_to_its_end = metrics is not None and not has_noticed(self.course.context)
        stopped = None if error is not None or ran_to_its_end else self.cause
        trial = self.task.trial
        return Ended(trial.id, trial.attempt, now - self.started, metrics, error, stopped, metadata)

    def _timeout(self) -> TrialError:
        message = f"{self.task.address} passed its time limit of {self.task.resources.time_limit:g} s."
        kind = error_name(TrialTimeout)
        return TrialError(kind, message, f"{kind}: {message}\n")
