"""What a trial function gives when its time is simulated: its reports in order, one per epoch, and then its result."""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

from metta_sweep.core.metrics import as_metrics
from metta_sweep.core.trial import Metric
from metta_sweep.errors import MetricError
from metta_sweep.executors.context import TrialContext, checked_step, first_step, merged_mapping
from metta_sweep.executors.executor import TrialTask

__all__ = ["Course", "ReportOfCourse"]

ReportOfCourse = tuple[int, dict[str, Metric]]
"""Step and metrics."""
_NOTHING: Final = object()
_log: Final = logging.getLogger("metta_sweep")


class Course:
    """One call of a trial function, which is driven step by step on the event loop's thread.

    A generator runs from yield to yield, and waits suspended in between. Any other function runs to its end at once when the first
    report is asked for; what it reported comes epoch by epoch all the same.
    """

    __slots__ = (
        "_before",
        "_call",
        "_error",
        "_generator",
        "_reports",
        "_returned",
        "context",
        "directory",
        "last",
        "silent",
        "step",
        "where",
    )

    def __init__(self, task: TrialTask, call: Callable[[TrialContext], Any], directory: Callable[[], Path]) -> None:
        self.where = task.address
        self.directory: Path | None = None
        """The directory of the trial, once it has asked for it."""

        def asked() -> Path:
            self.directory = directory()
            return self.directory

        self.context = TrialContext(task, self._send, asked)
        self._before = task.trial.reports
        """What was reported up to the step after which it goes on."""
        self._call: Callable[[TrialContext], Any] | None = call
        self._generator: Generator[Any, Any, Any] | None = None
        self._reports: deque[ReportOfCourse] = deque()
        self._returned: Any = _NOTHING
        self._error: BaseException | None = None
        self.step = 0
        """The step of the last report."""
        self.last: dict[str, Metric] | None = None
        self.silent = False
        """Whether it is a function that has returned without a report: all of it is one epoch."""

    def next(self) -> ReportOfCourse | None:
        """The next report; None when there is none any more. Raises what the trial function raises."""
        if self._call is not None:
            self._begin(self._call)
        if self._reports:
            return self._next_sent()
        if self._generator is None:
            self._fail()
            return None
        try:
            value = next(self._generator)
        except StopIteration as stop:
            self._returned = stop.value
            return self._next_sent() if self._reports else None
        step, metrics = merged_mapping(value)
        if step is None:
            self.step = self.step + 1 if self.last is not None else first_step(self.context)
        else:
            self.step = checked_step(step, self.where)
        self.last = as_metrics(metrics, f"yield of {self.where}")
        if self._reports:
            self._send(self.step, self.last)
            return self._next_sent()
        return self.step, self.last

    def result(self) -> dict[str, Metric]:
        """What it returned, or yielded last. Raises ``MetricError`` when that is no metric."""
        if self._generator is None or self._returned is not None:
            return as_metrics(self._returned, self.where)
        if self.last is None and self._before:
            return self._before[-1].metrics  # it goes on after its last step: nothing was left to do
        if self.last is None:
            raise MetricError(f"yield of {self.where}: the generator ended without a metric. Yield or return at least one.")
        return self.last

    @property
    def is_void(self) -> bool:
        """Whether it returned nothing, and yielded nothing either."""
        return self._returned is None and self.last is None

    def close(self) -> None:
        """End it where it is suspended. Raises what its cleaning up raises."""
        self._call = None
        generator, self._generator = self._generator, None
        if generator is not None:
            generator.close()

    def release(self) -> None:
        """Let go of the context, which refers to the course: nothing is left for the garbage collector."""
        del self.context

    def drop(self) -> None:
        """End it where nobody waits for what becomes of it: what its cleaning up raises is noted on the logger ``metta_sweep``."""
        try:
            self.close()
        except (Exception, SystemExit):  # noqa: BLE001  # of a trial that is over
            _log.warning("%s raised while it was ended after a pause", self.where, exc_info=True)
        self.release()

    def _begin(self, call: Callable[[TrialContext], Any]) -> None:
        self._call = None
        try:
            given = call(self.context)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # errors of trials are data, and come after its reports
            self._error = error
            return
        if inspect.isgenerator(given):
            self._generator = given
        elif inspect.isawaitable(given) or inspect.isasyncgen(given):
            if inspect.iscoroutine(given):
                given.close()
            raise MetricError(
                f"{self.where}: it returned {given!r}, and where time is simulated nothing is awaited. Return a metric."
            )
        else:
            self._returned = given
            self.silent = not self._reports

    def _fail(self) -> None:
        """Raise what the function raised, if it did, once."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # it refers to this frame, which would refer to it

    def _next_sent(self) -> ReportOfCourse:
        report = self._reports.popleft()
        self.step = report[0]
        return report

    def _send(self, step: int, metrics: dict[str, Metric]) -> None:
        self._reports.append((step, metrics))
