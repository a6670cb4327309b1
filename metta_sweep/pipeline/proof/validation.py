"""What the build checks beyond the parameters of stage functions: predicates, hooks, constants and carried values."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.errors import did_you_mean
from metta_sweep.pipeline.context import Context
from metta_sweep.pipeline.contracts.checks import Misfit, value_check
from metta_sweep.pipeline.contracts.models import field_types, is_model, may_have
from metta_sweep.pipeline.contracts.typeforms import brief, type_name
from metta_sweep.pipeline.proof.hook_types import check_context_annotation, check_metrics_annotation, check_output_annotation
from metta_sweep.pipeline.proof.reads import Reads, reads_of
from metta_sweep.pipeline.proof.signature import MISSING, UNRESOLVED, ReadSignature, gives_async_generator, gives_generator

if TYPE_CHECKING:
    from metta_sweep.pipeline.contracts.contract import Contract
    from metta_sweep.pipeline.proof.flow import Flow

__all__ = [
    "ANNOTATE_CONTEXT",
    "READ_DIRECTLY",
    "check_call",
    "check_carried",
    "check_constant",
    "check_context_reads",
    "check_metrics_reads",
    "check_output_reads",
    "check_stalled",
]

ANNOTATE_CONTEXT: Final = "Annotate it with a model of the fields that it reads, or name these fields as parameters"
ANNOTATE_OUTPUT: Final = "Let it read attributes of its argument directly, or annotate that with the type of the output"
_CHANGES_A_DICT: Final = frozenset({"setdefault", "update"})
READ_DIRECTLY: Final = (
    "Let it read attributes of its argument directly, as in lambda d: d.n > 0, or annotate it with object if it reads none"
)


def check_context_reads(
    name: str,
    what: str,
    fn: Callable[..., Any],
    flow: Flow,
    *,
    own: Mapping[str, Any] | None = None,
    parameter: str | None = None,
) -> None:
    """Check that the fields which a predicate or a ``before`` hook reads are there.

    Args:
        name: the stage or loop that it belongs to.
        what: how messages call it.
        fn: the function.
        flow: what is known at this place.
        own: for a ``before`` hook, the fields that its own stage provides.
        parameter: the parameter that gets the context; by default the one that the function has.
    """
    reads = reads_of(fn, parameter)
    settled = parameter is None and check_context_annotation(name, what, fn, flow)
    if (reads is None or reads.escapes or _asks_the_mapping(reads, flow)) and not settled:
        remedy = ANNOTATE_CONTEXT if parameter else READ_DIRECTLY
        flow.leave_unchecked(name, f"{what} uses its argument in ways that cannot be followed", remedy)
    if reads is None:
        return
    surely = {*reads.always, *reads.keys}
    for field in dict.fromkeys((*reads.always, *reads.keys, *reads.sometimes, *reads.keys_sometimes)):
        if field in flow.fields and flow.fields[field].definite:
            _check_chains(name, what, field, flow.fields[field].type, reads, flow)
            continue
        if field not in flow.fields and field not in (*reads.keys, *reads.keys_sometimes) and hasattr(Context, field):
            continue
        if field not in surely and (field in flow.fields or reads.escapes):
            flow.note(name, f"{what} reads the field {field!r}, which may not be there, under a condition")
        elif own is not None and field in own and field not in flow.fields:
            flow.fault(
                name,
                f"{what} reads {field!r}, which this stage itself provides, later; found it in 'before'. "
                "Use after= for what a stage has made.",
                field,
            )
        else:
            flow.missing(name, what, field)


def check_output_reads(name: str, hook: str, fn: Callable[..., Any], contract: Contract, flow: Flow) -> None:
    """Check that what an ``after`` or ``validate`` hook reads of the stage's output is there."""
    reads = reads_of(fn)
    what = f"hook {hook!r}"
    settled = check_output_annotation(name, hook, fn, contract, flow)
    if (reads is None or reads.escapes) and not settled:
        flow.leave_unchecked(name, f"{what} uses its argument in ways that cannot be followed", ANNOTATE_OUTPUT)
    if reads is None:
        return
    keys = (*reads.keys, *reads.keys_sometimes) if contract.kind == "fields" else ()
    for attribute in dict.fromkeys((*reads.always, *reads.sometimes, *keys)):
        if attribute in contract.fields and contract.kind != "one":
            _check_chains(name, what, attribute, contract.fields[attribute], reads, flow)
        elif attribute not in keys and _has(contract, attribute):
            continue
        elif attribute in reads.sometimes and reads.narrows and reads.escapes:
            flow.note(
                name, f"{what} reads {attribute!r}, which the stage's output ({_shape(contract)}) may not have, under a condition"
            )
        else:
            fields = ", ".join(contract.fields) or "no fields"
            known = field_types(_only(contract)) if contract.kind == "one" and is_model(_only(contract)) else contract.fields
            guess = did_you_mean(attribute, known)
            bare = contract.kind == "one" and attribute in contract.fields
            hint = (
                " The hook gets the value itself, since the contract has one field."
                if bare
                else f" Did you mean {guess!r}?"
                if guess
                else ""
            )
            flow.fault(
                name, f"{what} reads {attribute!r} of the stage's output, which has {fields} ({_shape(contract)}).{hint}", attribute
            )


