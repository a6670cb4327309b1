"""Views of the context: what a parameter that is annotated with a model, TypedDict or Protocol is made of."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.contracts.assignable_generic import fields_of_form, plain
from metta_sweep.pipeline.contracts.assignable_structural import protocol_members
from metta_sweep.pipeline.contracts.models import default_values, is_model, make_model, typed_dict_fields

__all__ = ["asked_for", "is_viewed", "view_maker", "wanted_by"]

_PYTHONS_OWN = ("collections.abc", "typing", "typing_extensions")


def asked_for(annotation: Any) -> Any:
    """What a parameter asks for: its annotation without ``Annotated``, and without the None that its default may be."""
    form = plain(annotation)
    if get_origin(form) in (typing.Union, types.UnionType):
        rest = [part for part in get_args(form) if part is not types.NoneType]
        return plain(rest[0]) if len(rest) == 1 else form
    return form


def is_viewed(form: Any) -> bool:
    """Whether a type stands for several fields. The protocols of Python itself are types of values."""
    form = get_origin(form) or form
    if is_model(form) or typing.is_typeddict(form):
        return True
    return bool(getattr(form, "_is_protocol", False)) and form.__module__ not in _PYTHONS_OWN


def wanted_by(form: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The fields of a view, and those of them that it can do without."""
    origin = get_origin(form) or form
    if is_model(origin):
        return fields_of_form(form), frozenset(default_values(origin))
    if typing.is_typeddict(origin):
        types_, required = typed_dict_fields(origin)
        return types_, frozenset(types_) - required
    members = protocol_members(origin)
    methods = {name: Callable[..., Any] for name, member in members.items() if inspect.isroutine(member)}
    return {name: methods.get(name, member) for name, member in members.items() if not hasattr(Context, name)}, frozenset()


def view_maker(form: Any, fields: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """What makes the view of the values of a run: a real instance, for a model."""
    origin = get_origin(form) or form
    if is_model(origin):
        return lambda values: make_model(origin, {key: values[key] for key in fields})
    if typing.is_typeddict(origin):
        return lambda values: {key: values[key] for key in fields}
    return lambda values: context_of({key: values[key] for key in fields})
