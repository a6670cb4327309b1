"""What is said of a field that is not there, or not surely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metta_sweep.errors import did_you_mean
from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.typeforms import type_name

if TYPE_CHECKING:
    from metta_sweep.pipeline.proof.flow import FieldState, Flow

__all__ = ["missing_message"]


def missing_message(flow: Flow, reader: str, what: str, field: str, needed: Any) -> str:
    """Why ``reader`` cannot have a field at this place of the flow, and what to do."""
    needs = f"{what} needs the field {field!r}, which"
    state = flow.fields.get(field)
    if state is not None:
        return f"{needs} {_maybe(field, state)}"
    later = flow.providers.get(field)
    if later:
        return f"{needs} {_later(flow, reader, field, later)}"
    if field in flow.outside:
        name = flow.closed_by
        return (
            f"{needs} is there outside of the pipeline {name!r} only: "
            f"the pipeline {name!r} declares no input {field!r}; write Pipeline({field}=...)."
        )
    guess = did_you_mean(field, flow.fields)
    unnamed = None if guess else _unnamed(flow, needed)
    if unnamed is not None:
        form = type_name(flow.fields[unnamed].type)
        named = f"The stage {unnamed!r} provides {form} as {unnamed!r}; name it: .through({field}={form})."
        return f"{needs} nothing provides; provided here: {', '.join(flow.fields)}. {named}"
    given = f"Give it as a constant of the stage, {field}=...; declare it" if what == f"parameter {field!r}" else "Declare it"
    between = ";" if given.startswith("Give") else ","
    declare = f"{given}, Pipeline({field}=...){between} or let an earlier stage provide it."
    hint = f"Did you mean {guess!r}?" if guess else declare
    return f"{needs} nothing provides; provided here: {', '.join(flow.fields) or 'nothing'}. {hint}"


def _unnamed(flow: Flow, needed: Any) -> str | None:
    """The one field here that has its stage's name, for want of another, and the type that is needed."""
    if needed in (Any, object):
        return None
    found = [
        field
        for field, state in flow.fields.items()
        if state.provider.rpartition("/")[2] == field
        and state.type is not Any
        and explain_mismatch(state.type, needed, field) is None
    ]
    return found[0] if len(found) == 1 else None


def _maybe(field: str, state: FieldState) -> str:
    remedy = (
        "Let every way provide it, give what reads it a default, or provide it before."
        if state.way == "branch"
        else f"Give it a first value with carry={{{field!r}: ...}}, or provide it before."
    )
    return f"only {quoted(state.provider)} provides, and that may not have run. {remedy}"


def _later(flow: Flow, reader: str, field: str, later: tuple[str, ...]) -> str:
    name = reader.partition("/")[0]
    around = [part for part in later if f"{flow.scope}/".startswith(f"{part}/") or f"/{part}/" in f"/{flow.scope}/"]
    if around:
        return f"{around[0]!r} itself makes, later or on another way. Provide it before {around[0]!r}, or on this way."
    if name in later:
        return f"{name!r} itself makes. Declare it, Pipeline({field}=...), or provide it before."
    listed = ", ".join(map(repr, later))
    return f"is provided only later, by {listed}. Move {later[0]!r} before it."


def quoted(provider: str) -> str:
    """Providers, as messages name them."""
    return " or ".join(map(repr, provider.split(", ")))
