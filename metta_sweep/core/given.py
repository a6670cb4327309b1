"""What an object was made with, remembered, so that another one can be made like it but for some settings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Never

__all__ = ["Given", "Remembers", "given_to", "remade", "settings_of", "takes_any"]

_MANY: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NEVER: Final = (Never, "Never", "'Never'")


class Given(NamedTuple):
    """The arguments of a constructor. Copies of what holds them share them: they are read only."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]

    def __deepcopy__(self, memo: object) -> Given:
        return self


class Remembers:
    """Remembers what its constructor was given. Classes that take nothing refuse arguments, as those of Python do."""

    _given: Given | None = None

    if not TYPE_CHECKING:  # what a class takes is what its __init__ says

        def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
            """Keep what the constructor is about to be given."""
            if (arguments or keywords) and cls.__init__ is object.__init__:
                raise TypeError(f"{cls.__name__}() takes no arguments")
            made = object.__new__(cls)
            object.__setattr__(made, "_given", Given(arguments, keywords))
            return made


def settings_of(thing: object) -> tuple[str, ...]:
    """The settings that a constructor takes by name; where it passes on what it is given, those of its bases, too.

    Args:
        thing: an object, or its class.
    """
    found: dict[str, None] = {}
    for constructor in _constructors(thing):
        parameters = _parameters(constructor)
        found.update(dict.fromkeys(parameter.name for parameter in parameters if parameter.kind not in _MANY))
        if not any(map(_takes_more, parameters)):
            break
    return tuple(found)


def takes_any(thing: object) -> bool:
    """Whether its constructor takes keywords that it does not name."""
    return any(map(_takes_more, _parameters(next(iter(_constructors(thing)), None))))


def given_to(thing: object) -> dict[str, Any] | None:
    """What its constructor was given, by name; None where that is not known.

    It is known of what remembers it, and of what keeps everything that its constructor takes in attributes of the same names (a
    dataclass, a named tuple, ``Budget``).
    """
    given = getattr(thing, "_given", None)
    if isinstance(given, Given):
        if not given.arguments:
            return dict(given.keywords)
        try:
            bound = inspect.signature(type(thing)).bind_partial(*given.arguments)
        except (TypeError, ValueError):
            return None
        if any(bound.signature.parameters[name].kind in _MANY for name in bound.arguments):
            return None
        return {**bound.arguments, **given.keywords}
    kind: Any = type(thing)
    parameters = _parameters(next(iter(_constructors(thing)), kind))
    names = [parameter.name for parameter in parameters if parameter.kind not in _MANY]
    if not names or not all(hasattr(thing, name) for name in names):
        return None
    return {name: getattr(thing, name) for name in names}


def remade(thing: Any, changes: Mapping[str, Any]) -> Any:
    """Another one, made by its constructor of what this one was given and these changes. Raises what the constructor raises.

    Raises:
        LookupError: what it was given is not known.
    """
    given = given_to(thing)
    if given is None:
        raise LookupError(f"what {type(thing).__name__} was made with is not known")
    return type(thing)(**{**given, **changes})


def _constructors(thing: object) -> list[Any]:
    """Those of its class and of its bases, in the order in which they are asked."""
    kind = thing if isinstance(thing, type) else type(thing)
    return [vars(part)["__init__"] for part in kind.__mro__[:-1] if "__init__" in vars(part)]


def _takes_more(parameter: inspect.Parameter) -> bool:
    return parameter.kind is parameter.VAR_KEYWORD and parameter.annotation not in _NEVER


@lru_cache(maxsize=512)
def _parameters(callee: Any) -> tuple[inspect.Parameter, ...]:
    try:
        signature = inspect.signature(callee)
    except (TypeError, ValueError):
        return ()
    found = tuple(signature.parameters.values())
    return found if isinstance(callee, type) else found[1:]
