"""What a built pipeline looks like: parts, what flows to them and from whom, what they provide. Tables and drawings show it."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from metta_sweep.pipeline.contracts.typeforms import brief
from metta_sweep.pipeline.proof.reads import reads_of
from metta_sweep.pipeline.ref import Ref
from metta_sweep.pipeline.retry import Retry

if TYPE_CHECKING:
    from metta_sweep.pipeline.proof.flow import Flow

__all__ = ["Group", "Part", "PartKind", "Wire", "constants_shown", "hooks_shown", "predicate_wires", "stage_wires", "wires_of"]

PartKind = Literal["stage", "loop", "branch", "map", "pipeline", "experiment"]


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


def wires_of(fields: Sequence[str] | None, flow: Flow) -> tuple[Wire, ...]:
    """What flows to a reader of ``fields`` (None: of the whole context) at this place."""
    return tuple(_wire(field, flow) for field in (flow.fields if fields is None else fields) if field in flow.fields)


def stage_wires(
    fields: Sequence[str] | None, constants: Mapping[str, Any], parameters: Container[str], flow: Flow
) -> tuple[Wire, ...]:
    """What flows to a stage that reads ``fields``; what it gets by ``ref("stage.field")`` comes from that stage."""
    named = [value for value in constants.values() if isinstance(value, Ref) and value.stage in flow.outputs]
    by_name = {value.field for value in named}
    plain = fields and [field for field in fields if field not in by_name or (field in parameters and field not in constants)]
    return (*wires_of(plain, flow), *(_named_wire(value, flow) for value in named))


def predicate_wires(predicate: Callable[..., Any], flow: Flow) -> tuple[Wire, ...]:
    """What flows to a predicate, as far as its code shows."""
    reads = reads_of(predicate)
    return () if reads is None else wires_of((*reads.always, *reads.sometimes), flow)


def _named_wire(value: Ref, flow: Flow) -> Wire:
    path, fields = flow.outputs[value.stage or ""]
    return Wire(value.field, fields.get(value.field, Any), (path,))


def _wire(field: str, flow: Flow) -> Wire:
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
        return f"{name} {value:g}s"
    if isinstance(value, Retry):
        return f"{name} {value.retries}" + (f" (backoff {value.backoff:g}s)" if value.backoff else "")
    return f"{name} {value}" if isinstance(value, int | float | str) else brief(value, 60)
