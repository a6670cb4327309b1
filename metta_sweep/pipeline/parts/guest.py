"""A guest: what is no function and no pipeline, and runs as a stage all the same, in a run of its own. Experiments are guests.

What wants to be one has a method ``__as_stage__``, which says what the pipeline needs to know: see ``Guest``. A class may have a
class method ``__class_as_stage__``: then it is made when the stage runs, with what its constructor asks for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any, Final, Protocol, runtime_checkable

from metta_sweep.address import child, join
from metta_sweep.errors import Fault
from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.parts.closed import bind_inputs, output_maker, picks_of
from metta_sweep.pipeline.parts.stage import StageBinding, StageSpec
from metta_sweep.pipeline.parts.stage_node import StageNode
from metta_sweep.pipeline.plan import Plan
from metta_sweep.pipeline.proof.binding import Binding
from metta_sweep.pipeline.proof.calls import Call
from metta_sweep.pipeline.proof.flow import FieldState, Flow
from metta_sweep.pipeline.proof.outline import Group, Part
from metta_sweep.pipeline.proof.signature import ReadSignature
from metta_sweep.pipeline.running.run import Scope

__all__ = ["ABSENT", "AsStage", "Guest", "GuestSpec", "guest_stage", "last_of"]

ABSENT: Final = object()
"""The default of an input that need not be given."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Guest:
    """What a pipeline needs to know of a guest."""

    name: str
    """What its run is called under the stage: ``tasks[3]/optimize>name``."""
    title: str
    """What it is, for tables: its class."""
    signature: ReadSignature
    """What it takes: from constants of the stage, and from the fields of these names."""
    never_fields: frozenset[str] = frozenset()
    """What of that constants alone give."""
    run: Callable[..., Awaitable[Any]]
    """Runs it with what its signature asks for."""
    provides: Contract
    """What the stage provides where no contract is said."""
    ends: Mapping[str, FieldState] | None
    """What a contract may pick, by name; None: that is not known before it runs."""
    whole: Callable[[str, Any], str | None] = lambda _name, _form: None
    """Of the only field of a contract, by name and type: under which name the values have it; None: under its own."""
    values: Callable[[Any], Mapping[str, Any]]
    """What can be picked of what ``run`` gave."""
    may_be_none: frozenset[str] = frozenset()
    """What of that may be None: as ``name?`` it may, as ``name`` it is refused with a reason."""
    functions: tuple[Callable[..., Any], ...] = ()
    """What it calls: its code."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """What its output depends on besides: its definition."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What constants are that have no content which could be compared, as JSON: the settings of an optimizer."""
    seeded: bool = True
    """It takes its seed from the run that it is in."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with it: addresses within it, empty for the whole."""
    parts: tuple[Part, ...] = ()
    """What it looks like inside."""
    remedy: str = "Leave it out."
    """What to do about a constant called ``{name}`` that it does not take."""


@runtime_checkable
class AsStage(Protocol):
    """What can be a stage, and is neither a function nor a pipeline."""

    def __as_stage__(self, stage: str, constants: Mapping[str, Any], /) -> Guest:
        """What the stage of that name, with these constants, needs to know of it."""
        ...  # type checkers need it


def guest_stage(name: str, fn: object, constants: Mapping[str, Any]) -> GuestSpec | None:
    """The stage of a guest; None for what is none."""
    return None if _described_by(fn) is None else _spec(name, fn, constants)


def _described_by(source: Any) -> Any:
    return getattr(source, "__class_as_stage__" if isinstance(source, type) else "__as_stage__", None)


def _spec(name: str, source: object, constants: Mapping[str, Any]) -> GuestSpec:
    guest: Guest = _described_by(source)(name, constants)
    return GuestSpec(name, GuestCall(guest), guest.signature, constants, guest.provides, guest=guest, source=source)


class GuestCall:
    """What a guest is called by."""

    is_pipeline = True
    """Tells it from functions."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """What it calls in the end: its code."""
        return self._guest.functions

    async def __call__(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the guest; ``values`` are its inputs. What can be picked of its result."""
        guest = self._guest
        return guest.values(await guest.run(**{name: value for name, value in values.items() if value is not ABSENT}))


