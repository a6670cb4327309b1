"""Whether a value of one type may be used where another is needed, and if not, why: directional, with a path to the reason.

Lenient on purpose where a reader cannot be hurt: containers are covariant, ``int`` serves as ``float``, models fit by their fields.
What cannot be told (type variables, callables, bare containers, protocols of classes with attributes set at run time) fits.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from typing import Any, Final, get_args, get_origin

from metta_sweep.pipeline.models import default_values, field_types, is_model, typed_dict_fields
from metta_sweep.pipeline.typeforms import type_name

__all__ = ["explain_mismatch"]

_TOWER: Final = {int: (float, complex), float: (complex,), bytearray: (bytes,)}
_NOT_TOLD: Final = (collections.abc.Callable, type)


def explain_mismatch(provided: Any, needed: Any, path: str) -> str | None:
    """None when it fits or cannot be told; else the reason: ``results[*].score: provides float | None, needs float``."""
    provided, needed = _plain(provided), _plain(needed)
    if provided is needed or provided is Any or needed is Any or needed is object or provided == needed:
        return None
    if isinstance(provided, typing.NewType):
        return explain_mismatch(provided.__supertype__, needed, path)
    if _is_union(provided):
        return _each(get_args(provided), provided, needed, path)
    if _is_union(needed):
        return _any_of(provided, get_args(needed), needed, path)
    if get_origin(provided) is typing.Literal:
        return _literal(provided, needed, path)
    if get_origin(needed) is typing.Literal or isinstance(needed, typing.NewType):
        return _reason(provided, needed, path)
    return _classes(provided, needed, path)


def _plain(form: Any) -> Any:
    """A type without what says nothing about assignability."""
    while True:
        if form is None:
            return types.NoneType
        origin = get_origin(form)
        if origin is typing.Annotated or origin in (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar):
            form = get_args(form)[0]
        elif type(form).__name__ == "TypeAliasType":
            form = form.__value__
        else:
            return form


def _is_union(form: Any) -> bool:
    return get_origin(form) in (typing.Union, types.UnionType)


def _reason(provided: Any, needed: Any, path: str) -> str:
    return f"{path}: provides {type_name(provided)}, needs {type_name(needed)}"


def _each(parts: tuple[Any, ...], provided: Any, needed: Any, path: str) -> str | None:
    bad = [reason for part in parts if (reason := explain_mismatch(part, needed, path)) is not None]
    if not bad:
        return None
    return bad[0] if not bad[0].startswith(f"{path}: ") else _reason(provided, needed, path)


def _any_of(provided: Any, options: tuple[Any, ...], needed: Any, path: str) -> str | None:
    reasons = [explain_mismatch(provided, option, path) for option in options]
    if None in reasons:
        return None
    deeper = [reason for reason in reasons if reason is not None and not reason.startswith(f"{path}: ")]
    return deeper[0] if deeper else _reason(provided, needed, path)


def _literal(provided: Any, needed: Any, path: str) -> str | None:
    values = get_args(provided)
    if get_origin(needed) is typing.Literal:
        allowed = [(type(value), value) for value in get_args(needed)]
        fits = all((type(value), value) in allowed for value in values)
        return None if fits else _reason(provided, needed, path)
    bad = any(explain_mismatch(type(value), needed, path) is not None for value in values)
    return _reason(provided, needed, path) if bad else None


def _classes(provided: Any, needed: Any, path: str) -> str | None:
    have, want = get_origin(provided) or provided, get_origin(needed) or needed
    if not isinstance(have, type) or not isinstance(want, type):
        return None
    if want in _NOT_TOLD:
        return _type_of(provided, needed, path) if want is type and have is type else None
    if typing.is_typeddict(have):
        return _from_typed_dict(have, provided, want, needed, path)
    if typing.is_typeddict(want):
        return None if issubclass(have, dict) else _reason(provided, needed, path)
    if getattr(want, "_is_protocol", False) and not _is_collection(want):
        return _protocol(have, want, provided, needed, path)
    if _is_subclass(have, want) or want in _TOWER.get(have, ()):
        return _arguments(provided, needed, have, want, path)
    if is_model(have) and is_model(want):
        return _fields(field_types(have), want, path)
    return _reason(provided, needed, path)


def _is_subclass(have: type, want: type) -> bool:
    try:
        return issubclass(have, want)
    except TypeError:
        return True  # a protocol that cannot be checked


def _is_collection(form: type) -> bool:
    return form.__module__ == "collections.abc"


def _type_of(provided: Any, needed: Any, path: str) -> str | None:
    have, want = get_args(provided), get_args(needed)
    return explain_mismatch(have[0], want[0], f"type of {path}") if have and want else None


def _from_typed_dict(have: type, provided: Any, want: type, needed: Any, path: str) -> str | None:
    if typing.is_typeddict(want):
        return _fields(typed_dict_fields(have)[0], want, path)
    return None if _is_subclass(dict, want) else _reason(provided, needed, path)


def _fields(have: dict[str, Any], want: type, path: str) -> str | None:
    """Structural: every field that ``want`` needs is there, and fits."""
    wanted = typed_dict_fields(want)[0] if typing.is_typeddict(want) else field_types(want)
    for name, form in wanted.items():
        if name in have:
            reason = explain_mismatch(have[name], form, f"{path}.{name}")
            if reason is not None:
                return reason
        elif _is_required(want, name):
            return f"{path}.{name}: is not provided, needs {type_name(form)}"
    return None


def _is_required(model: Any, name: str) -> bool:
    if typing.is_typeddict(model):
        return name in typed_dict_fields(model)[1]
    return name not in default_values(model)


def _protocol(have: type, want: Any, provided: Any, needed: Any, path: str) -> str | None:
    hints = {
        name: form
        for base in want.__mro__
        if getattr(base, "_is_protocol", False)
        for name, form in inspect.get_annotations(base).items()
    }
    if is_model(have):
        mine = field_types(have)
        for name, form in hints.items():
            if name not in mine and not hasattr(have, name):
                return f"{path}.{name}: is not provided by {type_name(provided)}, needs it for {type_name(needed)}"
            if name in mine and not isinstance(form, str):
                reason = explain_mismatch(mine[name], form, f"{path}.{name}")
                if reason is not None:
                    return reason
    methods = [name for name, member in vars(want).items() if callable(member) and not name.startswith("_")]
    lacking = [name for name in methods if not hasattr(have, name)]
    return f"{path}.{lacking[0]}: is no method of {type_name(provided)}, needs it for {type_name(needed)}" if lacking else None


def _arguments(provided: Any, needed: Any, have: type, want: type, path: str) -> str | None:
    wanted = get_args(needed)
    if not wanted:
        return None
    if issubclass(want, tuple):
        return _tuples(get_args(provided), wanted, path)
    mine = _elements(provided, have, len(wanted))
    if len(mine) != len(wanted):
        return None
    last = len(wanted) - 1
    for index, (a, b) in enumerate(zip(mine, wanted, strict=True)):
        place = f"{path}[*]" if index == last else f"key of {path}"
        reason = explain_mismatch(a, b, place)
        if reason is not None:
            return reason
    return None


def _elements(provided: Any, have: type, count: int) -> tuple[Any, ...]:
    """The element types of a container, as far as they are known."""
    if have is str:
        return (str,)
    if have in (bytes, bytearray):
        return (int,)
    args = get_args(provided)
    if issubclass(have, tuple):
        parts = tuple(part for part in args if part is not Ellipsis)
        return (typing.Union[parts],) if parts else ()  # noqa: UP007
    if issubclass(have, collections.abc.Mapping) and count == 1:
        return args[:1]
    return args


def _tuples(mine: tuple[Any, ...], wanted: tuple[Any, ...], path: str) -> str | None:
    if not mine:
        return None
    if wanted[-1] is Ellipsis:
        rest = [part for part in mine if part is not Ellipsis]
        reasons = (explain_mismatch(part, wanted[0], f"{path}[*]") for part in rest)
        return next((reason for reason in reasons if reason is not None), None)
    if mine[-1] is Ellipsis:
        return f"{path}: provides a tuple of any length, needs {len(wanted)} elements"
    if len(mine) != len(wanted):
        return f"{path}: provides {len(mine)} elements, needs {len(wanted)}"
    for index, (a, b) in enumerate(zip(mine, wanted, strict=True)):
        reason = explain_mismatch(a, b, f"{path}[{index}]")
        if reason is not None:
            return reason
    return None
