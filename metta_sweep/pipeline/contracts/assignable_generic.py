"""The arguments of generic types: what a class of elements has, seen as one of its bases."""

from __future__ import annotations

import collections
import collections.abc
import functools
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Final, get_args, get_origin

from metta_sweep.pipeline.contracts.models import field_types, is_named_tuple, is_pydantic_model

__all__ = ["arguments_of", "fields_of_form", "parameters_of", "plain", "substituted", "tuple_parts"]

_ELEMENTS: Final[Mapping[type, Any]] = {str: str, bytes: int, bytearray: int, memoryview: int, range: int}
_QUALIFIERS: Final = ("Annotated", "Required", "NotRequired", "ReadOnly", "Final", "ClassVar")


def plain(form: Any) -> Any:
    """A type without what says nothing about assignability; what does not resolve is ``Any``."""
    while True:
        origin = get_origin(form)
        if form is None or (origin is typing.Literal and get_args(form) == (None,)):
            return types.NoneType
        if isinstance(form, str | typing.ForwardRef) or form is typing.Self:
            return Any
        if form is typing.LiteralString:
            return str
        if type(form).__name__ == "TypeAliasType":
            form = form.__value__
        elif type(origin).__name__ == "TypeAliasType":
            alias: Any = origin
            form = substituted(alias.__value__, dict(zip(alias.__type_params__, get_args(form), strict=False)))
        elif getattr(origin, "__name__", getattr(origin, "_name", "")) in _QUALIFIERS and not isinstance(form, type):
            form = get_args(form)[0]
        else:
            return form


def substituted(form: Any, values: Mapping[Any, Any]) -> Any:
    """A type in which type variables are replaced."""
    if isinstance(form, typing.TypeVar):
        return values.get(form, form)
    parameters: tuple[Any, ...] = getattr(form, "__parameters__", ())
    if not parameters or isinstance(form, type) or not any(parameter in values for parameter in parameters):
        return form
    return form[tuple(values.get(parameter, parameter) for parameter in parameters)]


def fields_of_form(form: Any) -> dict[str, Any]:
    """The fields of a model, or of a generic one with arguments: ``Box[int]``."""
    origin = get_origin(form)
    if origin is None:
        return field_types(form)
    values = dict(zip(getattr(origin, "__parameters__", ()), get_args(form), strict=False))
    return {name: substituted(kind, values) for name, kind in field_types(origin).items()}


def tuple_parts(form: Any) -> tuple[Any, ...]:
    """The element types of a tuple; none when nothing is known of them."""
    have = get_origin(form) or form
    if is_named_tuple(have):
        return tuple(fields_of_form(form).values())
    return get_args(form) if have is tuple else _from_bases(form, tuple, 0)


def parameters_of(want: type, count: int) -> tuple[Any, ...]:
    """The type variables of a class, which say how it varies; None for each of a class that says nothing."""
    found = getattr(want, "__parameters__", ())
    return found if len(found) == count else (None,) * count


def arguments_of(form: Any, want: type, count: int) -> tuple[Any, ...]:
    """The arguments that ``form`` has as a ``want`` with ``count`` of them; none when they are not known."""
    have = get_origin(form) or form
    args = get_args(form)
    if have is want and not is_named_tuple(have):
        return args[:1] + (Any,) * (count - 1) if have in _GENERATORS else args
    own = _known(have, args, count)
    return own if own is not None else _from_bases(form, want, count)


_GENERATORS: Final = (collections.abc.Generator, collections.abc.AsyncGenerator)


def _known(have: Any, args: tuple[Any, ...], count: int) -> tuple[Any, ...] | None:
    """The arguments of what Python itself brings; None for other classes."""
    if have in _ELEMENTS:
        return (_ELEMENTS[have],)
    if typing.is_typeddict(have):
        return (str, _union(field_types_of_typed_dict(have)))[:count]
    if is_pydantic_model(have) and have.__iter__ is sys.modules["pydantic"].BaseModel.__iter__:
        return (tuple[str, Any],)  # names and values
    if issubclass(have, tuple) and (have is tuple or is_named_tuple(have)):
        parts = args if have is tuple else tuple_parts(have)
        return (_union([part for part in parts if part is not Ellipsis]),) if parts else ()
    if have.__module__ not in ("builtins", "collections", "collections.abc"):
        return None
    if have is collections.Counter:
        return (*args, int)[:count] if args else ()
    if have is collections.abc.ItemsView:
        return (types.GenericAlias(tuple, args),) if len(args) == 2 else ()
    if have is collections.abc.ValuesView:
        return args[-1:]
    if count == 1 and (issubclass(have, collections.abc.Mapping) or have in _GENERATORS):
        return args[:1]
    return args if len(args) == count else ()


def field_types_of_typed_dict(form: Any) -> list[Any]:
    """The types of the values of a TypedDict."""
    return [plain(hint) for hint in typing.get_type_hints(form).values()]


def _union(parts: list[Any]) -> Any:
    return typing.Union[tuple(parts)] if parts else Any  # noqa: UP007


def _from_bases(form: Any, want: type, count: int) -> tuple[Any, ...]:
    """What a class of users says in its bases: ``class Scores(dict[str, float])``."""
    have = get_origin(form) or form
    values = dict(zip(getattr(have, "__parameters__", ()), get_args(form), strict=False))
    for base in _bases(have):
        origin = get_origin(base) or base
        if origin is typing.Generic or not isinstance(origin, type) or not _is_subclass(origin, want):
            continue
        open_parameters = dict.fromkeys(getattr(base, "__parameters__", ()), Any)
        told = substituted(base, {**open_parameters, **values}) if get_origin(base) is not None else base
        found = tuple_parts(told) if want is tuple else arguments_of(told, want, count)
        if found:
            return found
    return ()


@functools.lru_cache(maxsize=512)
def _bases(have: type) -> tuple[Any, ...]:
    bases: tuple[Any, ...] = vars(have).get("__orig_bases__", have.__bases__)
    return bases


def _is_subclass(have: type, want: type) -> bool:
    try:
        return issubclass(have, want)
    except TypeError:
        return False
