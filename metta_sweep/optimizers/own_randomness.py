"""Libraries that draw from the process's random generators, kept to draws of their own."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from metta_sweep.core.seeds import seed_of_32_bits

__all__ = ["OwnRandomness"]

_ONE_AT_A_TIME: Final = threading.RLock()


class OwnRandomness:
    """While it is entered, the generators of Python, numpy and (where it is loaded) torch are its own; after, they are as before.

    Each entry goes on where the last one left them, so that what draws from them is a function of the seed and of its own calls.
    Entries of different threads wait for each other.

    Args:
        seed: what its generators begin with; folded where it has more than 32 bits.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed if 0 <= seed < 2**32 else seed_of_32_bits(seed)
        self._own: dict[str, Any] = {}
        self._before: dict[str, Any] = {}

    def __enter__(self) -> None:
        _ONE_AT_A_TIME.acquire()
        generators = _generators()
        self._before = {name: get() for name, (get, _, _) in generators.items()}
        for name, (_, put, seed) in generators.items():
            if name in self._own:
                put(self._own[name])
            else:
                seed(self._seed)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            for name, (get, put, _) in _generators().items():
                self._own[name] = get()
                if name in self._before:
                    put(self._before[name])
        finally:
            _ONE_AT_A_TIME.release()


def _generators() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[int], Any]]]:
    """How the state of each is read, put back and seeded."""
    import numpy as np

    found: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[int], Any]]] = {
        "python": (random.getstate, random.setstate, random.seed),
        "numpy": (np.random.get_state, np.random.set_state, np.random.seed),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = (torch.get_rng_state, torch.set_rng_state, torch.default_generator.manual_seed)
    return found
