"""What can be attached to a stage: observers, a gate, a handler, and policies, which are data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from metta_sweep.errors import HookError, did_you_mean
from metta_sweep.pipeline.cache import Cache
from metta_sweep.pipeline.hook_table import CALLABLES, GLOBAL_HOOKS, HOOKS, CodeChange, check_hook
from metta_sweep.pipeline.retry import Retry

__all__ = ["HookSet", "add_global_hooks", "check_global_hooks", "hooks", "nest_global_hooks", "unknown_hook"]


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
    total_timeout: float | None = None,
    timeout_mode: Literal["thread", "process"] | None = None,
    checkpoint: bool | None = None,
    cache: bool | Cache | None = None,
    on_code_change: CodeChange | None = None,
    migrate: Callable[[Any], Any] | None = None,
    profile: bool | None = None,
    **more: Any,
) -> HookSet:
    """A checked set of hooks: ``.through(Output, **hooks(after=log, retry=3))``.

    Args:
        before: told what the stage may read, before it runs.
        after: told the output.
        validate: a gate: gets the output; False, or an error that it raises, refuses it.
        on_error: gets the error; may return a replacement of the output.
        metrics: told the output as a plain dict.
        retry: attempts after the first, or ``Retry(...)``.
        timeout: seconds for each attempt.
        total_timeout: seconds for all attempts, with the delays between them.
        timeout_mode: ``"thread"`` asks a sync function to stop; ``"process"`` runs it in a process of its own, which is ended.
        checkpoint: False keeps the output out of the store.
        cache: share the output between runs; ``Cache(...)`` says more about its key.
        on_code_change: what becomes of a recorded output when the code is another one: ``"warn"``, ``"rerun"`` or ``"refuse"``.
        migrate: gets the recorded values when the contract is another one, and returns what fits it now.
        profile: measure the stage.
        more: further hooks.

    Raises:
        HookError: an unknown hook, or a value that a hook cannot have.
    """
    given: dict[str, Any] = {
        "before": before,
        "after": after,
        "validate": validate,
        "on_error": on_error,
        "metrics": metrics,
        "retry": retry,
        "timeout": timeout,
        "total_timeout": total_timeout,
        "timeout_mode": timeout_mode,
        "checkpoint": checkpoint,
        "cache": cache,
        "on_code_change": on_code_change,
        "migrate": migrate,
        "profile": profile,
        **more,
    }
    for name, value in more.items():
        if name not in HOOKS:
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
    what = f"there is no hook {name!r}"
    remedy = f"Did you mean {guess!r}?" if guess else "Leave it out"
    return HookError(where, what, found=value, expected="one of " + ", ".join(HOOKS), remedy=remedy)


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


def nest_global_hooks(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """The hooks of a whole pipeline inside of another one: those of the outer one are outermost, first before and last after."""
    nested = {**outer, **inner}
    for name in CALLABLES:
        if name in nested:
            around, own = outer.get(name, ()), inner.get(name, ())
            nested[name] = (*around, *own) if name == "before" else (*own, *around)
    return nested
