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
from metta_sweep.core.described import setting
from metta_sweep.core.trial import Trial, TrialState
from metta_sweep.errors import BuildError, ContractError, Fault, MettaSweepError
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.keeping.fingerprint import NoFingerprint, fingerprint
from metta_sweep.pipeline.parts.guest import ABSENT, Guest, last_of
from metta_sweep.pipeline.proof.flow import FieldState
from metta_sweep.pipeline.proof.signature import MISSING, Parameter, ReadSignature, read_signature

if TYPE_CHECKING:
    from metta_sweep.experiments.experiment import Experiment
    from metta_sweep.experiments.result import SweepResult
    from metta_sweep.experiments.sweep import SweepExperiment
    from metta_sweep.pipeline import Plan

__all__ = ["RESULT_FIELDS", "common_parameters", "functions_of", "guest_of", "guest_of_class", "own_parameters"]

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

    faults = list(_sweep_faults(constants))
    if sweep.objective is None:
        faults.append("the sweep has no objective, so there is nothing to run. Give it objective=train.")
    return Guest(
        name=sweep.name or type(sweep).__name__,
        title=type(sweep).__name__,
        signature=ReadSignature((_BUDGET, *_extra(constants, "more")), False, MISSING, 0),
        run=run,
        provides=_whole_result(stage),
        ends=_ends(sweep.name or type(sweep).__name__),
        whole=_whole,
        values=_Values,
        may_be_none=_OF_THE_BEST,
        functions=() if sweep.objective is None else (sweep.objective,),
        content={"experiment": sweep._blueprint().definition},  # noqa: SLF001  # what makes it the one that it is
        seeded=sweep.seed is None,
        faults=tuple(Fault("", message) for message in faults),
        remedy="What else makes a sweep goes to its constructor.",
    )


_BUDGET: Final = Parameter("budget", int | Budget | None, None, False, "int | Budget | None")


def _extra(constants: Mapping[str, Any], *names: str) -> Iterator[Parameter]:
    yield from (Parameter(name, MISSING, None, False, "") for name in names if name in constants)


def _sweep_faults(constants: Mapping[str, Any]) -> Iterator[str]:
    if "more" in constants:
        yield (
            f"more= adds trials whenever the stage runs, also when the run is resumed; found more={constants['more']!r}; "
            "expected a total. Write budget=."
        )


def _whole_result(stage: str) -> Contract:
    from metta_sweep.experiments.result import SweepResult

    return Contract(stage, {stage: SweepResult})


