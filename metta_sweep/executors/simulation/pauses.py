"""Courses of paused trials: suspended in memory, to go on where they are."""

from __future__ import annotations

from typing import Any, NamedTuple

from metta_sweep.executors.context import renew
from metta_sweep.executors.executor import TrialTask
from metta_sweep.executors.simulation.course import Course

__all__ = ["PausedCourses"]


class _Paused(NamedTuple):
    name: str
    params: dict[str, Any]
    course: Course


class PausedCourses:
    """The one suspended course of each trial that is paused, under the name of its pause: the attempt and the step.

    A trial that goes on from its own pause with its own parameters takes it up again; any other use begins the course anew.
    """

    def __init__(self) -> None:
        self._paused: dict[str, _Paused] = {}

    def keep(self, task: TrialTask, step: int, course: Course) -> str:
        """Suspend a course; the name of the pause."""
        trial = task.trial
        name = f"{trial.id}#{trial.attempt}@{step}"
        self._paused[trial.id] = _Paused(name, trial.params, course)
        return name

    def take(self, task: TrialTask) -> Course | None:
        """The course that goes on with this attempt; None when it is to be called anew. What it has no use for is ended."""
        paused = self._paused.pop(task.trial.id, None)
        if paused is None:
            return None
        if task.checkpoint == paused.name and task.trial.params == paused.params:
            paused.course.where = task.address
            renew(paused.course.context, task)
            return paused.course
        paused.course.drop()
        return None

    def close(self) -> None:
        """End them all."""
        paused, self._paused = self._paused, {}
        for one in paused.values():
            one.course.drop()
