"""What the annotations of hooks say: a hook that passes its argument on is checked by them, where it has some."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metta_sweep.pipeline.context import Context
from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.proof.returns import expected_by, never_fits
from metta_sweep.pipeline.proof.signature import MISSING, UNRESOLVED, ReadSignature, read_signature
from metta_sweep.pipeline.proof.views import asked_for, is_viewed, wanted_by

if TYPE_CHECKING:
    from metta_sweep.pipeline.contracts.contract import Contract
    from metta_sweep.pipeline.proof.flow import Flow

__all__ = ["check_context_annotation", "check_handler", "check_metrics_annotation", "check_output_annotation"]


def check_output_annotation(name: str, hook: str, fn: Callable[..., Any], contract: Contract, flow: Flow) -> bool:
    """Compare the annotation of an output hook's argument with the contract; whether that settles what the hook may ask for."""
    needed = _annotation(fn)
    if needed in (MISSING, UNRESOLVED) or contract.kind == "fields":
        return needed is object
    given = contract.model if contract.model is not None else next(iter(contract.fields.values()), None)
    reason = explain_mismatch(given, needed, "its output")
    if reason is not None:
        flow.fault(
            name,
            f"hook {hook!r} takes {type_name(needed)}, but the stage's output is {type_name(given)} ({reason}). "
            "Change the contract or the annotation.",
            hook,
        )
    return True


def check_context_annotation(name: str, what: str, fn: Callable[..., Any], flow: Flow) -> bool:
    """Compare the annotation of what gets the context with the fields here; whether that settles what it may ask for."""
    needed = asked_for(_annotation(fn))
    if needed in (MISSING, UNRESOLVED, Any, object):
        return needed is object
    if is_viewed(needed):
        wanted, optional = wanted_by(needed)
        for field, form in wanted.items():
            state = flow.fields.get(field)
            if state is not None and state.definite:
                flow.require_type(name, f"{what} ({type_name(needed)})", field, form)
            elif field not in optional:
                flow.missing(name, f"{what} ({type_name(needed)})", field)
        return True
    if explain_mismatch(Context, needed, "it") is not None and explain_mismatch(dict[str, Any], needed, "it") is not None:
        flow.fault(
            name,
            f"{what} takes {type_name(needed)}, but gets the context. "
            "Annotate it with Context, or with a model of the fields that it reads.",
        )
    return False


def check_metrics_annotation(name: str, fn: Callable[..., Any], flow: Flow) -> None:
    """What observes metrics gets a plain dict of the output's fields."""
    needed = _annotation(fn)
    if needed not in (MISSING, UNRESOLVED) and explain_mismatch(dict[str, Any], needed, "it") is not None:
        flow.fault(
            name,
            f"hook 'metrics' takes {type_name(needed)}, but gets a dict of the output's fields. "
            "Annotate it with Mapping[str, Any], or write after= for the output itself.",
            "metrics",
        )


def check_handler(name: str, fn: Callable[..., Any], contract: Contract, flow: Flow) -> None:
    """What handles errors gets one, and gives what the contract takes, or None."""
    signature = _signature(fn)
    needed, returns = _annotation(fn), MISSING if signature is None else signature.returns
    pairs = ((Exception, needed), (needed, BaseException))
    if needed not in (MISSING, UNRESOLVED) and all(explain_mismatch(given, takes, "it") is not None for given, takes in pairs):
        flow.fault(name, f"hook 'on_error' takes {type_name(needed)}, but gets the error. Annotate it with Exception.", "on_error")
    if returns not in (MISSING, UNRESOLVED, types.NoneType) and never_fits(returns, contract):
        flow.fault(
            name,
            f"hook 'on_error' returns {type_name(returns)}, which the contract never takes; expected {expected_by(contract)}, "
            "or None where the error stands. Mend the one or the other.",
            "on_error",
        )


def _annotation(fn: Callable[..., Any]) -> Any:
    """The annotation of the one argument that a hook gets."""
    signature = _signature(fn)
    return signature.parameters[0].annotation if signature is not None and signature.parameters else MISSING


def _signature(fn: Callable[..., Any]) -> ReadSignature | None:
    try:
        return read_signature(fn)
    except (TypeError, ValueError):
        return None
