"""What counts as a type in a contract, and how types are named in messages."""

from __future__ import annotations

import re
import types
import typing
from typing import Any, Final, get_args, get_origin

__all__ = ["brief", "is_type_form", "type_name", "unresolved_name"]


_QUALIFIERS: Final = (typing.ClassVar, typing.Final, typing.NotRequired, typing.Required)
"""These say something of a field in a class, and are no types by themselves."""


_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def is_type_form(value: object) -> bool:
    """Whether ``value`` is a type as it may stand in an annotation: a class, ``list[int]``, ``int | None``, ``None``, ``Any``, ...

    Strings are not: they cannot be resolved without the place in which they were written.
    """
    if value is None or value is Any or isinstance(value, type | types.UnionType | types.GenericAlias | typing.NewType):
        return True
    origin = get_origin(value)
    if origin in _QUALIFIERS:
        return False
    return origin is not None or type(value).__name__ == "TypeAliasType"


def unresolved_name(form: object) -> str | None:
    """The first name within a type that is written as a string, as in ``list["Task"]``; None when there is none."""
    if isinstance(form, str):
        return form
    if isinstance(form, typing.ForwardRef):
        return form.__forward_arg__
    origin = get_origin(form)
    parts = () if origin is typing.Literal else get_args(form)[:1] if origin is typing.Annotated else get_args(form)
    for part in parts:
        inner = next(filter(None, map(unresolved_name, part)), None) if isinstance(part, list) else unresolved_name(part)
        if inner is not None:
            return inner
    return None


def brief(value: object, limit: int = 120) -> str:
    """A value in a message: its ``repr``, shortened; functions and classes by their names."""
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        kind = "class" if isinstance(value, type) else "function" if not isinstance(value, types.MethodType) else "method"
        lambda_ = getattr(value, "__name__", "") == "<lambda>"
        return "a lambda" if lambda_ else f"the {kind} {value.__qualname__.rpartition('<locals>.')[2]}"
    try:
        text = _ADDRESS.sub("", repr(value))
    except Exception:  # noqa: BLE001  # a message about a value must not fail for the value's sake
        text = object.__repr__(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def type_name(form: object) -> str:
    """A type as a user would write it."""
    if form is None or form is types.NoneType:
        return "None"
    if form is Ellipsis:
        return "..."
    origin = get_origin(form)
    if origin is typing.Annotated:
        return type_name(get_args(form)[0])
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(type_name(part) for part in get_args(form))
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(part) for part in get_args(form))}]"
    if isinstance(origin, type) and not isinstance(form, type):
        inner = ", ".join(type_name(part) for part in get_args(form))
        return f"{origin.__name__}[{inner}]" if inner else origin.__name__
    if isinstance(form, types.GenericAlias):
        return f"{form.__origin__.__name__}[{', '.join(type_name(part) for part in form.__args__)}]"
    if isinstance(form, type):
        return form.__name__
    if isinstance(form, list):
        return f"[{', '.join(type_name(part) for part in form)}]"
    name = getattr(form, "__name__", None)
    return name if isinstance(name, str) else repr(form)
