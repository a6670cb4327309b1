"""Which trial or stage the code that asks runs in: how an experiment finds the one that it runs inside."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, Protocol

__all__ = ["Place", "here"]


class Place(Protocol):
    """One execution of a trial or a stage, in which other experiments may run."""

    @property
    def place(self) -> str:
        """Its address within its experiment, the same on every attempt: ``trial[5]``, ``tasks[3]/optimize_task``."""
        ...  # type checkers need it

    @property
    def attempt(self) -> int:
        """1 for its first attempt."""
        ...  # type checkers need it


here: Final[ContextVar[Place | None]] = ContextVar("metta_sweep_here", default=None)
"""The innermost trial or stage that runs now; None outside of all. Worker threads and tasks that it starts inherit it."""
