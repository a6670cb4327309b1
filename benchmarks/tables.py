"""What every benchmark prints: medians in an aligned table, each beside its target."""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from statistics import median

__all__ = ["interleaved", "machine", "print_table", "verdict"]


def machine() -> str:
    """One line on where the figures come from, and a warning where others use the machine too."""
    cores = os.cpu_count() or 1
    line = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {cores} cores"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = f"; BUSY: load {load:.1f}, so that times are too long and only ratios mean something" if load > cores / 2 else ""
    return line + busy


def interleaved(contenders: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """The median of each contender's figures. They take turns, so that a slow minute of the machine hits all of them."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats):
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            gc.collect()  # what the one before left behind is not the next one's cost
            figures[name].append(contenders[name]())
    return {name: median(values) for name, values in figures.items()}


def verdict(value: float, limit: float, *, at_least: bool = False) -> str:
    """Whether a figure meets its target: ``<= 80: met``, ``>= 1.3: missed by 12 %``."""
    sign = ">=" if at_least else "<="
    met = value >= limit if at_least else value <= limit
    by = (limit / value - 1 if at_least else value / limit - 1) * 100 if value else 100.0
    return f"{sign} {limit:,g}: " + ("met" if met else f"missed by {by:.0f} %")


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header: text to the left, figures to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(header, *cells, strict=True)]
    right = [all(isinstance(row[at], int | float) or row[at] is None for row in rows) for at in range(len(header))]
    print(f"\n{title}")
    for line in [list(header), *cells]:
        padded = [text.rjust(width) if flush else text.ljust(width) for text, width, flush in zip(line, widths, right, strict=True)]
        print(f"  {'  '.join(padded)}".rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
