"""How long stages took."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Profile", "StageFigures"]


class StageFigures(NamedTuple):
    """Times of one stage over a run, in seconds, attempts and their delays included."""

    calls: int
    total: float
    p50: float
    p95: float


class Profile:
    """Collects the times of stages. Keeps up to ``keep`` of them per stage (the newest), for the percentiles."""

    def __init__(self, keep: int = 4096) -> None:
        self._keep = keep
        self._times: dict[str, list[float]] = {}
        self._calls: dict[str, int] = {}
        self._total: dict[str, float] = {}

    def add(self, stage: str, seconds: float) -> None:
        """Count one execution."""
        times = self._times.setdefault(stage, [])
        calls = self._calls.get(stage, 0)
        if len(times) < self._keep:
            times.append(seconds)
        else:
            times[calls % self._keep] = seconds
        self._calls[stage] = calls + 1
        self._total[stage] = self._total.get(stage, 0.0) + seconds

    def figures(self) -> dict[str, StageFigures]:
        """The figures of each stage, in the order in which they first ran."""
        return {stage: self._figures_of(stage) for stage in self._times}

    def _figures_of(self, stage: str) -> StageFigures:
        times = sorted(self._times[stage])
        last = len(times) - 1
        return StageFigures(self._calls[stage], self._total[stage], times[round(last * 0.5)], times[round(last * 0.95)])
