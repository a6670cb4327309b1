"""The schedule of parameters that population based training has found: who trained with what, followed back through ancestors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metta_sweep.core.events import Draw, Event, Pick, Resume
from metta_sweep.errors import SchedulerError

__all__ = ["ParameterSchedule", "schedule_of"]


@dataclass(frozen=True, slots=True)
class ParameterSchedule:
    """Parameters by step. ``schedule.at(step)`` serves a training loop of one's own; ``points`` are what it is made of.

    Args:
        points: steps, and the parameters from the step after it on, in order; the first step is 0.
    """

    points: tuple[tuple[int, dict[str, Any]], ...]

    def at(self, step: int) -> dict[str, Any]:
        """The parameters that step number ``step``, from 1, is trained with."""
        found = self.points[0][1]
        for after, params in self.points:
            if after >= step:
                break
            found = params
        return dict(found)

    def describe(self) -> list[dict[str, Any]]:
        """As JSON values: ``[{"after": 0, "params": {...}}, ...]``."""
        return [{"after": after, "params": dict(params)} for after, params in self.points]

    @classmethod
    def from_description(cls, described: Iterable[Mapping[str, Any]]) -> ParameterSchedule:
        """The schedule that ``describe()`` told."""
        return cls(tuple((int(point["after"]), dict(point["params"])) for point in described))


def schedule_of(trace: Iterable[Event], trial_id: str | None) -> ParameterSchedule:
    """The parameters that a trial's state was trained with, from the trace of its run.

    Raises:
        SchedulerError: no trial of that id was started.
    """
    drawn: dict[int, dict[str, Any]] = {}
    points: dict[str, tuple[tuple[int, dict[str, Any]], ...]] = {}
    for event in trace:
        if isinstance(event, Draw):
            drawn[event.suggestion] = event.params
        elif isinstance(event, Pick):
            points[event.trial_id] = ((0, drawn.pop(event.suggestion)),)
        elif isinstance(event, Resume):
            before = points[event.source or event.trial_id]
            kept = tuple(point for point in before if point[0] < event.step or point[0] == 0)
            params = event.params if event.params is not None else points[event.trial_id][-1][1]
            points[event.trial_id] = kept if kept[-1][1] == params else (*kept, (event.step, params))
    if trial_id is None or trial_id not in points:
        raise SchedulerError(
            "PBTScheduler.schedule",
            "no such trial was started",
            found=trial_id,
            expected="one of " + ", ".join(list(points)[:10]) if points else "a run with trials",
            remedy="Give the id of one of results.trials",
        )
    return ParameterSchedule(points[trial_id])
