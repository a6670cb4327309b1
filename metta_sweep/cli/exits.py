"""Exit codes, and the error of wrong command lines.

| code | meaning |
|---|---|
| 0 | done |
| 1 | an error, told on the standard error |
| 2 | the command line is wrong |
| 3 | the run stopped for a bad reason, so look before you use its results: interrupted, failure_rate, executor_exhausted |
| 130, 143 | cancelled by a second Ctrl-C or SIGTERM, or ended at once by a third |
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final

from metta_sweep.errors import InvalidInput, MettaSweepError

__all__ = ["BAD_STOP", "CAUGHT", "DONE", "ERROR", "INTERRUPTED", "WRONG_USE", "SourceError", "UsageError", "exit_now"]

DONE: Final = 0
ERROR: Final = 1
WRONG_USE: Final = 2
BAD_STOP: Final = 3
INTERRUPTED: Final = 130
CAUGHT: Final = (signal.SIGINT, signal.SIGTERM)


class SourceError(MettaSweepError):
    """The file of the user is no Python: the message has the place, as Python shows it."""


class UsageError(InvalidInput):
    """What was written on the command line names nothing that can be used."""


def exit_now(number: int, frame: FrameType | None) -> None:
    """Handles a signal when all is told: the process ends, and nothing more is printed."""
    os._exit(128 + number)
