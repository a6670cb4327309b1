"""Where trials keep their files."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from pathlib import Path
from typing import Final

__all__ = ["TrialDirectories"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class TrialDirectories:
    """A directory for each trial, made when it is first asked for. Safe to use from any thread.

    Args:
        root: what they lie in; None: a new directory among the system's temporary files. It is kept.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self._root = None if root is None else Path(root)
        self._lock = threading.Lock()

    def of(self, trial_id: str, number: int) -> Path:
        """The directory of a trial: called as the trial is where that can be a file's name, else after its number."""
        with self._lock:
            if self._root is None:
                self._root = Path(tempfile.mkdtemp(prefix="metta_sweep-"))
        path = self._root / (trial_id if _PLAIN.fullmatch(trial_id) else f"trial-{number}")
        path.mkdir(parents=True, exist_ok=True)
        return path
