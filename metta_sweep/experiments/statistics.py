"""Branch statistics: one fold over ``score`` events, used for the state of a sweep and, as an overlay, for results of one turn."""

from __future__ import annotations

from metta_sweep.core.branch import BranchStats

__all__ = ["BranchFold", "Rewards"]


class BranchFold:
    """The mutable counterpart of ``BranchStats``; runs and rewards are in ``Rewards``."""

    __slots__ = ("best_score", "completed", "failed", "pending", "pruned", "triggered", "waiting")

    def __init__(self) -> None:
        self.pending = 0
        self.completed = 0
        self.failed = 0
        self.waiting = 0
        """Suggestions of this branch in the pool."""
        self.best_score: float | None = None
        self.pruned = False
        self.triggered = False

    def shown(self, name: str | None, runs: int, unvalued: int, reward_sum: float) -> BranchStats:
        """As the frozen noun."""
        return BranchStats(
            name=name,
            runs=runs,
            pending=self.pending,
            reward_sum=reward_sum,
            pruned=self.pruned,
            triggered=self.triggered,
            completed=self.completed,
            failed=self.failed,
            best_score=self.best_score,
            unvalued=unvalued,
        )


class Rewards:
    """Runs and reward sums per branch, with the worst reward for failures that have no value of their own.

    ``after`` answers what the statistics of a branch would be after one more result, and remembers it: the score stage makes one
    ``Rewards.overlay`` per turn, so that several results of one turn see each other while the state stays as it is.
    """

    __slots__ = ("_base", "_own", "unvalued", "worst")

    def __init__(self, base: Rewards | None = None) -> None:
        self._base = base
        self._own: dict[str | None, tuple[int, int, float]] = {}
        self.unvalued: set[str | None] = set() if base is None else set(base.unvalued)
        self.worst: float | None = None if base is None else base.worst

    def overlay(self) -> Rewards:
        """What follows from here, without changing this."""
        return Rewards(self)

    def of(self, branch: str | None) -> tuple[int, int, float]:
        """``(runs, runs without a value, reward sum)`` of a branch."""
        found = self._own.get(branch)
        if found is None:
            return (0, 0, 0.0) if self._base is None else self._base.of(branch)
        return found

    def mean(self, branch: str | None) -> float | None:
        """Mean reward of a branch, None while no run of it has a value."""
        runs, unvalued, total = self.of(branch)
        return total / (runs - unvalued) if runs > unvalued else None

    def add(self, branch: str | None, reward: float | None, *, failed: bool) -> None:
        """Take one run. A run without a value takes the first reward that is seen, the worst one at that moment."""
        runs, unvalued, total = self.of(branch)
        if reward is None:
            self._own[branch] = (runs + 1, unvalued + 1, total)
            self.unvalued.add(branch)
            return
        self._own[branch] = (runs + 1, unvalued, total + reward)
        if failed:
            return
        if self.unvalued:
            for late in self.unvalued:
                late_runs, late_count, late_total = self.of(late)
                self._own[late] = (late_runs, 0, late_total + late_count * reward)
            self.unvalued.clear()
        if self.worst is None or reward < self.worst:
            self.worst = reward
