"""Pauses in simulated time: courses suspended in memory, and what the directories of their trials held."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from metta_sweep.executors.context import renew
from metta_sweep.executors.directories import TrialDirectories
from metta_sweep.executors.executor import TrialTask
from metta_sweep.executors.simulation.course import Course

__all__ = ["Pauses"]

_MARK: Final = "|"


class _Paused:
    """A course that is suspended."""

    __slots__ = ("course", "name", "params", "told")

    def __init__(self, name: str, params: dict[str, Any], course: Course) -> None:
        self.name = name
        self.params = params
        self.course = course
        self.told = False
        """Whether the pause is in the journal."""


class Pauses:
    """The pauses of one run. Each has a name, which is its checkpoint: trial, attempt, step, and the digest of the trial's files.

    A trial that goes on from its own pause, with its own parameters, takes its suspended course up again. Any other use, in another
    process say, begins a course anew, in a directory that holds what the name says.
    """

    def __init__(self, directories: TrialDirectories) -> None:
        self._directories = directories
        self._paused: dict[str, _Paused] = {}

    def keep(self, task: TrialTask, step: int, course: Course) -> str:
        """Suspend a course and keep its directory; the name of the pause. Raises as ``Checkpoints.keep`` does."""
        trial = task.trial
        directory = self._directories.existing(trial.id, trial.number)
        digest = None if directory is None else self._directories.checkpoints.keep(directory)
        name = f"{trial.id}#{trial.attempt}@{step}{_MARK}{digest or ''}"
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

    def restore(self, task: TrialTask) -> None:
        """Make the directory of an attempt that is called anew hold what it held at the pause. Raises as ``Checkpoints`` does."""
        if task.resume_step is None:
            return
        trial, digest = task.trial, _digest(task.checkpoint or "")
        if digest is not None or self._directories.existing(trial.id, trial.number) is not None:
            self._directories.checkpoints.restore(digest, self._directories.place(trial.id, trial.number))

    def recorded(self, trial_id: str, name: str) -> None:
        """A pause is in the journal: its files are kept as long as they are needed."""
        paused = self._paused.get(trial_id)
        if paused is not None and paused.name == name:
            paused.told = True
        digest = _digest(name)
        if digest is not None:
            self._directories.checkpoints.release(digest)

    def keep_only(self, names: Collection[str]) -> None:
        """Let go of pauses that are in the journal and not among these."""
        for trial_id in [trial_id for trial_id, paused in self._paused.items() if paused.told and paused.name not in names]:
            self._paused.pop(trial_id).course.drop()
        checkpoints = self._directories.checkpoints
        if checkpoints.doom({digest for name in names if (digest := _digest(name)) is not None}):
            checkpoints.remove_doomed()

    def close(self) -> None:
        """The run is left: end all courses that are suspended."""
        paused, self._paused = self._paused, {}
        for one in paused.values():
            one.course.drop()
        self._directories.close()


def _digest(name: str) -> str | None:
    return name.rpartition(_MARK)[2] or None
