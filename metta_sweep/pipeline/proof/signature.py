"""Reading signatures: what a function takes and returns, whatever kind of callable it is."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, get_args, get_origin

from metta_sweep.pipeline.contracts.models import resolved

__all__ = [
    "MISSING",
    "UNRESOLVED",
    "Parameter",
    "ReadSignature",
    "accepted_keywords",
    "gives_async_generator",
    "gives_generator",
    "is_coroutine_callable",
    "read_signature",
]


class _Mark:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


MISSING: Final = _Mark("MISSING")
"""There is no annotation, or no default."""
UNRESOLVED: Final = _Mark("UNRESOLVED")
"""There is an annotation that cannot be resolved: a local class under postponed annotations, for instance."""


class Parameter(NamedTuple):
    """One parameter that a stage may fill."""

    name: str
    annotation: Any
    """The resolved type, ``MISSING`` or ``UNRESOLVED``."""
    default: Any
    """``MISSING`` when it must be given."""
    positional_only: bool
    text: str
    """The annotation as it is written, for messages."""


class ReadSignature(NamedTuple):
    """What a callable takes and returns."""

    parameters: tuple[Parameter, ...]
    takes_kwargs: bool
    returns: Any
    """The type of its result (of what is awaited, for coroutines), ``MISSING`` or ``UNRESOLVED``."""
    leading: int
    """How many of the parameters, from the first on, can be given by position."""
    open_ended: str = ""
    """The name of its ``*args``, where it takes nothing else that could be filled, and no partial fills them; else empty."""


def read_signature(fn: Callable[..., Any], around: Mapping[str, Any] | None = None) -> ReadSignature:
    """Read a function, bound method, partial, class or callable object.

    Args:
        fn: what to read.
        around: names where ``fn`` is used; they resolve local classes, which postponed annotations leave out of the closure.

    Raises:
        ValueError: it has no signature (some builtins).
    """
    signature = inspect.signature(fn)
    inner = _function_of(fn)
    names, local = _names_in(inner)
    scope = (names, {**(around or {}), **local})
    parameters: list[Parameter] = []
    takes_kwargs = False
    leading = 0
    rest = ""
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_kwargs = True
        elif parameter.kind is parameter.VAR_POSITIONAL:
            rest = parameter.name
        else:
            default = MISSING if parameter.default is parameter.empty else parameter.default
            annotation = _resolve(parameter.annotation, *scope)
            only = parameter.kind is parameter.POSITIONAL_ONLY
            leading += parameter.kind is not parameter.KEYWORD_ONLY
            parameters.append(Parameter(parameter.name, annotation, default, only, _text(parameter.annotation)))
    returns = fn if isinstance(fn, type) else _resolve(signature.return_annotation, *scope)
    if not is_coroutine_callable(fn):
        returns = _awaited(returns)
    bound = isinstance(fn, functools.partial) and bool(fn.args)
    return ReadSignature(tuple(parameters), takes_kwargs, returns, leading, "" if parameters or bound else rest)


def accepted_keywords(fn: Callable[..., Any]) -> frozenset[str] | None:
    """The keywords that ``fn`` can be called with; None when it takes any (``**kwargs``).

    Raises:
        ValueError: it has no signature (some builtins).
    """
    parameters = inspect.signature(fn).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(parameter.name for parameter in parameters if parameter.kind in named)


def is_coroutine_callable(fn: Callable[..., Any]) -> bool:
    """Whether calling ``fn`` gives a coroutine: an ``async def``, or an object whose ``__call__`` is one."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.isroutine(fn) or isinstance(fn, type):
        return inspect.iscoroutinefunction(fn)
    return inspect.iscoroutinefunction(type(fn).__call__)


def gives_async_generator(fn: Callable[..., Any]) -> bool:
    """Whether calling ``fn`` gives an asynchronous generator, which somebody has to go through before anything happens."""
    return inspect.isasyncgenfunction(_called(fn))


def gives_generator(fn: Callable[..., Any]) -> bool:
    """Whether calling ``fn`` gives a generator of either kind."""
    called = _called(fn)
    return inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called)


def _called(fn: Callable[..., Any]) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn if inspect.isroutine(fn) or isinstance(fn, type) else type(fn).__call__


def _function_of(fn: Any) -> Any:
    """The function whose globals and closure resolve the annotations."""
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif isinstance(fn, type):
            made_by = vars(fn).get("__init__")
            return made_by if isinstance(made_by, types.FunctionType) else fn
        elif isinstance(fn, types.FunctionType):
            return fn
        else:
            call = getattr(type(fn), "__call__", None)  # noqa: B004
            if not isinstance(call, types.FunctionType):
                return fn
            fn = call


def _names_in(fn: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(fn, types.FunctionType):
        return {}, {}
    local: dict[str, Any] = {parameter.__name__: parameter for parameter in getattr(fn, "__type_params__", ())}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False):
        try:
            local[name] = cell.cell_contents
        except ValueError:
            continue  # the cell is still empty: the name is not usable yet
    return fn.__globals__, local


def _resolve(annotation: Any, names: dict[str, Any], local: dict[str, Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return MISSING
    if annotation is None:
        return types.NoneType
    return resolved(annotation, names, local, UNRESOLVED)


def _text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else ""


def _awaited(returns: Any) -> Any:
    origin = get_origin(returns)
    if origin in (collections.abc.Awaitable, collections.abc.Coroutine):
        return get_args(returns)[-1]
    return returns
