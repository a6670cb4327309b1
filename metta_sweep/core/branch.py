"""Branches and their statistics: the arms of the bandit."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BranchStats"]


@dataclass(frozen=True, slots=True)
class BranchStats:
    """What is known of one research direction."""

    name: str | None
    runs: int = 0
    """Ended trials that count: completed, failed and stopped by a verdict."""
    pending: int = 0
    """Picked trials that have not ended."""
    reward_sum: float = 0.0
    """The sum of rewards, higher is better: the score in the goal's direction unless ``reward=`` says otherwise."""
    pruned: bool = False
    triggered: bool = False
    """Whether its mean has reached ``paper_threshold``."""
    completed: int = 0
    failed: int = 0
    best_score: float | None = None
    """The best score of its completed trials, in the user's units."""
    unvalued: int = 0
    """Failures before any reward was seen: they take the worst reward as soon as there is one."""

    @property
    def mean(self) -> float:
        """Mean reward of its runs; 0.0 while it has none."""
        valued = self.runs - self.unvalued
        return self.reward_sum / valued if valued else 0.0
