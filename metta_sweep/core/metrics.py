"""Metrics: what a trial function may return or report, made plain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from metta_sweep.core.trial import Metric
from metta_sweep.core.values import NO_TEXT, is_encodable, plain_scalar
from metta_sweep.errors import MetricError, a_kind

__all__ = ["BARE_METRIC", "as_metrics"]

BARE_METRIC: Final = "score"
"""The name of a metric that was returned without one."""

_BY_NAME: Final = "Return several metrics by name: {'accuracy': 0.9, 'latency': 12.0}"
_ALLOWED: Final = "a finite number, (mean, sem), or a mapping of names to these"


def as_metrics(value: Any, where: str) -> dict[str, Metric]:
    """What a trial function returned or reported, as a plain dict of metrics; a bare metric is called ``"score"``.

    Args:
        value: a number (numpy and torch scalars too), ``(mean, sem)`` with ``sem >= 0``, or a mapping of names to these.
        where: who returned or reported it, for the error.

    Raises:
        MetricError: for anything else: None, bools, text, nested mappings, NaN and infinities.

    A class may say what its instances are worth: ``__as_metrics__(where)`` gives what stands for one.
    """
    if type(value) is float and math.isfinite(value):
        return {BARE_METRIC: value}
    if isinstance(value, Mapping):
        if not value:
            raise MetricError(f"{where}: the mapping of metrics is empty. Return at least one, such as {{'accuracy': 0.9}}.")
        return {_name(name, where): _metric(metric, where, name) for name, metric in value.items()}
    if value is None:
        raise MetricError(
            f"{where}: it returned nothing (None): did you forget `return`? Expected {_ALLOWED}. "
            "The best_score of a sweep is None, too, where no trial completed: results.trials[0].error tells why."
        )
    worth = getattr(type(value), "__as_metrics__", None)
    if worth is not None:
        return as_metrics(worth(value, where), where)
    return {BARE_METRIC: _metric(value, where, None)}


def _name(name: object, where: str) -> str:
    if not isinstance(name, str) or not name:
        raise MetricError(f"{where}: the name of a metric must be a non-empty string; found {name!r}. Name it, such as 'accuracy'.")
    plain = str(plain_scalar(name))
    if not is_encodable(plain):
        raise MetricError(f"{where}: the name of the metric {plain!r} {NO_TEXT}. Spell it out.")
    return plain


def _metric(value: Any, where: str, name: object) -> Metric:
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, tuple):
        if len(value) != 2:
            raise _error(value, where, name, f"has {len(value)} parts; a tuple is (mean, sem)", _BY_NAME)
        mean, sem = _number(value[0], where, name), _number(value[1], where, name)
        if sem < 0:
            raise _error(value, where, name, "has a negative standard error", f"Return (mean, sem) with sem >= 0. {_BY_NAME}")
        return mean, sem
    return _number(value, where, name)


def _number(value: Any, where: str, name: object) -> float:
    number = plain_scalar(value)
    if isinstance(number, bool):
        raise _error(value, where, name, "is a bool", "Return a number, such as float(passed)")
    if not isinstance(number, int | float):
        if isinstance(value, Mapping):
            raise _error(value, where, name, "is a nested mapping", "Flatten it, such as {'test_loss': 0.1}")
        raise _error(value, where, name, f"is {a_kind(value)}, not a number", "Convert it with float(...)")
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _error(value, where, name, "is not finite; non-finite metrics fail a trial", "Return a finite number")
    return number


def _error(value: Any, where: str, name: object, what: str, remedy: str) -> MetricError:
    subject = "the metric" if name is None else f"metric {name!r}"
    shown = repr(value)
    shown = shown if len(shown) <= 200 else shown[:199] + "…"
    return MetricError(f"{where}: {subject} {what}; found {shown}; expected {_ALLOWED}. {remedy}.")
