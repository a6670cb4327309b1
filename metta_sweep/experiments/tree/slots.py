"""Slots of a whole tree of experiments: a token for each trial that runs and does not wait for an experiment inside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Lease", "Slots"]


class Lease:
    """The token of a trial that waits for experiments inside it. They, and what runs inside them, may use it; nobody else."""

    __slots__ = ("free", "users")

    def __init__(self) -> None:
        self.free = True
        """Whether none of them uses it now."""
        self.users = 0
        """How many experiments the trial waits for."""


class _Token(NamedTuple):
    counted: tuple[Slots, ...]
    """The experiments in whose use it counts: from the one whose trial it is up to the root, or to the trial that lent it."""
    lease: Lease | None
    """Where it was lent."""


class Slots:
    """The tokens of one experiment in the tree.

    Args:
        cap: how many leaf trials may run at once in it and all that is inside it; None: as many as those around it allow.
        above: those of the experiment that it runs inside.
        lease: the token of the trial that it runs inside.
        wake: called when a token has come that was waited for.
    """

    def __init__(
        self, cap: int | None, above: Slots | None = None, lease: Lease | None = None, wake: Callable[[], None] | None = None
    ) -> None:
        self.cap = cap
        self.above = above
        self.lease = lease
        self.wake = wake
        self.depth: int = 0 if above is None else above.depth + 1
        self.used = 0
        self.counts = above is not None
        """Whether its trials take tokens: those of an experiment that is alone in its tree need none."""
        self._held: list[_Token] = []
        self._wish = 0
        self.waiting: dict[Slots, None] = {} if above is None else above.waiting
        """Those in the tree that have fewer tokens than they could use, first come, first served."""
        if lease is not None:
            lease.users += 1

    @property
    def short(self) -> bool:
        """Whether it waits for a token."""
        return self in self.waiting

    def hold(self, count: int, wish: int | None = None) -> int:
        """Hold tokens for ``count`` trials, as far as there are, and give the others back. Returns how many it holds.

        While it holds fewer than ``wish`` (None: as many as it wished before) it waits for more: it gets them as they come, and is
        woken.
        """
        held = self._held
        given = len(held) > count
        while len(held) > count:
            self._give(held.pop())
        while len(held) < count and (token := self._take()) is not None:
            self._put(token)
        self._wish = max(count, self._wish if wish is None else wish)
        if len(held) < self._wish:
            self.waiting[self] = None
        else:
            self.waiting.pop(self, None)
        if given and self.waiting:
            self._hand_out()
        return len(held)

    def room(self) -> int | None:
        """How many tokens it could hold now, those that it holds included; None: any number."""
        more = self.available()
        return None if more is None else len(self._held) + more

    def available(self) -> int | None:
        """How many more tokens there are for it, lent to it and free in the tree; None: any number."""
        above = None if self.above is None else self.above.available()
        if above is not None and self.lease is not None:
            above += self.lease.free
        if self.cap is None:
            return above
        own = self.cap - self.used
        return own if above is None else min(own, above)

    def serve(self) -> None:
        """Take what it waits for, as far as that is there now."""
        before = len(self._held)
        while len(self._held) < self._wish and (token := self._take()) is not None:
            self._put(token)
        if len(self._held) >= self._wish:
            self.waiting.pop(self, None)
        if len(self._held) > before and self.wake is not None:
            self.wake()

    def close(self) -> None:
        """Its run is over: all its tokens go back, and the trial that it ran inside has its own again."""
        self.hold(0, 0)
        if self.lease is not None:
            self.lease.users -= 1
            if not self.lease.users:
                self.lease.free = False

    def _take(self) -> _Token | None:
        """A token: the nearest that was lent to it, else one that is free in the whole tree."""
        counted: list[Slots] = []
        level: Slots | None = self
        while level is not None:
            if level.cap is not None and level.used >= level.cap:
                return None
            counted.append(level)
            lease = level.lease
            if lease is not None and lease.free:
                lease.free = False
                break
            level = level.above
        for slots in counted:
            slots.used += 1
        return _Token(tuple(counted), None if level is None else level.lease)

    def _put(self, token: _Token) -> None:
        """Those that were lent are given back last: nobody else can use them."""
        self._held.insert(0 if token.lease is not None else len(self._held), token)

    def _give(self, token: _Token) -> None:
        for slots in token.counted:
            slots.used -= 1
        if token.lease is not None:
            token.lease.free = True

    def _hand_out(self) -> None:
        """The deepest first, so that what has begun is finished before more begins; of one depth the one that waits longest."""
        for slots in sorted(self.waiting, key=lambda slots: -slots.depth):
            slots.serve()
