"""A pipeline as a stage of another one: closed, with inputs and values of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from metta_sweep.address import join
from metta_sweep.errors import ContractError, Fault
from metta_sweep.pipeline.cache import as_cache
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.keeping.code_digest import code_text
from metta_sweep.pipeline.keeping.resume_plan import UNKNOWN, Preview
from metta_sweep.pipeline.parts.block import Block
from metta_sweep.pipeline.parts.closed import bind_inputs, output_maker, picks_of
from metta_sweep.pipeline.parts.spec import Edit, Spec, compile_all, paths_of, providers_of
from metta_sweep.pipeline.parts.stage import StageBinding, StageSpec
from metta_sweep.pipeline.parts.stage_node import StageNode
from metta_sweep.pipeline.proof.binding import Binding
from metta_sweep.pipeline.proof.calls import Call
from metta_sweep.pipeline.proof.flow import FieldState, Flow
from metta_sweep.pipeline.proof.outline import Group, Part
from metta_sweep.pipeline.proof.signature import MISSING, Parameter, ReadSignature
from metta_sweep.pipeline.ref import Ref
from metta_sweep.pipeline.running.run import Node, Scope, run_nodes

__all__ = ["NestedNode", "NestedSpec", "PipelineCall", "as_stage"]

_DECLARE: Final = "Write Pipeline({name}=...), or leave it out."
_ABSENT: Final = object()
"""Stands for an input that has a default and may not be there."""


def as_stage(name: str, block: Block, constants: Mapping[str, Any]) -> NestedSpec:
    """The stage that runs a pipeline. Without ``.through()`` it provides what the pipeline's last part provides."""
    parameters = tuple(
        Parameter(field, form, _ABSENT if field in block.defaults else MISSING, False, "") for field, form in block.inputs.items()
    )
    signature = ReadSignature(parameters, False, MISSING, 0)
    return NestedSpec(name, PipelineCall(name, block), signature, constants, _output_of(name, block), block=block)


def _output_of(name: str, block: Block) -> Contract:
    """What the last part of a pipeline provides: its contract, or of anything but a stage what it surely leaves."""
    last = block.specs[-1] if block.specs else None
    if isinstance(last, StageSpec):
        return Contract(name, last.contract.fields, last.contract.model)
    flow = Flow({}, {})
    flow.fields = _inputs(block)
    compile_all(block.specs, flow)
    left = {} if last is None else last.provides()
    return Contract(
        name, {field: flow.fields[field].type for field in left if field in flow.fields and flow.fields[field].definite}
    )


def _inputs(block: Block) -> dict[str, FieldState]:
    return {name: FieldState(form, "inputs", definite=True) for name, form in block.inputs.items()}


@dataclass(frozen=True, eq=False, kw_only=True)
class NestedSpec(StageSpec):
    """A pipeline that is a stage, as its user described it."""

    block: Block

    def inner(self) -> Mapping[str, Spec]:
        """The parts within it, by their paths."""
        return paths_of(self.block.specs)

    def edited(self, path: str, edit: Edit) -> NestedSpec:
        """The same with the stage at a path replaced."""
        block = self.block.edited(path, edit)
        return replace(self, block=block, fn=PipelineCall(self.name, block))

    def content(self) -> dict[str, Any]:
        """What its output depends on besides the fields that it reads: its defaults; within it constants, contracts, policies."""
        within = paths_of(self.block.specs).items()
        defaults = {f"default {name}": make() for name, make in self.block.defaults.items() if name not in self.constants}
        return {
            **super().content(),
            **defaults,
            **{f"{path}, {name}": value for path, part in within for name, value in part.content().items()},
            **{f"{path}, policies": _policies(part) for path, part in within},
        }

    def node(self, bound: StageBinding | None, flow: Flow) -> StageNode | None:
        """Check what is attached to its output, and make it runnable."""
        if bound is None or super().node(bound, flow) is None:
            return None
        call = bound.binding.call
        nodes = call.nodes if isinstance(call, _Inside) else ()
        return NestedNode(self, bound, flow.at(self.name), nodes)

    def _check_description(self, flow: Flow) -> None:
        self.block.report(self.name, flow)

    def _bind(self, flow: Flow) -> Binding | None:
        before = len(flow.faults)
        binding = bind_inputs(self, f"the pipeline {self.name!r}", _DECLARE, flow)
        with flow.closed(self.name, _inputs(self.block), providers_of(self.block.specs), self.block.hooks):
            nodes = compile_all(self.block.specs, flow)
            ends = flow.fields
        own = _output_of(self.name, self.block).fields
        picks = picks_of(self, f"the pipeline {self.name!r}", ends, own, flow)
        if binding is None or nodes is None or len(flow.faults) > before or self.block.faults:
            return None
        inside = _Inside(PipelineCall(self.name, self.block), nodes, binding.call, output_maker(self.contract, picks))
        seeded = binding.needs_stage_context or any(_seeded(node) for node in nodes)
        return binding._replace(call=inside, needs_stage_context=seeded)


