"""Clocks and crash points.

Durations are measured on the event loop's monotonic clock, so that a virtual loop (``metta_sweep.testing``) makes a whole run
virtual. Wall-clock time is for people and never decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["crash_point", "crash_points", "wall_time"]

_hooks: Final[list[Callable[[str], None]]] = []


def wall_time() -> float:
    """Seconds since 1970, for people."""
    return time.time()


def crash_point(name: str, address: str = "") -> None:
    """A named place at which tests may end the process, or raise. Does nothing otherwise.

    Args:
        name: ``commit.before``, for instance.
        address: of the execution that passes it, for places that many executions pass; hooks get ``"persist.before a/b"``.
    """
    for hook in _hooks:
        hook(f"{name} {address}" if address else name)


@contextmanager
def crash_points(hook: Callable[[str], None]) -> Iterator[None]:
    """Call ``hook`` with the name of each crash point that is passed inside the block."""
    _hooks.append(hook)
    try:
        yield
    finally:
        _hooks.remove(hook)
