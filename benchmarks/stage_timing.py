"""What all that do ten stages in a row share: how many there are, how they are timed, where they may write."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

__all__ = ["RELAXED", "STAGES", "Contender", "awaited", "called", "expect", "fresh"]

STAGES: Final = 10
RELAXED: Final = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")
"""How our own store keeps its file under ``durability="process"``: no wait for the disk at a commit."""
Contender = Callable[[int, Path], float]
"""Builds its graph once, warms it up, and gives the seconds that so many runs of the ten stages take."""


def called(once: Callable[[], object], runs: int) -> float:
    """The seconds of ``runs`` calls, after some that are not counted."""
    for _ in range(max(1, runs // 10)):
        once()
    started = time.perf_counter()
    for _ in range(runs):
        once()
    return time.perf_counter() - started


async def awaited(once: Callable[[], Awaitable[object]], runs: int) -> float:
    """The same of a coroutine function."""
    for _ in range(max(1, runs // 10)):
        await once()
    started = time.perf_counter()
    for _ in range(runs):
        await once()
    return time.perf_counter() - started


def expect(found: object) -> None:
    """Raise unless the number came out at the other end."""
    if found != 1:
        raise RuntimeError(f"ten no-op stages made {found!r} of 1: the figures would be worth nothing")


def fresh(folder: Path) -> str:
    """The path of a database that is not there yet."""
    return os.fspath(folder / f"{uuid.uuid4().hex}.db")
