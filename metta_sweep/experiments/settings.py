"""Checks of what a sweep is given: members that fit each other, slots, hooks, grace, tags."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from metta_sweep.address import check_name
from metta_sweep.core.described import function_name, setting
from metta_sweep.core.failures import FailurePolicy
from metta_sweep.core.resources import Resources
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import (
    FOREIGN_NAMES,
    BudgetError,
    ExecutorError,
    HookError,
    InvalidName,
    OptimizerError,
    UnknownOption,
    did_you_mean,
    refuse_unknown,
)
from metta_sweep.executors.executor import Executor
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.pipeline.hook_table import HOOKS, check_hook
from metta_sweep.pipeline.hooks import unknown_hook
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = [
    "check_failures",
    "check_hooks",
    "check_more",
    "check_queue",
    "check_resources",
    "check_searchable",
    "check_tags",
    "describe_objective",
    "grace_of",
    "refuse_options",
    "slots_of",
]

STAGES = ("pick", "dispatch", "score", "fan_out")
_REFUSED_HOOKS = {
    "on_error": "a replacement of its output would be an event that never happened",
    "cache": "its output depends on everything that happened before",
    "checkpoint": "its checkpoint is the journal itself, and always on",
    "migrate": "its checkpoint is the journal itself, which versions of this package read",
    "on_code_change": "its outputs are events, which are never made again",
}


def check_searchable(optimizer: Optimizer, space: SearchSpace | None) -> None:
    """Refuse a search without a search space, by an optimizer that brings no suggestions of its own."""
    if space is None and getattr(optimizer, "needs_search_space", False) is True:
        raise OptimizerError(
            "SweepExperiment(search_space=)",
            f"{type(optimizer).__name__} has nothing to search",
            found=None,
            expected="a mapping of names to distributions",
            remedy="Give search_space={'lr': LogUniform(1e-4, 1e-1)}, or an optimizer that brings its suggestions",
        )


def check_queue(optimizer: Optimizer, space: SearchSpace | None) -> None:
    """Refuse a queue with a suggestion that lies outside the search space, by its position."""
    if space is None or not isinstance(optimizer, SuggestionQueue) or type(optimizer).suggest is not SuggestionQueue.suggest:
        return
    for number, suggestion in enumerate(optimizer.suggestions):
        space.check(suggestion.params, f"{type(optimizer).__name__}[{number}]")


def slots_of(slots: object, scheduler: Scheduler, executor: Executor | None, where: str = "SweepExperiment(slots=)") -> int:
    """How many trials run at once. ``where`` is what errors about the number name."""
    if slots is not None and (isinstance(slots, bool) or not isinstance(slots, int) or slots < 1):
        raise BudgetError(
            where,
            "the number of slots must be a whole number",
            found=slots,
            expected="1 or more",
            remedy="Write slots=3",
        )
    if executor is not None and (isinstance(executor, type) or not hasattr(executor, "capabilities")):
        raise ExecutorError(
            "SweepExperiment(executor=)",
            "a class is no executor" if isinstance(executor, type) else "it is no executor",
            found=executor,
            expected="LocalExecutor() or another",
            remedy=f"Write {executor.__name__}()" if isinstance(executor, type) else "Leave it out",
        )
    limit = executor.slots if executor is not None else None
    if executor is not None and scheduler.needs_reports and not executor.capabilities.stops:
        raise ExecutorError(
            "SweepExperiment(executor=)",
            f"{type(scheduler).__name__} stops trials early, which {type(executor).__name__} cannot",
            found=executor,
            expected="an executor whose capabilities say stops=True",
            remedy="Use LocalExecutor(), or a scheduler that lets trials run to their end",
        )
    if executor is not None and scheduler.needs_pauses and not executor.capabilities.pauses:
        raise ExecutorError(
            "SweepExperiment(executor=)",
            f"{type(scheduler).__name__} pauses trials and lets them go on, which {type(executor).__name__} cannot",
            found=executor,
            expected="an executor whose capabilities say pauses=True",
            remedy="Use LocalExecutor(), or a scheduler that pauses nothing",
        )
    wish = slots if isinstance(slots, int) else scheduler.default_slots
    if slots is None and limit is not None and scheduler.default_slots is Scheduler.default_slots:
        return limit  # the scheduler has no wish of its own; who makes an executor of so many slots wants them used
    if wish is None:
        wish = limit if limit is not None else 1
    return wish if limit is None else min(wish, limit)


def check_hooks(hooks: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """The hooks of the four stages, each a plain dict."""
    if hooks is None:
        hooks = {}
    if not isinstance(hooks, Mapping):
        raise HookError(
            "SweepExperiment(hooks=)",
            "hooks are a mapping of stages to hooks",
            found=hooks,
            remedy="Write {'score': hooks(after=...)}",
        )
    checked: dict[str, dict[str, Any]] = {stage: {} for stage in STAGES}
    for stage, given in hooks.items():
        if stage not in checked:
            if stage in HOOKS:
                raise HookError(
                    "SweepExperiment(hooks=)",
                    f"{stage!r} is a hook, and a hook is attached to a stage",
                    found=given,
                    expected="the stages pick, dispatch, score or fan_out, each with its hooks",
                    remedy=f"Write hooks={{'score': hooks({stage}=...)}}",
                )
            guess = did_you_mean(str(stage), STAGES)
            raise HookError(
                "SweepExperiment(hooks=)",
                f"a sweep has no stage {stage!r}",
                found=stage,
                expected="pick, dispatch, score or fan_out",
                remedy=f"Did you mean {guess!r}?" if guess else "Attach the hook to one of the four stages",
            )
        if not isinstance(given, Mapping):
            raise HookError(
                f"SweepExperiment(hooks={{{stage!r}: ...}})",
                "the hooks of a stage are a mapping",
                found=given,
                expected="hooks(after=...) or a dict",
                remedy=f"Write {{{stage!r}: hooks(after=...)}}",
            )
        where = f"SweepExperiment(hooks={{{stage!r}: ...}})"
        for name in given:
            if name in _REFUSED_HOOKS:
                raise HookError(
                    where,
                    f"the hook {name!r} is not for the stages of a sweep: {_REFUSED_HOOKS[name]}",
                    found=given[name],
                    expected="before, after, validate, metrics, retry, timeout, profile",
                    remedy=f"Leave {name!r} out",
                )
            if name not in HOOKS:
                raise unknown_hook(where, name, given[name])
            problem = check_hook(name, given[name])
            if problem is not None:
                raise problem.error(where)
        checked[stage] = dict(given)
    return checked


def grace_of(grace: object) -> float | None:
    """Seconds that running trials get at the deadline."""
    if grace is None:
        return None
    if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not math.isfinite(grace) or grace < 0:
        raise BudgetError(
            "SweepExperiment(grace=)", "grace must be seconds", found=grace, expected="0 or more", remedy="Write grace=5.0"
        )
    return float(grace)


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """The tags, each checked as a name."""
    if isinstance(tags, str):
        tags = (tags,)
    if not isinstance(tags, Iterable):
        raise InvalidName("SweepExperiment(tags=)", "tags are a list of words", found=tags, remedy="Write a list: tags=['night']")
    return tuple(check_name(tag, "SweepExperiment(tags=)") for tag in tags)


def check_failures(failures: object) -> FailurePolicy:
    """The failure policy; the default one for None."""
    if failures is None:
        return FailurePolicy()
    if not isinstance(failures, FailurePolicy):
        raise BudgetError(
            "SweepExperiment(failures=)",
            "it is no failure policy",
            found=failures,
            expected="a FailurePolicy",
            remedy="Write FailurePolicy(retries=3), say",
        )
    return failures


def refuse_options(kind: str, unknown: Iterable[str], known: Sequence[str]) -> None:
    """Raise ``UnknownOption`` for an option that a sweep does not take; caps on the whole run belong to ``run()``."""
    names = list(unknown)
    if names and "budget" in (names[0], *FOREIGN_NAMES.get(names[0], ())):
        raise UnknownOption(
            kind,
            f"unknown option {names[0]!r}",
            expected="one of " + ", ".join(known),
            remedy="Did you mean run(budget=100), or run(budget=Budget(trials=100, seconds=60))?",
        )
    refuse_unknown(kind, names, known)


def check_resources(resources: object) -> Resources:
    """What each trial may use."""
    if resources is None:
        return Resources()
    if not isinstance(resources, Resources):
        raise BudgetError(
            "SweepExperiment(resources=)",
            "they are no resources",
            found=resources,
            expected="Resources(...)",
            remedy="Write resources=Resources(time_limit=60)",
        )
    return resources


def check_more(more: object, budget: object) -> None:
    """Refuse a number of further trials that is none, or that comes beside a budget."""
    if more is not None and (isinstance(more, bool) or not isinstance(more, int) or more < 1):
        raise BudgetError("run(more=)", "it must be a number of trials", found=more, expected="1 or more", remedy="Write more=3")
    if more is not None and budget is not None:
        raise BudgetError(
            "run(more=)",
            "budget= and more= exclude each other",
            found=more,
            expected="one of them",
            remedy="Give one of them: budget= is the total, more= adds to it",
        )


def describe_objective(objective: Callable[..., Any] | None) -> Any:
    """The qualified name of a trial function, without its module: a script is ``__main__`` once and itself another time.

    Of a partial, its arguments too.
    """
    if objective is None:
        return None
    return setting(objective) if isinstance(objective, partial) else function_name(objective)
