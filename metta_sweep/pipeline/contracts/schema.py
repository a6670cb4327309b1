"""What a type looks like in JSON, as a text: it changes when the type does, wherever in it the change is."""

from __future__ import annotations

import enum
import re
import types
import typing
from typing import Any, Final, get_args, get_origin

from metta_sweep.pipeline.contracts.models import field_types, is_model, is_pydantic_model, typed_dict_fields
from metta_sweep.pipeline.contracts.typeforms import type_name

__all__ = ["schema_text"]

_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def schema_text(form: Any) -> str:
    """The text of a type: models, typed dicts and enumerations count by what they hold, other classes by their names."""
    return _text(form, ())


def _text(form: Any, around: tuple[Any, ...]) -> str:
    if any(form is outer for outer in around):
        return f"<the {len(around) - next(i for i, outer in enumerate(around) if outer is form)}th around>"
    origin, parts = get_origin(form), get_args(form)
    if origin is typing.Annotated:
        return f"{_text(parts[0], around)} with {', '.join(map(_shown, parts[1:]))}"
    if origin is typing.Literal:
        return f"Literal{[repr(part) for part in parts]}"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(sorted(_text(part, around) for part in parts))
    inside = (*around, form)
    if type(form).__name__ == "TypeAliasType":
        return _text(form.__value__, inside)
    if isinstance(form, typing.NewType):
        return _text(form.__supertype__, inside)
    if typing.is_typeddict(form):
        hints, required = typed_dict_fields(form)
        return _fields({f"{name}{'' if name in required else '?'}": hint for name, hint in hints.items()}, inside)
    if is_model(form):
        return _model(form, inside)
    if isinstance(form, type) and issubclass(form, enum.Enum):
        return f"enum {[(member.name, member.value) for member in form]!r}"
    if origin is not None:
        return f"{_named(origin)}[{', '.join(_text(part, inside) for part in parts)}]"
    return _named(form)


def _model(model: Any, inside: tuple[Any, ...]) -> str:
    if not is_pydantic_model(model):
        return _fields(field_types(model), inside)
    limits = {name: [*map(_shown, info.metadata), info.alias] for name, info in model.model_fields.items()}
    limited = {name: found for name, found in limits.items() if any(found)}
    extra = model.model_config.get("extra")
    return f"{_fields(field_types(model), inside)}{limited or ''}{extra or ''}"


def _fields(fields: dict[str, Any], inside: tuple[Any, ...]) -> str:
    return "{" + ", ".join(f"{name}: {_text(form, inside)}" for name, form in sorted(fields.items())) + "}"


def _named(form: Any) -> str:
    if isinstance(form, type) and form.__module__ not in ("builtins", "__main__"):
        return f"{form.__module__}.{form.__qualname__}"
    return "[" + ", ".join(map(_named, form)) + "]" if isinstance(form, list) else type_name(form)


def _shown(value: object) -> str:
    """Metadata of a type: what tells the place in memory is left out."""
    return _ADDRESS.sub("", repr(value))
