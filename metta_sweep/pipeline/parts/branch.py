"""A branch: one of two blocks runs, as a predicate of the context says."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from metta_sweep.address import check_name, join
from metta_sweep.errors import Fault
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.contracts.typeforms import brief
from metta_sweep.pipeline.events import BranchTaken
from metta_sweep.pipeline.keeping.resume_plan import Preview
from metta_sweep.pipeline.parts.block import Block
from metta_sweep.pipeline.parts.spec import Edit, Spec, fields_of, paths_of, surely_of
from metta_sweep.pipeline.proof.flow import Flow, either
from metta_sweep.pipeline.proof.outline import Group, Part, Wire, predicate_wires
from metta_sweep.pipeline.proof.predicates import is_constant, predicate_faults
from metta_sweep.pipeline.proof.validation import check_context_reads
from metta_sweep.pipeline.running.run import Node, Scope, run_nodes

__all__ = ["BranchNode", "BranchSpec", "new_branch"]

THEN: Final = "then"
OTHERWISE: Final = "otherwise"


@dataclass(frozen=True, eq=False)
class BranchSpec:
    """A branch as its user described it."""

    name: str
    predicate: Callable[[Context], Any]
    then: Block
    otherwise: Block | None
    """What runs when the predicate does not hold; None: nothing."""
    faults: tuple[str, ...] = ()

    def _blocks(self) -> dict[str, Block]:
        return {THEN: self.then} if self.otherwise is None else {THEN: self.then, OTHERWISE: self.otherwise}

    def provides(self) -> Mapping[str, Any]:
        """The fields that either block writes; of one that both write, the union of the types."""
        fields: dict[str, Any] = {}
        for block in self._blocks().values():
            for name, form in fields_of(block.specs).items():
                fields[name] = either(fields[name], form) if name in fields else form
        return fields

    def surely(self) -> frozenset[str]:
        """The fields that both blocks write."""
        return surely_of(self.then.specs) & surely_of(self.otherwise.specs if self.otherwise is not None else ())

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """Its predicate."""
        return (self.predicate,)

    def content(self) -> dict[str, Any]:
        """Nothing but its parts."""
        return {}

    def inner(self) -> Mapping[str, Spec]:
        """The parts of both blocks, by their paths."""
        blocks = self._blocks().items()
        return {f"{taken}/{path}": part for taken, block in blocks for path, part in paths_of(block.specs).items()}

    def edited(self, path: str, edit: Edit) -> BranchSpec:
        """The same with the stage at a path replaced."""
        taken, _, rest = path.partition("/")
        if taken == OTHERWISE and self.otherwise is not None:
            return replace(self, otherwise=self.otherwise.edited(rest, edit))
        return replace(self, then=self.then.edited(rest, edit))

    def compile(self, flow: Flow) -> BranchNode | None:
        """Check both blocks where they stand; what only one of them provides is "maybe" from here on."""
        for message in self.faults:
            flow.fault(self.name, message)
        if not self.faults:
            check_context_reads(self.name, "the predicate", self.predicate, flow)
        if not self.faults and is_constant(self.predicate):
            flow.fault(
                self.name,
                "one of its ways never runs: its predicate reads no field, and always says the same. "
                "Let it read a field, or leave the branch out.",
            )
        wires = predicate_wires(self.predicate, flow) if callable(self.predicate) else ()
        start = flow.fork()
        then = self.then.compile_open(join(self.name, THEN), flow)
        left, flow.fields = flow.fields, start
        otherwise: tuple[Node, ...] | None = ()
        if self.otherwise is not None:
            otherwise = self.otherwise.compile_open(join(self.name, OTHERWISE), flow)
        right, flow.fields = flow.fields, left
        flow.join(right, "branch")
        if self.faults or then is None or otherwise is None:
            return None
        return BranchNode(self, then, otherwise, flow.at(self.name), wires)


def new_branch(name: object, predicate: object, then: object, otherwise: object) -> BranchSpec:
    """A branch; what cannot be one of its blocks is a fault of it."""
    faults = list(predicate_faults(predicate, "branch(lambda ctx: ctx.n < 3, ...)"))
    for where, block in ((THEN, then), (OTHERWISE, otherwise)):
        if not isinstance(block, Block) and not (block is None and where == OTHERWISE):
            expected = "a Pipeline" if where == THEN else "a Pipeline, or None"
            faults.append(f"{where} is no pipeline; found {brief(block)}; expected {expected}. Write Pipeline().stage(...).")
    first = then if isinstance(then, Block) else Block({}, {}, (), {})
    second = otherwise if isinstance(otherwise, Block) else None
    chosen = check_name(name, "Pipeline.branch(name=)")
    return BranchSpec(chosen, cast("Callable[[Context], Any]", predicate), first, second, tuple(faults))


class BranchNode:
    """A branch that runs."""

    def __init__(
        self, spec: BranchSpec, then: tuple[Node, ...], otherwise: tuple[Node, ...], path: str, wires: tuple[Wire, ...]
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.path = path
        """Its address without indices."""
        self.then = then
        self.otherwise = otherwise
        self.wires = wires
        """What flows to the predicate."""
        self.nodes = (*then, *otherwise)
        self.lean = None

    def faults_when_kept(self, scope: str) -> list[Fault]:
        """What stands against keeping the outputs of its stages."""
        inner = join(scope, self.name)
        blocks = ((join(inner, THEN), self.then), (join(inner, OTHERWISE), self.otherwise))
        return [fault for place, nodes in blocks for node in nodes for fault in node.faults_when_kept(place)]

    def outline(self) -> Part:
        """What it looks like in tables and drawings."""
        groups = [Group(THEN, tuple(node.outline() for node in self.then))]
        if self.otherwise:
            groups.append(Group(OTHERWISE, tuple(node.outline() for node in self.otherwise)))
        return Part("branch", self.name, self.path, self.wires, self.spec.provides(), groups=tuple(groups))

    def preview(self, preview: Preview) -> None:
        """Tell of the block that the predicate chooses, if that can be known."""
        path = preview.scope.address(self.name)
        holds, why = preview.evaluate(self.spec.predicate)
        if holds is None:
            preview.leave(path, self.path, self.spec.provides(), why)
            return
        inner = preview.at(preview.scope.inner(join(path, THEN if holds else OTHERWISE)))
        for node in self.then if holds else self.otherwise:
            node.preview(inner)

    async def run(self, scope: Scope) -> None:
        """Run the block that the predicate chooses. A resumed run asks the predicate again, with the same values."""
        path = scope.address(self.name)
        holds = await self._holds(scope, path)
        taken = THEN if holds else OTHERWISE if self.otherwise else ""
        if scope.run.listeners:
            scope.run.tell(BranchTaken(path, taken))
        if taken:
            await run_nodes(self.then if holds else self.otherwise, scope.inner(join(path, taken)))

    async def _holds(self, scope: Scope, path: str) -> bool:
        try:
            verdict = self.spec.predicate(context_of(scope.values))
            if inspect.isawaitable(verdict):
                verdict = await verdict
            return bool(verdict)
        except Exception as error:
            error.add_note(f"in the predicate of branch {self.name!r} at {path}")
            raise
