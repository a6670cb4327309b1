"""A loop: its body runs while a predicate of the context holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metta_sweep.address import join
from metta_sweep.errors import Fault, LoopLimit
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.events import LoopIterationStarted
from metta_sweep.pipeline.flow import FieldState, Flow
from metta_sweep.pipeline.outline import Group, Part, Wire, constants_shown, predicate_wires, wires_of
from metta_sweep.pipeline.ref import Ref
from metta_sweep.pipeline.run import Node, Run, Scope, run_nodes
from metta_sweep.pipeline.spec import Spec, compile_all, fields_of
from metta_sweep.pipeline.validation import check_carried, check_context_reads, check_stalled

__all__ = ["LoopNode", "LoopSpec"]

Predicate = Callable[[Context], Any]


@dataclass(frozen=True, eq=False)
class LoopSpec:
    """A loop as its user described it."""

    name: str
    predicate: Predicate
    carry: Mapping[str, Any]
    """The first values of the fields that it carries."""
    max_iterations: int | None
    body: tuple[Spec, ...] = ()
    faults: tuple[str, ...] = ()

    def provides(self) -> Mapping[str, Any]:
        """The fields that its body writes, and those that it carries."""
        written = fields_of(self.body)
        return {**{name: written.get(name, type(value)) for name, value in self.carry.items()}, **written}

    def compile(self, flow: Flow) -> LoopNode | None:
        """Check the loop where it stands, twice over: what its body leaves is what its body finds."""
        for message in self.faults:
            flow.fault(self.name, message)
        written = fields_of(self.body)
        carried = {name: self._carried(name, value, written, flow) for name, value in self.carry.items()}
        first = wires_of([value.field for value in self.carry.values() if isinstance(value, Ref)], flow)
        flow.fields.update(carried)
        entry = flow.fork()
        self._dry_run(flow)
        left, flow.fields = flow.fields, entry
        flow.join(left)
        start = flow.fork()
        if callable(self.predicate):
            check_context_reads(self.name, "the predicate", self.predicate, flow)
            check_stalled(self.name, self.predicate, written, flow)
        wires = (*first, *predicate_wires(self.predicate, flow))
        nodes = self._inside(flow)
        left, flow.fields = flow.fields, start
        flow.join(left)
        if self.faults or nodes is None:
            return None
        return LoopNode(self, nodes, flow.at(self.name), wires)

    def _carried(self, name: str, value: Any, written: Mapping[str, Any], flow: Flow) -> FieldState:
        """A carried field: its type is the one that the body gives it, and its first value must fit that."""
        where = flow.at(self.name)
        if not isinstance(value, Ref):
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
        elif name in written:
            flow.require_type(self.name, f"the carried field {name!r}", value.field, written[name])
        form = state.type if state is not None else Any
        return FieldState(written.get(name, form), where, definite=True)

    def _dry_run(self, flow: Flow) -> None:
        """Find what the body leaves behind, without reporting anything."""
        faults, notes, unchecked, outputs = list(flow.faults), list(flow.notes), list(flow.unchecked), dict(flow.outputs)
        self._inside(flow)
        flow.faults[:], flow.notes[:], flow.unchecked[:] = faults, notes, unchecked
        flow.outputs = outputs

    def _inside(self, flow: Flow) -> tuple[Node, ...] | None:
        outer, outputs = flow.scope, dict(flow.outputs)
        flow.scope = flow.at(self.name)
        try:
            return compile_all(self.body, flow)
        finally:
            flow.scope, flow.outputs = outer, outputs


class LoopNode:
    """A loop that runs."""

    def __init__(self, spec: LoopSpec, nodes: tuple[Node, ...], path: str, wires: tuple[Wire, ...]) -> None:
        self.spec = spec
        self.name = spec.name
        self.path = path
        """Its address without iterations."""
        self.wires = wires
        """What flows to the predicate and into carried fields."""
        self.nodes = nodes
        self.lean = None
        self._predicate = spec.predicate
        self._limit = spec.max_iterations
        self._constants = {name: value for name, value in spec.carry.items() if not isinstance(value, Ref)}
        self._refs = {name: value.field for name, value in spec.carry.items() if isinstance(value, Ref)}

    def faults_when_kept(self, scope: str) -> list[Fault]:
        """What stands against keeping the outputs of its stages."""
        inner = join(scope, self.name)
        return [fault for node in self.nodes for fault in node.faults_when_kept(inner)]

    def outline(self) -> Part:
        """What it looks like in tables and drawings."""
        limit = () if self._limit is None else (f"max_iterations {self._limit}",)
        carried = constants_shown(self.spec.carry)
        body = Group("", tuple(node.outline() for node in self.nodes))
        return Part("loop", self.name, self.path, self.wires, self.spec.provides(), constants=carried, hooks=limit, groups=(body,))

    async def run(self, scope: Scope) -> None:
        """Run the body as long as the predicate holds. A journalled loop goes on from its recorded iteration."""
        run = scope.run
        path = join(scope.prefix, self.name) if scope.prefix else self.name
        values = scope.values
        values.update({**self._constants, **{name: values[field] for name, field in self._refs.items()}})
        index = self._resume(run, path, values)
        inner = scope.inner(path)
        while await self._goes_on(values, path, index):
            if self._limit is not None and index >= self._limit:
                raise LoopLimit(
                    f"loop {self.name!r} at {path} would go on after max_iterations={self._limit}; "
                    "raise the limit, or let the body change what the predicate reads."
                )
            inner.move_to(index)
            if run.listeners:
                run.tell(LoopIterationStarted(inner.prefix, index))
            await run_nodes(self.nodes, inner)
            index += 1

    def _resume(self, run: Run, path: str, values: dict[str, Any]) -> int:
        state = run.recorder.loop_state(path) if run.keeps else None
        if state is None:
            return 0
        values.update(state.carry)
        return state.iteration

    async def _goes_on(self, values: dict[str, Any], path: str, index: int) -> bool:
        try:
            verdict = self._predicate(context_of(values))
            if inspect.isawaitable(verdict):
                verdict = await verdict
        except Exception as error:
            error.add_note(f"in the predicate of loop {self.name!r} at {path}[{index}]")
            raise
        return bool(verdict)
