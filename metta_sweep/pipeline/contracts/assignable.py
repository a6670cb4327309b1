"""Whether a value of one type may be used where another is needed, and if not, why: directional, with a path to the reason.

Lenient on purpose where a reader cannot be hurt: containers are covariant, ``int`` serves as ``float``, models fit by their fields.
What cannot be told (type variables without a bound, names that do not resolve, bare containers) fits.
"""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from typing import Any, Final, get_args, get_origin

from metta_sweep.pipeline.contracts.assignable_generic import arguments_of, parameters_of, plain, tuple_parts
from metta_sweep.pipeline.contracts.assignable_structural import (
    fields_mismatch,
    from_mapping,
    may_be_called,
    protocol_mismatch,
    typed_dict_mismatch,
)
from metta_sweep.pipeline.contracts.models import is_model
from metta_sweep.pipeline.contracts.typeforms import type_name

__all__ = ["explain_mismatch"]

_TOWER: Final = {int: (float, complex), float: (complex,), bytearray: (bytes,)}
_CALLABLE: Final[Any] = collections.abc.Callable
_DEEPEST: Final = 40
"""Types that are nested deeper than this make themselves: the rest of them cannot be told."""


def explain_mismatch(provided: Any, needed: Any, path: str, *, by_class: bool = False) -> str | None:
    """None when it fits or cannot be told; else the reason: ``results[*].score: provides float | None, needs float``.

    Args:
        provided: a type.
        needed: a type.
        path: how the reason calls the value.
        by_class: models fit by their class only, and not by their fields.
    """
    return _Comparison(by_class).explain(provided, needed, path)


