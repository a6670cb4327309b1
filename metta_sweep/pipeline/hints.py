"""What is said of options and attributes that are not there: which ones were probably meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from metta_sweep.errors import did_you_mean, refuse_unknown

__all__ = ["Unbuilt", "known_options"]

F = TypeVar("F", bound=Callable[..., Any])

_OF_PLANS = ("run", "stream", "plan_resume", "inputs", "outputs", "notes", "unchecked")


class Unbuilt:
    """Says of attributes that it lacks where they are: a plan has them, or they are called otherwise."""

    if not TYPE_CHECKING:  # type checkers are to know what is there, and what is not

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            what = f"{kind!r} object has no attribute {name!r}"
            if name.startswith("_"):
                raise AttributeError(what)
            if name in _OF_PLANS:
                call = {"run": "await pipeline.build().run(...)", "stream": "pipeline.build().stream(...)"}
                raise AttributeError(f"{what}: build it first. Write {call.get(name, f'pipeline.build().{name}')}.")
            guess = did_you_mean(name, [own for own in dir(type(self)) if not own.startswith("_")])
            raise AttributeError(f"{what}. Did you mean {guess!r}?" if guess else what)


def known_options(method: F) -> F:
    """A method that refuses keywords which it does not take, with the one that was probably meant."""
    parameters = inspect.signature(method).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY]
    known = [name for name in known if name != "self"]

    @functools.wraps(method)
    def called(*args: Any, **options: Any) -> Any:
        unknown = [name for name in options if name not in known]
        if unknown:
            refuse_unknown(f"Pipeline.{method.__name__}()", unknown, known)
        return method(*args, **options)

    return called  # type: ignore[return-value]  # it takes what the method takes