def _ends(provider: str) -> dict[str, FieldState]:
    return {name: FieldState(form, provider, definite=True) for name, form in RESULT_FIELDS.items()}


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
    async def run(**inputs: Any) -> Any:
        return await experiment.arun(inputs=inputs)

    name = experiment.name or type(experiment).__name__
    plan, faults = _built(experiment)
    nodes = () if plan is None else plan.nodes
    optional = () if plan is None else plan.optional
    parameters = tuple(
        Parameter(field, form, ABSENT if field in optional else MISSING, False, "")
        for field, form in ({} if plan is None else plan.inputs).items()
    )
    return Guest(
        name=name,
        title=type(experiment).__name__,
        signature=ReadSignature(parameters, plan is None, MISSING, 0),
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


# -- classes ---------------------------------------------------------------------------------------------------------------------


def own_parameters(kind: type[Experiment]) -> tuple[Parameter, ...]:
    """What the constructor of a class asks for beyond the options that all experiments, or all sweeps, have."""
    common = _common(kind)
    return tuple(parameter for parameter in read_signature(kind).parameters if parameter.name not in common)


def common_parameters(kind: type[Experiment]) -> tuple[str, ...]:
    """The options of all experiments, or all sweeps, that the constructor of a class takes."""
    asked, common = read_signature(kind), _common(kind)
    return tuple(common) if asked.takes_kwargs else tuple(one.name for one in asked.parameters if one.name in common)


def _common(kind: type[Experiment]) -> dict[str, None]:
    from metta_sweep.experiments.experiment import Experiment
    from metta_sweep.experiments.sweep import SweepExperiment

    bases = (base for base in (Experiment, SweepExperiment) if issubclass(kind, base))
    return {parameter.name: None for base in bases for parameter in read_signature(base).parameters}


def guest_of_class(kind: type[Experiment], stage: str, constants: Mapping[str, Any]) -> Guest:
    """What a class of experiments is to a pipeline: one is made with what the constructor asks for, each time the stage runs.

    Where constants alone give that, one is made now: what it tells is known of all of them.
    """
    from metta_sweep.experiments.sweep import SweepExperiment

    asked, own = read_signature(kind), own_parameters(kind)
    sweep = issubclass(kind, SweepExperiment)
    known = {parameter.name: parameter for parameter in asked.parameters}
    given = [name for name in constants if name in known or (asked.takes_kwargs and not (sweep and name == "budget"))]
    names = {parameter.name for parameter in own} | set(given)
    faults: list[Fault] = []
    if all(parameter.name in constants for parameter in own):
        try:
            experiment = kind(**{name: constants[name] for name in given})
        except MettaSweepError as error:
            faults.append(Fault("", str(error)))
        else:
            guest = guest_of(experiment, stage, {name: value for name, value in constants.items() if name not in names})
            return replace(guest, run=_maker(kind, names), told=_told(constants), **_taking(guest, asked, names))
    blank = _unmade_sweep(kind, stage, constants) if issubclass(kind, SweepExperiment) else _unmade(kind, stage)
    faults += blank.faults
    return replace(blank, run=_maker(kind, names), faults=tuple(faults), told=_told(constants), **_taking(blank, asked, names))


def _taking(guest: Guest, asked: ReadSignature, names: Collection[str]) -> dict[str, Any]:
    """What the guest takes beside what its constructor asks for; the options that all experiments have come from constants only."""
    known = {parameter.name: parameter for parameter in asked.parameters}
    made = [known.get(name) or Parameter(name, MISSING, ABSENT, False, "") for name in names]
    rest = [parameter for parameter in guest.signature.parameters if parameter.name not in names]
    return {"signature": guest.signature._replace(parameters=(*made, *rest))}


def _told(constants: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of what constants hold that has no content which could be compared: optimizers, schedulers."""
    return {name: setting(value) for name, value in constants.items() if not _has_content(value)}


def _has_content(value: object) -> bool:
    try:
        fingerprint(value)
    except NoFingerprint:
        return False
    return True


def _maker(kind: type[Experiment], names: Collection[str]) -> Callable[..., Awaitable[Any]]:
    """Makes one of a class, and runs it."""
    from metta_sweep.experiments.sweep import SweepExperiment

    async def run(**values: Any) -> Any:
        experiment = kind(**{name: value for name, value in values.items() if name in names})
        rest = {name: value for name, value in values.items() if name not in names}
        if isinstance(experiment, SweepExperiment):
            return (await experiment.arun(**rest)).raise_for_stop()
        return await experiment.arun(inputs=rest)

    return run


def _unmade_sweep(kind: type[SweepExperiment], stage: str, constants: Mapping[str, Any]) -> Guest:
    """A class of sweeps, of which none can be made yet."""
    return Guest(
        name=kind.name or kind.__name__,
        title=kind.__name__,
        signature=ReadSignature((_BUDGET, *_extra(constants, "more")), False, MISSING, 0),
        run=_maker(kind, ()),
        provides=_whole_result(stage),
        ends=_ends(kind.name or kind.__name__),
        whole=_whole,
        values=_Values,
        may_be_none=_OF_THE_BEST,
        functions=(kind,),
        seeded=kind.seed is None,
        faults=tuple(Fault("", message) for message in _sweep_faults(constants)),
        remedy="Let its constructor ask for it.",
    )


def _unmade(kind: type[Experiment], stage: str) -> Guest:
    """A class of experiments, of which none can be made yet."""
    return Guest(
        name=kind.name or kind.__name__,
        title=kind.__name__,
        signature=ReadSignature((), False, MISSING, 0),
        run=_maker(kind, ()),
        provides=Contract(stage, {}),
        ends=None,
        values=lambda result: result.context,
        functions=(kind,),
        seeded=kind.seed is None,
        remedy="Let its constructor ask for it.",
    )
