"""Discounted UCB: old rewards fade, so that a branch which gets better or worse is noticed.

After Garivier and Moulines (2011), with the arithmetic of pulseopt 0.3: when a pull of arm *a* ends with reward *r*, all arms have
``N *= discount`` and ``S *= discount``, and then ``N_a += 1`` and ``S_a += r``. The score is
``S / max(N, eps) + c * sqrt(ln(sum(N) + 1) / max(N, eps))``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from math import inf, log, sqrt
from typing import Final, Generic, NamedTuple, TypeVar

from metta_sweep.core.arm_table import ArmTable
from metta_sweep.core.bandit import Best

__all__ = ["TIE", "DiscountedArms", "DiscountedIndex", "DiscountedScore"]

A = TypeVar("A", bound=Hashable)

Scale = Callable[[float], float]

EPS: Final = 1e-12
"""The least that a discounted count is taken to be."""
TIE: Final = 1e-12
"""Scores that differ by no more are equal."""


class DiscountedScore(NamedTuple):
    """What an arm scores, and of what: ``mean + bonus``."""

    score: float
    mean: float | None
    """None, and the score ``inf``, while the arm is in its warm-up."""
    bonus: float | None


class DiscountedArms(Generic[A]):
    """The discounted counts and sums of arms: the arithmetic alone, for whatever pulls arms.

    Args:
        discount: what a reward counts for after each later one, above 0 and at most 1; 1 forgets nothing.
        c: exploration weight, at least 0.
        warm_up: pulls that each arm has first, before scores count; the arm that has had the fewest comes first.
    """

    def __init__(self, discount: float = 0.95, c: float = 1.0, warm_up: int = 1) -> None:
        self.discount = discount
        self.c = c
        self.warm_up = warm_up
        self.counts: dict[A, float] = {}
        """The discounted number of rewards of each arm."""
        self.sums: dict[A, float] = {}
        self.learned: dict[A, int] = {}
        """The number of rewards of each arm, not discounted."""

    def copy(self) -> DiscountedArms[A]:
        """An independent one with the same settings and history."""
        twin: DiscountedArms[A] = DiscountedArms(self.discount, self.c, self.warm_up)
        twin.counts, twin.sums, twin.learned = dict(self.counts), dict(self.sums), dict(self.learned)
        return twin

    def learn(self, arm: A, reward: float) -> None:
        """A pull has ended with this reward."""
        discount = self.discount
        if discount != 1.0:
            for other in self.counts:
                self.counts[other] *= discount
                self.sums[other] *= discount
        self.counts[arm] = self.counts.get(arm, 0.0) + 1.0
        self.sums[arm] = self.sums.get(arm, 0.0) + reward
        self.learned[arm] = self.learned.get(arm, 0) + 1

    def mean(self) -> float:
        """The discounted mean reward of all arms; 0 without any."""
        total = sum(self.counts.values())
        return sum(self.sums.values()) / total if total else 0.0

    def scores(self, arms: Sequence[A], pending: Mapping[A, int], scale: Scale | None = None) -> list[DiscountedScore]:
        """What arms score. Pending pulls count as pulls with the arm's mean (that of all arms, where it has none).

        Args:
            arms: which ones.
            pending: pulls that have not ended, of all arms.
            scale: from a mean reward to what it counts as; None: as it is.
        """
        waiting = sum(pending.values())
        log_total = log(sum(self.counts.values()) + waiting + 1.0)
        overall = self.mean()
        return [self._score(arm, pending.get(arm, 0), log_total, overall, scale) for arm in arms]

    def tied(self, arms: Sequence[A], scores: Sequence[DiscountedScore], pending: Mapping[A, int]) -> list[A]:
        """The arms to choose between: those least warmed, while any is in its warm-up, else those of the highest score."""
        warmed = [self.learned.get(arm, 0) + pending.get(arm, 0) for arm in arms]
        least = min(warmed)
        if least < self.warm_up:
            return [arm for arm, count in zip(arms, warmed, strict=True) if count == least]
        best = max(score.score for score in scores)
        return [arm for arm, score in zip(arms, scores, strict=True) if abs(score.score - best) <= TIE]

    def _score(self, arm: A, pending: int, log_total: float, overall: float, scale: Scale | None) -> DiscountedScore:
        if self.learned.get(arm, 0) + pending < self.warm_up:
            return DiscountedScore(inf, None, None)
        own = self.counts.get(arm, 0.0)
        mean = overall if pending and not own else self.sums.get(arm, 0.0) / max(own, EPS)
        if scale is not None:
            # of an arm that is all but forgotten the original makes 0, which is the lowest reward on the scale in use
            known = min(own / EPS, 1.0) if own or not pending else 1.0
            mean = known * scale(self.sums[arm] / own if own else mean)
        bonus = self.c * sqrt(log_total / max(own + pending, EPS))
        return DiscountedScore(mean + bonus, mean, bonus)


class DiscountedIndex(ArmTable[A]):
    """Pulls the open arm with the highest discounted UCB score; ties go to a seeded draw.

    Looks at every arm at each choice. Rewards come by ``learn``, in their order; ``set`` tells the rest.
    """

    def __init__(self, arms: DiscountedArms[A], seed: int = 0) -> None:
        super().__init__(seed)
        self._discounted = arms

    def learn(self, arm: A, reward: float) -> None:
        """A pull has ended with this reward."""
        self._discounted.learn(arm, reward)

    def best(self) -> Best[A] | None:
        """The open arm to pull next; None when none is open."""
        keys = [arm for arm, _ in self.open_arms()]
        if not keys:
            return None
        arms = self._discounted
        pending = {arm: state.pending + state.runs - arms.learned.get(arm, 0) for arm, state in self._arms.items()}
        scores = arms.scores(keys, pending, self.scaled)
        arm = self.draw(arms.tied(keys, scores, pending))
        chosen, state = scores[keys.index(arm)], self._arms[arm]
        others = tuple((key, score.score) for key, score in zip(keys, scores, strict=True) if key != arm)
        why = f"discount {arms.discount:g}: {arms.counts.get(arm, 0.0):.3g} of {state.runs} runs remembered"
        return Best(arm, chosen.score, chosen.mean, chosen.bonus, state.runs, state.pending, others, len(keys), why)
