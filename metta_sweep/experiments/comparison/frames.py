"""The runs of a comparison, and how they went on, as data frames: in the library that is there."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.errors import MissingExtra

if TYPE_CHECKING:
    from metta_sweep.experiments.comparison.result import ComparedRun

__all__ = ["curves_frame", "runs_frame"]

_RUNS: Final = {
    "problem": "String",
    "repeat": "Int64",
    "side": "String",
    "score": "Float64",
    "trials": "Int64",
    "leaf_trials": "Int64",
    "seconds": "Float64",
    "cost": "Float64",
    "seed": "Int64",
    "run": "String",
    "stop_reason": "String",
    "error": "String",
}
_CURVES: Final = {"problem": "String", "repeat": "Int64", "side": "String", "trial": "Int64", "best": "Float64"}


def runs_frame(runs: Sequence[ComparedRun]) -> Any:
    """One row for each run. Raises ``MissingExtra`` where neither polars nor pandas is installed."""
    return _frame(_RUNS, [tuple(getattr(run, name) for name in _RUNS) for run in runs], "to_frame()")


def curves_frame(runs: Sequence[ComparedRun]) -> Any:
    """One row for each trial of each run: the best score so far. Raises ``MissingExtra`` as ``runs_frame``."""
    return _frame(_CURVES, [row for run in runs for row in _curve(run)], "curves_frame()")


def _curve(run: ComparedRun) -> Iterator[tuple[str, int, str, int, float | None]]:
    best: float | None = None
    better = dict(run.curve)
    for trial in range(1, run.trials + 1):
        best = better.get(trial, best)
        yield run.problem, run.repeat, run.side, trial, best


def _frame(columns: dict[str, str], rows: list[tuple[Any, ...]], where: str) -> Any:
    values = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
    polars = _installed("polars")
    if polars is not None:
        return polars.DataFrame([polars.Series(name, values[name], dtype=getattr(polars, kind)) for name, kind in columns.items()])
    pandas = _installed("pandas")
    if pandas is None:
        raise MissingExtra(where, extra="polars", library="polars or pandas")
    plain = {"String": object, "Int64": "int64", "Float64": "float64"}
    return pandas.DataFrame({name: pandas.Series(values[name], dtype=plain[kind]) for name, kind in columns.items()})


def _installed(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as missing:
        if missing.name != library:
            raise
        return None
