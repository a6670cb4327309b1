"""How a checked output joins the values of a run: made once per contract, since it runs once per stage."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Literal

from metta_sweep.pipeline.contracts.models import is_named_tuple

__all__ = ["Kind", "Write", "writer"]

Kind = Literal["none", "one", "fields", "model"]
"""A contract has no field, one, several by name, or those of a model."""
Write = Callable[[dict[str, Any], Any], None]
"""Adds the fields of an output to the values."""


def writer(names: tuple[str, ...], kind: Kind, model: type | None) -> Write:
    """What adds the fields ``names`` of an output to the values of a run."""
    if kind == "none" or not names:
        return _write_nothing
    if kind == "one":
        return _one_writer(names[0])
    if kind == "fields":
        return dict.update
    return _model_writer(names, model)


def _write_nothing(values: dict[str, Any], output: Any) -> None:
    pass


def _one_writer(name: str) -> Write:
    def write(values: dict[str, Any], output: Any) -> None:
        values[name] = output

    return write


def _model_writer(names: tuple[str, ...], model: type | None) -> Write:
    if model is not None and is_named_tuple(model):
        if len(names) == 1:
            only = names[0]

            def write_first(values: dict[str, Any], output: Any) -> None:
                values[only] = output[0]

            return write_first

        def write_tuple(values: dict[str, Any], output: Any) -> None:
            values.update(zip(names, output, strict=False))

        return write_tuple
    if len(names) == 1:
        name = names[0]

        def write_single(values: dict[str, Any], output: Any) -> None:
            values[name] = getattr(output, name)

        return write_single
    read = attrgetter(*names)

    def write(values: dict[str, Any], output: Any) -> None:
        values.update(zip(names, read(output), strict=True))

    return write
