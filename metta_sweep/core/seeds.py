"""Seeds that depend on names and numbers only: the same in every process, on every attempt, in any order."""

from __future__ import annotations

import hashlib
import os
import struct
from typing import Final

__all__ = ["derive_seed", "draw_seed", "seed_of_32_bits", "unit_floats"]

_WORDS: Final = struct.Struct(">8Q")


def derive_seed(*parts: int | str) -> int:
    """A seed of 63 bits that is a function of ``parts`` alone.

    Ints and strings differ (1 is not "1"), and so do ("ab", "c") and ("a", "bc").
    """
    text = "\x1f".join([f"i{part}" if isinstance(part, int) else f"s{part}" for part in parts])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_of_32_bits(*parts: int | str) -> int:
    """The same with 32 bits: what numpy, scikit-learn and PyTorch take."""
    return derive_seed(*parts) & 0xFFFFFFFF


def draw_seed() -> int:
    """A seed of 32 bits from the operating system, for a run that was given none; it is kept with the run."""
    return int.from_bytes(os.urandom(4), "big")


def unit_floats(seed: int, index: int, count: int) -> list[float]:
    """``count`` independent uniform floats in [0, 1): draw number ``index`` of the stream ``seed``.

    Counter-based (BLAKE2b of seed, index and block), so that draw *i* needs none of the draws before it.
    """
    floats: list[float] = []
    block = 0
    while len(floats) < count:
        digest = hashlib.blake2b(b"%d:%d:%d" % (seed, index, block), digest_size=64).digest()
        words = _WORDS.unpack(digest)
        floats += [(word >> 11) * 2.0**-53 for word in words[: count - len(floats)]]
        block += 1
    return floats
