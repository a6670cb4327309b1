"""What pausing asks of an executor: a directory that is kept when an attempt has ended, and restored before the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from logging import getLogger
from typing import Any, Final

from metta_sweep.executors.attempt import Attempt
from metta_sweep.executors.checkpoints import Checkpoints
from metta_sweep.executors.executor import Ended
from metta_sweep.executors.failure import trial_error
from metta_sweep.threads import WorkerThreads

__all__ = ["must_restore", "restore", "save", "tidy"]

_log: Final = getLogger("metta_sweep")


def must_restore(attempt: Attempt) -> bool:
    """Whether the directory of an attempt is to be replaced before its function is called."""
    task = attempt.task
    if task.resume_step is None:
        return False
    return task.checkpoint is not None or attempt.directories.existing(task.trial.id, task.trial.number) is not None


def restore(attempt: Attempt) -> None:
    """Make the directory of an attempt that goes on hold what it held at the pause; in a worker thread.

    Raises:
        ExecutorError: the checkpoint is missing or damaged.
        OSError: it cannot be read or written.
    """
    if must_restore(attempt):
        task, directories = attempt.task, attempt.directories
        directories.checkpoints.restore(task.checkpoint, directories.place(task.trial.id, task.trial.number))


def tidy(checkpoints: Checkpoints, needed: Collection[str], workers: WorkerThreads) -> None:
    """Remove checkpoints that are not among the needed ones, in a worker thread. One that cannot be removed is only warned of."""
    if checkpoints.doom(needed):
        workers.submit(checkpoints.remove_doomed, _removed, name="removal of checkpoints")


def _removed(_: object, error: Exception | None) -> None:
    if error is not None:
        _log.warning("checkpoints that are not needed any more cannot be removed: %s", error)


def save(attempt: Attempt, ended: Ended, workers: WorkerThreads, finish: Callable[[Ended], None]) -> None:
    """Keep the directory of an attempt that was paused, in a worker thread, and then give its terminal event to ``finish``.

    Where it cannot be kept, that is the error of the attempt.
    """
    trial, directories = attempt.task.trial, attempt.directories
    directory = directories.existing(trial.id, trial.number)
    if directory is None:
        finish(ended)
        return
    checkpoints = directories.checkpoints

    def done(digest: Any, error: Exception | None) -> None:
        finish(ended._replace(checkpoint=digest) if error is None else ended._replace(stopped=None, error=trial_error(error)))

    workers.submit(partial(checkpoints.keep, directory), done, name=f"checkpoint of {attempt.task.address}")
