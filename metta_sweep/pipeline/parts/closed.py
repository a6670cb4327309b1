"""What is closed, as a part of a pipeline: it takes what it declares, has values of its own, gives what is picked of its end."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any

from metta_sweep.errors import did_you_mean
from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.contracts.models import default_values, make_model
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.hook_table import HOOKS
from metta_sweep.pipeline.proof.binding import Binding, bind
from metta_sweep.pipeline.proof.flow import FieldState, Flow
from metta_sweep.pipeline.proof.missing import quoted
from metta_sweep.pipeline.proof.signature import MISSING, Parameter

if TYPE_CHECKING:
    from metta_sweep.pipeline.parts.stage import StageSpec

__all__ = ["bind_inputs", "output_maker", "picks_of"]


def _given(**values: Any) -> dict[str, Any]:
    return values


def bind_inputs(
    spec: StageSpec, whose: str, remedy: str, flow: Flow, *, never_fields: Container[str] = (), what: str = "the declared input"
) -> Binding | None:
    """Its inputs come from the constants, and from the fields of their names; what has a default need not be there.

    Args:
        spec: the stage; the parameters of its signature are the inputs.
        whose: whose inputs these are, for messages: ``the pipeline 'inner'``.
        remedy: how another input would be made, of ``{name}``.
        flow: what is known at this place.
        never_fields: inputs that constants alone give.
        what: what an input is, for messages.
    """
    if spec.signature is None:
        return None
    missing = False
    given: list[Parameter] = []
    inputs = [parameter.name for parameter in spec.signature.parameters]
    for parameter in spec.signature.parameters:
        name = parameter.name
        if name == spec.item or name in spec.constants or (name in flow.fields and name not in never_fields):
            given.append(parameter)
        elif parameter.default is MISSING:
            missing = True
            flow.missing(spec.name, f"{what} {name!r} of {whose}", name)
    unknown = [name for name in spec.constants if name not in inputs and not spec.signature.takes_kwargs]
    for name in unknown:
        guess = did_you_mean(name, inputs)
        hint = f"Did you mean {guess!r}?" if guess else remedy.format(name=name)
        hint = f"Hooks go into .through({name}=...)." if name in HOOKS else hint
        flow.fault(
            spec.name,
            f"the constant {name!r} is no input of {whose}; expected one of {', '.join(inputs) or 'none'}. {hint}",
            name,
        )
    constants = {name: value for name, value in spec.constants.items() if name not in unknown}
    binding = bind(spec.name, _given, spec.signature._replace(parameters=tuple(given)), constants, flow, item=spec.item)
    return None if missing or unknown else binding


def picks_of(spec: StageSpec, whose: str, ends: Mapping[str, FieldState], own: Mapping[str, Any], flow: Flow) -> dict[str, str]:
    """The fields of the contract, each with the field at its end that it is; what cannot be had is a fault.

    Args:
        spec: the stage, with its contract.
        whose: what gives them, for messages.
        ends: the fields at its end.
        own: what it provides where no contract says otherwise.
        flow: what is known at this place.
    """
    fields = spec.contract.fields
    optional = default_values(spec.contract.model) if spec.contract.model is not None else {}
    alone = own if set(fields) == {spec.name} and spec.name not in ends else {}
    picks: dict[str, str] = {}
    for field, form in fields.items():
        source = next(iter(alone)) if len(alone) == 1 else field
        state = ends.get(source)
        if state is not None and state.definite:
            picks[field] = source
            _check_pick(spec.name, whose, field, form, state, flow)
        elif field not in optional:
            flow.fault(spec.name, _not_there(whose, field, ends), field)
    return picks


def _check_pick(stage: str, whose: str, field: str, form: Any, state: FieldState, flow: Flow) -> None:
    reason = explain_mismatch(state.type, form, field)
    if reason is not None:
        flow.fault(
            stage,
            f"the contract of {whose} needs {type_name(form)}, but {quoted(state.provider)} in it provides "
            f"{type_name(state.type)} ({reason}). Mend the one or the other.",
            field,
        )


def _not_there(whose: str, field: str, ends: Mapping[str, FieldState]) -> str:
    sure = [name for name, state in ends.items() if state.definite]
    if field in ends:
        why = f"only {quoted(ends[field].provider)} in it provides, and that may not have run"
        hint = "Provide it on every way, or leave it out of the contract."
    else:
        why = "nothing in it provides"
        guess = did_you_mean(field, sure)
        hint = f"Did you mean {guess!r}?" if guess else "Let a stage of it provide the field, or name another one."
    return f"the contract of {whose} has the field {field!r}, which {why}; at its end are: {', '.join(sure) or 'none'}. {hint}"


def output_maker(contract: Contract, picks: Mapping[str, str]) -> Callable[[Mapping[str, Any]], Any]:
    """What makes the output of the values at the end."""
    if contract.kind == "none":
        return lambda _: None
    if contract.kind == "one":
        (only,) = picks.values() or ("",)
        return lambda values: values[only]
    chosen = tuple(picks.items())
    model = contract.model
    if model is None:
        return lambda values: {field: values[source] for field, source in chosen}
    return lambda values: make_model(model, {field: values[source] for field, source in chosen})
