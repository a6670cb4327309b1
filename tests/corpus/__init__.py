"""Two corpora of pipelines: wrong ones, each with one mistake that the build must report, and right ones, which must build and run.

``python -m tests.corpus`` judges them all and prints both counts. A case is a function in a ``wrong_*`` or ``right_*`` module.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from .cases import RIGHT, UNSEEN, WRONG, Right, Wrong

__all__ = ["Right", "Wrong", "right_cases", "unseen_cases", "wrong_cases"]

for _path in sorted(Path(__file__).parent.glob("*_*.py")):
    if _path.stem.startswith(("wrong_", "right_")):
        importlib.import_module(f"{__name__}.{_path.stem}")


def wrong_cases() -> list[Wrong]:
    """Every pipeline with a mistake in it."""
    return list(WRONG)


def right_cases() -> list[Right]:
    """Every pipeline without one."""
    return list(RIGHT)


def unseen_cases() -> list[Wrong]:
    """Every pipeline with a mistake in it that the build does not report."""
    return list(UNSEEN)
