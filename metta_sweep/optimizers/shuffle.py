"""A pseudorandom order of the numbers from 0 to any size, without a list of them."""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["Shuffle"]

_ROUNDS: Final = 6


class Shuffle:
    """A permutation of 0 to ``size - 1``, a function of size and seed, computed where it is asked for.

    A Feistel network over the smallest even number of bits that holds the size, walked until it is back inside: at most four
    steps on average.

    SOURCE: Luby and Rackoff 1988 (Feistel networks); Black and Rogaway 2002, "Ciphers with arbitrary finite domains" (the walk).

    Args:
        size: how many numbers, at least 0.
        seed: any whole number.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._seed = seed
        self._bits = max(1, ((max(size, 1) - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._bits) - 1

    def at(self, place: int) -> int:
        """Which number stands at ``place``.

        Raises:
            IndexError: for a place that there is not.
        """
        if not 0 <= place < self.size:
            raise IndexError(f"there is no place {place} among {self.size}")
        number = self._once(place)
        while number >= self.size:
            number = self._once(number)
        return number

    def _once(self, number: int) -> int:
        left, right = number >> self._bits, number & self._mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (self._mixed(turn, right) & self._mask)
        return (left << self._bits) | right

    def _mixed(self, turn: int, half: int) -> int:
        # 64 bytes, so that halves of up to 512 bits are mixed whole
        digest = hashlib.blake2b(b"%d:%d:%d:%d" % (self._seed, self.size, turn, half), digest_size=64).digest()
        return int.from_bytes(digest, "big")