def check_metrics_reads(name: str, fn: Callable[..., Any], contract: Contract, flow: Flow) -> None:
    """Check which of the output's fields a ``metrics`` hook looks up. What passes them all on asks for none."""
    check_metrics_annotation(name, fn, flow)
    reads = reads_of(fn)
    if reads is None or reads.escapes or not _CHANGES_A_DICT.isdisjoint((*reads.always, *reads.sometimes)):
        return
    for key in dict.fromkeys((*reads.keys, *reads.keys_sometimes)):
        if key in contract.fields:
            _check_chains(name, "hook 'metrics'", key, contract.fields[key], reads, flow)
            continue
        guess = did_you_mean(key, contract.fields)
        hint = f"Did you mean {guess!r}?" if guess else "Mend the one or the other."
        flow.fault(
            name,
            f"hook 'metrics' reads {key!r} of the output's fields, which are {', '.join(contract.fields) or 'none'}. {hint}",
            key,
        )
    for attribute in (*reads.always, *reads.sometimes):
        if not hasattr(dict, attribute):
            flow.fault(
                name,
                f"hook 'metrics' reads the attribute {attribute!r}, but gets a dict of the output's fields. "
                f"Write d[{attribute!r}], or after= for the output itself.",
                attribute,
            )


def _only(contract: Contract) -> Any:
    return next(iter(contract.fields.values()))


def _asks_the_mapping(reads: Reads, flow: Flow) -> bool:
    """Whether methods of the context are called: what ``ctx.get(name)`` finds cannot be told."""
    return any(hasattr(Context, name) and name not in flow.fields for name in (*reads.always, *reads.sometimes))


def _check_chains(name: str, what: str, field: str, form: Any, reads: Reads, flow: Flow) -> None:
    """Check what is read of a field that is a model, or of one of Python's own types: ``ctx.task.name``."""
    kind = typing.get_origin(form) or form
    if isinstance(kind, type) and kind.__module__ == "builtins" and kind is not object:
        for first, attribute in reads.chains:
            if first == field and not hasattr(kind, attribute):
                flow.fault(name, f"{what} reads {field}.{attribute}, but {type_name(form)} has no {attribute!r}.", field)
        return
    if not is_model(form):
        return
    for first, attribute in reads.chains:
        if first == field and not may_have(form, attribute):
            guess = did_you_mean(attribute, field_types(form))
            hint = f"Did you mean {guess!r}?" if guess else "Mend the one or the other."
            fields = ", ".join(field_types(form)) or "no fields"
            flow.fault(name, f"{what} reads {field}.{attribute}, but {type_name(form)} has {fields}. {hint}", field)


def _shape(contract: Contract) -> str:
    if contract.model is not None:
        return contract.model.__name__
    return ", ".join(f"{field}: {type_name(form)}" for field, form in contract.fields.items()) or "None"


def _has(contract: Contract, attribute: str) -> bool:
    """Whether the output may have the attribute; True where that cannot be told."""
    if contract.kind == "fields":
        return attribute in contract.fields or hasattr(Context, attribute)
    if contract.kind == "model":
        return contract.model is not None and may_have(contract.model, attribute)
    if contract.kind == "none":
        return False
    form = _only(contract)
    if is_model(form):
        return may_have(form, attribute)
    form = getattr(form, "__origin__", form)
    known = isinstance(form, type) and form.__module__ == "builtins" and form is not object
    return not known or hasattr(form, attribute)


def check_call(name: str, fn: Callable[..., Any], signature: ReadSignature, constants: Mapping[str, Any], flow: Flow) -> None:
    """Check that calling a stage function is all it takes, and that what it asks for can be named."""
    if gives_generator(fn):
        kind = "an asynchronous generator" if gives_async_generator(fn) else "a generator"
        flow.fault(
            name,
            f"the stage function is {kind}; found {brief(fn)}; expected a function that returns its output. "
            "Gather what it yields in a list, and return that.",
        )
    if signature.open_ended and not (signature.takes_kwargs and constants):
        rest = signature.open_ended
        flow.fault(
            name,
            f"the stage function takes *{rest} only, which stands for no field, so that it would get nothing; found {brief(fn)}; "
            "expected parameters named like fields, one for the whole context, or none at all. "
            f"Write {rest} without the star, or name what it needs; a decorator that made it needs functools.wraps.",
        )


def check_constant(name: str, key: str, value: object, annotation: Any, flow: Flow) -> None:
    """Check a constant of a stage against the annotation of its parameter."""
    if annotation in (MISSING, UNRESOLVED):
        return
    misfit = _misfit(annotation, value)
    if misfit is not None:
        flow.fault(
            name,
            f"the constant {key!r} does not fit its parameter: {misfit}; the parameter takes {type_name(annotation)}. "
            "Change the one or the other.",
        )


def check_carried(name: str, key: str, value: object, form: Any, flow: Flow) -> None:
    """Check the first value of a carried field against the type that the loop's body gives it."""
    misfit = _misfit(form, value)
    if misfit is not None:
        flow.fault(
            name,
            f"the carried field {key!r} begins with a value that does not fit: {misfit}; the body provides {type_name(form)}. "
            "Change the one or the other.",
            key,
        )


def _misfit(form: Any, value: object) -> str | None:
    """What is wrong with a value; None when it fits."""
    try:
        value_check(form)(value)
    except Misfit as error:
        return f"{error.path}: {error.details}" if error.path else error.details
    return None


def check_stalled(name: str, predicate: Callable[..., Any], written: Mapping[str, Any], flow: Flow) -> None:
    """A predicate that reads only fields which the body never writes never changes its mind."""
    reads = reads_of(predicate)
    if reads is None or reads.escapes or not reads.pure or reads.deep:
        return
    fields = tuple(dict.fromkeys((*reads.always, *reads.keys, *reads.sometimes, *reads.keys_sometimes)))
    if fields and all(field in flow.fields for field in fields) and not any(field in written for field in fields):
        listed = ", ".join(map(repr, fields))
        flow.fault(
            name,
            f"the loop never ends, or never begins: its predicate reads {listed}, which nothing in its body provides; "
            f"the body provides {', '.join(written) or 'nothing'}. Let a stage of the body provide what the predicate reads",
            fields[0],
        )
