"""Types as pydantic is asked to validate them: with our own checks where pydantic would not look, or would use a value up.

Left to itself pydantic takes instances of models and dataclasses as they are, however they were changed since; it wraps iterables
in iterators that can be read once; it refuses the ``TypedDict`` of ``typing`` before Python 3.12; and it fails on protocols.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, get_args, get_origin

from metta_sweep.pipeline.contracts.misfits import shown
from metta_sweep.pipeline.contracts.models import is_frozen, is_model
from metta_sweep.pipeline.contracts.typeforms import type_name

__all__ = ["LAZY", "is_unchecked_protocol", "strict_form"]

LAZY: Final[frozenset[Any]] = frozenset(
    {
        collections.abc.AsyncGenerator,
        collections.abc.AsyncIterable,
        collections.abc.AsyncIterator,
        collections.abc.Awaitable,
        collections.abc.Collection,
        collections.abc.Container,
        collections.abc.Coroutine,
        collections.abc.Generator,
        collections.abc.Iterable,
        collections.abc.Iterator,
        collections.abc.MutableSet,
        collections.abc.Reversible,
        collections.abc.Set,
    }
)
"""What pydantic would use up, turn into something else, or not look at."""
_HOLDING: Final[frozenset[Any]] = frozenset(
    {list, dict, set, frozenset, tuple, collections.abc.Sequence, collections.abc.Mapping, collections.abc.MutableMapping}
)
_MAPPINGS: Final[frozenset[Any]] = frozenset({collections.abc.Mapping, collections.abc.MutableMapping})
_OPEN: Final = (Any, object)


def is_unchecked_protocol(form: Any) -> bool:
    """Whether ``form`` is a protocol that has no ``isinstance``."""
    origin = get_origin(form) or form
    return bool(getattr(origin, "_is_protocol", False)) and not getattr(origin, "_is_runtime_protocol", False)


def strict_form(form: Any, check_of: Callable[[Any], Callable[[Any], Any]], pending: Callable[[Any], Any]) -> Any:
    """``form`` with our own checks within it; ``form`` itself when there are none.

    Args:
        form: a type.
        check_of: makes the check of a type; what it raises must be an error for pydantic.
        pending: refuses a value that was never awaited.
    """
    from pydantic import AfterValidator, PlainValidator, WrapValidator

    def inner(part: Any) -> Any:
        return strict_form(part, check_of, pending)

    if isinstance(form, list):
        return form  # the parameters of a function
    origin = get_origin(form)
    if isinstance(form, typing.NewType):
        supertype = inner(form.__supertype__)
        return form if supertype is form.__supertype__ else supertype
    if typing.is_typeddict(form) or is_unchecked_protocol(form) or (origin or form) in LAZY:
        return Annotated[Any, PlainValidator(check_of(form))]
    if is_model(origin or form):
        return Annotated[_own_form(form, check_of), WrapValidator(_or_by_fields((form,), check_of))]
    if origin is None:
        return _bare_form(form, pending)
    args = get_args(form)
    if origin is type and getattr(args[0], "_is_protocol", False):
        return type  # protocols refuse to be asked for their subclasses
    if origin in (typing.Literal, type, collections.abc.Callable) or type(form).__name__ == "TypeAliasType":
        return form
    if origin is Annotated:
        first = inner(args[0])
        said = [part for part in args[1:] if getattr(part, "discriminator", None) is None]  # instances say themselves what they are
        return form if first is args[0] else Annotated[(first, *said)] if said else first
    if origin in (typing.Union, types.UnionType) and (models := tuple(arg for arg in args if is_model(get_origin(arg) or arg))):
        made = tuple(_own_form(arg, check_of) if arg in models else inner(arg) for arg in args)
        return Annotated[_with_arguments(form, origin, made), WrapValidator(_or_by_fields(models, check_of))]
    made = tuple(inner(arg) for arg in args)
    same = all(new is old for new, old in zip(made, args, strict=True))
    rebuilt = form if same else _with_arguments(form, origin, made)
    if origin in _HOLDING and any(arg in _OPEN for arg in args):
        rebuilt = Annotated[rebuilt, AfterValidator(_none_pending(pending))]
    return Annotated[rebuilt, WrapValidator(_as_it_is(origin))] if origin in _MAPPINGS else rebuilt


def _bare_form(form: Any, pending: Callable[[Any], Any]) -> Any:
    """A class without arguments."""
    from pydantic import AfterValidator, WrapValidator

    if form in _MAPPINGS:
        return Annotated[form, WrapValidator(_as_it_is(form))]
    return Annotated[form, AfterValidator(_none_pending(pending))] if form in (list, dict, tuple, set, frozenset) else form


def _own_form(model: Any, check_of: Callable[[Any], Callable[[Any], Any]]) -> Any:
    """Instances of the model only: left to itself, pydantic makes one of dicts, and of any object that has no field of it."""
    from pydantic import AfterValidator, BeforeValidator
    from pydantic_core import PydanticCustomError

    kind = get_origin(model) or model

    def an_instance(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        details = f"found {shown(value)}, expected an instance of {type_name(model)}"
        raise PydanticCustomError("misfit", "{details}", {"details": details, "path": ""})

    after = () if is_frozen(kind) else (AfterValidator(check_of(model)),)
    return Annotated[(model, *after, BeforeValidator(an_instance))]


def _or_by_fields(
    models: tuple[Any, ...], check_of: Callable[[Any], Callable[[Any], Any]]
) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """What is no instance of any of the types may still be a model that has the fields of one of these."""
    checks = [(get_origin(model) or model, check_of(model)) for model in models]

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import PydanticCustomError, ValidationError

        try:
            return handler(value)
        except ValidationError:
            others = [by_fields for kind, by_fields in checks if is_model(type(value)) and not isinstance(value, kind)]
            for by_fields in others:
                try:
                    return by_fields(value)
                except PydanticCustomError:
                    if len(checks) == 1:
                        raise
            raise

    return check


def _with_arguments(form: Any, origin: Any, args: tuple[Any, ...]) -> Any:
    if origin is types.UnionType or origin is typing.Union:
        return typing.Union[args]  # noqa: UP007
    try:
        return origin[args]
    except TypeError:
        return form


def _as_it_is(kind: Any) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """Mappings that are no dicts stay what they are, unless their values must be made anew: strictly, pydantic takes dicts only."""

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        if isinstance(value, dict) or not isinstance(value, kind):
            return handler(value)
        checked = handler(dict(value))
        return value if all(checked[key] is item for key, item in value.items()) else checked

    return check


def _none_pending(refuse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        held: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        if any(hasattr(kind, "__await__") for kind in set(map(type, held))):
            for item in held:
                refuse(item)
        return value

    return check
