"""One bracket of synchronous successive halving: who is at which rung, and who goes on when a rung is complete."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Bracket", "BracketPlan", "Round", "bracket_plans"]


class BracketPlan(NamedTuple):
    """How many trials a bracket starts, and how many epochs they have had at the end of each round."""

    size: int
    levels: tuple[int, ...]
    """The last one is ``max_epochs``."""


def bracket_plans(max_epochs: int, reduction_factor: int, grace_period: int = 1) -> list[BracketPlan]:
    """The brackets of Hyperband, the one with most trials first.

    ``s_max`` is the largest whole number with ``grace_period * reduction_factor**s_max <= max_epochs``. Bracket ``s`` starts
    ``ceil((s_max + 1) * reduction_factor**s / (s + 1))`` trials with ``max_epochs / reduction_factor**s`` epochs, rounded down. In
    whole numbers: a logarithm of floats loses a bracket of (243, 3) and of (1000, 10).

    SOURCE: Li et al. 2018, "Hyperband", algorithm 1.
    """
    most = 0
    while grace_period * reduction_factor ** (most + 1) <= max_epochs:
        most += 1
    plans: list[BracketPlan] = []
    for halvings in range(most, -1, -1):
        size = -(-(most + 1) * reduction_factor**halvings // (halvings + 1))
        levels = tuple(max_epochs // reduction_factor ** (halvings - done) for done in range(halvings + 1))
        plans.append(BracketPlan(size, levels))
    return plans


class Round(NamedTuple):
    """What follows when a rung is complete."""

    promoted: tuple[str, ...]
    """Best first."""
    dropped: tuple[str, ...]


class Bracket:
    """The trials of one bracket. Changes by ``start``, ``report``, ``settle`` and ``close``.

    Args:
        plan: how many trials it starts, and its levels.
        reduction_factor: one in so many goes on.
    """

    def __init__(self, plan: BracketPlan, reduction_factor: int) -> None:
        self.plan = plan
        self._factor = reduction_factor
        self.size = plan.size
        """How many trials there are in it; fewer than planned when it had to close before."""
        self.started = 0
        self.rung = 0
        """The rung that its trials run to now."""
        self.running: dict[str, None] = {}
        """Trials on their way to the rung."""
        self.values: dict[str, tuple[float, int]] = {}
        """Of those that wait at it: the value with its sign turned, and the order in which they came."""
        self.to_resume: dict[str, None] = {}
        """Promoted trials that wait for a slot, best first."""
        self.to_drop: dict[str, None] = {}
        """Trials that are to end."""

    @property
    def is_full(self) -> bool:
        """Whether it takes no more trials."""
        return self.started >= self.size

    @property
    def is_over(self) -> bool:
        """Whether all that it started have ended."""
        return self.is_full and not (self.running or self.values or self.to_resume or self.to_drop)

    @property
    def level(self) -> int:
        """The epochs of the rung that its trials run to now."""
        return self.plan.levels[self.rung]

    def start(self, trial_id: str) -> None:
        """A new trial."""
        self.started += 1
        self.running[trial_id] = None

    def wait(self, trial_id: str, value: float) -> None:
        """A trial has come to the rung with this value, higher is better, and has paused."""
        self.running.pop(trial_id, None)
        self.values[trial_id] = (-value, len(self.values))
        self._complete()

    def resumed(self, trial_id: str) -> None:
        """A promoted trial runs on."""
        self.to_resume.pop(trial_id, None)
        self.running[trial_id] = None

    def ended(self, trial_id: str) -> None:
        """A trial has ended, however: it is promoted no more."""
        for place in (self.running, self.values, self.to_resume, self.to_drop):
            place.pop(trial_id, None)
        self._complete()

    def close(self) -> None:
        """No more trials are to be had: those that it has are all."""
        self.size = self.started
        self._complete()

    def closed_round(self) -> Round | None:
        """What would follow now if it were closed; None while trials of it run, or when nothing waits."""
        return None if self.running or self.to_resume or not self.values else self._round(self.started)

    def _complete(self) -> None:
        if not self.is_full or self.running or self.to_resume or not self.values:
            return
        following = self._round(self.size)
        self.to_resume = dict.fromkeys(following.promoted)
        self.to_drop |= dict.fromkeys(following.dropped)
        self.values.clear()
        self.rung += 1

    def _round(self, size: int) -> Round:
        """The best ``floor(size / factor**rung)`` go on, at least one; who failed is no longer among those that wait."""
        kept = max(1, size // self._factor ** (self.rung + 1))
        ranked = sorted(self.values, key=self.values.__getitem__)
        return Round(tuple(ranked[:kept]), tuple(ranked[kept:]))
