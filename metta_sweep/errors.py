"""Every exception of the package, in one place.

```
MettaSweepError
├── InvalidInput (ValueError)         bad input, refused before anything ran or was written
│   ├── InvalidName                   a name of an experiment, stage, field, branch or trial
│   ├── SearchSpaceError              distributions and search spaces
│   ├── SuggestionError               suggestions, from a queue, an optimizer or an expander
│   ├── BudgetError                   budgets, failure policies, resources, slots
│   ├── GoalError                     goals and metrics' names
│   ├── ObjectiveError                trial functions and their signatures
│   ├── HookError                     hooks and policies
│   ├── OptimizerError                optimizers and their settings
│   ├── SchedulerError                schedulers and their settings
│   ├── ExecutorError                 executors and their settings
│   ├── StoreError                    stores and where they lie
│   │   └── DamagedPayload            what is kept is not what was written
│   └── UnknownOption (TypeError)     a keyword that nothing takes, with "did you mean"
├── BuildError                        every structural fault of a pipeline at once
├── ContractError                     an output that does not fit its contract
├── GateError                         an output that a ``validate`` hook refused
├── StageTimeout (TimeoutError)       a stage attempt that passed its deadline
├── StageProcessError                 an exception in the process of a stage, as data, or the end of that process
├── TrialTimeout (TimeoutError)       a trial that passed its time limit
├── LoopLimit                         a loop that passed ``max_iterations``
├── MetricError                       what a trial returned or reported is no metric
├── NoScore                           a run that is compared ended without a score
├── IllegalTransition                 an event that the state does not allow; nothing was changed
├── NotAwaited                        a pending result was touched before ``await``
├── RunInUse                          the run is being run already
├── DefinitionChanged                 another definition under the name of a kept run
├── MissingExtra (ImportError)        an optional library is not installed
└── RunStopped                        what ``results.raise_for_stop()`` raises
    ├── Interrupted
    ├── FailureRateExceeded
    └── ExecutorExhausted
```

Exceptions of users' functions are never wrapped: they propagate as they are, with a note that names the address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

__all__ = [
    "BudgetError",
    "BuildError",
    "ContractError",
    "DamagedPayload",
    "DefinitionChanged",
    "ExecutorError",
    "ExecutorExhausted",
    "FailureRateExceeded",
    "Fault",
    "GateError",
    "GoalError",
    "HookError",
    "IllegalTransition",
    "Interrupted",
    "InvalidInput",
    "InvalidName",
    "LoopLimit",
    "MetricError",
    "MettaSweepError",
    "MissingExtra",
    "NoScore",
    "NotAwaited",
    "ObjectiveError",
    "OptimizerError",
    "RunInUse",
    "RunStopped",
    "SchedulerError",
    "SearchSpaceError",
    "StageProcessError",
    "StageTimeout",
    "StoreError",
    "SuggestionError",
    "TrialTimeout",
    "UnknownOption",
    "a_kind",
    "did_you_mean",
    "message_of",
    "refuse_unknown",
]

_NOTHING: Final = object()
_LIES_AT: Final = re.compile(r" at 0x[0-9a-fA-F]+")


class MettaSweepError(Exception):
    """The root of all errors that this package raises itself."""


class InvalidInput(MettaSweepError, ValueError):
    """Bad input: what is wrong, where, what was found, what is expected, and how to mend it.

    Args:
        where: the thing that was given the input, as its user wrote it: ``"Uniform(low)"``, ``"SweepExperiment(slots=)"``.
        what: one clause saying what is wrong, without a full stop.
        found: the value, shown with ``repr`` (shortened); left out when there is none.
        expected: what is allowed.
        remedy: one imperative sentence, without a full stop.
    """

    def __init__(
        self,
        where: str,
        what: str,
        *,
        found: object = _NOTHING,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.where = where
        self.what = what
        self.found = None if found is _NOTHING else found
        self.expected = expected
        self.remedy = remedy
        text = f"{where}: {what}"
        if found is not _NOTHING:
            text += f"; found {_short(found)}"
        if expected is not None:
            text += f"; expected {expected}"
        text += "."
        if remedy is not None:
            text += f" {remedy}" if remedy.endswith("?") else f" {remedy}."
        super().__init__(text)


class InvalidName(InvalidInput):
    """A name that cannot be part of an address, or that is taken."""


class SearchSpaceError(InvalidInput):
    """A distribution or search space that describes nothing that can be sampled."""


class SuggestionError(InvalidInput):
    """A suggestion that is none, or that lies outside the search space."""


class BudgetError(InvalidInput):
    """A budget, failure policy, resource or number of slots that cannot be kept."""


class GoalError(InvalidInput):
    """A goal that names no direction, or no metric."""


class ObjectiveError(InvalidInput):
    """A trial function that cannot be called with what a trial has to give."""


class HookError(InvalidInput):
    """A hook or policy of the wrong kind."""


class NestingError(InvalidInput):
    """An experiment cannot run inside another one."""


class ChildClash(NestingError):
    """Two experiments would have one address inside their parent."""


class OptimizerError(InvalidInput):
    """An optimizer that cannot be used as it is set up."""


class SchedulerError(InvalidInput):
    """A scheduler that cannot be used as it is set up."""


class ExecutorError(InvalidInput):
    """An executor that cannot be used as it is set up."""


class StoreError(InvalidInput):
    """A store that cannot be opened, or that does not hold what is asked of it."""


class DamagedPayload(StoreError):
    """Something that a store keeps is not what was written there. It is never used."""


class UnknownOption(InvalidInput, TypeError):
    """A keyword that the callee does not take."""


class Fault(NamedTuple):
    """One structural fault of a pipeline."""

    stage: str
    """The address of the stage, loop or hook that is at fault."""
    message: str
    """What is wrong, and how to mend it."""
    field: str | None = None
    """The field that the fault is about, where there is one."""
    provider: str | None = None
    """The stage that provides the field, where there is one."""

    def __str__(self) -> str:
        return f"{self.stage}: {self.message}"


class BuildError(MettaSweepError):
    """Every structural fault of a pipeline, found before anything ran."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        head = "the pipeline has 1 fault:" if count == 1 else f"the pipeline has {count} faults:"
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))


