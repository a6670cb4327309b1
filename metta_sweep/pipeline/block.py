"""A described pipeline as a part of another one: open, as the body of a loop or branch, or closed, as a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from metta_sweep.address import join
from metta_sweep.errors import Fault
from metta_sweep.pipeline.flow import Flow
from metta_sweep.pipeline.run import Node
from metta_sweep.pipeline.spec import Edit, Spec, compile_all, edited

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
        for field, form in self.inputs.items():
            state = flow.fields.get(field)
            what = f"the declared input {field!r} of its body"
            if state is not None and state.definite:
                flow.require_type(name, what, field, form)
            elif field not in self.defaults:
                flow.missing(name, what, field)
        with flow.within(name, self.hooks):
            nodes = compile_all(self.specs, flow)
        return None if self.faults else nodes

    def report(self, name: str, flow: Flow) -> None:
        """Report what is wrong with its description."""
        for fault in self.faults:
            whole = fault.stage == "pipeline"
            placed = fault._replace(stage=flow.at(name) if whole else join(flow.at(name), fault.stage))
            if placed not in flow.faults:
                flow.faults.append(placed)
