"""Where trials keep their files."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from hashlib import sha256
from pathlib import Path
from typing import Final

from metta_sweep.executors.checkpoints import Checkpoints

__all__ = ["TrialDirectories"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class TrialDirectories:
    """The directories of the trials of one run, each made when it is first asked for. Safe to use from any thread.

    Args:
        root: what the directories of runs lie in; None: a new directory among the system's temporary files. It is kept.
        run_id: the run. Its directory, ``<root>/<run id>``, is the same whenever it is taken up again (without a root: as long as
            this process lives). None: trials lie directly in the root, and share the temporary one with no other.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None, run_id: str | None = None) -> None:
        # absolute, so that a trial function may change the working directory
        self._root = None if root is None else Path(root).absolute()
        self._run = "" if run_id is None else run_id if _PLAIN.fullmatch(run_id) else f"run-{_digest(run_id)}"
        self._lock = threading.Lock()
        self._durable = root is not None
        self._checkpoints: Checkpoints | None = None

    def of(self, trial_id: str, number: int) -> Path:
        """The directory of a trial: called as the trial is where that can be a file's name, else after its number."""
        path = self.place(trial_id, number)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def existing(self, trial_id: str, number: int) -> Path | None:
        """The directory of a trial, if it is there: if one of its attempts has asked for it."""
        if self._root is None and not (self._run and _temporary.made):
            return None
        path = self.place(trial_id, number)
        return path if path.is_dir() else None

    @property
    def checkpoints(self) -> Checkpoints:
        """What directories of paused trials held, beside them."""
        made = self._checkpoints
        if made is None:
            # no trial is called so: the names of their directories begin with a letter, a digit or an underscore
            folder = self._folder() / ".checkpoints"
            with self._lock:
                made = self._checkpoints = self._checkpoints or Checkpoints(folder, durable=self._durable)
        return made

    def close(self) -> None:
        """The run is left: checkpoints change nothing any more."""
        if self._checkpoints is not None:
            self._checkpoints.close()

    def place(self, trial_id: str, number: int) -> Path:
        """Where the directory of a trial lies, or would."""
        # the underscore keeps it apart from a trial whose id is "trial-3"
        return self._folder() / (trial_id if _PLAIN.fullmatch(trial_id) else f"_trial-{number}")

    def _folder(self) -> Path:
        with self._lock:
            if self._root is None:
                self._root = _temporary.directory() if self._run else _new_temporary()
            return self._root / self._run


class _Temporary:
    """One temporary directory of this process, in which a run finds its own again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: Path | None = None

    @property
    def made(self) -> bool:
        """Whether there is one yet."""
        return self._path is not None

    def directory(self) -> Path:
        with self._lock:
            if self._path is None or not self._path.is_dir():
                self._path = _new_temporary()
            return self._path


_temporary: Final = _Temporary()


def _new_temporary() -> Path:
    return Path(tempfile.mkdtemp(prefix="metta_sweep-"))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
