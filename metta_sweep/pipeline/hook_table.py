"""Every hook and policy of a stage: what its value must be. One entry each; what reads hooks reads this table."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, cast

from metta_sweep.errors import HookError
from metta_sweep.pipeline.cache import Cache
from metta_sweep.pipeline.contracts.typeforms import is_type_form, type_name
from metta_sweep.pipeline.proof.signature import gives_async_generator
from metta_sweep.pipeline.retry import Retry, is_number

__all__ = ["CALLABLES", "CODE_CHANGES", "GLOBAL_HOOKS", "HOOKS", "CodeChange", "HookForm", "Problem", "check_hook"]

CodeChange = Literal["warn", "rerun", "refuse"]
"""What is done with a recorded output whose stage has another code now."""
CODE_CHANGES: Final = ("warn", "rerun", "refuse")


class HookForm(NamedTuple):
    """What the value of a hook must be."""

    remedy: str
    """An imperative sentence that shows a good value."""
    expected: str = ""
    """What is allowed; empty for functions of one argument."""
    fits: Callable[[object], bool] | None = None
    """Whether a value is good; None: the hook is a function of one argument."""


def _is_seconds(value: object) -> bool:
    return is_number(value) and 0 < cast("float", value) < math.inf


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_retry(value: object) -> bool:
    return isinstance(value, Retry) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _is_cache(value: object) -> bool:
    return isinstance(value, bool | Cache)


_SECONDS: Final = "a positive, finite number of seconds"
_TABLE: Final[dict[str, HookForm]] = {
    "before": HookForm("Write before=lambda d: ..."),
    "after": HookForm("Write after=lambda d: ..."),
    "validate": HookForm("Write validate=lambda d: ..."),
    "on_error": HookForm("Write on_error=lambda d: ..."),
    "metrics": HookForm("Write metrics=lambda d: ..."),
    "retry": HookForm(
        "Write retry=3 for up to three more attempts, or retry=Retry(3, backoff=0.5)",
        "an int of at least 0, or Retry(...)",
        _is_retry,
    ),
    "timeout": HookForm("Write timeout=300 for five minutes", _SECONDS, _is_seconds),
    "total_timeout": HookForm("Write total_timeout=3600 for an hour over all attempts", _SECONDS, _is_seconds),
    "timeout_mode": HookForm(
        "Write timeout_mode='process' to have the function ended at its deadline",
        "'thread' or 'process'",
        lambda value: value in ("thread", "process"),
    ),
    "checkpoint": HookForm("Write checkpoint=False to keep this stage out of the store", "True or False", _is_bool),
    "cache": HookForm("Write cache=True, or cache=Cache(version=...)", "True, False, or Cache(...)", _is_cache),
    "on_code_change": HookForm(
        "Write on_code_change='rerun' to have the stage run again when its function is another one",
        "'warn', 'rerun' or 'refuse'",
        lambda value: value in CODE_CHANGES,
    ),
    "migrate": HookForm("Write migrate=lambda values: {**values, 'unit': 's'}"),
    "profile": HookForm("Write profile=True to measure this stage", "True or False", _is_bool),
}
HOOKS: Final = tuple(_TABLE)
"""The names of all hooks."""
CALLABLES: Final = tuple(name for name, form in _TABLE.items() if form.fits is None)
"""The hooks that are functions."""
GLOBAL_HOOKS: Final = ("before", "after", "profile")


class Problem(NamedTuple):
    """What is wrong with the value of a hook."""

    what: str
    found: object
    expected: str
    remedy: str

    def error(self, where: str) -> HookError:
        """The same as an exception."""
        return HookError(where, self.what, found=self.found, expected=self.expected, remedy=self.remedy)

    def __str__(self) -> str:
        return str(self.error("")).removeprefix(": ")


def check_hook(name: str, value: object, *, arguments: int = 1) -> Problem | None:
    """What is wrong with ``value`` as the hook ``name``, or None."""
    form = _TABLE[name]
    if value is Retry or value is Cache:
        what = f"the hook {name!r} is the class itself"
        return Problem(what, value, form.expected or "a function", form.remedy)
    if is_type_form(value):
        remedy = f"rite fields({name}={type_name(value)}) for a field"
        return Problem(
            f"the hook {name!r} is a type",
            value,
            form.expected or "a function",
            f"Pass an instance, or w{remedy}" if form.fits is None else f"W{remedy} of that name",
        )
    if form.fits is None:
        return _check_callable(name, value, arguments)
    if form.fits(value):
        return None
    return Problem(f"the hook {name!r} cannot have this value", value, form.expected, form.remedy)


def _check_callable(name: str, value: object, arguments: int) -> Problem | None:
    takes = "one argument" if arguments == 1 else "two arguments (stage, data)"
    expected = f"a function of {takes}"
    if not callable(value):
        return Problem(f"the hook {name!r} cannot be called", value, expected, f"Write {name}=lambda d: ...")
    if gives_async_generator(value) or inspect.isgeneratorfunction(value):
        return Problem(
            f"the hook {name!r} is a generator function: calling it runs nothing of it",
            value,
            f"{expected} that returns",
            "Leave the yield out",
        )
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*([None] * arguments))
    except TypeError:
        example = "lambda d: ..." if arguments == 1 else "lambda stage, data: ..."
        return Problem(
            f"the hook {name!r} takes other arguments than it gets",
            f"{getattr(value, '__qualname__', type(value).__qualname__)}{signature}",
            expected,
            f"Write {name}={example}",
        )
    return None
