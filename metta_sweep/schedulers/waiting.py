"""What waits in the pool, branch by branch, as one offer sees it."""

from __future__ import annotations

from collections.abc import Mapping

from metta_sweep.core.bandit import Best, Picker
from metta_sweep.schedulers.branch_fold import BranchArm
from metta_sweep.schedulers.picking import not_open
from metta_sweep.schedulers.scheduler import Offer, Waiting

__all__ = ["WaitingView"]


class WaitingView:
    """The queues of all branches during one pick: what is kept, plus what was drawn in this offer, less what it has picked.

    Whatever it tells the picker is meant to be undone at the end of the pick: the events bring it again.
    """

    def __init__(self, offer: Offer, picker: Picker[str], arms: Mapping[str, BranchArm]) -> None:
        self.why = ""
        self._offer = offer
        self._picker = picker
        self._arms = arms
        self._fresh: dict[str, list[int]] = {}
        self._seen = 0
        self._taken: dict[str, int] = {}
        self._absorb()

    def look_further(self) -> Best[str] | None:
        """Nothing is open: have more drawn. None when there is nothing to pick now; ``why`` then says why."""
        waiting = self._offer.next()
        if waiting is None:
            self.why = self._offer.why
            return None
        self._absorb()
        best = self._picker.best()
        if best is None:
            self.why = f"branch {waiting.branch!r} of the next suggestion is pruned"
        return best

    def first(self, name: str) -> Waiting:
        """The suggestion of that branch that has waited longest."""
        index = self._first(name)
        if index is None:
            raise not_open(self._picker, name, [known for known in {**self._arms, **self._fresh} if self._first(known) is not None])
        return self._offer.waiting(index)

    def took(self, best: Best[str]) -> None:
        """The first of that branch was picked."""
        name = best.arm
        self._taken[name] = self._taken.get(name, 0) + 1
        index = self._first(name)
        arm = self._arms.get(name)
        self._picker.set(name, best.runs, best.pending + 1, arm.reward_sum if arm else 0.0, index or 0, index is not None)

    def _first(self, name: str) -> int | None:
        taken = self._taken.get(name, 0)
        arm = self._arms.get(name)
        kept = arm.waiting if arm is not None else ()
        if taken < len(kept):
            return kept[taken]
        fresh = self._fresh.get(name, ())
        return fresh[taken - len(kept)] if taken - len(kept) < len(fresh) else None

    def _absorb(self) -> None:
        drawn = self._offer.fresh
        for waiting in drawn[self._seen :]:
            self._add(waiting)
        self._seen = len(drawn)

    def _add(self, waiting: Waiting) -> None:
        name = waiting.branch or ""
        arm = self._arms.get(name)
        if arm is not None and arm.pruned:
            return
        is_open = self._first(name) is not None
        self._fresh.setdefault(name, []).append(waiting.suggestion)
        if not is_open:
            runs, pending, reward_sum = (0, 0, 0.0) if arm is None else (arm.runs, arm.pending, arm.reward_sum)
            self._picker.set(name, runs, pending + self._taken.get(name, 0), reward_sum, waiting.suggestion, open=True)