class ContractError(MettaSweepError):
    """A stage's output does not fit its contract. Never retried."""


class GateError(MettaSweepError):
    """A ``validate`` hook refused a stage's output by returning False."""


class StageTimeout(MettaSweepError, TimeoutError):
    """A stage, or one attempt of it, passed its deadline.

    Args:
        message: what passed which deadline, and what still runs.
        still_running: the addresses of stages whose threads run on: nothing can end a thread.
    """

    def __init__(self, message: str = "", still_running: Sequence[str] = ()) -> None:
        self.still_running = tuple(still_running)
        super().__init__(message)


class StageProcessError(MettaSweepError):
    """What went wrong in the process of a stage: an exception there, as data, or the end of the process.

    Args:
        message: what happened.
        kinds: the qualified names of the exception's class and of its bases, as in ``builtins.OSError``; empty for a process
            that died, or a result that could not come back.
        trace: the traceback in the process, as text.
    """

    def __init__(self, message: str = "", kinds: Sequence[str] = (), trace: str = "") -> None:
        self.kinds = tuple(kinds)
        self.trace = trace
        super().__init__(message)

    def is_a(self, kind: type[BaseException]) -> bool:
        """Whether the exception in the process was of this class, by its name."""
        return f"{kind.__module__}.{kind.__qualname__}" in self.kinds


class TrialTimeout(MettaSweepError, TimeoutError):
    """A trial passed the time limit of its resources."""


class LoopLimit(MettaSweepError):
    """A loop went on after ``max_iterations``."""


class MetricError(MettaSweepError):
    """What a trial returned or reported cannot be used as a metric."""


class NoScore(MettaSweepError):
    """A run of a comparison ended without a score: none of its trials completed. It counts as worse than any score."""


class IllegalTransition(MettaSweepError):
    """An event that the state of a run or trial does not allow. Nothing was changed."""


class NotAwaited(MettaSweepError):
    """The result of ``run()`` inside an event loop was used before it was awaited."""


class RunInUse(MettaSweepError):
    """The same run is being run already."""


class DefinitionChanged(MettaSweepError):
    """Another definition is kept under this name."""


class MissingExtra(MettaSweepError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, *, extra: str, library: str) -> None:
        self.extra = extra
        how = f"Install it, or the extra {extra!r} of metta_sweep: pip install 'metta_sweep[{extra}]'."
        super().__init__(f"{what} needs {library}, which is not installed. {how}")


class RunStopped(MettaSweepError):
    """A run ended for a reason that its results should not be used without a look."""


class Interrupted(RunStopped):
    """The run was interrupted before its budget was spent."""


class FailureRateExceeded(RunStopped):
    """More trials failed than the failure policy tolerates."""


class ExecutorExhausted(RunStopped):
    """The executor can start nothing more."""