class _Comparison:
    """One comparison, which remembers the pairs that it is within: recursive types end there."""

    def __init__(self, by_class: bool) -> None:
        self._by_class = by_class
        self._within: list[tuple[Any, Any]] = []

    def explain(self, provided: Any, needed: Any, path: str) -> str | None:
        provided, needed = plain(provided), plain(needed)
        if _fits_anyway(provided, needed):
            return None
        if len(self._within) > _DEEPEST or (provided, needed) in self._within:
            return None
        self._within.append((provided, needed))
        try:
            return self._explain(provided, needed, path)
        finally:
            self._within.pop()

    def _explain(self, provided: Any, needed: Any, path: str) -> str | None:
        if _is_union(provided):
            return self._each(get_args(provided), provided, needed, path)
        if _is_union(needed):
            return self._any_of(provided, get_args(needed), needed, path)
        if isinstance(provided, typing.TypeVar):
            reasons = [self.explain(limit, needed, path) for limit in _limits(provided)]
            return None if None in reasons or not reasons else _reason(provided, needed, path)
        if isinstance(needed, typing.TypeVar):
            return self._any_of(provided, _limits(needed), needed, path) if _limits(needed) else None
        if get_origin(needed) is typing.Literal:
            return self._to_literal(provided, needed, path)
        if get_origin(provided) is typing.Literal:
            return self._each(_literal_types(provided), provided, needed, path, whole=True)
        if isinstance(provided, typing.NewType):
            return _reason(provided, needed, path) if self.explain(provided.__supertype__, needed, path) is not None else None
        if isinstance(needed, typing.NewType) or needed in (typing.Never, typing.NoReturn):
            return _reason(provided, needed, path)
        return self._classes(provided, needed, path)

    def _each(self, parts: tuple[Any, ...], provided: Any, needed: Any, path: str, *, whole: bool = False) -> str | None:
        """Every part must fit; ``whole``: the reason shows the whole type in any case."""
        for part in parts:
            reason = self.explain(part, needed, path)
            if reason is not None:
                return _reason(provided, needed, path) if whole or reason.startswith(f"{path}: ") else reason
        return None

    def _any_of(self, provided: Any, options: tuple[Any, ...], needed: Any, path: str) -> str | None:
        reasons = [self.explain(provided, option, path) for option in options]
        if None in reasons:
            return None
        parts = _alternatives(provided)
        if len(parts) > 1 and self._each(parts, provided, needed, path) is None:
            return None
        deeper = [reason for reason in reasons if reason is not None and not reason.startswith(f"{path}: ")]
        return deeper[0] if deeper else _reason(provided, needed, path)

    def _to_literal(self, provided: Any, needed: Any, path: str) -> str | None:
        if isinstance(provided, typing.NewType):
            return self._to_literal(plain(provided.__supertype__), needed, path)
        allowed = [(type(value), value) for value in get_args(needed)]
        values = [(type(value), value) for part in _alternatives(provided) for value in _values(part)]
        return None if values and all(value in allowed for value in values) else _reason(provided, needed, path)

    def _classes(self, provided: Any, needed: Any, path: str) -> str | None:
        have, want = get_origin(provided) or provided, get_origin(needed) or needed
        if not isinstance(have, type) or not isinstance(want, type):
            return None
        if want is type:
            return self._class_objects(provided, needed, have, path)
        if want is _CALLABLE:
            return self._callables(provided, needed, have, path)
        if have is _CALLABLE:
            told = not _is_protocol(want) and want is not collections.abc.Hashable
            return _reason(provided, needed, path) if told else None
        if typing.is_typeddict(have):
            return typed_dict_mismatch(self.explain, provided, needed, path)
        if typing.is_typeddict(want):
            return from_mapping(self.explain, provided, needed, path)
        if _is_protocol(want):
            return protocol_mismatch(self.explain, provided, needed, path)
        if is_model(have) and is_model(want) and (get_args(needed) or not issubclass(have, want)):
            if self._by_class:
                return _reason(provided, needed, path)
            return fields_mismatch(self.explain, provided, needed, path)
        if _is_subclass(have, want) or want in _TOWER.get(have, ()):
            return self._arguments(provided, needed, want, path)
        return _reason(provided, needed, path)

    def _class_objects(self, provided: Any, needed: Any, have: type, path: str) -> str | None:
        if not issubclass(have, type):
            return _reason(provided, needed, path)
        mine, wanted = get_args(provided), get_args(needed)
        return self.explain(mine[0], wanted[0], f"type of {path}") if mine and wanted else None

    def _callables(self, provided: Any, needed: Any, have: type, path: str) -> str | None:
        if not issubclass(have, _CALLABLE):
            return _reason(provided, needed, path)
        mine, wanted = get_args(provided), get_args(needed)
        if have is not _CALLABLE and len(wanted) == 2:
            return self._called(provided, have, wanted, path)
        if have is not _CALLABLE or len(mine) != 2 or len(wanted) != 2:
            return None
        takes, gets = mine[0], wanted[0]
        if isinstance(takes, list) and isinstance(gets, list):
            if len(takes) != len(gets):
                return f"{path}: provides a function of {len(takes)} arguments, needs one of {len(gets)}"
            for index, (given, taken) in enumerate(zip(gets, takes, strict=True), 1):
                if self.explain(given, taken, path) is not None:
                    return f"argument {index} of {path}: takes {type_name(taken)}, would get {type_name(given)}"
        return self.explain(mine[1], wanted[1], f"result of {path}")

    def _called(self, provided: Any, have: type, wanted: tuple[Any, ...], path: str) -> str | None:
        """A class makes instances of itself; an object is called with what its ``__call__`` takes."""
        if have is type:
            made = get_args(provided)
            return self.explain(made[0], wanted[1], f"result of {path}") if made else None
        if isinstance(wanted[0], list) and not may_be_called(have, "__call__", len(wanted[0])):
            return f"{path}: provides {type_name(provided)}, which cannot be called with {len(wanted[0])} arguments"
        return None

    def _arguments(self, provided: Any, needed: Any, want: type, path: str) -> str | None:
        wanted = get_args(needed)
        if not wanted:
            return None
        if issubclass(want, tuple):
            return self._tuples(tuple_parts(provided), wanted, path)
        mine = arguments_of(provided, want, len(wanted))
        parameters = parameters_of(want, len(wanted))
        if len(mine) != len(wanted):
            return None
        for index, (a, b) in enumerate(zip(mine, wanted, strict=True)):
            reason = self._argument(a, b, parameters[index], _place(want, index, len(wanted), path))
            if reason is not None:
                return reason
        return None

    def _argument(self, provided: Any, needed: Any, parameter: Any, place: str) -> str | None:
        """Covariant, unless the parameter of the class says otherwise."""
        if getattr(parameter, "__contravariant__", False):
            return None if self.explain(needed, provided, place) is None else _reason(provided, needed, place)
        forward = self.explain(provided, needed, place)
        if forward is not None and getattr(parameter, "__infer_variance__", False):
            return None if self.explain(needed, provided, place) is None else forward
        return forward

    def _tuples(self, mine: tuple[Any, ...], wanted: tuple[Any, ...], path: str) -> str | None:
        if not mine or any(_is_unpacked(part) for part in (*mine, *wanted)):
            return None
        if wanted[-1] is Ellipsis:
            rest = [part for part in mine if part is not Ellipsis]
            reasons = (self.explain(part, wanted[0], f"{path}[*]") for part in rest)
            return next((reason for reason in reasons if reason is not None), None)
        if mine[-1] is Ellipsis and mine[0] is not Any:
            return f"{path}: provides a tuple of any length, needs {len(wanted)} elements"
        if len(mine) != len(wanted) and mine[-1] is not Ellipsis:
            return f"{path}: provides {len(mine)} elements, needs {len(wanted)}"
        for index, (a, b) in enumerate(zip(mine, wanted, strict=False)):
            reason = self.explain(a, b, f"{path}[{index}]")
            if reason is not None:
                return reason
        return None


