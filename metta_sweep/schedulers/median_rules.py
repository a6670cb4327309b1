"""Rules by which a trial is stopped that does worse than the median of others: Vizier's, and those of two other systems."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from typing import Final, Literal, Protocol

__all__ = ["MEDIAN_RULES", "LearningCurve", "MedianOf", "MedianRule"]

MedianRule = Literal["vizier", "ray", "optuna"]


class LearningCurve:
    """What one trial has reported, higher is better, in the order of steps."""

    __slots__ = ("best", "steps", "sums", "values")

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.values: list[float] = []
        self.sums: list[float] = [0.0]
        """Sums of the first 0, 1, 2, ... values."""
        self.best = float("-inf")

    def add(self, step: int, value: float) -> bool:
        """Take a report; False, and nothing, when the step is not past the last one: it comes again after a restart."""
        if self.steps and step <= self.steps[-1]:
            return False
        self.steps.append(step)
        self.values.append(value)
        self.sums.append(self.sums[-1] + value)
        self.best = max(self.best, value)
        return True

    def mean(self, first: int, last: int) -> float | None:
        """The mean of what was reported from step ``first`` to ``last``; None when nothing was."""
        low, high = bisect_left(self.steps, first), bisect_right(self.steps, last)
        return (self.sums[high] - self.sums[low]) / (high - low) if high > low else None


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

    def __init__(self, grace_period: int, min_trials: int, curves: Mapping[str, LearningCurve]) -> None:
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
            average = other.mean(0, step)
            if average is not None:
                insort(averages, average)
        self._at[step] = (len(self._completed), averages)
        return _median(averages) if len(averages) >= self._min_trials else None


class AveragesOfOthers:
    """The running averages, from the grace period to the step, of all other trials that came so far, ended or not.

    SOURCE: ``ray.tune.schedulers.MedianStoppingRule`` 2.60, where no trial waits to run in its place.
    """

    def __init__(self, grace_period: int, min_trials: int, curves: Mapping[str, LearningCurve]) -> None:
        self._grace_period = grace_period
        self._min_trials = min_trials
        self._curves = curves

    def completed(self, curve: LearningCurve) -> None:
        """It counts already."""

    def at(self, step: int, curve: LearningCurve) -> float | None:
        """Looks at every trial."""
        found = (other.mean(self._grace_period, step) for other in self._others(step, curve))
        averages = sorted(average for average in found if average is not None)
        return _median(averages) if len(averages) >= self._min_trials else None

    def _others(self, step: int, curve: LearningCurve) -> list[LearningCurve]:
        return [other for other in self._curves.values() if other is not curve and other.steps and other.steps[-1] >= step]


class CompletedValues:
    """What trials that completed had at the very step, once so many have completed.

    SOURCE: ``optuna.pruners.MedianPruner`` 5.0 with ``n_startup_trials`` and ``n_warmup_steps``.
    """

    def __init__(self, grace_period: int, min_trials: int, curves: Mapping[str, LearningCurve]) -> None:
        self._min_trials = min_trials
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
        return _median(values) if values and self._count >= self._min_trials else None


MEDIAN_RULES: Final[dict[MedianRule, type[CompletedAverages | AveragesOfOthers | CompletedValues]]] = {
    "vizier": CompletedAverages,
    "ray": AveragesOfOthers,
    "optuna": CompletedValues,
}
"""The rules by name."""


def _median(ascending: list[float]) -> float:
    middle = len(ascending) // 2
    return ascending[middle] if len(ascending) % 2 else (ascending[middle - 1] + ascending[middle]) / 2
