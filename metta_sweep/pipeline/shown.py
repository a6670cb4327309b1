"""Pipelines, plans and results in one line, as sessions and notebooks show them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["chain", "fields_line", "names_line"]

_SHOWN: Final = 8
"""Stages, names or fields that are shown at most."""
_values: Final = reprlib.Repr()
_values.maxstring = _values.maxother = 48


def chain(names: Iterable[str]) -> str:
    """Stages in their order: ``load > train > score``; of many, the first ones and the last one."""
    shown = list(names)
    if len(shown) > _SHOWN:
        shown = [*shown[: _SHOWN - 2], "...", shown[-1]]
    return " > ".join(shown)


def names_line(names: Iterable[str]) -> str:
    """Names in their order; of many, the first ones."""
    return ", ".join(_bounded(names))


def fields_line(values: Mapping[str, Any]) -> str:
    """Fields with their values, shortened."""
    return ", ".join(_bounded(f"{name}={' '.join(_values.repr(value).split())}" for name, value in values.items()))


def _bounded(parts: Iterable[str]) -> list[str]:
    shown: list[str] = []
    for part in parts:
        if len(shown) == _SHOWN:
            return [*shown, "..."]
        shown.append(part)
    return shown
