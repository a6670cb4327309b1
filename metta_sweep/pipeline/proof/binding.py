"""Where each parameter of a stage function gets its value, decided once, when the pipeline is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from metta_sweep.errors import did_you_mean
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.checks import value_check
from metta_sweep.pipeline.contracts.typeforms import brief, type_name
from metta_sweep.pipeline.hook_table import HOOKS
from metta_sweep.pipeline.proof.calls import Bound, Call, make_call, taken
from metta_sweep.pipeline.proof.reads import reads_of
from metta_sweep.pipeline.proof.signature import MISSING, UNRESOLVED, Parameter, ReadSignature, accepted_keywords
from metta_sweep.pipeline.proof.validation import ANNOTATE_CONTEXT, check_constant, check_context_reads
from metta_sweep.pipeline.proof.views import asked_for, is_viewed, view_maker, wanted_by
from metta_sweep.pipeline.ref import Ref
from metta_sweep.pipeline.stage_context import StageContext

if TYPE_CHECKING:
    from metta_sweep.pipeline.proof.flow import Flow
    from metta_sweep.pipeline.running.run import Scope

__all__ = ["Binding", "accepted_keywords", "bind"]

CONTEXT_NAMES: Final = frozenset({"_", "c", "context", "ctx", "d", "data", "inputs", "state"})
"""Names under which a whole context is meant, however near they are to a field's name."""


_IMPORT: Final = "Import the name where the function is defined, not for type checkers only"


class Binding(NamedTuple):
    """How a stage function is called."""

    call: Call
    reads: tuple[str, ...] | None
    """The fields that it reads; None: it gets the whole context."""
    needs_stage_context: bool
    arguments: Call
    """Takes what the stage function is called with, as ``(args, kwargs)``, without calling it."""
    kept: tuple[str, ...] = ()
    """What it reads by the name of the stage that made it: ``stage.field``."""


def bind(
    name: str,
    fn: Callable[..., Any],
    signature: ReadSignature,
    constants: Mapping[str, Any],
    flow: Flow,
    *,
    item: str | None = None,
) -> Binding | None:
    """Decide where the parameters of a stage function come from; faults go to ``flow``. None when there was one.

    Args:
        name: the stage's name.
        fn: the function.
        signature: what it takes.
        constants: values of parameters, or a ``Ref`` each.
        flow: what is known at this place.
        item: the parameter that gets the item of the enclosing map.
    """
    before = len(flow.faults)
    meant = _refuse_bad_constants(name, signature, constants, flow)
    sought = [parameter for parameter in signature.parameters if parameter.name not in meant]
    free = [parameter for parameter in sought if _is_free(parameter, constants) and parameter.name != item]
    named: dict[str, Bound] = {}
    positional: list[Bound] = []
    for parameter in sought:
        bound = Bound(_item, ()) if parameter.name == item else _source_of(name, fn, parameter, constants, free, flow)
        if parameter.positional_only and (bound is not None or parameter.default is not MISSING):
            positional.append(bound or _given(parameter.default))
        elif bound is not None:
            named[parameter.name] = bound
    if signature.takes_kwargs:
        known = {parameter.name for parameter in signature.parameters}
        for key, value in constants.items():
            if key not in known:
                constant = _constant(name, key, value, MISSING, flow)
                if constant is not None:
                    named[key] = constant
    if len(flow.faults) > before:
        return None
    every = [*positional, *named.values()]
    reads: tuple[str, ...] | None = ()
    for bound in every:
        reads = None if reads is None or bound.fields is None else (*reads, *bound.fields)
    asks = any(_asks_for(parameter, StageContext) for parameter in signature.parameters)
    return Binding(
        make_call(fn, signature, positional, named),
        None if reads is None else tuple(dict.fromkeys(reads)),
        asks,
        make_call(taken, signature, positional, named),
        tuple(bound.kept for bound in every if bound.kept is not None),
    )


def _given(value: Any) -> Bound:
    return Bound(lambda _: value, ())


def _is_free(parameter: Parameter, constants: Mapping[str, Any]) -> bool:
    return parameter.name not in constants and parameter.annotation is MISSING


