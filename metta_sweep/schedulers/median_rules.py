"""Rules by which a trial is stopped that does worse than the median of others: Vizier's, and those of two other systems."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

__all__ = ["MEDIAN_RULES", "LearningCurve", "MedianOf", "MedianRule", "pairwise_sum"]

MedianRule = Literal["vizier", "ray", "optuna"]


class LearningCurve:
    """What one trial has reported, higher is better, in the order of steps."""

    __slots__ = ("bests", "steps", "sums", "values")

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.values: list[float] = []
        self.sums: list[float] = []
        """Of the first 1, 2, ... values."""
        self.bests: list[float] = []
        """Of the first 1, 2, ... values."""

    def add(self, step: int, value: float) -> bool:
        """Take a report; False, and nothing, when the step is not past the last one: it comes again after a restart."""
        if self.steps and step <= self.steps[-1]:
            return False
        self.steps.append(step)
        self.values.append(value)
        self.sums.append(self.sums[-1] + value if self.sums else value)
        self.bests.append(max(self.bests[-1], value) if self.bests else value)
        return True

    @property
    def best(self) -> float:
        """The best value so far."""
        return self.bests[-1]

    def average(self, step: int) -> float | None:
        """The mean of what was reported up to the step; None when nothing was. By rounding it is never above the best of it."""
        count = bisect_right(self.steps, step)
        return min(self.sums[count - 1] / count, self.bests[count - 1]) if count else None


class MedianOf(Protocol):
    """What a trial is measured by."""

    def completed(self, curve: LearningCurve) -> None:
        """A trial has completed."""
        ...

    def at(self, step: int, curve: LearningCurve) -> float | None:
        """The median for a trial that has just reported this step; None while too few others can be compared with."""
        ...


class CompletedAverages:
    """The running averages, up to the step, of all trials that completed.

    SOURCE: Golovin et al. 2017, "Google Vizier", section 3.1 (the median stopping rule).
    """

    def __init__(self, grace_period: int, min_trials: int, curves: Mapping[str, LearningCurve], sign: int) -> None:
        self._min_trials = min_trials
        self._completed: list[LearningCurve] = []
        self._at: dict[int, tuple[int, list[float]]] = {}
        """By step: how many of them were looked at, and the averages, ascending."""

    def completed(self, curve: LearningCurve) -> None:
        """It counts from now on."""
        self._completed.append(curve)

    def at(self, step: int, curve: LearningCurve) -> float | None:
        """Averages of completed trials do not change: each is made once for each step."""
        looked_at, averages = self._at.get(step, (0, []))
        for other in self._completed[looked_at:]:
            average = other.average(step)
            if average is not None:
                insort(averages, average)
        self._at[step] = (len(self._completed), averages)
        return _median(averages) if len(averages) >= self._min_trials else None


class AveragesOfOthers:
    """The running averages, from the grace period to the step, of all other trials that came so far, ended or not.

    SOURCE: ``ray.tune.schedulers.MedianStoppingRule`` 2.60, where no trial waits to run in its place. Averages are to the last bit
    as ``numpy.mean`` gives them: with equal values the verdict hangs on it.
    """

    def __init__(self, grace_period: int, min_trials: int, curves: Mapping[str, LearningCurve], sign: int) -> None:
        self._grace_period = grace_period
        self._min_trials = min_trials
        self._curves = curves
        self._at: dict[int, dict[str, float | None]] = {}
        """By step: the averages of trials that have come past it, which do not change."""

    def completed(self, curve: LearningCurve) -> None:
        """It counts already."""

    def at(self, step: int, curve: LearningCurve) -> float | None:
        """Looks at every trial."""
        known = self._at.setdefault(step, {})
        averages: list[float] = []
        for trial_id, other in self._curves.items():
            if other is curve or other.steps[-1] < step:
                continue
            average = known[trial_id] if trial_id in known else known.setdefault(trial_id, self._average(other, step))
            if average is not None:
                averages.append(average)
        return _median(sorted(averages)) if len(averages) >= self._min_trials else None

    def _average(self, other: LearningCurve, step: int) -> float | None:
        low, high = bisect_left(other.steps, self._grace_period), bisect_right(other.steps, step)
        return pairwise_sum(other.values, low, high) / (high - low) if high > low else None


class CompletedValues:
    """What trials that completed had at the very step, once so many have completed.

    SOURCE: ``optuna.pruners.MedianPruner`` 5.0 with ``n_startup_trials`` and ``n_warmup_steps``.
    """

    def __init__(self, grace_period: int, min_trials: int, curves: Mapping[str, LearningCurve], sign: int) -> None:
        self._min_trials = min_trials
        self._sign = sign
        self._count = 0
        self._at: dict[int, list[float]] = {}

    def completed(self, curve: LearningCurve) -> None:
        """Its values count from now on."""
        self._count += 1
        for step, value in zip(curve.steps, curve.values, strict=True):
            insort(self._at.setdefault(step, []), value)

    def at(self, step: int, curve: LearningCurve) -> float | None:
        """Steps at which no other trial reported stop none."""
        values = self._at.get(step)
        return self._middle(values) if values and self._count >= self._min_trials else None

    def _middle(self, ascending: list[float]) -> float:
        """The median, to the last bit as ``numpy.percentile`` gives it: from the larger one of the two, in the user's units."""
        above = len(ascending) // 2
        if len(ascending) % 2:
            return ascending[above]
        half = (ascending[above] - ascending[above - 1]) * 0.5
        return ascending[above] - half if self._sign > 0 else ascending[above - 1] + half


MEDIAN_RULES: Final[dict[MedianRule, type[CompletedAverages | AveragesOfOthers | CompletedValues]]] = {
    "vizier": CompletedAverages,
    "ray": AveragesOfOthers,
    "optuna": CompletedValues,
}
"""The rules by name."""


def pairwise_sum(values: Sequence[float], low: int, high: int) -> float:
    """The sum of ``values[low:high]``, to the last bit as NumPy adds them up: by eights, and halves where there are many."""
    count = high - low
    if count > 128:
        middle = low + count // 2 - count // 2 % 8
        return pairwise_sum(values, low, middle) + pairwise_sum(values, middle, high)
    total, rest = 0.0, low
    if count >= 8:
        rest = high - count % 8
        columns = [_sum(values[low + column : rest : 8]) for column in range(8)]
        pairs = [columns[pair] + columns[pair + 1] for pair in (0, 2, 4, 6)]
        total = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3])
    return _sum(values[rest:high], total)


def _sum(values: Sequence[float], start: float = 0.0) -> float:
    """One after the other; ``sum`` makes up for rounding since Python 3.12."""
    for value in values:
        start += value
    return start


def _median(ascending: list[float]) -> float:
    middle = len(ascending) // 2
    return ascending[middle] if len(ascending) % 2 else (ascending[middle - 1] + ascending[middle]) / 2
