"""What the annotation of a hook's argument says: a hook that passes its argument on is checked by it, where it has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.proof.signature import MISSING, UNRESOLVED, read_signature

if TYPE_CHECKING:
    from metta_sweep.pipeline.contracts.contract import Contract
    from metta_sweep.pipeline.proof.flow import Flow

__all__ = ["asks_nothing", "check_output_annotation"]


def asks_nothing(fn: Callable[..., Any]) -> bool:
    """Whether the argument is annotated with ``object``: such a function takes whatever there is, and reads no field by name."""
    return _annotation(fn) is object


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


def _annotation(fn: Callable[..., Any]) -> Any:
    """The annotation of the one argument that a hook gets."""
    try:
        parameters = read_signature(fn).parameters
    except (TypeError, ValueError):
        return MISSING
    return parameters[0].annotation if parameters else MISSING
