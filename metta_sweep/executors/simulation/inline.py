"""Trial functions that can be called on the event loop's thread, in simulated time."""

from __future__ import annotations

from typing import Any

from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import ObjectiveError
from metta_sweep.executors.objective import BoundObjective, Kind, bind_objective

__all__ = ["bind_inline"]


def bind_inline(objective: Any, search_space: SearchSpace | None) -> BoundObjective:
    """As ``bind_objective``; coroutine functions are refused."""
    bound = bind_objective(objective, search_space)
    if bound.kind is not Kind.THREAD:
        raise ObjectiveError(
            f"objective {bound.name}",
            "it is a coroutine function, and where time is simulated nothing is awaited",
            found=objective,
            expected="a generator that yields metrics once per epoch, or a plain function",
            remedy="Write it without 'async', or use LocalExecutor(): metta_sweep.testing has a virtual clock for coroutines",
        )
    return bound
