"""Types as they are written to JSON and read back: what pydantic would read as something that can be used once, or not at all."""

from __future__ import annotations

import collections.abc
import types
import typing
from typing import Any, Final, get_args, get_origin

from metta_sweep.pipeline.contracts.models import typed_dict_fields

__all__ = ["NoJsonType", "json_type"]

_READ_AS_LIST: Final = (collections.abc.Iterable, collections.abc.Collection, collections.abc.Reversible)
_USED_ONCE: Final = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.Awaitable,
    collections.abc.Coroutine,
)


class NoJsonType(Exception):
    """Values of the type cannot be written and read back."""


def json_type(form: Any) -> Any:
    """The type that recorded values are read as: iterables are lists, a ``TypedDict`` is one that pydantic takes.

    Raises:
        NoJsonType: classes, iterators and what else JSON cannot hold.
    """
    origin = get_origin(form)
    kind = origin or form
    if kind in _USED_ONCE or kind in (type, _any_model()):
        raise NoJsonType
    if kind in _READ_AS_LIST:
        return list[tuple(json_type(part) for part in get_args(form) or (Any,))]  # type: ignore[misc]
    if typing.is_typeddict(kind):
        return _typed_dict(form)
    args = get_args(form)
    if not args or origin is typing.Literal or type(form).__name__ == "TypeAliasType":
        return form
    if origin is typing.Annotated:
        first = json_type(args[0])
        return form if first is args[0] else typing.Annotated[(first, *args[1:])]
    made = tuple(part if isinstance(part, list) else json_type(part) for part in args)
    if all(new is old for new, old in zip(made, args, strict=True)):
        return form
    if origin is typing.Union or origin is types.UnionType:
        return typing.Union[made]  # noqa: UP007
    return origin[made] if origin is not None else form


def _any_model() -> type:
    """The base of all models: read back as one, a model would have lost its fields."""
    from pydantic import BaseModel

    return BaseModel


def _typed_dict(form: Any) -> Any:
    from typing import NotRequired, Required

    from typing_extensions import TypedDict

    fields, required = typed_dict_fields(get_origin(form) or form)
    parts = {name: (Required if name in required else NotRequired)[json_type(kind)] for name, kind in fields.items()}
    return TypedDict(form.__name__, parts)  # type: ignore[operator]  # made of what was found
