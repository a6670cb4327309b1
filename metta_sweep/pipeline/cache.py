"""The policy of a stage whose output may be shared between runs."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from metta_sweep.errors import HookError, refuse_unknown

__all__ = ["Cache", "as_cache"]


@dataclass(frozen=True, slots=True)
class Cache:
    """Use the output of an earlier run, of this pipeline or another one, where all that it depends on is the same.

    The key is made of the function's code with what is bound to it, its constants, its contract, and the fields that it reads.
    What cannot be part of the key keeps the stage from being cached; it is never left out.

    Args:
        key: called with the context, says which inputs matter, as a JSON value, in place of the fields that are read.
            The code, the constants and the contract stay part of the key.
        version: change it to have the stage run again: for what no key can see, such as a file or a service that it reads.
        include: functions, classes or modules whose code counts as well: helpers that the stage calls.

    Raises:
        HookError: a value that cannot be used.
    """

    key: Callable[[Any], Any] | None = None
    version: str | int | None = None
    include: tuple[Any, ...] | list[Any] = ()

    if not TYPE_CHECKING:  # type checkers know what it takes

        def __new__(cls, *args: Any, **options: Any) -> Any:  # noqa: D102  # it only refuses what nothing takes
            refuse_unknown("Cache", [name for name in options if name not in cls.__dataclass_fields__], cls.__dataclass_fields__)
            return object.__new__(cls)

    def __post_init__(self) -> None:
        if self.key is not None and not _takes_one(self.key):
            raise HookError(
                "Cache(key=)",
                "this is no function of the context",
                found=self.key,
                expected="a function of one argument",
                remedy="Write key=lambda ctx: [ctx.path, ctx.seed]",
            )
        version = cast("object", self.version)
        if version is not None and (isinstance(version, bool) or not isinstance(version, str | int)):
            raise HookError(
                "Cache(version=)", "this is no version", found=version, expected="a text or an int", remedy="Write version=2"
            )
        if not isinstance(cast("object", self.include), list | tuple):
            raise HookError(
                "Cache(include=)",
                "these are no helpers",
                found=self.include,
                expected="a list of functions, classes or modules",
                remedy="Write include=[helper]",
            )
        for helper in self.include:
            if not isinstance(helper, types.ModuleType) and not callable(helper):
                raise HookError(
                    "Cache(include=)",
                    "it has no code",
                    found=helper,
                    expected="functions, classes or modules",
                    remedy="Give values to the stage as constants",
                )


def as_cache(value: bool | Cache | None) -> Cache | None:
    """The policy that ``cache=`` stands for; None: the stage is not cached."""
    return (Cache() if value is True else None) if isinstance(value, bool) or value is None else value


def _takes_one(fn: object) -> bool:
    if not callable(fn):
        return False
    try:
        inspect.signature(fn).bind(None)
    except TypeError:
        return False
    except ValueError:
        return True
    return True
