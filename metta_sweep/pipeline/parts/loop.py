"""A loop as it is described and checked: its body runs while a predicate of the context holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from metta_sweep.address import check_name
from metta_sweep.errors import did_you_mean
from metta_sweep.pipeline.context import Context
from metta_sweep.pipeline.contracts.checks import Misfit, value_check
from metta_sweep.pipeline.contracts.typeforms import brief
from metta_sweep.pipeline.parts.block import Block
from metta_sweep.pipeline.parts.loop_node import LoopNode
from metta_sweep.pipeline.parts.spec import Edit, Spec, fields_of, paths_of, surely_of
from metta_sweep.pipeline.proof.flow import FieldState, Flow, either
from metta_sweep.pipeline.proof.outline import Part, predicate_wires, wires_of
from metta_sweep.pipeline.proof.predicates import is_constant, predicate_faults
from metta_sweep.pipeline.proof.reads import reads_of
from metta_sweep.pipeline.proof.validation import check_carried, check_context_reads, check_stalled
from metta_sweep.pipeline.ref import Ref
from metta_sweep.pipeline.running.run import Node
from metta_sweep.pipeline.through import check_field_name

__all__ = ["LoopSpec", "Predicate", "new_loop"]

Predicate = Callable[[Context], Any]


@dataclass(frozen=True, eq=False)
class LoopSpec:
    """A loop as its user described it."""

    name: str
    predicate: Predicate
    carry: Mapping[str, Any]
    """The first values of the fields that it carries."""
    max_iterations: int | None
    body: Block
    faults: tuple[str, ...] = ()

    def with_body(self, specs: tuple[Spec, ...]) -> LoopSpec:
        """The same loop around these parts."""
        return replace(self, body=replace(self.body, specs=specs))

    def ended(self, specs: tuple[Spec, ...]) -> LoopSpec:
        """The same loop around these parts, which are all of it."""
        empty = "the loop has no stages; found an empty body; expected at least one stage. Add one before end_loop()."
        done = self.with_body(specs)
        return done if specs else replace(done, faults=(*self.faults, empty))

    def around(self, body: object) -> LoopSpec:
        """The same loop around a pipeline."""
        if isinstance(body, Block):
            return replace(self, body=body)
        wrong = (
            f"the body is no pipeline; found {brief(body)}; expected a Pipeline. Write .loop(Pipeline().stage(...), while_=...)."
        )
        return replace(self, faults=(*self.faults, wrong))

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """Its predicate."""
        return (self.predicate,)

    def content(self) -> dict[str, Any]:
        """The first values of what it carries."""
        return {f"carried {name}": value for name, value in sorted(self.carry.items())}

    def inner(self) -> Mapping[str, Spec]:
        """The parts within, by their paths."""
        return paths_of(self.body.specs)

    def edited(self, path: str, edit: Edit) -> LoopSpec:
        """The same with the stage at a path replaced."""
        return replace(self, body=self.body.edited(path, edit))

    def surely(self) -> frozenset[str]:
        """The fields that it writes even when its body never runs."""
        return frozenset(self.carry)

    def provides(self) -> Mapping[str, Any]:
        """The fields that its body writes, and those that it carries."""
        written = fields_of(self.body.specs)
        return {**{name: written.get(name, type(value)) for name, value in self.carry.items()}, **written}

    def compile(self, flow: Flow) -> LoopNode | None:
        """Check the loop where it stands, twice over: what its body leaves is what its body finds."""
        for message in self.faults:
            flow.fault(self.name, message)
        written = fields_of(self.body.specs)
        before = len(flow.faults)
        carried = {name: self._carried(name, value, written, flow) for name, value in self.carry.items()}
        first = wires_of([value.field for value in self.carry.values() if isinstance(value, Ref)], flow)
        flow.fields.update(carried)
        entry = flow.fork()
        with flow.silent():  # what the body leaves behind
            self.body.compile_open(self.name, flow)
        left, flow.fields = flow.fields, entry
        flow.join(left, "loop")
        start = flow.fork()
        if not self.faults:
            check_context_reads(self.name, "the predicate", self.predicate, flow)
        if not self.faults and self.body.specs:
            check_stalled(self.name, self.predicate, written, flow)
            self._check_constant(flow)
        wires = (*first, *predicate_wires(self.predicate, flow))
        nodes = self.body.compile_open(self.name, flow)
        for name in self.carry:
            self._check_use(name, written, nodes, flow)
            self._check_meant(name, written, before, flow)
        left, flow.fields = flow.fields, start
        flow.join(left, "loop")
        if self.faults or nodes is None:
            return None
        return LoopNode(self, nodes, flow.at(self.name), wires)

    def _check_constant(self, flow: Flow) -> None:
        if is_constant(self.predicate):
            flow.fault(
                self.name,
                "the loop never ends, or never begins: its predicate reads no field, and always says the same. "
                "Let it read what a stage of the body provides.",
            )

    def _check_use(self, name: str, written: Mapping[str, Any], nodes: tuple[Node, ...] | None, flow: Flow) -> None:
        """A carried field that the loop neither writes nor reads, called nearly like one that it writes, is misspelt."""
        guess = did_you_mean(name, [field for field in written if field not in self.carry])
        if name in written or guess is None or nodes is None or self.faults:
            return
        reads = reads_of(self.predicate)
        fields = None if flow.global_hooks.get("before") else _fields_read([node.outline() for node in nodes])
        if reads is None or reads.escapes or fields is None or name in {*fields, *reads.always, *reads.sometimes, *reads.keys}:
            return
        flow.fault(
            self.name,
            f"it carries {name!r}, which it neither writes nor reads; its body provides {', '.join(written)}. "
            f"Did you mean {guess!r}?",
            name,
        )

    def _check_meant(self, name: str, written: Mapping[str, Any], before: int, flow: Flow) -> None:
        """A carried field called nearly like one without a first value is misspelt: one fault, in place of all that follow."""
        guess = did_you_mean(name, [field for field in written if field not in self.carry])
        reads = reads_of(self.predicate)
        if name in written or guess is None or reads is None or name in (*reads.always, *reads.sometimes, *reads.keys):
            return
        first = f"carry={{{guess!r}: ...}}"
        followed = [fault for fault in flow.faults[before:] if fault.field == guess and first in fault.message]
        if not followed:
            return
        flow.faults[before:] = [fault for fault in flow.faults[before:] if fault not in followed]
        flow.fault(
            self.name,
            f"carry= begins {name!r}, which nothing in the loop provides, and leaves {guess!r} without a first value. "
            f"Did you mean {first}?",
            name,
        )

    def _carried(self, name: str, value: Any, written: Mapping[str, Any], flow: Flow) -> FieldState:
        """A carried field: its type is the one that the body gives it, and its first value must fit that."""
        where = flow.at(self.name)
        given = name in surely_of(self.body.specs)
        if not isinstance(value, Ref):
            if name in written and not given and not _fits(value, written[name]):
                return FieldState(either(type(value), written[name]), where, definite=True)
            if name in written:
                check_carried(self.name, name, value, written[name], flow)
            return FieldState(written.get(name, type(value)), where, definite=True)
        state = flow.fields.get(value.field)
        if value.stage is not None:
            flow.fault(
                self.name,
                f"carry={{{name!r}: ref({str(value)!r})}}: found a stage's name; expected a field. Write ref({value.field!r}).",
                name,
            )
        elif state is None or not state.definite:
            flow.missing(self.name, f"carry={{{name!r}: ref({str(value)!r})}}", value.field)
        elif given:
            flow.require_type(self.name, f"the carried field {name!r}", value.field, written[name])
        form = state.type if state is not None else Any
        mine = written.get(name, form)
        return FieldState(mine if given else either(form, mine), where, definite=True)


def _fits(value: object, form: Any) -> bool:
    try:
        value_check(form)(value)
    except Misfit:
        return False
    return True


def _fields_read(parts: Sequence[Part]) -> frozenset[str] | None:
    """The fields that parts read, at any depth; None: that cannot be told."""
    if any(part.everything or "before" in part.hooks for part in parts):
        return None
    fields = frozenset(wire.field for part in parts for wire in part.reads)
    for inner in (_fields_read(group.parts) for part in parts for group in part.groups):
        if inner is None:
            return None
        fields |= inner
    return fields


def new_loop(
    name: object, predicate: Predicate, carry: Mapping[str, Any] | None, max_iterations: int | None, where: str
) -> LoopSpec:
    """A loop without its body. ``where`` is the call that described it, for messages."""
    faults = list(predicate_faults(predicate, "loop_while(lambda ctx: ctx.n < 3)"))
    carried: dict[str, Any] = {}
    if isinstance(cast("object", carry), Mapping):
        carried.update(carry or {})
    elif carry is not None:
        faults.append(f"carry= cannot be used; found {brief(carry)}; expected first values of fields. Write carry={{'n': 0}}.")
    for key in carried:
        check_field_name(key, f"{where}(carry=)")
    if max_iterations is not None and (
        isinstance(max_iterations, bool) or not isinstance(cast("object", max_iterations), int) or max_iterations < 1
    ):
        faults.append(
            f"max_iterations cannot be used; found {brief(max_iterations)}; expected an int of at least 1, or None. "
            "Write max_iterations=100."
        )
    return LoopSpec(check_name(name, f"{where}(name=)"), predicate, carried, max_iterations, Block({}, {}, (), {}), tuple(faults))
