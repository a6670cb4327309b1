"""Checking one value against one type at run time: strictly, and without pydantic where a look at the class is enough."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from metta_sweep.pipeline.models import field_types, is_frozen, is_model, is_pydantic_model, typed_dict_fields
from metta_sweep.pipeline.typeforms import brief

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "Check",
    "Misfit",
    "has_json_form",
    "make_adapter",
    "misfit_of",
    "revalidation",
    "shown",
    "value_check",
]

Check = Callable[[Any], Any]
"""Returns the value, validated, or raises ``Misfit``."""

_EXACT: Final = frozenset({int, str, float, bool, bytes})


class Misfit(Exception):
    """A value that does not fit a type. Becomes a ``ContractError`` that names stage and field."""

    def __init__(self, details: str, path: str = "") -> None:
        self.path = path
        self.details = details
        super().__init__(details)


def value_check(form: Any) -> Check:
    """A function that checks values against ``form``."""
    if form is None or form is types.NoneType:
        return _check_none
    if form is Any or form is object or _is_unchecked_protocol(form):
        return _check_not_pending
    if isinstance(form, type) and form in _EXACT:
        return _exact(form)
    if is_model(form):
        return _model_instance(form)
    if typing.is_typeddict(form):
        return _typed_dict(form)
    if isinstance(form, type) and _is_plain_class(form):
        return _instance(form)
    origin = get_origin(form)
    if (origin is typing.Union or origin is types.UnionType) and types.NoneType in get_args(form):
        return _optional(form)
    return _validated(form)


def make_adapter(form: Any) -> TypeAdapter[Any] | None:
    """The pydantic adapter of a type; None for a type that pydantic has no schema for.

    Classes of users, also within containers, are checked with ``isinstance``.
    """
    from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter

    try:
        try:
            return TypeAdapter(form, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError as error:
            return TypeAdapter(form) if error.code == "type-adapter-config-unused" else None
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError):
        return None


def has_json_form(form: Any) -> bool:
    """Whether values of a type can be kept as JSON and read back."""
    from pydantic import PydanticInvalidForJsonSchema

    adapter = make_adapter(form)
    if adapter is None:
        return False
    try:
        adapter.json_schema(mode="serialization")
    except PydanticInvalidForJsonSchema:
        return False
    return True


def shown(value: object, limit: int = 80) -> str:
    """A value in a message: short, with its type."""
    pending = ", which was never awaited" if hasattr(type(value), "__await__") else ""
    return f"{brief(value, limit)} ({type(value).__name__}){pending}"


def _check_none(value: Any) -> None:
    if value is not None:
        raise Misfit(f"found {shown(value)}, expected None")


def _check_not_pending(value: Any) -> Any:
    if hasattr(value, "__await__"):
        raise Misfit(f"found {shown(value)}; await it in the stage")
    return value


def _typed_dict(form: Any) -> Check:
    """Checked here, since pydantic refuses those of ``typing`` before Python 3.12."""
    types, required = typed_dict_fields(form)
    checks = {name: value_check(hint) for name, hint in types.items()}

    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Misfit(f"found {shown(value)}, expected a dict as {form.__name__} describes it")
        for name in (*(name for name in required if name not in value), *(name for name in value if name not in checks)):
            raise Misfit(f"found {shown(value)}, {'a key that is not there' if name in checks else 'a key too many'}: {name!r}")
        return {name: _checked_at(name, checks[name], item) for name, item in value.items()}

    return check


def _checked_at(name: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except Misfit as error:
        raise Misfit(error.details, f"{name}.{error.path}" if error.path else name) from None


def _exact(form: type) -> Check:
    slow = _validated(form)

    def check(value: Any) -> Any:
        return value if type(value) is form else slow(value)

    return check


def _instance(form: type) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, form):
            raise Misfit(f"found {shown(value)}, expected an instance of {form.__name__}")
        return value

    return check


def _optional(form: Any) -> Check:
    rest = value_check(typing.Union[tuple(part for part in get_args(form) if part is not types.NoneType)])  # noqa: UP007

    def check(value: Any) -> Any:
        return None if value is None else rest(value)

    return check


def _validated(form: Any) -> Check:
    """Through pydantic, which is imported when the first value comes."""
    made: list[Check] = []

    def check(value: Any) -> Any:
        if not made:
            made.append(_through_pydantic(form))
        return made[0](value)

    return check


def _through_pydantic(form: Any) -> Check:
    from pydantic import ValidationError

    adapter = make_adapter(form)
    if adapter is None:
        origin = get_origin(form) or form
        return _instance(origin) if isinstance(origin, type) else _check_not_pending
    validate = adapter.validator.validate_python

    def check(value: Any) -> Any:
        try:
            return validate(value, strict=True)
        except ValidationError as error:
            raise misfit_of(error) from None

    return check


def _model_instance(model: type) -> Check:
    """Instances of exactly the frozen class pass by identity; others are validated field by field."""
    frozen = is_frozen(model)
    revalidate = revalidation(model)

    def check(value: Any) -> Any:
        if frozen and type(value) is model:
            return value
        if not isinstance(value, model):
            raise Misfit(f"found {shown(value)}, expected an instance of {model.__name__}")
        revalidate(value)
        return value

    return check


def revalidation(model: type) -> Callable[[Any], None]:
    """A function that checks the fields of an instance of a model, and raises ``Misfit``."""
    if is_pydantic_model(model):
        return _revalidate_pydantic
    checks: dict[str, Check] = {}

    def revalidate(value: Any) -> None:
        if not checks:
            checks.update({name: value_check(form) for name, form in field_types(model).items()})
        for name, check in checks.items():
            _checked_at(name, check, getattr(value, name))

    return revalidate


def _revalidate_pydantic(value: Any) -> None:
    from pydantic import ValidationError

    try:
        type(value).__pydantic_validator__.validate_python(value.__dict__, strict=True, by_name=True)
    except ValidationError as error:
        raise misfit_of(error) from None


def misfit_of(error: Any) -> Misfit:
    """What pydantic found, in our words: the first three mistakes."""
    found = error.errors(include_url=False, include_context=False)
    lines = []
    for entry in found[:3]:
        place = _path(entry["loc"])
        lines.append((f"{place}: " if place and len(found) > 1 else "") + f"found {shown(entry['input'])}, {entry['msg']}")
    if len(found) > 3:
        lines.append(f"and {len(found) - 3} more")
    return Misfit("; ".join(lines), _path(found[0]["loc"]) if len(found) == 1 else "")


def _path(location: tuple[Any, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


_KNOWN_TO_PYDANTIC: Final = frozenset(
    {
        "builtins",
        "collections",
        "collections.abc",
        "datetime",
        "decimal",
        "fractions",
        "ipaddress",
        "pathlib",
        "re",
        "typing",
        "uuid",
    }
)


def _is_unchecked_protocol(form: Any) -> bool:
    """Whether ``form`` is a protocol that has no ``isinstance``."""
    origin = get_origin(form) or form
    return bool(getattr(origin, "_is_protocol", False)) and not getattr(origin, "_is_runtime_protocol", False)


def _is_plain_class(form: type) -> bool:
    """Whether a look at the class of a value is all that can be said: a class of users that pydantic has no schema for."""
    if get_origin(form) is not None or form.__module__ in _KNOWN_TO_PYDANTIC or typing.is_typeddict(form):
        return False
    if issubclass(form, enum.Enum):
        return True
    return not hasattr(form, "__get_pydantic_core_schema__") and not any(
        base in _EXACT | {list, dict, set, tuple} for base in form.__mro__
    )
