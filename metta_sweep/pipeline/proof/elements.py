"""What the items of a field are, as far as its type tells."""

from __future__ import annotations

import collections.abc
import types
import typing
from typing import Any, Final, get_args, get_origin

from metta_sweep.pipeline.contracts.models import is_model
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.proof.flow import either

__all__ = ["element_of", "items_problem"]

_REFUSED: Final[tuple[tuple[tuple[type, ...], str], ...]] = (
    ((str, bytes, bytearray), "which would be taken apart into its characters. Provide a list."),
    (
        (collections.abc.Mapping,),
        "whose items are its keys only. Provide a list: list(d.items()), or list(d.values()).",
    ),
    ((collections.abc.Set,), "which has no order, so that items have no places. Provide a list: sorted(s)."),
    (
        (collections.abc.Iterator, collections.abc.AsyncIterable),
        "which can be gone through once only, so that a resumed run would find nothing. Provide a list: list(it).",
    ),
)


def items_problem(kind: type) -> str | None:
    """Why values of a class cannot be mapped over; None when they can."""
    for classes, problem in _REFUSED:
        if issubclass(kind, classes):
            return problem
    if is_model(kind):
        return "which is one item and no list of them. Provide a list."
    if not hasattr(kind, "__iter__"):
        return "which has no items. Provide a list."
    return None


def element_of(form: Any) -> tuple[Any, str | None]:
    """The type of the items of a type, ``Any`` where it cannot be told; and what is wrong with it."""
    form = _plain(form)
    if form is Any or form is object:
        return Any, None
    if form is None or form is types.NoneType:
        return Any, "which has no items. Provide a list, an empty one where there is nothing."
    origin = get_origin(form)
    if origin in (typing.Union, types.UnionType):
        return _union(get_args(form))
    kind = origin or form
    if not isinstance(kind, type):
        return Any, None
    problem = items_problem(kind)
    if problem is not None:
        return Any, problem
    return _arguments(form, kind), None


def _plain(form: Any) -> Any:
    while True:
        if get_origin(form) is typing.Annotated:
            form = get_args(form)[0]
        elif isinstance(form, typing.NewType):
            form = form.__supertype__
        elif type(form).__name__ == "TypeAliasType":
            form = form.__value__
        else:
            return form


def _union(parts: tuple[Any, ...]) -> tuple[Any, str | None]:
    element: Any = None
    for index, part in enumerate(parts):
        found, problem = element_of(part)
        if problem is not None:
            return Any, f"which may be {type_name(part)}, {problem}"
        element = either(element, found) if index else found
    return element, None


def _arguments(form: Any, kind: type) -> Any:
    """The one argument of a generic, the parts of a tuple; of a subclass, what it says about its bases."""
    args = get_args(form)
    if kind is tuple:
        parts = [part for part in args if part is not Ellipsis]
        if not parts:
            return Any
        element = parts[0]
        for part in parts[1:]:
            element = either(element, part)
        return element
    if kind.__module__ in ("builtins", "collections", "collections.abc", "typing"):
        if kind is range:
            return int
        return args[0] if len(args) == 1 and not isinstance(args[0], typing.TypeVar) else Any
    for base in getattr(kind, "__orig_bases__", ()):
        found = get_origin(base)
        if not args and isinstance(found, type) and hasattr(found, "__iter__"):
            return element_of(base)[0]
    return Any
