"""Slots of a whole tree of experiments: a token for each trial that runs and does not wait for an experiment inside it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Lease", "Slots"]


class Lease:
    """The token of a trial that waits for experiments inside it. They, and what runs inside them, may use it; nobody else."""

    __slots__ = ("free", "users")

    def __init__(self) -> None:
        self.free = True
        """Whether none of them uses it now."""
        self.users = 0
        """How many experiments the trial waits for."""


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
        self.path: tuple[Slots, ...] = (self, *(() if above is None else above.path))
        """The experiments in whose use its tokens count: itself, and those around it, up to the root."""
        self._free = 0
        """How many tokens it holds that are free again for all when it gives them back."""
        self._lent: list[int] = []
        """Those that were lent to it, or to one around it: each by the place in the path of the one to which it was lent."""
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
        held = self.held
        if held > count:
            self._give(held - count)
        elif held < count:
            self._take(count - held)
        self._wish = max(count, self._wish if wish is None else wish)
        if self.held < self._wish:
            self.waiting[self] = None
        else:
            self.waiting.pop(self, None)
        if held > count and self.waiting:
            self._hand_out()
        return self.held

    @property
    def held(self) -> int:
        """How many tokens it holds."""
        return self._free + len(self._lent)

    def room(self) -> int | None:
        """How many tokens it could hold now, those that it holds included; None: any number."""
        more = self.available()
        return None if more is None else self.held + more

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
        before = self.held
        self._take(self._wish - before)
        if self.held >= self._wish:
            self.waiting.pop(self, None)
        if self.held > before and self.wake is not None:
            self.wake()

    def close(self) -> None:
        """Its run is over: all its tokens go back, and the trial that it ran inside has its own again."""
        self.hold(0, 0)
        if self.lease is not None:
            self.lease.users -= 1
            if not self.lease.users:
                self.lease.free = False

    def _take(self, count: int) -> None:
        """Take up to so many tokens: those that were lent, the nearest first, then those that are free in the whole tree."""
        while count > 0 and self._take_lent():
            count -= 1
        for level in self.path:
            if level.cap is not None:
                count = min(count, level.cap - level.used)
        if count > 0:
            self._free += count
            for level in self.path:
                level.used += count

    def _take_lent(self) -> bool:
        for place, level in enumerate(self.path):
            if level.cap is not None and level.used >= level.cap:
                return False
            if level.lease is not None and level.lease.free:
                level.lease.free = False
                self._lent.append(place)
                for counted in self.path[: place + 1]:
                    counted.used += 1
                return True
        return False

    def _give(self, count: int) -> None:
        """Give so many tokens back; those that were lent last: nobody else can use them."""
        free = min(count, self._free)
        self._free -= free
        for level in self.path:
            level.used -= free
        for _ in range(count - free):
            place = self._lent.pop()
            for counted in self.path[: place + 1]:
                counted.used -= 1
            lease = self.path[place].lease
            if lease is not None:
                lease.free = True

    def _hand_out(self) -> None:
        """The deepest first, so that what has begun is finished before more begins; of one depth the one that waits longest."""
        for slots in sorted(self.waiting, key=lambda slots: -slots.depth):
            slots.serve()
