"""Checking one value against one type at run time: strictly, and without pydantic where a look at the class is enough."""

from __future__ import annotations

import collections.abc
import enum
import functools
import threading
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from metta_sweep.pipeline.contracts.assignable_generic import fields_of_form
from metta_sweep.pipeline.contracts.misfits import Misfit, checked_at, is_pending, misfit_of, shown
from metta_sweep.pipeline.contracts.models import (
    default_values,
    field_types,
    is_frozen,
    is_model,
    is_pydantic_model,
    make_model,
    typed_dict_fields,
)
from metta_sweep.pipeline.contracts.strict_form import LAZY, is_unchecked_protocol, strict_form
from metta_sweep.pipeline.contracts.typeforms import type_name

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


def value_check(form: Any) -> Check:
    """A function that checks values against ``form``."""
    if form is None or form is types.NoneType:
        return _check_none
    if form is Any or form is object or is_unchecked_protocol(form):
        return _check_not_pending
    if (get_origin(form) or form) in LAZY:
        return _iterable(form)
    if isinstance(form, type) and form in _EXACT:
        return _exact(form)
    if is_model(get_origin(form) or form):
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


def _check_none(value: Any) -> None:
    if value is not None:
        raise Misfit(f"found {shown(value)}, expected None")


def _check_not_pending(value: Any) -> Any:
    if is_pending(value):
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
        return {name: checked_at(name, checks[name], item) for name, item in value.items()}

    return check


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


def _iterable(form: Any) -> Check:
    """What is read more than once is checked and left as it is; what can be read once only is not touched."""
    origin, args = get_origin(form) or form, get_args(form)
    element = value_check(args[0]) if args else _check_not_pending

    def check(value: Any) -> Any:
        _check_not_pending(value)
        if not isinstance(value, origin):
            raise Misfit(f"found {shown(value)}, expected {type_name(form)}")
        if isinstance(value, collections.abc.Collection) and not isinstance(value, str | bytes | bytearray | range):
            for index, item in enumerate(value):
                checked_at(f"[{index}]", element, item)
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

    adapter = make_adapter(strict_form(form, _for_pydantic, _refuse_pending))
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


def _for_pydantic(form: Any) -> Check:
    """The check of a type as part of a larger one: what it finds becomes an error of pydantic's, with the path to it."""
    made: list[Check] = []

    def check(value: Any) -> Any:
        from pydantic_core import PydanticCustomError

        if not made:
            made.append(value_check(form))
        try:
            return made[0](value)
        except Misfit as error:
            raise PydanticCustomError("misfit", "{details}", {"details": error.details, "path": error.path}) from None

    return check


def _refuse_pending(value: Any) -> None:
    _for_pydantic(Any)(value)


def _model_instance(form: Any) -> Check:
    """Instances of exactly the frozen class pass by identity; others are validated field by field.

    A model of another class is taken by its fields, as a reader of it would take them.
    """
    model: Any = get_origin(form) or form
    frozen = is_frozen(model)
    revalidate = revalidation(form)

    def check(value: Any) -> Any:
        if frozen and type(value) is model:
            return value
        if isinstance(value, model):
            revalidate(value)
            return value
        if is_model(type(value)):
            return _by_fields(form, value)
        raise Misfit(f"found {shown(value)}, expected an instance of {type_name(form)}")

    return check


def _by_fields(form: Any, value: Any) -> Any:
    """An instance of a model, made of the fields of another one."""
    given: dict[str, Any] = {}
    has, wanted = field_types(type(value)), fields_of_form(form)
    optional = default_values(get_origin(form) or form)
    for name, kind in wanted.items():
        if name in has:
            given[name] = checked_at(name, value_check(kind), getattr(value, name))
        elif name not in optional:
            raise Misfit(f"found {shown(value)}, which has no {name!r}; expected {type_name(form)}")
    if wanted and wanted.keys().isdisjoint(has):
        raise Misfit(f"found {shown(value)}, which has no field of {type_name(form)}")
    return make_model(get_origin(form) or form, given)


@functools.lru_cache(maxsize=1024)
def revalidation(form: Any) -> Callable[[Any], None]:
    """A function that checks the fields of an instance of a model, and raises ``Misfit``.

    One for each model: it knows the instances that it is within.
    """
    if is_pydantic_model(form):
        return _pydantic_revalidation(form)
    return _each_field(lambda: {name: value_check(kind) for name, kind in fields_of_form(form).items()})


def _pydantic_revalidation(model: Any) -> Callable[[Any], None]:
    """Pydantic looks at the fields, and does not look into the models that they hold: those are ours."""
    deeper = _each_field(lambda: {name: value_check(form) for name, form in field_types(model).items() if _is_deeper(form)})

    def revalidate(value: Any) -> None:
        from pydantic import ValidationError

        try:
            type(value).__pydantic_validator__.validate_python(value.__dict__, strict=True, by_name=True)
        except ValidationError as error:
            raise misfit_of(error) from None
        deeper(value)

    return revalidate


def _is_deeper(form: Any) -> bool:
    return get_origin(form) is not typing.Annotated and strict_form(form, _for_pydantic, _refuse_pending) is not form


def _each_field(make: Callable[[], dict[str, Check]]) -> Callable[[Any], None]:
    """Checks fields of instances; each once, however they hold one another."""
    made: list[dict[str, Check]] = []
    within = threading.local()

    def revalidate(value: Any) -> None:
        if not made:
            made.append(make())
        if not made[0]:
            return
        seen: set[int] = within.__dict__.setdefault("seen", set())
        if id(value) in seen:
            return
        seen.add(id(value))
        try:
            for name, check in made[0].items():
                checked_at(name, check, getattr(value, name))
        finally:
            seen.discard(id(value))

    return revalidate


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


def _is_plain_class(form: type) -> bool:
    """Whether a look at the class of a value is all that can be said: a class of users that pydantic has no schema for."""
    if get_origin(form) is not None or form.__module__ in _KNOWN_TO_PYDANTIC or typing.is_typeddict(form):
        return False
    if issubclass(form, enum.Enum):
        return True
    return not hasattr(form, "__get_pydantic_core_schema__") and not any(
        base in _EXACT | {list, dict, set, tuple} for base in form.__mro__
    )