@dataclass(frozen=True, eq=False, kw_only=True)
class GuestSpec(StageSpec):
    """A guest that is a stage, as its user described it."""

    guest: Guest
    source: object
    """Who told it."""

    def through(
        self, contract: Contract, constants: Mapping[str, Any], hooks: Mapping[str, Any], faults: tuple[str, ...]
    ) -> StageSpec:
        """The same stage, with its contract and what is attached to it; with more constants the guest may be another."""
        spec = self
        if constants:
            spec = _spec(self.name, self.source, {**self.constants, **constants})
            contract = spec.contract if contract is self.contract else contract
            spec = replace(spec, constants=self.constants, contract=spec.contract, hooks=self.hooks, faults=self.faults)
        return StageSpec.through(spec, contract, constants, hooks, faults)

    @property
    def _whose(self) -> str:
        return f"the experiment {self.guest.name!r}"

    def content(self) -> dict[str, Any]:
        """What its output depends on besides the fields that it reads: constants, and what it is."""
        told = {f"constant {name}": value for name, value in self.guest.told.items()}
        return {**super().content(), **told, **self.guest.content}

    def node(self, bound: StageBinding | None, flow: Flow) -> StageNode | None:
        """Check what is attached to its output, and make it runnable."""
        if bound is None or super().node(bound, flow) is None:
            return None
        return _GuestNode(self, bound, flow.at(self.name))

    def _check_description(self, flow: Flow) -> None:
        self._check_field_name(flow)
        inside = child(flow.at(self.name), self.guest.name)
        for fault in self.guest.faults:
            placed = fault._replace(stage=join(inside, fault.stage) if fault.stage else flow.at(self.name))
            if placed not in flow.faults:
                flow.faults.append(placed)

    def _bind(self, flow: Flow) -> Binding | None:
        guest = self.guest
        binding = bind_inputs(self, self._whose, guest.remedy, flow, never_fields=guest.never_fields, what="the input")
        before = len(flow.faults)
        picks = self._picks(flow)
        if binding is None or guest.faults or len(flow.faults) > before:
            return None
        run = GuestCall(guest)
        given, output = binding.call, output_maker(self.contract, picks)
        return binding._replace(call=_call(run, given, output), needs_stage_context=binding.needs_stage_context or guest.seeded)

    def _picks(self, flow: Flow) -> dict[str, str]:
        """The fields of the contract, each with the name under which the guest's values have it."""
        unsure, fields = self.guest.may_be_none, self.contract.fields
        return {
            field: f"{source}?" if source in unsure and explain_mismatch(NoneType, fields[field], field) is None else source
            for field, source in self._sources(flow).items()
        }

    def _sources(self, flow: Flow) -> dict[str, str]:
        guest, fields = self.guest, self.contract.fields
        if self.contract is guest.provides and guest.ends is None:
            if not guest.faults:
                flow.fault(
                    self.name,
                    f"what {self._whose} provides is not known before it is made; found no contract. Say it: .through(name=Type).",
                )
            return {}
        if len(fields) == 1:
            ((name, form),) = fields.items()
            source = guest.whole(name, form)
            if source is not None:
                return {name: source}
        if guest.ends is None:
            flow.leave_unchecked(
                self.name,
                f"what {self._whose} provides is not known before it is made",
                "Give the class what its constructor needs as constants, or let a stage function make and run it",
            )
            return {name: name for name in fields}
        return picks_of(self, self._whose, guest.ends, guest.provides.fields, flow)


def _call(run: GuestCall, given: Call, output: Callable[[Mapping[str, Any]], Any]) -> Call:
    async def call(scope: Scope) -> Any:
        return output(await run(given(scope)))

    return call


class _GuestNode(StageNode):
    """A guest that runs as a stage."""

    def __init__(self, spec: GuestSpec, bound: StageBinding, path: str) -> None:
        super().__init__(spec, bound.binding, bound.observers, path)
        self.wires = bound.wires
        self._guest = spec.guest

    def outline(self) -> Part:
        """What it looks like in tables and drawings."""
        part, guest = super().outline(), self._guest
        inside = child(self.path, guest.name)
        groups = (Group("", tuple(_moved(inner, inside) for inner in guest.parts)),) if guest.parts else ()
        return part._replace(kind="experiment", groups=groups, hooks=(guest.title, *part.hooks))


def _moved(part: Part, prefix: str) -> Part:
    """A part as it looks from outside: with the addresses that it has there."""
    reads = tuple(
        wire._replace(providers=tuple(name if name == "inputs" else join(prefix, name) for name in wire.providers))
        for wire in part.reads
    )
    groups = tuple(group._replace(parts=tuple(_moved(inner, prefix) for inner in group.parts)) for group in part.groups)
    return part._replace(path=join(prefix, part.path), reads=reads, groups=groups)


def last_of(name: str, plan: Plan) -> Contract:
    """What the last part of a built pipeline provides: its contract, or of anything but a stage what it surely leaves."""
    last = plan.nodes[-1] if plan.nodes else None
    if isinstance(last, StageNode):
        return Contract(name, last.contract.fields, last.contract.model)
    left = {} if last is None else last.outline().provides
    ends = plan.outputs
    return Contract(name, {field: ends[field].type for field in left if field in ends and ends[field].definite})
