"""Rules by which asynchronous successive halving stops a trial at a rung: the textbook's, and those of three other systems."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from typing import Final, Literal

__all__ = ["RULES", "Rule", "ValuesAtLevels", "quantile"]

Rule = Literal["paper", "optuna", "ray", "syne_tune"]

_Keeps = Callable[[Sequence[float], float, int], bool]
"""Whether a trial goes on: the values before it, ascending, higher is better; its own; the reduction factor."""


def _best_part(before: Sequence[float], value: float, factor: int) -> bool:
    """Among the best ``floor(n / factor)`` with itself, at least one; equal to the last of them is enough."""
    kept = max(1, (len(before) + 1) // factor)
    better = len(before) - bisect_right(before, value)
    return better < kept


def _above_quantile(before: Sequence[float], value: float, factor: int) -> bool:
    """Not below the ``1 - 1/factor`` quantile of those before it; the first always."""
    return not before or not value < quantile(before, (1 - 1 / factor) * 100 / 100)


def _rank_at_most(before: Sequence[float], value: float, factor: int) -> bool:
    """The share of strictly better ones is at most ``1 / factor``, itself counted; the first always."""
    better = len(before) - bisect_right(before, value)
    return not better / (len(before) + 1) > 1 / factor


RULES: Final[dict[Rule, _Keeps]] = {
    "paper": _best_part,
    "optuna": _best_part,
    "ray": _above_quantile,
    "syne_tune": _rank_at_most,
}
"""SOURCE: ``optuna.pruners.SuccessiveHalvingPruner`` 5.0, ``ray.tune.schedulers.AsyncHyperBandScheduler`` 2.60,
``syne_tune.optimizer.schedulers.asha.AsynchronousSuccessiveHalving`` 0.16."""


def quantile(ascending: Sequence[float], share: float) -> float:
    """The quantile of sorted numbers with linear interpolation, to the last bit as ``numpy.percentile`` gives it."""
    position = (len(ascending) - 1) * share
    low = int(position)
    if low + 1 >= len(ascending):
        return ascending[-1]
    part = position - low
    below, above = ascending[low], ascending[low + 1]
    width = above - below
    return above - width * (1 - part) if part >= 0.5 else below + width * part


class ValuesAtLevels:
    """What trials of one bracket had at each level, for rules that stop them there.

    Args:
        levels: in epochs, ascending.
        rule: whose rule.
        reduction_factor: what it divides by.
    """

    def __init__(self, levels: Sequence[int], rule: Rule, reduction_factor: int) -> None:
        self.levels = tuple(levels)
        self._factor = reduction_factor
        self._keeps = RULES[rule]
        self._one_at_a_time = rule in ("ray", "syne_tune")
        self._values: list[list[float]] = [[] for _ in levels]

    def report(self, seen: int, step: int, value: float) -> tuple[int, bool]:
        """A trial reports.

        Args:
            seen: at which levels it was noted before, as bits.
            step: the epoch.
            value: higher is better.

        Returns:
            At which levels it is noted now, and whether it goes on.
        """
        if self._one_at_a_time:
            return self._highest(seen, step, value)
        goes_on, level = True, seen.bit_length()
        while goes_on and level < len(self.levels) and step >= self.levels[level]:
            seen |= 1 << level
            goes_on = self._note(level, value)
            level += 1
        return seen, goes_on

    def _highest(self, seen: int, step: int, value: float) -> tuple[int, bool]:
        """The highest level that it has reached and was not noted at: one by each report."""
        for level in range(bisect_right(self.levels, step) - 1, -1, -1):
            if not seen >> level & 1:
                return seen | 1 << level, self._note(level, value)
        return seen, True

    def _note(self, level: int, value: float) -> bool:
        values = self._values[level]
        goes_on = self._keeps(values, value, self._factor)
        insort(values, value)
        return goes_on
