"""What the build checks beyond the parameters of stage functions: predicates, hooks, constants and carried values."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from metta_sweep.errors import did_you_mean
from metta_sweep.pipeline.assignable import explain_mismatch
from metta_sweep.pipeline.checks import Misfit, value_check
from metta_sweep.pipeline.context import Context
from metta_sweep.pipeline.models import field_types, is_model
from metta_sweep.pipeline.reads import reads_of
from metta_sweep.pipeline.signature import MISSING, UNRESOLVED, ReadSignature, gives_async_generator
from metta_sweep.pipeline.typeforms import brief, type_name

if TYPE_CHECKING:
    from metta_sweep.pipeline.contract import Contract
    from metta_sweep.pipeline.flow import Flow

__all__ = [
    "check_call",
    "check_carried",
    "check_constant",
    "check_context_reads",
    "check_output_reads",
    "check_returns",
    "check_stalled",
]


def check_context_reads(name: str, what: str, fn: Callable[..., Any], flow: Flow, *, own: Mapping[str, Any] | None = None) -> None:
    """Check that the fields which a predicate or a ``before`` hook reads are there.

    Args:
        name: the stage or loop that it belongs to.
        what: how messages call it.
        fn: the function.
        flow: what is known at this place.
        own: for a ``before`` hook, the fields that its own stage provides.
    """
    reads = reads_of(fn)
    if reads is None or reads.escapes:
        flow.leave_unchecked(name, f"{what} uses its argument in ways that cannot be followed")
    if reads is None:
        return
    for field in (*reads.always, *reads.sometimes):
        if field in flow.fields and flow.fields[field].definite:
            continue
        if field not in flow.fields and hasattr(Context, field):
            continue
        if field in reads.sometimes and (field in flow.fields or reads.escapes):
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
    if reads is None or reads.escapes:
        flow.leave_unchecked(name, f"{what} uses its argument in ways that cannot be followed")
    if reads is None:
        return
    for attribute in (*reads.always, *reads.sometimes):
        if not _has(contract, attribute):
            fields = ", ".join(contract.fields) or "no fields"
            guess = did_you_mean(attribute, contract.fields)
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


def _shape(contract: Contract) -> str:
    if contract.model is not None:
        return contract.model.__name__
    return ", ".join(f"{field}: {type_name(form)}" for field, form in contract.fields.items()) or "None"


def _has(contract: Contract, attribute: str) -> bool:
    """Whether the output may have the attribute; True where that cannot be told."""
    if contract.kind == "fields":
        return attribute in contract.fields or hasattr(Context, attribute)
    if contract.kind == "model":
        return attribute in contract.fields or hasattr(contract.model, attribute)
    if contract.kind == "none":
        return False
    form = next(iter(contract.fields.values()))
    if is_model(form):
        return attribute in field_types(form) or hasattr(form, attribute)
    form = getattr(form, "__origin__", form)
    known = isinstance(form, type) and form.__module__ == "builtins" and form is not object
    return not known or hasattr(form, attribute)


def check_returns(name: str, returns: Any, contract: Contract, flow: Flow) -> None:
    """Check the return annotation of a stage function against its contract.

    A contract may be narrower than the annotation, since outputs are validated; a fault is only what can never fit.
    """
    origin = typing.get_origin(returns) or returns
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return  # its keys are known at run time only
    if contract.kind == "none":
        never = returns is not type(None) and explain_mismatch(type(None), returns, "") is not None
        expected = "None"
    elif contract.kind == "fields":
        never = isinstance(origin, type) and not is_model(origin) and origin.__module__ == "builtins" and origin is not object
        expected = f"a mapping, model or dataclass with the fields {', '.join(contract.fields)}"
    else:
        form = contract.model or next(iter(contract.fields.values()))
        never = explain_mismatch(returns, form, "") is not None and explain_mismatch(form, returns, "") is not None
        expected = type_name(form)
    if never:
        flow.fault(
            name,
            f"the stage function returns {type_name(returns)}, which its contract never takes; expected {expected}. "
            "Mend the one or the other.",
        )


def check_call(name: str, fn: Callable[..., Any], signature: ReadSignature, constants: Mapping[str, Any], flow: Flow) -> None:
    """Check that calling a stage function is all it takes, and that what it asks for can be named."""
    if gives_async_generator(fn):
        flow.fault(
            name,
            f"the stage function is an asynchronous generator; found {brief(fn)}; expected a function that returns its output. "
            "Gather what it yields in a list, and return that.",
        )
    if signature.open_ended and not (signature.takes_kwargs and constants):
        rest = signature.open_ended
        flow.fault(
            name,
            f"the stage function takes *{rest} only, which stands for no field, so that it would get nothing; found {brief(fn)}; "
            "expected parameters named like fields, one for the whole context, or none at all. "
            f"Write {rest} without the star, or name what it needs.",
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
    fields = (*reads.always, *reads.sometimes)
    if fields and all(field in flow.fields for field in fields) and not any(field in written for field in fields):
        listed = ", ".join(map(repr, fields))
        flow.fault(
            name,
            f"the loop never ends, or never begins: its predicate reads {listed}, which nothing in its body provides; "
            f"the body provides {', '.join(written) or 'nothing'}. Let a stage of the body provide what the predicate reads",
            fields[0],
        )