def _refuse_bad_constants(name: str, signature: ReadSignature, constants: Mapping[str, Any], flow: Flow) -> set[str]:
    """Report constants that no parameter takes; the parameters that were probably meant."""
    meant: set[str] = set()
    known = [parameter.name for parameter in signature.parameters]
    for key, value in constants.items():
        if key in known or signature.takes_kwargs:
            continue
        if key in HOOKS:
            flow.fault(
                name,
                f"{key!r} is a hook, and no parameter of the stage function; found {brief(value)} in .stage(); "
                f"expected constants there. Write .through({key}=...).",
                key,
            )
            continue
        guess = did_you_mean(key, [parameter for parameter in known if parameter not in constants]) or did_you_mean(key, known)
        if guess is not None and guess not in flow.fields:
            meant.add(guess)
        hint = (
            f" Did you mean {guess!r}?" if guess else f" Add a parameter {key!r} to the stage function, or leave the constant out."
        )
        flow.fault(
            name,
            f"the constant {key!r} is no parameter of the stage function; found {brief(value)}; "
            f"expected one of {', '.join(known) or 'none'}.{hint}",
        )
    return meant


def _source_of(
    name: str, fn: Callable[..., Any], parameter: Parameter, constants: Mapping[str, Any], free: list[Parameter], flow: Flow
) -> Bound | None:
    """The source of one parameter, in the order of the design; None: leave it to its default, or a fault was reported."""
    what = f"parameter {parameter.name!r}"
    if _asks_for(parameter, StageContext):
        if parameter.name in constants:
            flow.fault(
                name,
                f"{what} is a StageContext, which says what the framework knows about an execution; "
                f"found the constant {brief(constants[parameter.name])} for it. Leave the constant out.",
                parameter.name,
            )
        return Bound(_stage_context, ())
    if parameter.name in constants:
        return _constant(name, parameter.name, constants[parameter.name], parameter.annotation, flow)
    if parameter.name in flow.fields:
        return _field(name, what, parameter, flow)
    if _asks_for(parameter, Context):
        return _context(name, what, fn, parameter.name, flow)
    if is_viewed(asked_for(parameter.annotation)):
        return _view(name, what, parameter, flow)
    if parameter in free and parameter.default is MISSING and _may_be_context(parameter, free, flow):
        return _context(name, what, fn, parameter.name, flow)
    if parameter.default is MISSING:
        unknown = f", whose annotation {parameter.text!r} cannot be resolved," if parameter.annotation is UNRESOLVED else ""
        told = parameter.annotation not in (MISSING, UNRESOLVED)
        flow.missing(name, f"{what}{unknown}", parameter.name, parameter.annotation if told else Any)
    return None


def _context(name: str, what: str, fn: Callable[..., Any], parameter: str, flow: Flow) -> Bound:
    """The whole context; what a function reads of it is checked, as far as its code shows."""
    reads = reads_of(fn, parameter)
    if reads is None:
        flow.leave_unchecked(name, f"{what} gets the whole context", ANNOTATE_CONTEXT)
        return Bound(_whole_context, None)
    check_context_reads(name, what, fn, flow, parameter=parameter)
    fields = (*reads.always, *reads.keys, *reads.sometimes, *reads.keys_sometimes)
    followed = not reads.escapes and all(field in flow.fields for field in fields)
    return Bound(_whole_context, fields if followed else None)


def _may_be_context(parameter: Parameter, free: list[Parameter], flow: Flow) -> bool:
    if parameter.name in flow.providers:
        return False
    mandatory = [other for other in free if other.default is MISSING and other.name not in flow.fields]
    if len(mandatory) > 1:
        return False
    if parameter.name in CONTEXT_NAMES:
        return True
    return did_you_mean(parameter.name, flow.providers) is None


def _field(name: str, what: str, parameter: Parameter, flow: Flow) -> Bound | None:
    field = parameter.name
    if parameter.annotation is UNRESOLVED and parameter.text == type_name(flow.fields[field].type):
        pass  # a local class, seen by its name
    elif parameter.annotation is UNRESOLVED:
        flow.leave_unchecked(name, f"{what}: the annotation {parameter.text!r} cannot be resolved", _IMPORT)
    elif parameter.annotation is MISSING:
        flow.leave_unchecked(name, f"{what} has no annotation", f"Annotate it: {field}: {type_name(flow.fields[field].type)}")
    else:
        flow.require_type(name, what, field, parameter.annotation)
    if flow.fields[field].definite:
        seen = _seen_as(flow.fields[field].type, parameter.annotation)
        if seen is not None:
            return Bound(lambda scope: seen(scope.values[field]), (field,))
        return Bound(lambda scope: scope.values[field], (field,), field)
    if parameter.default is MISSING:
        flow.missing(name, what, field)
        return None
    default = parameter.default
    return Bound(lambda scope: scope.values.get(field, default), (field,))


