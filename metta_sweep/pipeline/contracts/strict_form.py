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

from metta_sweep.pipeline.contracts.models import is_frozen, is_model

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
        return form if is_frozen(origin or form) else Annotated[form, AfterValidator(check_of(form))]
    if form in _MAPPINGS:
        return Annotated[form, WrapValidator(_as_it_is(form))]
    if origin is None:
        return Annotated[form, AfterValidator(_none_pending(pending))] if form in (list, dict, tuple, set, frozenset) else form
    args = get_args(form)
    if origin is type and getattr(args[0], "_is_protocol", False):
        return type  # protocols refuse to be asked for their subclasses
    if origin in (typing.Literal, type, collections.abc.Callable) or type(form).__name__ == "TypeAliasType":
        return form
    if origin is Annotated:
        first = inner(args[0])
        return form if first is args[0] else Annotated[(first, *args[1:])]
    made = tuple(inner(arg) for arg in args)
    same = all(new is old for new, old in zip(made, args, strict=True))
    rebuilt = form if same else _with_arguments(form, origin, made)
    if origin in _HOLDING and any(arg in _OPEN for arg in args):
        rebuilt = Annotated[rebuilt, AfterValidator(_none_pending(pending))]
    return Annotated[rebuilt, WrapValidator(_as_it_is(origin))] if origin in _MAPPINGS else rebuilt


def _with_arguments(form: Any, origin: Any, args: tuple[Any, ...]) -> Any:
    if origin is types.UnionType or origin is typing.Union:
        return typing.Union[args]  # noqa: UP007
    try:
        return origin[args]
    except TypeError:
        return form


def _as_it_is(kind: type[Mapping[Any, Any]]) -> Callable[[Any, Callable[[Any], Any]], Any]:
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
