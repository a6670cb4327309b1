"""What can be attached to a stage: observers, a gate, a handler, and policies, which are data."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from metta_sweep.errors import HookError, did_you_mean
from metta_sweep.pipeline.typeforms import is_type_form, type_name

__all__ = ["GLOBAL_HOOKS", "HOOKS", "HookSet", "Retry", "add_global_hooks", "check_global_hooks", "check_hook", "hooks"]

CALLABLES: Final = ("before", "after", "validate", "on_error", "metrics")
POLICIES: Final = ("retry", "timeout", "checkpoint", "profile")
HOOKS: Final = (*CALLABLES, *POLICIES)
GLOBAL_HOOKS: Final = ("before", "after", "profile")
COMING: Final = ("cache", "migrate", "timeout_mode", "total_timeout", "on_code_change")
"""Names that have a meaning in the design and are refused for now, so that they are never taken for something else."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try a failed stage again.

    Args:
        retries: attempts after the first one.
        backoff: seconds before the first of them; doubled for each further one.
        jitter: the part of each delay that is drawn at random, between 0 and 1.
        on: the exceptions that are worth another attempt. Cancellation and contract errors never are.
        max_backoff: the longest delay in seconds.
    """

    retries: int
    backoff: float = 0.0
    jitter: float = 0.0
    on: type[Exception] | tuple[type[Exception], ...] = Exception
    max_backoff: float = 60.0

    def __post_init__(self) -> None:
        where = "Retry({})".format
        if isinstance(self.retries, bool) or not isinstance(cast("object", self.retries), int) or self.retries < 0:
            raise HookError(
                where("retries="),
                "this is no number of retries",
                found=self.retries,
                expected="an int of at least 0",
                remedy="Write Retry(3) for up to three more attempts",
            )
        for name, top in (("backoff", math.inf), ("max_backoff", math.inf), ("jitter", 1.0)):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= top or math.isinf(value):
                expected = "a number between 0 and 1" if top == 1.0 else "a finite number of seconds, at least 0"
                raise HookError(
                    where(f"{name}="), "the value cannot be used", found=value, expected=expected, remedy=f"Write {name}=0.5"
                )
        kinds = self.on if isinstance(self.on, tuple) else (self.on,)
        if not kinds or not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            raise HookError(
                where("on="),
                "these are no exceptions",
                found=self.on,
                expected="a subclass of Exception, or a tuple of some",
                remedy="Write on=(ConnectionError, TimeoutError)",
            )

    def delay(self, attempt: int, seed: int) -> float:
        """Seconds to wait after attempt ``attempt`` (from 1) failed: ``d = min(backoff * 2**(attempt-1), max_backoff)``, jittered.

        With jitter it is drawn uniformly from ``[d * (1 - jitter), d]``, by the seed and the attempt.
        """
        base = min(self.backoff * 2.0 ** min(attempt - 1, 64), self.max_backoff)
        if not base or not self.jitter:
            return base
        return base * (1.0 - self.jitter * random.Random(seed + attempt).random())  # noqa: S311


class HookSet(dict[str, Any]):
    """A set of hooks, to be passed on with ``**`` and merged with ``|``."""

    def __or__(self, other: Mapping[str, Any]) -> HookSet:  # type: ignore[override]
        return HookSet({**self, **other})


def hooks(
    *,
    before: Callable[[Any], Any] | None = None,
    after: Callable[[Any], Any] | None = None,
    validate: Callable[[Any], Any] | None = None,
    on_error: Callable[[Any], Any] | None = None,
    metrics: Callable[[Any], Any] | None = None,
    retry: int | Retry | None = None,
    timeout: float | None = None,
    checkpoint: bool | None = None,
    profile: bool | None = None,
    **unknown: Any,
) -> HookSet:
    """A checked set of hooks: ``.through(Output, **hooks(after=log, retry=3))``.

    Raises:
        HookError: an unknown hook, or a value that a hook cannot have.
    """
    given = {
        "before": before,
        "after": after,
        "validate": validate,
        "on_error": on_error,
        "metrics": metrics,
        "retry": retry,
        "timeout": timeout,
        "checkpoint": checkpoint,
        "profile": profile,
    }
    for name, value in unknown.items():
        raise unknown_hook(f"hooks({name}=)", name, value)
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        problem = check_hook(name, value)
        if problem is not None:
            raise problem.error(f"hooks({name}=)")
    return HookSet(chosen)


def unknown_hook(where: str, name: str, value: object) -> HookError:
    """The error for a name that is no hook."""
    guess = did_you_mean(name, HOOKS)
    what = f"the hook {name!r} does not exist yet" if name in COMING else f"there is no hook {name!r}"
    remedy = f"Did you mean {guess!r}?" if guess and name not in COMING else "Leave it out"
    return HookError(where, what, found=value, expected="one of " + ", ".join(HOOKS), remedy=remedy)


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
    if is_type_form(value):
        if name in CALLABLES:
            return Problem(
                f"the hook {name!r} is a type",
                value,
                "a function",
                f"Pass an instance, or write fields({name}={type_name(value)}) for a field",
            )
        return Problem(
            f"the hook {name!r} is a type",
            value,
            _EXPECTED[name],
            f"Write fields({name}={type_name(value)}) for a field of that name",
        )
    if name in CALLABLES:
        return _check_callable(name, value, arguments)
    if name == "retry":
        good = isinstance(value, Retry) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    elif name == "timeout":
        good = _is_number(value) and 0 < cast("float", value) < math.inf
    else:
        good = isinstance(value, bool)
    return None if good else Problem(f"the hook {name!r} cannot have this value", value, _EXPECTED[name], _REMEDY[name])


def check_global_hooks(given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the hooks of a whole pipeline."""
    problems: list[str] = []
    for name, value in given.items():
        if name not in GLOBAL_HOOKS:
            guess = did_you_mean(name, GLOBAL_HOOKS)
            hint = f" Did you mean {guess!r}?" if guess else " Attach it to a stage with .through()."
            problems.append(f"there is no global hook {name!r}; found {value!r}; expected one of {', '.join(GLOBAL_HOOKS)}.{hint}")
        elif (problem := check_hook(name, value, arguments=2)) is not None:
            problems.append(str(problem))
    return problems


def add_global_hooks(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The hooks of a whole pipeline with more of them: observers add up, of a policy the last one counts."""
    added = {name: (*before.get(name, ()), value) if name in CALLABLES else value for name, value in more.items()}
    return {**before, **added}


def as_retry(value: int | Retry | None) -> Retry | None:
    """The policy that ``retry=`` stands for; None when there is nothing to retry."""
    if value is None:
        return None
    policy = value if isinstance(value, Retry) else Retry(value)
    return policy if policy.retries else None


_EXPECTED: Final = {
    "retry": "an int of at least 0, or Retry(...)",
    "timeout": "a positive, finite number of seconds",
    "checkpoint": "True or False",
    "profile": "True or False",
}
_REMEDY: Final = {
    "retry": "Write retry=3 for up to three more attempts",
    "timeout": "Write timeout=300 for five minutes",
    "checkpoint": "Write checkpoint=False to keep this stage out of the store",
    "profile": "Write profile=True to measure this stage",
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _check_callable(name: str, value: object, arguments: int) -> Problem | None:
    takes = "one argument" if arguments == 1 else "two arguments (stage, data)"
    if not callable(value):
        return Problem(f"the hook {name!r} cannot be called", value, f"a function of {takes}", f"Write {name}=lambda d: ...")
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
            f"a function of {takes}",
            f"Write {name}={example}",
        )
    return None
