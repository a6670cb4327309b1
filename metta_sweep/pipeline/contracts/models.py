"""What counts as a model, and what its fields are: pydantic models, dataclasses, ``NamedTuple`` classes.

Never imports pydantic.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "default_values",
    "field_types",
    "is_frozen",
    "is_model",
    "is_named_tuple",
    "is_pydantic_model",
    "make_model",
    "may_have",
    "resolved",
    "resolved_hints",
    "typed_dict_fields",
]


def is_pydantic_model(form: object) -> bool:
    """Whether ``form`` is a pydantic model: ``BaseModel`` itself has no fields, and is none. Does not import pydantic."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or form is pydantic.BaseModel:
        return False
    return isinstance(form, type) and issubclass(form, pydantic.BaseModel)


def is_named_tuple(form: object) -> bool:
    """Whether ``form`` is a class made by ``NamedTuple``."""
    return isinstance(form, type) and issubclass(form, tuple) and hasattr(form, "_fields")


def is_model(form: object) -> bool:
    """Whether the fields of ``form`` join the context: a pydantic model, a dataclass or a ``NamedTuple`` class.

    A ``RootModel`` is a value: its one field has no name of its own.
    """
    if not isinstance(form, type) or getattr(form, "__pydantic_root_model__", False):
        return False
    return dataclasses.is_dataclass(form) or is_named_tuple(form) or is_pydantic_model(form)


def is_frozen(model: type) -> bool:
    """Whether instances of a model were checked when they were made, and cannot have become invalid since.

    Instances of named tuples are taken for such.
    """
    if is_named_tuple(model):
        return True
    if dataclasses.is_dataclass(model):
        return bool(model.__dataclass_params__.frozen) and hasattr(model, "__pydantic_validator__")  # type: ignore[attr-defined]
    return bool(getattr(model, "model_config", {}).get("frozen"))


def field_types(model: type) -> dict[str, Any]:
    """The fields of a model and their types; a type that cannot be resolved is ``Any``."""
    if is_pydantic_model(model):
        if not model.__pydantic_complete__:  # type: ignore[attr-defined]
            model.model_rebuild(raise_errors=False)  # type: ignore[attr-defined]  # it names a class that was defined after it
        fields: dict[str, Any] = model.model_fields  # type: ignore[attr-defined]
        return {name: info.rebuild_annotation() for name, info in fields.items()}
    names = [field.name for field in dataclasses.fields(model)] if dataclasses.is_dataclass(model) else list(model._fields)  # type: ignore[attr-defined]
    hints = resolved_hints(model)
    return {name: hints.get(name, Any) for name in names}


def resolved_hints(cls: type) -> dict[str, Any]:
    """The annotations of a class and its bases, each resolved by itself; one that cannot be is ``Any``."""
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):
        pass
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        names = vars(sys.modules.get(base.__module__, typing))
        own = {**vars(base), **{parameter.__name__: parameter for parameter in getattr(base, "__type_params__", ())}}
        for name, hint in inspect.get_annotations(base).items():
            hints[name] = resolved(hint, names, own, Any)
    return hints


def resolved(annotation: Any, names: dict[str, Any], local: dict[str, Any], otherwise: Any) -> Any:
    """One annotation, which may be a string or hold some; ``otherwise`` when it names what is not there."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, names, local, include_extras=True)["it"]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return otherwise


def may_have(model: type, name: str) -> bool:
    """Whether instances of a model may have an attribute: a field, a method, or what its own code sets."""
    if name in field_types(model) or hasattr(model, name):
        return True
    if getattr(model, "model_config", {}).get("extra") == "allow" or name in getattr(model, "__private_attributes__", ()):
        return True
    own = [vars(base) for base in model.__mro__ if base.__module__.partition(".")[0] not in ("builtins", "pydantic", "typing")]
    if any("__getattr__" in names or "__getattribute__" in names for names in own):
        return True
    functions = [member for names in own for member in names.values() if isinstance(member, types.FunctionType)]
    return any(name in function.__code__.co_names for function in functions)


def default_values(model: type) -> dict[str, Callable[[], Any]]:
    """What makes the values of the fields of a model that need not be given."""
    made: dict[str, Callable[[], Any]] = {}
    if is_pydantic_model(model):
        fields: dict[str, Any] = model.model_fields  # type: ignore[attr-defined]
        for name, info in fields.items():
            if not info.is_required():
                made[name] = functools.partial(info.get_default, call_default_factory=True)
    elif dataclasses.is_dataclass(model):
        for field in dataclasses.fields(model):
            if field.default_factory is not dataclasses.MISSING:
                made[field.name] = field.default_factory
            elif field.default is not dataclasses.MISSING:
                made[field.name] = functools.partial(_same, field.default)
    else:
        given: dict[str, Any] = getattr(model, "_field_defaults", {})
        made.update({name: functools.partial(_same, value) for name, value in given.items()})
    return made


def _same(value: Any) -> Any:
    return value


def typed_dict_fields(form: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The keys of a TypedDict with their types, and those of them that must be there."""
    fields: dict[str, Any] = {}
    required: set[str] = set(form.__required_keys__)
    for name, hint in resolved_hints(form).items():
        fields[name] = hint
        while (qualifier := _qualifier(fields[name])) is not None:
            fields[name] = typing.get_args(fields[name])[0]
            if qualifier == "NotRequired":
                required.discard(name)  # Python does not see it under postponed annotations
            elif qualifier == "Required":
                required.add(name)
    return fields, frozenset(required)


def _qualifier(hint: Any) -> str | None:
    name = getattr(typing.get_origin(hint), "_name", None)
    return name if name in ("Required", "NotRequired", "ReadOnly") else None


def make_model(model: Any, values: Mapping[str, Any]) -> Any:
    """An instance with these values, which were validated before."""
    make: Callable[..., Any] = model
    if is_pydantic_model(model):
        return model.__pydantic_validator__.validate_python(dict(values), strict=True, by_name=True, from_attributes=True)
    if dataclasses.is_dataclass(model):
        taken = {field.name for field in dataclasses.fields(model) if field.init}
        values = {name: value for name, value in values.items() if name in taken}
    return make(**values)
