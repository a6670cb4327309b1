"""A loop that runs."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import TYPE_CHECKING, Any

from metta_sweep.address import join
from metta_sweep.errors import Fault, LoopLimit
from metta_sweep.pipeline.context import context_of
from metta_sweep.pipeline.contracts.models import field_types, is_model, is_named_tuple
from metta_sweep.pipeline.events import LoopIterationStarted
from metta_sweep.pipeline.keeping.resume_plan import Preview
from metta_sweep.pipeline.proof.outline import Group, Part, Wire, constants_shown
from metta_sweep.pipeline.ref import Ref
from metta_sweep.pipeline.running.run import Node, Run, Scope, run_nodes

if TYPE_CHECKING:
    from metta_sweep.pipeline.parts.loop import LoopSpec

__all__ = ["LoopNode"]


def _fresh(value: Any) -> Any:
    """A value to begin with, with containers and models of its own: a stage that changes them does not change the pipeline."""
    kind: Any = type(value)
    if kind in (list, tuple):
        return kind(map(_fresh, value))
    if kind is dict:
        return {key: _fresh(part) for key, part in value.items()}
    if kind is set:
        return set(value)
    if not is_model(kind) or is_named_tuple(kind):
        return value
    own = copy.copy(value)
    for name in filter(functools.partial(hasattr, value), field_types(kind)):
        object.__setattr__(own, name, _fresh(getattr(value, name)))
    return own


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

    def preview(self, preview: Preview) -> None:
        """Tell of each iteration, as long as the predicate reads what is known, and something in it is used again."""
        path = preview.scope.address(self.name)
        self._preview_carried(preview)
        inner = preview.at(preview.scope.inner(path))
        index = 0
        while True:
            goes_on, why = preview.evaluate(self._predicate)
            if goes_on is False or (self._limit is not None and index >= self._limit):
                return
            inner.scope.move_to(index)
            if goes_on is None:
                break
            before = len(preview.rows)
            for node in self.nodes:
                node.preview(inner)
            index += 1
            if not any(row.verdict in ("reuse", "stale") for row in list(preview.rows.values())[before:]):
                inner.scope.move_to(index)
                why = f"comes after {path}[{index - 1}], which has yet to run"
                break
        preview.leave(path, self.path, self.spec.provides(), why, first=inner.scope.prefix)

    def _preview_carried(self, preview: Preview) -> None:
        preview.scope.values.update(self._constants)
        preview.learn(self._constants)
        for name, field in self._refs.items():
            if field in preview.unknown:
                preview.forget([name], preview.unknown[field])
            else:
                preview.scope.values[name] = preview.scope.values[field]
                preview.learn([name])

    async def run(self, scope: Scope) -> None:
        """Run the body as long as the predicate holds. A journalled loop goes on from its recorded iteration."""
        run = scope.run
        path = scope.address(self.name)
        values = scope.values
        values.update({**_fresh(self._constants), **{name: values[field] for name, field in self._refs.items()}})
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
            return bool(verdict)
        except Exception as error:
            error.add_note(f"in the predicate of loop {self.name!r} at {path}[{index}]")
            raise
