"""The death of a process, for tests of restarts: after a record that was kept, and nothing is done any more."""

from __future__ import annotations

__all__ = ["DieAt", "Died"]


class Died(BaseException):
    """The process died. No handler of ordinary errors sees it."""


class DieAt:
    """A plan for ``crash_points``: dies after record number ``occurrence``, and ever after; 0: never, and ``seen`` counts."""

    def __init__(self, occurrence: int) -> None:
        self.occurrence = occurrence
        self.seen = 0

    def __call__(self, name: str) -> None:
        """A crash point was passed."""
        self.seen += name == "record.after"
        if self.occurrence and self.seen >= self.occurrence:
            raise Died
