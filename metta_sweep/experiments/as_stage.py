"""Experiments as stages of a pipeline: what the pipeline needs to know of a sweep, of another experiment, and of their classes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from metta_sweep.address import join
from metta_sweep.core.branch import BranchStats
from metta_sweep.core.budget import Budget, Spend, StopReason
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.errors import BuildError, ContractError, Fault, MettaSweepError
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.parts.guest import ABSENT, Guest, last_of
from metta_sweep.pipeline.proof.flow import FieldState
from metta_sweep.pipeline.proof.signature import MISSING, Parameter, ReadSignature

if TYPE_CHECKING:
    from metta_sweep.experiments.experiment import Experiment
    from metta_sweep.experiments.result import SweepResult
    from metta_sweep.experiments.sweep import SweepExperiment
    from metta_sweep.pipeline import Plan

__all__ = ["BUDGET", "RESULT_FIELDS", "functions_of", "guest_of", "run_options", "sweep_guest"]

RESULT_FIELDS: Final[Mapping[str, Any]] = {
    "best": Trial,
    "best_params": dict[str, Any],
    "best_score": float,
    "trials": list[Trial],
    "pareto_front": list[Trial],
    "branches": dict[str, BranchStats],
    "triggers": list[str],
    "states": dict[TrialState, int],
    "spend": Spend,
    "stop_reason": StopReason,
    "stop_detail": str,
    "seed": int,
    "added": int,
    "name": str,
    "run_id": str,
}
"""What a contract may pick of the result of a sweep, and as what."""
_OF_THE_BEST: Final = frozenset({"best", "best_params", "best_score"})
_ITSELF: Final = "itself"
_AS_DICT: Final = "as a dict"
_DEEPEST: Final = 40
"""How many experiments may be stages of one another, before it looks like one without an end."""

_described: Final[ContextVar[tuple[object, ...]]] = ContextVar("metta_sweep_described", default=())
"""The experiments whose pipelines are being described, outermost first."""


def guest_of(experiment: Experiment, stage: str, constants: Mapping[str, Any]) -> Guest:
    """What an experiment is to a pipeline."""
    from metta_sweep.experiments.sweep import SweepExperiment

    if isinstance(experiment, SweepExperiment):
        return _of_sweep(experiment, stage, constants)
    return _of_pipeline(experiment, stage)


# -- sweeps ----------------------------------------------------------------------------------------------------------------------


def _of_sweep(sweep: SweepExperiment, stage: str, constants: Mapping[str, Any]) -> Guest:
    async def run(budget: int | Budget | None = None) -> SweepResult:
        return (await sweep.arun(budget)).raise_for_stop()

    kind = type(sweep)
    guest = sweep_guest(sweep.name or kind.__name__, kind.__name__, stage, constants, run, seeded=sweep.seed is None)
    definition = {"experiment": sweep._blueprint().definition}  # noqa: SLF001  # what makes it the one that it is
    if sweep.goal.has_several:  # no trial is the best one
        guest = replace(guest, ends={name: state for name, state in (guest.ends or {}).items() if name not in _OF_THE_BEST})
    if sweep.objective is not None:
        return replace(guest, functions=(sweep.objective,), content=definition)
    missing = Fault("", "the sweep has no objective, so there is nothing to run. Give it objective=train.")
    return replace(guest, content=definition, faults=(*guest.faults, missing))


BUDGET: Final = Parameter("budget", int | Budget | None, None, False, "int | Budget | None")
"""The one input that all sweeps have."""


def sweep_guest(
    name: str, title: str, stage: str, constants: Mapping[str, Any], run: Callable[..., Awaitable[Any]], *, seeded: bool
) -> Guest:
    """What all sweeps are to a pipeline."""
    from metta_sweep.experiments.result import SweepResult

    faults: list[Fault] = []
    inputs = [BUDGET]
    if "more" in constants:
        inputs.append(Parameter("more", MISSING, None, False, ""))
        message = (
            f"more= adds trials whenever the stage runs, also when the run is resumed; found more={constants['more']!r}; "
            "expected a total. Write budget=."
        )
        faults.append(Fault("", message))
    budget = constants.get("budget")
    if isinstance(budget, int) and not isinstance(budget, bool) and budget < 0:
        faults.append(
            Fault("", f"its budget is below 0; found budget={budget}; expected a number of trials. Write budget=100, say.")
        )
    return Guest(
        name=name,
        title=title,
        signature=ReadSignature(tuple(inputs), False, MISSING, 0),
        run=run,
        provides=Contract(stage, {stage: SweepResult}),
        ends={field: FieldState(form, name, definite=True) for field, form in RESULT_FIELDS.items()},
        whole=_whole,
        values=_Values,
        may_be_none=_OF_THE_BEST,
        seeded=seeded,
        faults=tuple(faults),
        remedy="What else makes a sweep goes to its constructor.",
    )


def _whole(name: str, form: Any) -> str | None:
    """What the only field of a contract is of the result: itself, all as a dict, or the trials; None: the attribute of its name."""
    from metta_sweep.experiments.result import SweepResult

    origin = get_origin(form) or form
    if isinstance(origin, type) and origin is not object and issubclass(SweepResult, origin):
        return _ITSELF
    if name in RESULT_FIELDS or not isinstance(origin, type):
        return None
    if issubclass(dict, origin):
        return _AS_DICT
    return "trials" if issubclass(list, origin) and get_args(form) == (Trial,) else None


class _Values(Mapping[str, Any]):
    """What can be picked of the result of a sweep, by name."""

    def __init__(self, result: SweepResult) -> None:
        self._result = result

    def __getitem__(self, name: str) -> Any:
        result = self._result
        if name == _ITSELF:
            return result
        if name == _AS_DICT:
            return result.to_dict()
        if name == "trials":
            return list(result.trials)
        value = getattr(result, name.removesuffix("?"))
        if value is None and name in _OF_THE_BEST:
            raise ContractError(
                f"{name!r} is asked of a sweep in which no trial completed: {result!r}. "
                f"Give it more trials, or take what there is: .through({name}={type_name(RESULT_FIELDS[name])} | None)."
            )
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(RESULT_FIELDS)

    def __len__(self) -> int:
        return len(RESULT_FIELDS)


# -- experiments with a pipeline -------------------------------------------------------------------------------------------------


def _of_pipeline(experiment: Experiment, stage: str) -> Guest:
    async def run(**values: Any) -> Any:
        return await experiment.arun(**run_options(values, inputs))

    name = experiment.name or type(experiment).__name__
    plan, faults = _built(experiment)
    nodes = () if plan is None else plan.nodes
    inputs = {} if plan is None else plan.inputs
    optional = () if plan is None else plan.optional
    parameters = [Parameter(field, form, ABSENT if field in optional else MISSING, False, "") for field, form in inputs.items()]
    return Guest(
        name=name,
        title=type(experiment).__name__,
        signature=ReadSignature((*parameters, *([] if "budget" in inputs else [BUDGET])), plan is None, MISSING, 0),
        never_fields=frozenset({"budget"}) - inputs.keys(),
        run=run,
        provides=Contract(stage, {stage: Any}) if plan is None else last_of(stage, plan),
        ends=None if plan is None else plan.outputs,
        values=lambda result: result.context,
        functions=_functions(nodes),
        content={
            "experiment": {"class": type(experiment).__qualname__, "seed": experiment.seed},
            **{f"{path}, {key}": value for path, spec in _specs(nodes) for key, value in spec.content().items()},
        },
        seeded=experiment.seed is None,
        faults=tuple(faults),
        parts=tuple(node.outline() for node in nodes),
        remedy="Write Pipeline({name}=...) in its pipeline(), or leave it out.",
    )


def run_options(values: Mapping[str, Any], inputs: Collection[str] = ()) -> dict[str, Any]:
    """How an experiment is run with these values: its inputs, and its budget, unless that is an input."""
    given = {name: value for name, value in values.items() if name != "budget" or name in inputs}
    return {"inputs": given, **{name: value for name, value in values.items() if name not in given}}


def _built(experiment: Experiment) -> tuple[Plan | None, Sequence[Fault]]:
    """Its pipeline, checked; else what is wrong with it."""
    try:
        with _describing(experiment):
            return experiment.build(), ()
    except BuildError as error:
        return None, error.faults
    except MettaSweepError as error:
        return None, [Fault("", str(error))]


@contextmanager
def _describing(experiment: Experiment) -> Iterator[None]:
    """While the block runs, this experiment cannot be a stage of its own pipeline: that would never end."""
    around = _described.get()
    kind = type(experiment).__name__
    if any(experiment is other for other in around):
        raise BuildError([Fault("", f"the experiment {kind} is a stage of itself, which would never end. Make another one there.")])
    if len(around) >= _DEEPEST:
        message = f"{_DEEPEST} experiments are stages of one another, the last one a {kind}: this looks as if it would never end."
        raise BuildError([Fault("", f"{message} Let a stage function make and run it, where it is known whether to go deeper.")])
    token = _described.set((*around, experiment))
    try:
        yield
    finally:
        _described.reset(token)


def functions_of(experiment: Experiment) -> tuple[Callable[..., Any], ...]:
    """What its pipeline calls. Raises ``BuildError`` with the faults of that."""
    return _functions(experiment.build().nodes)


def _functions(nodes: Iterable[Any]) -> tuple[Callable[..., Any], ...]:
    return tuple(fn for _, spec in _specs(nodes) for fn in spec.functions())


def _specs(nodes: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What was described, of parts that run and of all within them, by their paths."""
    for node in nodes:
        path = join(prefix, node.name)
        yield path, node.spec
        yield from _specs(getattr(node, "nodes", ()), path)
