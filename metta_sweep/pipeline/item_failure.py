"""What stands in for the output of an item that failed."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from metta_sweep.errors import message_of

__all__ = ["ItemFailure"]

_OURS: Final = str(Path(__file__).parents[1]) + os.sep


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """An item of a map that failed, in its place among the outputs: ``on_item_error="collect"``. All of it is JSON."""

    index: int
    """The place of the item, from 0."""
    error: str
    """The class of the exception."""
    message: str
    traceback: str
    """Where it was raised, without the frames of this package."""

    @classmethod
    def of(cls, index: int, error: Exception) -> ItemFailure:
        """What is kept of an exception."""
        shown = traceback.TracebackException.from_exception(error)
        frames = [frame for frame in shown.stack if not frame.filename.startswith(_OURS)]
        shown.stack = traceback.StackSummary.from_list(frames)
        return cls(index, type(error).__qualname__, _encodable(message_of(error)), _encodable("".join(shown.format())))


def _encodable(text: str) -> str:
    """The text, with what UTF-8 has no form for spelled out: the odd name of a file."""
    return text.encode("utf-8", "backslashreplace").decode()
