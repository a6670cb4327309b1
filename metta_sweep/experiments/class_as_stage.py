"""Classes of experiments as stages: one is made, with what its constructor asks for, each time the stage runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metta_sweep.core.described import setting
from metta_sweep.errors import Fault, MettaSweepError
from metta_sweep.experiments.as_stage import BUDGET, guest_of, run_options, sweep_guest
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.keeping.fingerprint import NoFingerprint, fingerprint
from metta_sweep.pipeline.parts.guest import ABSENT, Guest
from metta_sweep.pipeline.proof.signature import MISSING, Parameter, ReadSignature, read_signature

if TYPE_CHECKING:
    from metta_sweep.experiments.experiment import Experiment

__all__ = ["common_parameters", "guest_of_class", "own_parameters"]


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
    name = kind.name or kind.__name__
    if sweep:
        blank = sweep_guest(name, kind.__name__, stage, constants, _maker(kind, ()), seeded=kind.seed is None)
        blank = replace(blank, functions=(kind,))
    else:
        blank = _unmade(kind, name, stage)
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
        return await experiment.arun(**run_options(rest))

    return run


def _unmade(kind: type[Experiment], name: str, stage: str) -> Guest:
    """A class of experiments, of which none can be made yet."""
    return Guest(
        name=name,
        title=kind.__name__,
        signature=ReadSignature((BUDGET,), False, MISSING, 0),
        never_fields=frozenset({"budget"}),
        run=_maker(kind, ()),
        provides=Contract(stage, {}),
        ends=None,
        values=lambda result: result.context,
        functions=(kind,),
        seeded=kind.seed is None,
        remedy="Let its constructor ask for it.",
    )