FOREIGN_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "max_experiments": ("budget", "trials"),
    "max_trials": ("budget", "trials"),
    "n_trials": ("budget", "trials"),
    "num_trials": ("budget", "trials"),
    "num_samples": ("budget", "trials"),
    "total_trials": ("budget", "trials"),
    "max_evals": ("budget", "trials"),
    "max_seconds": ("seconds", "budget"),
    "max_time": ("seconds", "budget"),
    "timeout": ("seconds", "budget", "time_limit"),
    "timeout_hours": ("seconds", "budget"),
    "time_budget_s": ("seconds", "budget"),
    "wallclock_limit": ("seconds", "budget"),
    "n_jobs": ("slots",),
    "num_workers": ("slots",),
    "n_workers": ("slots",),
    "workers": ("slots",),
    "concurrency": ("slots",),
    "max_concurrent": ("slots",),
    "max_concurrent_trials": ("slots",),
    "max_parallelism": ("slots", "max_parallel"),
    "parallelism": ("slots",),
    "init_from": ("warm_start",),
    "previous_trials": ("warm_start",),
    "evaluated_rewards": ("warm_start",),
    "direction": ("goal",),
    "mode": ("goal",),
    "minimize": ("goal",),
    "maximize": ("goal",),
    "func": ("objective",),
    "fn": ("objective",),
    "function": ("objective",),
    "trainable": ("objective",),
    "train_fn": ("objective",),
    "evaluation_function": ("objective",),
    "runner": ("objective",),
    "space": ("search_space",),
    "param_space": ("search_space",),
    "config_space": ("search_space",),
    "configspace": ("search_space",),
    "parameters": ("search_space", "params"),
    "param_distributions": ("search_space",),
    "sampler": ("optimizer",),
    "search_alg": ("optimizer",),
    "algorithm": ("optimizer",),
    "pruner": ("scheduler",),
    "study_name": ("name",),
    "experiment_name": ("name",),
    "storage": ("store",),
    "random_state": ("seed",),
    "random_seed": ("seed",),
    "exploration_weight": ("c",),
    "kappa": ("c",),
    "low": ("lower", "low"),
    "high": ("upper", "high"),
    "retries": ("retry", "retries"),
    "max_retries": ("retries", "retry"),
    "on_success": ("after",),
    "on_failure": ("on_error",),
    "callback": ("after",),
    "callbacks": ("hooks",),
    "max_cost": ("cost",),
    "time": ("seconds", "time_limit"),
    "num_gpus": ("gpus",),
    "num_cpus": ("cpus",),
    "perturbation_interval": ("epochs_per_generation",),
    "hyperparam_mutations": ("search_space",),
    "quantile_fraction": ("quantile",),
    "max_t": ("max_epochs",),
    "max_resource": ("max_epochs",),
    "max_iter": ("max_epochs",),
    "eta": ("reduction_factor",),
    "min_resource": ("grace_period",),
    "min_t": ("grace_period",),
    "n_warmup_steps": ("grace_period",),
    "n_startup_trials": ("min_trials",),
    "min_samples_required": ("min_trials",),
    "n_brackets": ("brackets",),
    "min_trials_observed": ("min_observed",),
}
"""What people bring from elsewhere, and what it is called here (the first that the callee takes)."""


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant by ``name``, or None."""
    candidates = list(known)
    for ours in FOREIGN_NAMES.get(name, ()):
        if ours in candidates:
            return ours
    for ours in candidates:
        if ours.lower() == name.lower():
            return ours
    import difflib

    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return close[0] if close else None


_ELSEWHERE: Final[dict[str, str]] = {
    "log": "LogUniform(lower, upper), or LogInteger(lower, upper)",
    "step": "Choice(list(range(1, 10, 2)))",
    "budget": "run(budget=100) of the sweep",
    "trials": "run(budget=100) of the sweep",
    "seconds": "run(budget=Budget(seconds=60)) of the sweep",
    "slots": "SweepExperiment(slots=3)",
    "goal": "SweepExperiment(goal='minimize')",
    "objective": "SweepExperiment(objective=train)",
    "seed": "SweepExperiment(seed=0)",
    "warm_start": "SweepExperiment(warm_start=results)",
    "retries": "SweepExperiment(failures=FailurePolicy(retries=3))",
    "gpus": "Resources(gpus=1), which allocate_resources(trial) of a scheduler returns",
}
"""Options that people look for at the wrong place, and where they are."""


def refuse_unknown(where: str, unknown: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``UnknownOption`` for the first of the unknown keywords, if there is one."""
    names = list(unknown)
    if not names:
        return
    options = list(known)
    guess = did_you_mean(names[0], options)
    places = [_ELSEWHERE[ours] for ours in (names[0], *FOREIGN_NAMES.get(names[0], ())) if ours in _ELSEWHERE]
    elsewhere = f"Did you mean {places[0]}?" if places else "Leave it out"
    raise UnknownOption(
        where,
        f"unknown option {names[0]!r}",
        expected="one of " + ", ".join(options) if options else "no options",
        remedy=f"Did you mean {guess!r}?" if guess else elsewhere,
    )


def a_kind(value: object) -> str:
    """The type of a value with its article, as messages show it: ``"an int"``."""
    name = type(value).__qualname__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def message_of(error: BaseException) -> str:
    """What an exception says. One of a user may fail to say what it is: that is no other failure."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001  # whatever it is, it is not what went wrong
        return f"(its message cannot be made: {type(broken).__name__})"


def _short(value: Any, limit: int = 200) -> str:
    text = _LIES_AT.sub("", repr(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"
