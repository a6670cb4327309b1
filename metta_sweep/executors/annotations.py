"""Annotations of one parameter at a time: one that cannot be resolved must not hide the others."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from typing import Any, Final

__all__ = ["UNRESOLVED", "resolved"]

UNRESOLVED: Final = object()
"""A postponed annotation whose names are not there."""


def resolved(function: Any, annotation: Any) -> Any:
    """The annotation as a type, with the names that ``function`` sees; ``X | None`` and ``Annotated[X, ...]`` count as X."""
    if isinstance(annotation, str):
        annotation = _evaluated(function, annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        others = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        if len(others) == 1:
            annotation = others[0]
    return annotation


def _evaluated(function: Any, annotation: str) -> Any:
    plain = _plain_function(function)

    def holder() -> None:
        """Carries one annotation."""

    holder.__annotations__ = {"it": annotation}
    try:
        closure = inspect.getclosurevars(plain).nonlocals if plain is not None else {}
        scope = plain.__globals__ if plain is not None else {}
        return typing.get_type_hints(holder, globalns=scope, localns=dict(closure))["it"]
    except Exception:  # noqa: BLE001  # evaluating names of others may raise anything; the annotation is unresolved then
        return UNRESOLVED


def _plain_function(function: Any) -> types.FunctionType | None:
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = type(function).__call__
    function = inspect.unwrap(getattr(function, "__func__", function))
    return function if isinstance(function, types.FunctionType) else None
