"""A map: one stage, run for each item of a field, gathered in the order of the items."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from metta_sweep.errors import did_you_mean
from metta_sweep.pipeline.contracts.assignable import explain_mismatch
from metta_sweep.pipeline.contracts.models import field_types, is_model
from metta_sweep.pipeline.contracts.typeforms import brief, type_name
from metta_sweep.pipeline.item_failure import ItemFailure
from metta_sweep.pipeline.parts.map_node import MapNode, TolerantTrying
from metta_sweep.pipeline.parts.spec import Edit, Spec
from metta_sweep.pipeline.parts.stage import StageSpec
from metta_sweep.pipeline.proof.elements import element_of
from metta_sweep.pipeline.proof.flow import Flow, either
from metta_sweep.pipeline.proof.outline import wires_of
from metta_sweep.pipeline.proof.reads import reads_of
from metta_sweep.pipeline.proof.signature import MISSING, UNRESOLVED, Parameter
from metta_sweep.pipeline.stage_context import StageContext

__all__ = ["MapSpec", "map_faults"]


@dataclass(frozen=True, eq=False)
class MapSpec:
    """A map as its user described it."""

    stage: StageSpec
    """What runs for each item, with its contract and hooks."""
    over: str
    into: str | None
    """The field that gets the outputs; None: called like the map."""
    limit: int
    """How many items run at once."""
    collect: bool
    """Failures are collected among the outputs, and end nothing."""
    key: Callable[[Any], Any] | str | None
    """What names an item in its address: a function of the item, or one of its attributes. None: its index."""
    faults: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name, unique where it stands."""
        return self.stage.name

    def with_stage(self, stage: StageSpec) -> MapSpec:
        """The same map of another stage."""
        return replace(self, stage=stage)

    def provides(self) -> Mapping[str, Any]:
        """The one field that it writes: a list. None where its items provide nothing, unless the field was named."""
        contract = self.stage.contract
        if contract.kind == "none" and self.into is None and not self.collect:
            return {}
        form = contract.model or (
            type(None)
            if contract.kind == "none"
            else next(iter(contract.fields.values()))
            if contract.kind == "one"
            else collections.abc.Mapping[str, Any]
        )
        element: Any = either(form, ItemFailure) if self.collect else form
        return {self.into or self._named or self.name: list[element]}

    @property
    def _named(self) -> str | None:
        """The one field that ``.through(name=Type)`` named, if any."""
        contract = self.stage.contract
        named = contract.kind == "one" and not self.stage.inferred
        return next(iter(contract.fields)) if named else None

    def surely(self) -> frozenset[str]:
        """The field that it writes."""
        return frozenset(self.provides())

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """What runs for each item."""
        return self.stage.functions()

    def content(self) -> dict[str, Any]:
        """What its items depend on, and the fields that it maps."""
        return {**self.stage.content(), "over": self.over, "into": self.into}

    def inner(self) -> Mapping[str, Spec]:
        """The parts within it, by their paths."""
        return self.stage.inner()

    def edited(self, path: str, edit: Edit) -> MapSpec:
        """The same with the stage at a path replaced."""
        return replace(self, stage=self.stage.edited(path, edit))

    def compile(self, flow: Flow) -> MapNode | None:
        """Check the map and its stage where they stand, and make them runnable."""
        before = len(flow.faults)
        for message in self.faults:
            flow.fault(self.name, message)
        self._check_items_known(flow)
        parameter = self._item_parameter(flow)
        element = self._element(flow)
        if parameter is not None and element is not MISSING:
            self._check_element(parameter, element, flow)
        if element is not MISSING:
            self._check_key(element, flow)
        over = wires_of([self.over], flow)
        stage = replace(self.stage, item=parameter.name if parameter is not None else None)
        bound = stage.bound(flow) if parameter is not None or stage.signature is None else None
        provided = self.provides()
        flow.provide(self.name, provided)
        node = stage.node(bound, flow)
        if bound is None or node is None or len(flow.faults) > before:
            return None
        if self.collect:
            node.trying = TolerantTrying(stage, bound.binding)
        return MapNode(self, node, flow.at(self.name), next(iter(provided), None), over)

    def _check_items_known(self, flow: Flow) -> None:
        """What ``into=`` gathers needs a contract."""
        signature, contract = self.stage.signature, self.stage.contract
        unknown = self.stage.inferred and contract.kind == "none" and signature is not None and signature.returns is MISSING
        if self.into is not None and unknown:
            flow.fault(
                self.name,
                f"into={self.into!r} gathers what has no contract; found a function without a return annotation. "
                "Annotate what it returns, or write .through(Type).",
                self.into,
            )

    def _item_parameter(self, flow: Flow) -> Parameter | None:
        """The parameter that gets the item: the first one that does not ask for the ``StageContext``."""
        signature = self.stage.signature
        if signature is None:
            return None
        found = next((parameter for parameter in signature.parameters if parameter.annotation is not StageContext), None)
        if found is None:
            what = "the stage function takes no item; found no parameter for it"
            hint = "Give the function a first parameter, or the pipeline a declared input."
            flow.fault(self.name, f"{what}; expected the item as the first one. {hint}")
        elif found.name in self.stage.constants:
            flow.fault(
                self.name,
                f"the constant {found.name!r} is the parameter that gets the item, the first one; "
                "expected constants for the others only. Leave it out, or reorder the parameters.",
            )
            return None
        return found

    def _element(self, flow: Flow) -> Any:
        """The type of an item; ``MISSING`` after a fault."""
        if not isinstance(cast("object", self.over), str) or not self.over.isidentifier():
            return MISSING
        state = flow.fields.get(self.over)
        what = f"over={self.over!r}"
        if state is None or not state.definite:
            flow.missing(self.name, what, self.over)
            return MISSING
        element, problem = element_of(state.type)
        if problem is not None:
            flow.fault(
                self.name,
                f"{what} cannot be mapped over: {state.provider!r} provides {type_name(state.type)}, {problem}",
                self.over,
            )
            return MISSING
        if element is Any:
            flow.leave_unchecked(self.name, f"{what}: the type of its items is not known ({type_name(state.type)})")
        return element

    def _check_element(self, parameter: Parameter, element: Any, flow: Flow) -> None:
        what = f"parameter {parameter.name!r}"
        if parameter.annotation is UNRESOLVED and parameter.text == type_name(element):
            return  # a local class, seen by its name
        if parameter.annotation is UNRESOLVED:
            flow.leave_unchecked(self.name, f"{what}: the annotation {parameter.text!r} cannot be resolved")
        elif parameter.annotation is MISSING:
            flow.leave_unchecked(self.name, f"{what} has no annotation")
        else:
            reason = explain_mismatch(element, parameter.annotation, f"{self.over}[*]")
            if reason is not None:
                flow.fault(
                    self.name,
                    f"{what} gets an item of {self.over!r} and needs {type_name(parameter.annotation)}, "
                    f"but the items are {type_name(element)} ({reason}). Change the contract or the annotation.",
                    self.over,
                )

    def _check_key(self, element: Any, flow: Flow) -> None:
        """What names the items must be an attribute of theirs, or read such attributes only."""
        if not isinstance(element, type) or not (is_model(element) or element.__module__ == "builtins"):
            return
        reads = None if self.key is None or isinstance(self.key, str) else reads_of(self.key)
        wanted = (self.key,) if isinstance(self.key, str) else reads.always if reads is not None else ()
        if reads is not None and not (reads.narrows and reads.escapes):
            wanted = (*wanted, *reads.sometimes)
        names = list(field_types(element)) if is_model(element) else []
        for attribute in wanted:
            if attribute in names or hasattr(element, attribute):
                continue
            guess = did_you_mean(attribute, names)
            hint = f"Did you mean {guess!r}?" if guess else "Give a function of the item: key=lambda item: ..."
            flow.fault(
                self.name,
                f"key= reads {attribute!r}, which is no attribute of the items; found {type_name(element)}; "
                f"expected one of {', '.join(names) or 'its attributes'}. {hint}",
                attribute,
            )


def map_faults(over: object, into: object, limit: object, on_item_error: object, key: object) -> tuple[str, ...]:
    """What is wrong with the arguments of a map."""
    faults: list[str] = []
    if not isinstance(over, str) or not over.isidentifier():
        faults.append(f"over= names no field; found {brief(over)}; expected the name of one. Write over='trials'.")
    if into is not None and (not isinstance(into, str) or not into.isidentifier() or into.startswith("_")):
        faults.append(f"into= names no field; found {brief(into)}; expected an identifier. Write into='results'.")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        faults.append(f"limit= cannot be used; found {brief(limit)}; expected an int of at least 1. Write limit=8.")
    if on_item_error not in ("fail", "collect"):
        faults.append(
            f"on_item_error= cannot be used; found {brief(on_item_error)}; expected 'fail' or 'collect'. "
            "Write on_item_error='collect' to go on with the other items."
        )
    if key is not None and not callable(key) and not (isinstance(key, str) and key.isidentifier()):
        faults.append(
            f"key= cannot be used; found {brief(key)}; expected a function of the item, or the name of an attribute. "
            "Write key='id'."
        )
    return tuple(faults)
