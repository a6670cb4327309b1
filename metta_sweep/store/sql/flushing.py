"""What was written reaches the disk within a second, without the writer waiting for it."""

from __future__ import annotations

import os
import threading
from typing import Final

__all__ = ["Flusher"]

INTERVAL: Final = 0.8
"""Seconds: the flush itself takes the rest of the second that is promised."""


class Flusher:
    """A thread that flushes a file to disk soon after each write. It sleeps while nothing is written, and is started by the first.

    Args:
        handle: of the write-ahead log, open for writing. It is closed by ``close``.
        interval: seconds from the first unflushed write to its flush.
    """

    def __init__(self, handle: int, interval: float = INTERVAL) -> None:
        self._handle = handle
        self._interval = interval
        self._dirty = False
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self.flushes = 0
        self.error: OSError | None = None
        """Why the last flush failed: the disk does not hold what was written."""

    def written(self) -> None:
        """Something was written."""
        if self._dirty:
            return
        self._dirty = True
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="metta_sweep flush", daemon=True)
            self._thread.start()

    def is_behind(self) -> bool:
        """Whether something that was written is not known to be on disk."""
        return self._dirty or self.error is not None

    def close(self) -> None:
        """End the thread and close the file. What is unflushed is left to the one who closes the database: see ``is_behind``."""
        self._ending.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        os.close(self._handle)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._ending.wait(self._interval):
                return
            self._wake.clear()
            self._dirty = False
            try:
                os.fsync(self._handle)
            except OSError as error:
                self.error = error
                return
            self.flushes += 1
