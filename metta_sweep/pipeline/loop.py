"""A loop: its body runs while a predicate of the context holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metta_sweep.address import join
from metta_sweep.errors import LoopLimit
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.events import LoopIterationStarted
from metta_sweep.pipeline.flow import FieldState, Flow
from metta_sweep.pipeline.run import Node, Run, Scope, run_nodes
from metta_sweep.pipeline.spec import Spec, compile_all, fields_of

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
        for name, value in self.carry.items():
            flow.fields[name] = FieldState(written.get(name, type(value)), flow.at(self.name), definite=True)
        entry = flow.fork()
        self._dry_run(flow)
        flow.join(entry)
        start = flow.fork()
        nodes = self._inside(flow)
        flow.join(start)
        if self.faults or nodes is None:
            return None
        return LoopNode(self, nodes)

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

    lean = False

    def __init__(self, spec: LoopSpec, nodes: tuple[Node, ...]) -> None:
        self.spec = spec
        self.name = spec.name
        self.nodes = nodes
        self._predicate = spec.predicate
        self._limit = spec.max_iterations

    async def run(self, scope: Scope) -> None:
        """Run the body as long as the predicate holds. A journalled loop goes on from its recorded iteration."""
        run = scope.run
        path = join(scope.prefix, self.name) if scope.prefix else self.name
        values = scope.values
        values.update(self.spec.carry)
        index = self._resume(run, path, values)
        inner = Scope(run, values, path)
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
        return state.index

    async def _goes_on(self, values: dict[str, Any], path: str, index: int) -> bool:
        try:
            verdict = self._predicate(context_of(values))
            if inspect.isawaitable(verdict):
                verdict = await verdict
        except Exception as error:
            error.add_note(f"in the predicate of loop {self.name!r} at {path}[{index}]")
            raise
        return bool(verdict)
