"""What the settings of a strategy are, as JSON: what its constructors ask for, where the object has it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from metta_sweep.core.values import NotJson, plain_json, plain_scalar

__all__ = ["described", "function_name", "setting"]

_NOTHING: Final = object()
_MANY: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def described(member: object, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The class of an optimizer or scheduler, and the parameters of its constructors that are attributes of it.

    A parameter ``sigma`` is looked for as ``sigma`` and as ``_sigma``. The constructors of all its classes count, so that options
    which are passed on by ``**options`` do.

    Args:
        member: the strategy, as its user made it.
        without: parameters that are told otherwise, or that are no settings.
    """
    found: dict[str, Any] = {"class": type(member).__qualname__}
    kept = getattr(member, "__dict__", {})
    for kind in type(member).__mro__[:-1]:
        if "__init__" not in vars(kind):
            continue
        for name in _parameters(vars(kind)["__init__"]):
            value = kept.get(name, kept.get(f"_{name}", _NOTHING))
            if value is not _NOTHING and name not in found and name not in without:
                found[name] = setting(value)
    return found


def setting(value: Any) -> Any:
    """A setting as JSON: callables by their qualified name, partials with their arguments, other objects by their class."""
    if isinstance(value, functools.partial):
        return {
            "function": function_name(value.func),
            "arguments": [setting(item) for item in value.args],
            "keywords": {name: setting(item) for name, item in value.keywords.items()},
        }
    value = plain_scalar(value)
    if _describes_itself(type(value)):
        return value.describe()
    if isinstance(value, Mapping):
        return {str(name): setting(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [setting(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(setting, value), key=repr)
    try:
        return plain_json(value)
    except NotJson:
        return str(value) if isinstance(value, float) else function_name(value)


def function_name(value: Any) -> str:
    """The qualified name of a function or class; of another object, its class's."""
    while isinstance(value, functools.partial):
        value = value.func
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else type(value).__qualname__


def _describes_itself(kind: type) -> bool:
    """Whether ``describe()`` is what this package means by it: a data frame has one too."""
    return any("describe" in vars(parent) and parent.__module__.startswith("metta_sweep.") for parent in kind.__mro__)


def _parameters(constructor: Callable[..., Any]) -> list[str]:
    try:
        signature = inspect.signature(constructor)
    except (TypeError, ValueError):
        return []
    return [parameter.name for parameter in list(signature.parameters.values())[1:] if parameter.kind not in _MANY]
