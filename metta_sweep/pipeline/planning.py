"""From a description to a plan: everything is checked, all faults are reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metta_sweep.errors import BuildError, Fault
from metta_sweep.pipeline.parts.block import Block
from metta_sweep.pipeline.parts.spec import compile_all, providers_of
from metta_sweep.pipeline.plan import Plan
from metta_sweep.pipeline.proof.flow import FieldState, Flow

__all__ = ["plan_of"]


def plan_of(block: Block, *, strict: bool) -> Plan:
    """Check a description and make it runnable.

    Raises:
        BuildError: with every structural fault.
    """
    faults = list(block.faults)
    flow = Flow({**dict.fromkeys(block.inputs, ("inputs",)), **providers_of(block.specs)}, block.hooks)
    flow.fields = {name: FieldState(form, "inputs", definite=True) for name, form in block.inputs.items()}
    nodes = compile_all(block.specs, flow)
    faults.extend(flow.faults)
    if strict:
        faults.extend(
            Fault(edge.stage, f"{edge.what}; strict builds leave nothing unchecked. {edge.remedy}.") for edge in flow.unchecked
        )
    if faults or nodes is None:
        raise BuildError(faults)
    for path, field in flow.kept:
        _keep(nodes, path, field)
    return Plan(block.inputs, block.defaults, nodes, block.hooks, tuple(flow.notes), tuple(flow.unchecked), dict(flow.fields))


def _keep(nodes: Iterable[Any], path: str, field: str) -> None:
    for node in nodes:
        if node.path == path:
            node.keep(field)
        else:
            _keep(getattr(node, "nodes", ()), path, field)
