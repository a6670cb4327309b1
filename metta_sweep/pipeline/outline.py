"""What a built pipeline looks like: parts, what flows to them and from whom, what they provide. Tables and drawings show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from metta_sweep.pipeline.reads import reads_of
from metta_sweep.pipeline.ref import Ref
from metta_sweep.pipeline.typeforms import brief

if TYPE_CHECKING:
    from metta_sweep.pipeline.flow import Flow

__all__ = ["Group", "Part", "PartKind", "Wire", "all_wires", "constants_shown", "hooks_shown", "predicate_wires", "wires_of"]

PartKind = Literal["stage", "loop", "branch", "map", "pipeline"]


class Wire(NamedTuple):
    """A field that flows to a reader."""

    field: str
    type: Any
    """As it is provided."""
    providers: tuple[str, ...]
    """The paths of the parts that provide it there; ``inputs`` for declared inputs."""
    sure: bool = True
    """False: it may not be there."""


class Group(NamedTuple):
    """Parts inside of a part."""

    label: str
    """``then`` and ``otherwise`` of a branch; empty for the one body of anything else."""
    parts: tuple[Part, ...]


class Part(NamedTuple):
    """One part of a pipeline, as it was built."""

    kind: PartKind
    name: str
    path: str
    """Its address without indices."""
    reads: tuple[Wire, ...]
    provides: Mapping[str, Any]
    """The fields that it writes, with their types."""
    everything: bool = False
    """It gets the whole context, so that ``reads`` is all there is."""
    constants: tuple[str, ...] = ()
    """``n=50`` and the like."""
    hooks: tuple[str, ...] = ()
    """Hooks and policies, as words."""
    groups: tuple[Group, ...] = ()


def wires_of(fields: Sequence[str] | None, flow: Flow, constants: Mapping[str, Any] | None = None) -> tuple[Wire, ...]:
    """What flows to a reader of ``fields`` (None: of the whole context) at this place."""
    if fields is None:
        return all_wires(flow)
    named = {value.field: value.stage for value in (constants or {}).values() if isinstance(value, Ref) and value.stage}
    return tuple(_wire(field, named.get(field), flow) for field in fields if field in flow.fields or field in named)


def all_wires(flow: Flow) -> tuple[Wire, ...]:
    """Everything that flows at this place."""
    return tuple(_wire(field, None, flow) for field in flow.fields)


def predicate_wires(predicate: Callable[..., Any], flow: Flow) -> tuple[Wire, ...]:
    """What flows to a predicate, as far as its code shows."""
    reads = reads_of(predicate)
    return () if reads is None else wires_of((*reads.always, *reads.sometimes), flow)


def _wire(field: str, stage: str | None, flow: Flow) -> Wire:
    if stage is not None and stage in flow.outputs:
        path, fields = flow.outputs[stage]
        return Wire(field, fields.get(field, Any), (path,))
    state = flow.fields[field]
    return Wire(field, state.type, tuple(dict.fromkeys(state.provider.split(", "))), state.definite)


def constants_shown(constants: Mapping[str, Any]) -> tuple[str, ...]:
    """The constants of a stage: ``n=50``, ``data=ref('raw')``."""
    return tuple(
        f"{name}=ref({str(value)!r})" if isinstance(value, Ref) else f"{name}={brief(value, 32)}"
        for name, value in constants.items()
    )


def hooks_shown(hooks: Mapping[str, Any]) -> tuple[str, ...]:
    """Hooks by name; policies with what they say."""
    return tuple(shown for name, value in hooks.items() if (shown := _hook(name, value)))


def _hook(name: str, value: Any) -> str:
    if value is True:
        return name
    if value is False:
        return f"no {name}" if name == "checkpoint" else ""
    if callable(value):
        return name
    if isinstance(value, int | float) and name.endswith("timeout"):
        return f"{name} {value:g} s"
    return f"{name} {value}" if isinstance(value, int | float | str) else brief(value, 60)
