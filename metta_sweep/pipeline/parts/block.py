"""A described pipeline as a part of another one: open, as the body of a loop or branch, or closed, as a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from metta_sweep.address import join
from metta_sweep.errors import Fault
from metta_sweep.pipeline.parts.spec import Edit, Spec, compile_all, edited
from metta_sweep.pipeline.proof.flow import FieldState, Flow
from metta_sweep.pipeline.running.run import Node

__all__ = ["Block"]


@dataclass(frozen=True, eq=False)
class Block:
    """The parts of a pipeline with what was declared and attached to it."""

    inputs: Mapping[str, Any]
    defaults: Mapping[str, Callable[[], Any]]
    specs: tuple[Spec, ...]
    hooks: Mapping[str, Any]
    """Its global hooks; they apply to everything within."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with its description."""

    def edited(self, path: str, edit: Edit) -> Block:
        """The same with the stage at a path replaced."""
        return replace(self, specs=edited(self.specs, path, edit))

    def compile_open(self, name: str, flow: Flow) -> tuple[Node, ...] | None:
        """Check it as a block called ``name`` that reads and writes the fields around it; None when there was a fault."""
        self.report(name, flow)
        before = flow.fork()
        assumed = self._assume(name, flow)
        with flow.within(name, self.hooks):
            nodes = compile_all(self.specs, flow)
        for field, state in assumed.items():
            if flow.fields.get(field) is state:
                flow.fields = {**flow.fields, field: before[field]} if field in before else _without(flow.fields, field)
        return None if self.faults else nodes

    def _assume(self, name: str, flow: Flow) -> dict[str, FieldState]:
        """Check the declared inputs. What is not as declared is one fault: what reads it within takes it as declared."""
        assumed: dict[str, FieldState] = {}
        for field, form in self.inputs.items():
            state, before = flow.fields.get(field), len(flow.faults)
            what = f"the declared input {field!r} of its body"
            if state is not None and state.definite:
                flow.require_type(name, what, field, form)
            elif field not in self.defaults:
                flow.missing(name, what, field)
            if len(flow.faults) > before:
                assumed[field] = FieldState(form, "inputs", definite=True)
        flow.fields = {**flow.fields, **assumed}
        return assumed

    def report(self, name: str, flow: Flow) -> None:
        """Report what is wrong with its description."""
        for fault in self.faults:
            whole = fault.stage == "pipeline"
            placed = fault._replace(stage=flow.at(name) if whole else join(flow.at(name), fault.stage))
            if placed not in flow.faults:
                flow.faults.append(placed)


def _without(fields: dict[str, FieldState], name: str) -> dict[str, FieldState]:
    return {field: state for field, state in fields.items() if field != name}
