"""How long stages took."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Profile", "ProfileTable", "StageFigures"]


class StageFigures(NamedTuple):
    """Times of one stage over a run, in seconds, attempts, their delays and the record included; hooks that observe are not."""

    calls: int
    total: float
    p50: float
    p95: float


class ProfileTable(dict[str, StageFigures]):
    """The figures of stages by their paths, in the order in which they first ended. As text it is a table."""

    def __str__(self) -> str:
        if not self:
            return "no stage was measured: ask for it with profile=True, in .through() or with_global_hooks()"
        rows = [["stage", "calls", "total", "p50", "p95"]]
        for path, (calls, *times) in self.items():
            rows.append([path, str(calls), *map(_seconds, times)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        first, *others = widths
        return "\n".join(
            "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
            for row in rows
        )


def _seconds(value: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


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

    def figures(self) -> ProfileTable:
        """The figures of each stage, in the order in which they first ran."""
        return ProfileTable((stage, self._figures_of(stage)) for stage in self._times)

    def _figures_of(self, stage: str) -> StageFigures:
        times = sorted(self._times[stage])
        last = len(times) - 1
        return StageFigures(self._calls[stage], self._total[stage], times[round(last * 0.5)], times[round(last * 0.95)])