def _policies(part: Spec) -> tuple[str, ...]:
    """What decides, beside its function, what a stage within gives: its contract, its gate, the version of its cache."""
    stage = getattr(part, "stage", part)
    if not isinstance(stage, StageSpec):
        return ()
    gate, cache = stage.hooks.get("validate"), as_cache(stage.hooks.get("cache"))
    version = "" if cache is None else repr(cache.version)
    return stage.contract.schema_digest, "" if gate is None else code_text(gate), version


def _seeded(node: Any) -> bool:
    """Whether a stage within asks for its context, and so for the seed of the run."""
    return bool(getattr(node, "seeded", False)) or any(_seeded(inner) for inner in getattr(node, "nodes", ()))


class PipelineCall:
    """What a pipeline is called by: takes its inputs, runs its parts in a scope of their own, returns its values."""

    is_pipeline = True
    """Tells it from functions."""

    def __init__(self, name: str, block: Block) -> None:
        self._name = name
        self._block = block
        self._defaults = tuple(block.defaults.items())

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """What it calls in the end, predicates included: its code."""
        return tuple(fn for part in paths_of(self._block.specs).values() for fn in part.functions())

    async def __call__(self, nodes: tuple[Node, ...], scope: Scope, values: dict[str, Any]) -> dict[str, Any]:
        """Run the parts ``nodes`` under the address of the stage; ``values`` are its inputs, and in the end all its fields."""
        for name, make in self._defaults:
            if values.get(name, _ABSENT) is _ABSENT:
                values[name] = make()
        await run_nodes(nodes, scope.inner(scope.address(self._name), values))
        return values


class _Inside:
    """Calls a built pipeline, for a scope."""

    def __init__(self, call: PipelineCall, nodes: tuple[Node, ...], given: Call, output: Callable[[dict[str, Any]], Any]) -> None:
        self.nodes = nodes
        self._call = call
        self._given = given
        self.output = output
        """Makes the output of the values at the end."""

    async def __call__(self, scope: Scope) -> Any:
        return self.output(await self._call(self.nodes, scope, self._given(scope)))


class NestedNode(StageNode):
    """A pipeline that runs as a stage."""

    def __init__(self, spec: NestedSpec, bound: StageBinding, path: str, nodes: tuple[Node, ...]) -> None:
        super().__init__(spec, bound.binding, bound.observers, path)
        self.wires = bound.wires
        self.nodes = nodes
        call: Any = bound.binding.call
        self._make = call.output if isinstance(call, _Inside) else None
        self._refs = bound.binding.kept
        self._defaults = spec.block.defaults

    def foresee(self, preview: Preview, address: str) -> Any:
        """Its recorded output, else what comes of those of its stages, where all of them are known."""
        output = super().foresee(preview, address)
        if output is not UNKNOWN:
            preview.cover(address, f"within {self.path!r}, whose output is used as a whole")
            return output
        values, unknown = self._known_inputs(preview)
        inner = preview.closed(preview.scope.inner(address, values), unknown)
        for node in self.nodes:
            node.preview(inner)
        if inner.unknown or self._make is None:
            return UNKNOWN
        try:
            return self.check(self._make(values))
        except ContractError:
            return UNKNOWN

    def _known_inputs(self, preview: Preview) -> tuple[dict[str, Any], dict[str, str]]:
        """The inputs whose values are known; and the others, with who has yet to make them."""
        spec, scope = self.spec, preview.scope
        values: dict[str, Any] = {}
        unknown: dict[str, str] = {}
        for parameter in () if spec.signature is None else spec.signature.parameters:
            name = parameter.name
            given = spec.constants.get(name, Ref(name))
            field = given.field if isinstance(given, Ref) else name
            if name == spec.item:
                values[name] = scope.item
            elif not isinstance(given, Ref):
                values[name] = given
            elif given.stage is not None:
                key = next((key for key in self._refs if key.endswith(f"{given.stage}.{field}")), "")
                values.update({name: scope.kept[key]} if key in scope.kept else {})
                unknown.update({} if key in scope.kept else {name: given.stage})
            elif field in preview.unknown:
                unknown[name] = preview.unknown[field]
            elif field in scope.values:
                values[name] = scope.values[field]
            elif name in self._defaults:
                values[name] = self._defaults[name]()
        return values, unknown

    def faults_when_kept(self, scope: str) -> list[Fault]:
        """What stands against keeping its output and those of its stages."""
        inner = join(scope, self.name)
        return [*super().faults_when_kept(scope), *(fault for node in self.nodes for fault in node.faults_when_kept(inner))]

    def outline(self) -> Part:
        """What it looks like in tables and drawings."""
        body = Group("", tuple(node.outline() for node in self.nodes))
        return super().outline()._replace(kind="pipeline", groups=(body,))
