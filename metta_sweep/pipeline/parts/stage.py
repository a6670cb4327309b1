"""A stage, as its user described it: one named step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from metta_sweep.errors import Fault
from metta_sweep.pipeline.cache import as_cache
from metta_sweep.pipeline.contracts.contract import Contract
from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.keeping.caching import check_cache
from metta_sweep.pipeline.keeping.inputs import of_partial
from metta_sweep.pipeline.keeping.payload import fields_without_json
from metta_sweep.pipeline.parts.stage_node import StageNode, no_json_form
from metta_sweep.pipeline.proof.binding import Binding, bind
from metta_sweep.pipeline.proof.flow import Flow
from metta_sweep.pipeline.proof.outline import Wire, stage_wires
from metta_sweep.pipeline.proof.returns import check_returns
from metta_sweep.pipeline.proof.signature import MISSING, UNRESOLVED, ReadSignature, gives_generator
from metta_sweep.pipeline.proof.validation import check_call
from metta_sweep.pipeline.running.observers import Observers

if TYPE_CHECKING:
    from metta_sweep.pipeline.parts.spec import Edit, Spec

__all__ = ["StageBinding", "StageSpec"]


class StageBinding(NamedTuple):
    """A stage that was checked where it stands."""

    binding: Binding
    observers: Observers
    wires: tuple[Wire, ...]
    """What flows to it."""


@dataclass(frozen=True, eq=False)
class StageSpec:
    """A stage as its user described it."""

    name: str
    fn: Callable[..., Any]
    signature: ReadSignature | None
    """None when it has none; that is a fault."""
    constants: Mapping[str, Any]
    contract: Contract
    hooks: Mapping[str, Any] = field(default_factory=dict)
    inferred: bool = True
    """The contract is the return annotation: there was no ``.through()``, or it named none."""
    faults: tuple[str, ...] = ()
    """What is wrong with the description itself."""
    item: str | None = None
    """The parameter that gets the item, where the stage is what a map runs for each of its items."""

    def through(
        self, contract: Contract, constants: Mapping[str, Any], hooks: Mapping[str, Any], faults: tuple[str, ...]
    ) -> StageSpec:
        """The same stage, with its contract and what is attached to it."""
        return replace(
            self,
            inferred=contract is self.contract,
            contract=contract,
            constants={**self.constants, **constants},
            hooks={**self.hooks, **hooks},
            faults=(*self.faults, *faults),
        )

    def provides(self) -> Mapping[str, Any]:
        """The fields that it writes."""
        return self.contract.fields

    def surely(self) -> frozenset[str]:
        """The fields that it writes: all of them."""
        return frozenset(self.provides())

    def inner(self) -> Mapping[str, Spec]:
        """The parts within it, by their paths: a function has none."""
        return {}

    def edited(self, path: str, edit: Edit) -> StageSpec:
        """The same: nothing is within a function."""
        return self

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """What it calls."""
        return (self.fn,)

    def content(self) -> dict[str, Any]:
        """What its output depends on besides the fields that it reads: constants, and what partials fill in."""
        constants = {f"constant {name}": value for name, value in sorted(self.constants.items())}
        return {**of_partial(self.fn), **constants}

    def compile(self, flow: Flow) -> StageNode | None:
        """Check the stage where it stands, and make it runnable. Faults go to ``flow``."""
        binding = self.bound(flow)
        flow.provide(self.name, self.contract.fields)
        return self.node(binding, flow)

    def bound(self, flow: Flow) -> StageBinding | None:
        """Check what the stage reads where it stands; None when there was a fault."""
        for message in self.faults:
            flow.faults.append(Fault(flow.at(self.name), message))
        self._check_description(flow)
        if "timeout_mode" in self.hooks:
            from metta_sweep.pipeline.running.processes import check_timeout_mode

            check_timeout_mode(self.name, self.fn, self.hooks["timeout_mode"], flow)
        with flow.also(self.item, self.name):
            observers = Observers.of(self, flow)
        binding = self._bind(flow)
        if binding is None:
            observers.check_outputs(self, flow)
            return None
        policy = as_cache(self.hooks.get("cache"))
        if policy is not None:
            with flow.also(self.item, self.name):
                check_cache(self, binding, policy, flow)
        return StageBinding(binding, observers, stage_wires(binding.reads, self.constants, self._parameters, flow))

    def node(self, bound: StageBinding | None, flow: Flow) -> StageNode | None:
        """Check what is attached to its output, and make it runnable."""
        if self.hooks.get("checkpoint") is True:
            for name in fields_without_json(self.contract):
                flow.fault(self.name, no_json_form(name, self.contract), name)
        if bound is None:
            return None
        bound.observers.check_outputs(self, flow)
        if self.faults:
            return None
        node = StageNode(self, bound.binding, bound.observers, flow.at(self.name))
        node.wires = bound.wires
        return node

    def _bind(self, flow: Flow) -> Binding | None:
        if self.signature is None:
            return None
        return bind(self.name, self.fn, self.signature, self.constants, flow, item=self.item)

    @property
    def _parameters(self) -> list[str]:
        return [] if self.signature is None else [parameter.name for parameter in self.signature.parameters]

    def _check_field_name(self, flow: Flow) -> None:
        contract = self.contract
        if contract.kind == "one" and self.name in contract.fields and not self.name.isidentifier():
            flow.fault(
                self.name,
                f"its output would be a field called {self.name!r}, which is no identifier; found {self.name!r}. "
                f"Name the field: .through(result={type_name(contract.fields[self.name])}).",
            )

    def _check_description(self, flow: Flow) -> None:
        contract = self.contract
        if self.signature is not None:
            check_call(self.name, self.fn, self.signature, self.constants, flow)
        self._check_field_name(flow)
        returns = MISSING if self.signature is None or gives_generator(self.fn) else self.signature.returns
        if not self.inferred and returns not in (MISSING, UNRESOLVED):
            check_returns(self.name, returns, contract, flow)
        if self.inferred and returns is UNRESOLVED:
            flow.fault(
                self.name, "its return annotation cannot be resolved, so that it has no contract. Name it with .through(Type)."
            )
