"""Whether a value of one type may be used where another is needed, and if not, why: directional, with a path to the reason."""

from __future__ import annotations

from typing import Any

__all__ = ["explain_mismatch"]


def explain_mismatch(provided: Any, needed: Any, path: str) -> str | None:
    """None when it fits or cannot be told; else the reason: ``results[*].score: provides float | None, needs float``."""
    return None
