"""Exceptions of trials, as data."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from metta_sweep.core.trial import TrialError
from metta_sweep.core.values import encodable
from metta_sweep.errors import message_of

__all__ = ["error_name", "trial_error"]

_OURS: Final = (str(Path(__file__).parent), str(Path(__file__).parent.parent / "threads.py"))
_LONGEST: Final = 20_000


def trial_error(error: BaseException) -> TrialError:
    """The type, message and traceback of an exception; frames of the executor before the trial function are left out.

    What cannot be written as UTF-8, such as the odd name of a file, is spelled out.
    """
    kind = type(error)
    frames = _without_ours(error.__traceback__)
    text = "".join(traceback.format_exception(kind, error, frames))
    return TrialError(encodable(error_name(kind)), _shortened(encodable(message_of(error))), _shortened(encodable(text)))


def error_name(kind: type[BaseException]) -> str:
    """What a class of exceptions is called in the journal: its qualified name, after its module's where that tells more."""
    return kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    first = frames
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames if frames is not None else first


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