def _fits_anyway(provided: Any, needed: Any) -> bool:
    if provided is needed or provided is Any or needed is Any or needed is object:
        return True
    return provided in (typing.Never, typing.NoReturn) or bool(provided == needed)


def _is_union(form: Any) -> bool:
    return get_origin(form) in (typing.Union, types.UnionType)


def _reason(provided: Any, needed: Any, path: str) -> str:
    return f"{path}: provides {type_name(provided)}, needs {type_name(needed)}"


def _limits(variable: typing.TypeVar) -> tuple[Any, ...]:
    """What a type variable stands for at the most; nothing: for anything."""
    return variable.__constraints__ or ((variable.__bound__,) if variable.__bound__ is not None else ())


def _alternatives(form: Any) -> tuple[Any, ...]:
    """A type as the literal values that make it up; the type itself where there are none."""
    if form is bool:
        return (typing.Literal[True], typing.Literal[False])
    if isinstance(form, type) and issubclass(form, enum.Enum) and not issubclass(form, enum.Flag):
        return tuple(typing.Literal[member] for member in form)
    if get_origin(form) is typing.Literal:
        return tuple(typing.Literal[value] for value in get_args(form))
    return (form,)


def _values(form: Any) -> tuple[Any, ...]:
    if get_origin(form) is typing.Literal:
        return get_args(form)
    return (None,) if form is types.NoneType else (form,)


def _literal_types(form: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(type(value) for value in get_args(form)))


def _is_protocol(form: type) -> bool:
    return bool(getattr(form, "_is_protocol", False)) and form.__module__ != "collections.abc"


def _is_subclass(have: type, want: type) -> bool:
    try:
        return issubclass(have, want)
    except TypeError:
        return True  # a class that cannot be asked


def _is_unpacked(part: Any) -> bool:
    return bool(getattr(part, "__unpacked__", False)) or get_origin(part) is typing.Unpack


def _place(want: type, index: int, count: int, path: str) -> str:
    """How a part of a generic type is called."""
    if issubclass(want, collections.abc.Mapping) and count == 2:
        return f"{path}[*]" if index else f"key of {path}"
    if issubclass(want, collections.abc.Iterable) and count == 1:
        return f"{path}[*]"
    return f"type argument {index + 1} of {path}"
