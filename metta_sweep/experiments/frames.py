"""Trials as a data frame, in the library that is there."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterable
from typing import Any

from pydantic_core import to_json

from metta_sweep.core.trial import Metric, Trial
from metta_sweep.errors import MissingExtra

__all__ = ["COLUMNS", "frame_of"]

COLUMNS = ("trial", "branch", "state", "score", "params", "metrics", "origin", "attempt", "seconds")
FRONT = "front"
"""The column that says whether a trial is in the Pareto front."""
_NUMBERS = frozenset({int, float})


def frame_of(trials: Iterable[Trial], front: Collection[int] | None = None) -> Any:
    """A polars frame where polars is installed, else a pandas one.

    Args:
        trials: the trials, one to a row.
        front: the numbers of those that no other dominates, for a column that tells; None: no such column.
    """
    polars = _installed("polars")
    if polars is not None:
        shown = list(trials)
        frame = _polars_frame(polars, shown)
        return frame if front is None else frame.with_columns(polars.Series(FRONT, _in_front(shown, front), dtype=polars.Boolean))
    pandas = _installed("pandas")
    if pandas is not None:
        shown = list(trials)
        frame = pandas.DataFrame([_row(trial) for trial in shown], columns=list(COLUMNS))
        return frame if front is None else frame.assign(**{FRONT: _in_front(shown, front)})
    raise MissingExtra("to_frame()", extra="polars", library="polars or pandas")


def _in_front(trials: Iterable[Trial], front: Collection[int]) -> list[bool]:
    numbers = frozenset(front)
    return [trial.number in numbers for trial in trials]


def _installed(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as missing:
        if missing.name != library:
            raise
        return None


def _row(trial: Trial) -> tuple[Any, ...]:
    return (
        trial.id,
        trial.branch,
        trial.state.value,
        trial.score,
        trial.params,
        _flat(trial.metrics),
        trial.origin,
        trial.attempt,
        trial.seconds,
    )


def _flat(metrics: dict[str, Metric]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, metric in metrics.items():
        if isinstance(metric, tuple):
            flat[name], flat[f"{name}_sem"] = metric
        else:
            flat[name] = metric
    return flat


def _polars_frame(pl: Any, trials: list[Trial]) -> Any:
    rows = [_row(trial) for trial in trials]
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(COLUMNS, ())
    text, number = pl.String, pl.Float64
    plain = {"trial": text, "branch": text, "state": text, "score": number, "origin": text, "attempt": pl.Int64, "seconds": number}
    return pl.DataFrame(
        [
            pl.Series(name, list(columns[name]), dtype=plain[name]) if name in plain else _structs(pl, name, list(columns[name]))
            for name in COLUMNS
        ]
    )


def _structs(pl: Any, name: str, values: list[dict[str, Any]]) -> Any:
    keys = list(dict.fromkeys(key for value in values for key in value))
    if not keys:
        return pl.Series(name, [None] * len(values), dtype=pl.Null)
    fields = [_field(pl, key, [value.get(key) for value in values]) for key in keys]
    return pl.DataFrame(fields).to_struct(name)


def _field(pl: Any, key: str, values: list[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= _NUMBERS and float in kinds:
        return pl.Series(key, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    if len(kinds) <= 1 and not kinds & {dict, list}:
        return pl.Series(key, values)
    return pl.Series(key, [None if value is None else to_json(value).decode() for value in values], dtype=pl.String)
