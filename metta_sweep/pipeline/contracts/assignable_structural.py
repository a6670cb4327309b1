"""Types that fit by what they have: models, TypedDicts and protocols."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, get_args, get_origin

from metta_sweep.pipeline.contracts.assignable_generic import arguments_of, fields_of_form, substituted
from metta_sweep.pipeline.contracts.models import default_values, is_model, resolved_hints, typed_dict_fields
from metta_sweep.pipeline.contracts.typeforms import type_name

__all__ = ["fields_mismatch", "from_mapping", "may_be_called", "protocol_members", "protocol_mismatch", "typed_dict_mismatch"]

Explain = Callable[[Any, Any, str], str | None]
"""Compares two types, within the comparison that asks."""


def fields_mismatch(explain: Explain, provided: Any, needed: Any, path: str) -> str | None:
    """Every field that the model ``needed`` asks for is there, and fits."""
    optional = default_values(get_origin(needed) or needed)
    have, wanted = fields_of_form(provided), fields_of_form(needed)
    for name, form in wanted.items():
        if name in have:
            reason = explain(have[name], form, f"{path}.{name}")
            if reason is not None:
                return reason
        elif name not in optional:
            return f"{path}.{name}: is not provided, needs {type_name(form)}"
    if wanted and wanted.keys().isdisjoint(have):
        return f"{path}: provides {type_name(provided)}, which has no field of {type_name(needed)}"
    return None


def typed_dict_mismatch(explain: Explain, provided: Any, needed: Any, path: str) -> str | None:
    """A TypedDict fits another by its keys, and a mapping by what it holds."""
    want = get_origin(needed) or needed
    if not typing.is_typeddict(want):
        return _as_mapping(explain, provided, needed, path)
    have, sure = typed_dict_fields(get_origin(provided) or provided)
    wanted, required = typed_dict_fields(want)
    for name, form in wanted.items():
        if name not in have:
            if name in required:
                return f"{path}.{name}: is not provided, needs {type_name(form)}"
            continue
        if name in required and name not in sure:
            return f"{path}.{name}: may not be there (NotRequired), needs {type_name(form)}"
        reason = explain(have[name], form, f"{path}.{name}")
        if reason is not None:
            return reason
    return None


def _as_mapping(explain: Explain, provided: Any, needed: Any, path: str) -> str | None:
    want, wanted = get_origin(needed) or needed, get_args(needed)
    if getattr(want, "_is_protocol", False) and want.__module__ != "collections.abc":
        return protocol_mismatch(explain, dict, needed, path)
    if not _is_subclass(dict, want):
        return f"{path}: provides {type_name(provided)}, needs {type_name(needed)}"
    mine = arguments_of(provided, want, len(wanted))
    for index, (a, b) in enumerate(zip(mine, wanted, strict=False)):
        reason = explain(a, b, f"{path}[*]" if index else f"key of {path}")
        if reason is not None:
            return reason
    return None


def from_mapping(explain: Explain, provided: Any, needed: Any, path: str) -> str | None:
    """A plain mapping fits a TypedDict if its values may; whether the keys are there cannot be told."""
    have = get_origin(provided) or provided
    if not issubclass(have, dict):
        return f"{path}: provides {type_name(provided)}, needs {type_name(needed)}"
    mine = arguments_of(provided, dict, 2)
    if len(mine) != 2:
        return None
    reason = explain(mine[0], str, f"key of {path}")
    if reason is not None:
        return reason
    wanted, required = typed_dict_fields(get_origin(needed) or needed)
    reasons = (explain(mine[1], form, f"{path}.{name}") for name, form in wanted.items() if name in required)
    return next((reason for reason in reasons if reason is not None), None)


class _NoMembers(Protocol):
    """What every protocol class has without saying so."""


_NOT_MEMBERS: Final = frozenset(vars(_NoMembers)) | {
    "__annotate_func__",
    "__annotations_cache__",
    "__callable_proto_members_only__",
    "__class_getitem__",
    "__match_args__",
    "__non_callable_proto_members__",
    "__orig_bases__",
    "__parameters__",
    "__slots__",
    "__type_params__",
    "_is_protocol",
    "_is_runtime_protocol",
}


def protocol_members(form: Any) -> dict[str, Any]:
    """What a protocol asks for: attributes and properties with their types, methods as the functions that they are."""
    members: dict[str, Any] = {}
    for base in reversed(form.__mro__):
        if not getattr(base, "_is_protocol", False) or base is Protocol:
            continue
        members.update(resolved_hints(base))
        for name, member in vars(base).items():
            if name in _NOT_MEMBERS or name in members or member is None:
                continue
            members[name] = _result_of(member.fget) if isinstance(member, property) else member
    return members


def protocol_mismatch(explain: Explain, provided: Any, needed: Any, path: str) -> str | None:
    """Every attribute and method of a protocol is there, and fits, as far as the class tells."""
    have, want = get_origin(provided) or provided, get_origin(needed) or needed
    values = dict(zip(getattr(want, "__parameters__", ()), get_args(needed), strict=False))
    mine = fields_of_form(provided) if is_model(have) else resolved_hints(have)
    for name, member in protocol_members(want).items():
        if _is_method(member):
            reason = _method_mismatch(explain, have, mine, name, member, f"{path}.{name}")
            what = "is no method of"
        else:
            form = substituted(member, values)
            reason = _attribute_mismatch(explain, have, mine, name, form, f"{path}.{name}")
            what = "is not provided by"
        if reason == _LACKING:
            return f"{path}.{name}: {what} {type_name(provided)}, needs it for {type_name(needed)}"
        if reason is not None:
            return reason
    return None


_LACKING: Final = ""


def _attribute_mismatch(explain: Explain, have: type, mine: dict[str, Any], name: str, form: Any, place: str) -> str | None:
    if name in mine:
        return explain(mine[name], form, place)
    there = inspect.getattr_static(have, name, _LACKING)
    if there is not _LACKING:
        return explain(_result_of(there.fget), form, place) if isinstance(there, property) else None
    return None if _may_have(have) else _LACKING


def _may_have(have: type) -> bool:
    """Whether instances may have attributes that their class does not name: such as are set when they are made."""
    if is_model(have):
        return False
    return bool(have.__dictoffset__) or _answers_anything(have) or have is type


def _method_mismatch(explain: Explain, have: type, mine: dict[str, Any], name: str, method: Any, place: str) -> str | None:
    if name in mine:
        return explain(mine[name], Callable[..., Any], place)
    there = inspect.getattr_static(have, name, None)
    if there is None:
        return None if _answers_anything(have) else _LACKING
    if isinstance(there, property):
        return explain(_result_of(there.fget), Callable[..., Any], place)
    given = _given_to(method)
    if given and not any(may_be_called(have, name, count) for count in given):
        return f"{place}() cannot be called with {given[-1]} argument{'s' * (given[-1] != 1)}"
    awaited, makes = inspect.iscoroutinefunction(method), _result_of(method)
    if inspect.iscoroutinefunction(there) != awaited:
        return None if awaited or makes in (Any, object) else f"{place}() is asynchronous, needs {type_name(makes)}"
    return None if makes is types.NoneType else explain(_result_of(there), makes, f"{place}()")


def _answers_anything(have: type) -> bool:
    """Whether a class says itself what names its instances have. Models of pydantic do so for private attributes only."""
    return any("__getattr__" in vars(base) for base in have.__mro__ if base.__module__ != "pydantic.main")


def may_be_called(have: type, name: str, given: int) -> bool:
    """Whether a method of a class may be called with so many arguments, by position; True where that cannot be told."""
    method = inspect.getattr_static(have, name, None)
    own = isinstance(method, types.FunctionType)
    if not own and not isinstance(method, staticmethod | classmethod):
        return True
    function = method if own else method.__func__
    try:
        inspect.signature(function).bind(*([None] * (given + (not isinstance(method, staticmethod)))))
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _given_to(method: Any) -> range:
    """How many arguments a method of a protocol may be called with, besides the object; none where that cannot be told."""
    if not isinstance(method, types.FunctionType):
        return range(0)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(parameter.kind not in plain for parameter in parameters):
        return range(0)
    return range(sum(parameter.default is inspect.Parameter.empty for parameter in parameters), len(parameters) + 1)


def _is_method(member: Any) -> bool:
    return inspect.isroutine(member) or isinstance(member, staticmethod | classmethod)


def _result_of(function: Any) -> Any:
    """The annotated result of a function; ``Any`` where it has none, or one that does not resolve."""
    try:
        hint = typing.get_type_hints(inspect.unwrap(function), include_extras=True).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return Any
    return Any if any(isinstance(part, typing.TypeVar) for part in _parts(hint)) else hint


def _parts(form: Any) -> Iterator[Any]:
    yield form
    for part in get_args(form):
        yield from _parts(part)


def _is_subclass(have: type, want: Any) -> bool:
    try:
        return issubclass(have, want)
    except TypeError:
        return not isinstance(want, collections.abc.Hashable)
