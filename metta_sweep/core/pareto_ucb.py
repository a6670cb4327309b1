"""Pareto UCB1: arms whose rewards are vectors (Drugan and Nowe 2013, "Designing multi-objective multi-armed bandits algorithms").

The index of an arm is the vector ``mean + c * sqrt(ln(total * (D * |A*|) ** (1/4)) / n)``, with ``D`` objectives and ``|A*|`` arms
on the Pareto front. Pulled is an arm of the front of these vectors, each equally likely. The paper takes ``|A*|`` as known; here it
is the size of the front of the means so far.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import log, sqrt
from typing import TypeVar

from metta_sweep.core.arm_table import ArmTable
from metta_sweep.core.bandit import ArmState, Best, scaled
from metta_sweep.core.pareto import pareto_front

__all__ = ["ParetoIndex"]

A = TypeVar("A", bound=Hashable)


class _Sums:
    """What is known of one arm's rewards."""

    __slots__ = ("failed", "sums", "valued")

    def __init__(self, width: int) -> None:
        self.valued = 0
        self.failed = 0
        self.sums = [0.0] * width


class ParetoIndex(ArmTable[A]):
    """Pulls an open arm of the Pareto front of the arms' UCB vectors, at random by a seeded draw.

    Looks at every open arm at each choice. Each objective is counted on its observed range, as 0 to 1, higher is better; a pull
    without a vector counts as the worst of all. Pending pulls count as pulls with the arm's mean.

    Args:
        names: the objectives, for reasons in words.
        signs: of each objective whether more is better (+1) or less (-1).
        c: exploration weight, at least 0; ``sqrt(2)`` is that of the paper.
        seed: fixes the draws.
    """

    def __init__(self, names: Sequence[str], signs: Sequence[int], c: float, seed: int = 0) -> None:
        super().__init__(seed)
        self._names = tuple(names)
        self._signs = tuple(signs)
        self._c = c
        self._sums: dict[A, _Sums] = {}
        self._lows = [float("inf")] * len(self._names)
        self._highs = [float("-inf")] * len(self._names)

    def learn_vector(self, arm: A, vector: Sequence[float] | None) -> None:
        """A pull has ended with these rewards, in the order of the names; None: it failed."""
        known = self._sums.get(arm)
        if known is None:
            known = self._sums[arm] = _Sums(len(self._names))
        if vector is None:
            known.failed += 1
            return
        known.valued += 1
        for place, (value, sign) in enumerate(zip(vector, self._signs, strict=True)):
            turned = sign * value
            known.sums[place] += turned
            self._lows[place] = min(self._lows[place], turned)
            self._highs[place] = max(self._highs[place], turned)

    @property
    def knows_any(self) -> bool:
        """Whether any pull has had a vector."""
        return any(known.valued for known in self._sums.values())

    def best(self) -> Best[A] | None:
        """The open arm to pull next; None when none is open."""
        arms = self.open_arms()
        if not arms:
            return None
        for arm, state in arms:
            if state.runs + state.pending == 0:
                return Best(arm, float("inf"), None, None, 0, 0, (), len(arms))
        means = [self._means(arm, state) for arm, state in arms]
        ups = [1] * len(self._names)
        width = len(self._names) * len(pareto_front(means, ups))
        log_total = log(self.pulls * width**0.25)
        bonuses = [self._c * sqrt(log_total / (state.runs + state.pending)) for _, state in arms]
        vectors = [tuple(mean + bonus for mean in row) for row, bonus in zip(means, bonuses, strict=True)]
        front = pareto_front(vectors, ups)
        arm = self.draw([arms[place][0] for place in front])
        place = next(place for place in front if arms[place][0] == arm)
        shown = ", ".join(f"{name} {mean:.3g}" for name, mean in zip(self._names, means[place], strict=True))
        drawn = f"drawn from {len(front)} of {len(arms)}"
        why = f"on the Pareto front of ucb vectors: means {shown}, + {bonuses[place]:.3g} each; {drawn}"
        state = arms[place][1]
        return Best(arm, None, None, bonuses[place], state.runs, state.pending, (), len(arms), why)

    def _means(self, arm: A, state: ArmState) -> tuple[float, ...]:
        """On the observed ranges; an arm with nothing but pending pulls has the mean of all runs."""
        known = self._sums.get(arm)
        if known is None or not known.valued + known.failed:
            return tuple(self._overall(place) for place in range(len(self._names)))
        ended = known.valued + known.failed
        return tuple(
            known.valued / ended * scaled(known.sums[place] / known.valued, self._lows[place], self._highs[place])
            if known.valued
            else 0.0
            for place in range(len(self._names))
        )

    def _overall(self, place: int) -> float:
        valued = sum(known.valued for known in self._sums.values())
        if not valued:
            return 0.0
        total = sum(known.sums[place] for known in self._sums.values())
        ended = valued + sum(known.failed for known in self._sums.values())
        return valued / ended * scaled(total / valued, self._lows[place], self._highs[place])