def _seen_as(provided: Any, annotation: Any) -> Callable[[Any], Any] | None:
    """What makes real instances of the models that a reader asks for, where those provided are of other classes."""
    if annotation in (MISSING, UNRESOLVED) or explain_mismatch(provided, annotation, "it", by_class=True) is None:
        return None
    return value_check(annotation)


def _constant(name: str, key: str, value: Any, annotation: Any, flow: Flow) -> Bound | None:
    if not isinstance(value, Ref):
        check_constant(name, key, value, annotation, flow)
        return _given(value)
    what = f"{key}=ref({str(value)!r})"
    if value.stage is None:
        if value.field not in flow.fields or not flow.fields[value.field].definite:
            flow.missing(name, what, value.field)
            return None
        if annotation not in (MISSING, UNRESOLVED):
            flow.require_type(name, what, value.field, annotation)
        field = value.field
        return Bound(lambda scope: scope.values[field], (field,), field)
    return _ref_by_stage(name, what, value.stage, value.field, annotation, flow)


def _ref_by_stage(name: str, what: str, stage: str, field: str, annotation: Any, flow: Flow) -> Bound | None:
    address, fields = flow.outputs.get(stage, ("", {}))
    if not address:
        guess = did_you_mean(stage, flow.outputs)
        hint = f" Did you mean {guess!r}?" if guess else ""
        flow.fault(
            name,
            f"{what}: no stage {stage!r} has surely run before; before this are: {', '.join(flow.outputs) or 'none'}.{hint}",
            field,
        )
        return None
    if field not in fields:
        guess = did_you_mean(field, fields)
        hint = f" Did you mean {guess!r}?" if guess else ""
        flow.fault(name, f"{what}: the stage {stage!r} provides {', '.join(fields) or 'nothing'}, not {field!r}.{hint}", field)
        return None
    reason = None if annotation in (MISSING, UNRESOLVED) else explain_mismatch(fields[field], annotation, field)
    if reason is not None:
        flow.fault(
            name,
            f"{what} needs {type_name(annotation)}, but {stage!r} provides {field!r} as {type_name(fields[field])} ({reason}). "
            "Change the contract or the annotation.",
            field,
        )
        return None
    flow.kept.add((address, field))
    key = f"{address}.{field}"
    return Bound(lambda scope: scope.kept[key], (field,), kept=key)


def _asks_for(parameter: Parameter, kind: type) -> bool:
    """Whether a parameter is annotated with a class of ours, also where that is imported for type checkers only."""
    if parameter.annotation is UNRESOLVED:
        return parameter.text.replace(" ", "").removesuffix("|None").rpartition(".")[2] == kind.__name__
    return asked_for(parameter.annotation) is kind


def _view(name: str, what: str, parameter: Parameter, flow: Flow) -> Bound | None:
    """A model, TypedDict or Protocol: a view of the context with its fields."""
    form = asked_for(parameter.annotation)
    wanted, optional = wanted_by(form)
    if parameter.default is not MISSING and not all(key in flow.fields for key in wanted if key not in optional):
        return None
    absent = [key for key in wanted if key not in optional and key not in flow.fields]
    meant = did_you_mean(parameter.name, flow.fields) if absent else None
    if meant is not None and explain_mismatch(flow.fields[meant].type, form, meant) is None:
        flow.missing(name, what, parameter.name)  # it is no view, but that field
        return None
    present: list[str] = []
    for key, needed in wanted.items():
        state = flow.fields.get(key)
        if state is None or not state.definite:
            if key not in optional:
                flow.missing(name, f"{what} ({type_name(form)})", key)
            continue
        flow.require_type(name, f"{what} ({type_name(form)})", key, needed)
        present.append(key)
    if wanted and not present and not absent:
        flow.note(name, f"{what} ({type_name(form)}) is made of defaults only: none of its fields is provided here")
    make = view_maker(form, tuple(present))
    return Bound(lambda scope: make(scope.values), tuple(present))


def _whole_context(scope: Scope) -> Context:
    return context_of(scope.values)


def _item(scope: Scope) -> Any:
    return scope.item


def _stage_context(scope: Scope) -> StageContext | None:
    return scope.stage_context
