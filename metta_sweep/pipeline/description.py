"""What a pipeline is made of while it is being described."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from metta_sweep.errors import Fault
from metta_sweep.pipeline.contracts.models import default_values, field_types, is_model
from metta_sweep.pipeline.contracts.typeforms import brief, is_type_form
from metta_sweep.pipeline.hooks import HookSet, add_global_hooks, check_global_hooks
from metta_sweep.pipeline.parts.block import Block
from metta_sweep.pipeline.parts.guest import guest_stage
from metta_sweep.pipeline.parts.loop import LoopSpec
from metta_sweep.pipeline.parts.map import MapSpec
from metta_sweep.pipeline.parts.nested import as_stage
from metta_sweep.pipeline.parts.spec import Spec
from metta_sweep.pipeline.parts.stage import StageSpec
from metta_sweep.pipeline.plan import Plan
from metta_sweep.pipeline.proof.signature import UNRESOLVED, read_signature
from metta_sweep.pipeline.shown import chain, names_line
from metta_sweep.pipeline.through import check_field_name, inferred_contract, read_through, type_problems

__all__ = ["Draft", "declared", "default_name", "new_stage"]


class Draft(NamedTuple):
    """What has been described so far."""

    inputs: Mapping[str, Any]
    defaults: Mapping[str, Callable[[], Any]]
    """What makes the values of inputs that need not be given."""
    blocks: tuple[tuple[LoopSpec | None, tuple[Spec, ...]], ...] = ((None, ()),)
    """The open blocks, outermost first: their loop (None for the pipeline itself) and their parts so far."""
    pending: StageSpec | MapSpec | None = None
    """The last stage, while ``.through()`` may still follow."""
    hooks: Mapping[str, Any] = HookSet()
    """The global hooks: of each observer, all that were attached, in order."""
    faults: tuple[Fault, ...] = ()
    """Faults of the description that belong to no stage."""

    def told(self) -> str:
        """What has been described so far, in one line."""
        parts = [spec.name for _, specs in self.settled().blocks for spec in specs]
        return f"Pipeline({chain(parts) or 'no stages'}; {names_line(self.inputs) or 'no inputs'})"

    def settled(self) -> Draft:
        """The same with its pending stage in place."""
        return self if self.pending is None else self.added(self.pending)._replace(pending=None)

    def added(self, part: Spec) -> Draft:
        """The same with one more part."""
        loop, parts = self.blocks[-1]
        return self._replace(blocks=(*self.blocks[:-1], (loop, (*parts, part))))

    def named(self, kind: str, name: str | None) -> tuple[Draft, str]:
        """The same, settled, and the name of its next part: as given, else the first of ``loop``, ``loop2``, ... that is free."""
        state = self.settled()
        return state, default_name(kind, {spec.name for spec in state.blocks[-1][1]}) if name is None else name

    def through(self, given: Any, absent: object, keywords: Mapping[str, Any]) -> Draft:
        """The same with the contract and hooks of its last stage; ``given`` is ``absent`` where there was no contract."""
        pending = self.pending
        if pending is None:
            return self._with_fault(
                "through",
                "there is no stage for .through() to follow; found .through() twice, before a stage, or after a loop or branch. "
                "Add a .stage() before it.",
            )
        if isinstance(pending, MapSpec):
            return self._replace(pending=pending.with_stage(read_through(pending.stage, given, absent, keywords)))
        return self._replace(pending=read_through(pending, given, absent, keywords))

    def loop_ended(self) -> Draft:
        """The same with its innermost open loop ended."""
        state = self.settled()
        loop, body = state.blocks[-1]
        if loop is None:
            return self._with_fault(
                "end_loop", "there is no open loop here; found end_loop() without loop_while(). Remove it, or begin the loop."
            )
        return state._replace(blocks=state.blocks[:-1]).added(loop.ended(body))

    def hooked(self, hooks: Mapping[str, Any]) -> Draft:
        """The same with more global hooks."""
        given = {name: value for name, value in hooks.items() if value is not None}
        problems = check_global_hooks(given)
        faults = (*self.faults, *(Fault("global hooks", problem) for problem in problems))
        return self._replace(hooks=add_global_hooks(self.hooks, {} if problems else given), faults=faults)

    def _with_fault(self, place: str, message: str) -> Draft:
        return self._replace(faults=(*self.faults, Fault(place, message)))

    def block(self) -> Block:
        """The whole, closed: what is still open is a fault, and is looked at all the same."""
        state = self.settled()
        faults = list(state.faults)
        rest: tuple[Spec, ...] = ()
        for loop, parts in reversed(state.blocks):
            rest = (*parts, *rest)
            if loop is not None:
                rest = (loop.with_body(rest),)
                missing = f"the loop {loop.name!r} is never ended; found loop_while() without end_loop(). Add .end_loop()."
                faults.append(Fault(loop.name, missing))
        if not rest and not faults:
            faults.append(Fault("pipeline", "there is nothing to run; found no stages; expected at least one. Add a .stage()."))
        return Block(state.inputs, state.defaults, rest, state.hooks, tuple(faults))


def declared(state: type | None, inputs: Mapping[str, Any]) -> Draft:
    """The beginning of a pipeline: its inputs."""
    faults: list[Fault] = []
    types_: dict[str, Any] = {}
    defaults: dict[str, Callable[[], Any]] = {}
    if state is not None:
        if is_model(state):
            types_.update(field_types(state))
            defaults.update(default_values(state))
        else:
            faults.append(
                Fault(
                    "inputs",
                    f"Pipeline() takes a pydantic model or a dataclass; found {brief(state)}. "
                    "Declare single inputs by name: Pipeline(n=int).",
                )
            )
    for name, form in inputs.items():
        check_field_name(name, "Pipeline()")
        if name in types_:
            faults.append(Fault("inputs", f"the input {name!r} is declared twice: by the model, and by name. Leave one out.", name))
        if is_type_form(form):
            faults.extend(Fault("inputs", problem, name) for problem in type_problems(form))
            types_[name] = form
        else:
            written = isinstance(form, str)
            remedy = f"Write {name}={form if written else type(form).__name__}{', without quotes' if written else ''}"
            faults.append(
                Fault("inputs", f"the input {name!r} needs a type; found {brief(form)}; expected a type. {remedy}.", name)
            )
            types_[name] = Any
    return Draft(types_, defaults, faults=tuple(faults))


def new_stage(name: str, fn: object, constants: Mapping[str, Any], caller: types.FrameType) -> StageSpec:
    """A stage of a function, of a pipeline (given as its block) or of a guest: an experiment.

    Args:
        name: its name.
        fn: the function or block, or a guest.
        constants: values for parameters or inputs.
        caller: where the user called; its local names resolve annotations.
    """
    if isinstance(fn, Block):
        return as_stage(name, fn, constants)
    guest = guest_stage(name, fn, constants)
    if guest is not None:
        return guest
    function = cast("Callable[..., Any]", fn)
    if not callable(fn):
        hint = "Pass the pipeline itself, not its plan." if isinstance(fn, Plan) else "Pass it without calling it."
        fault = f"the stage function cannot be called; found {brief(fn)}; expected a function. {hint}"
        return StageSpec(name, function, None, constants, inferred_contract(name, None), faults=(fault,))
    try:
        signature = read_signature(function)
        if UNRESOLVED in (signature.returns, *(parameter.annotation for parameter in signature.parameters)):
            signature = read_signature(
                function, caller.f_locals
            )  # local classes, which postponed annotations leave out of closures
    except (TypeError, ValueError):
        wrapped = f"lambda x: {getattr(fn, '__name__', 'fn')}(x)"
        fault = f"the stage function has no signature; found {brief(fn)}; expected a Python function. Wrap it: {wrapped}."
        return StageSpec(name, function, None, constants, inferred_contract(name, None), faults=(fault,))
    return StageSpec(name, function, signature, constants, inferred_contract(name, signature))


def default_name(kind: str, taken: set[str]) -> str:
    """The first of ``loop``, ``loop2``, ... that is free."""
    name, number = kind, 1
    while name in taken:
        number += 1
        name = f"{kind}{number}"
    return name
