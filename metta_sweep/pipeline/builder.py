"""Describing a pipeline: each call returns a new one, so that a beginning can be shared."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from metta_sweep.address import check_name
from metta_sweep.errors import BuildError, Fault
from metta_sweep.pipeline.flow import FieldState, Flow
from metta_sweep.pipeline.hooks import HookSet, add_global_hooks, check_global_hooks
from metta_sweep.pipeline.loop import LoopSpec, Predicate
from metta_sweep.pipeline.models import default_values, field_types, is_model
from metta_sweep.pipeline.plan import Plan
from metta_sweep.pipeline.signature import UNRESOLVED, read_signature
from metta_sweep.pipeline.spec import Spec, compile_all, providers_of
from metta_sweep.pipeline.stage import StageSpec
from metta_sweep.pipeline.stage_node import StageNode
from metta_sweep.pipeline.through import check_field_name, inferred_contract, read_through
from metta_sweep.pipeline.typeforms import brief, is_type_form

__all__ = ["Pipeline"]


class _State(NamedTuple):
    """What has been described so far."""

    inputs: Mapping[str, Any]
    defaults: Mapping[str, Callable[[], Any]]
    """What makes the values of inputs that need not be given."""
    blocks: tuple[tuple[LoopSpec | None, tuple[Spec, ...]], ...] = ((None, ()),)
    """The open blocks, outermost first: their loop (None for the pipeline itself) and their parts so far."""
    pending: StageSpec | None = None
    """The last stage, while ``.through()`` may still follow."""
    hooks: Mapping[str, Any] = HookSet()
    """The global hooks: of each observer, all that were attached, in order."""
    faults: tuple[Fault, ...] = ()
    """Faults of the description that belong to no stage."""


class Pipeline:
    """The flow of an experiment: stages, what their outputs must be, loops, and what is attached to them.

    Args:
        state: a model whose fields are the declared inputs.
        inputs: the declared inputs, ``name=type``.

    Nothing is checked as a whole before ``build()``, which reports every structural fault at once.
    """

    def __init__(self, state: type | None = None, /, **inputs: Any) -> None:
        faults: list[Fault] = []
        declared: dict[str, Any] = {}
        defaults: dict[str, Callable[[], Any]] = {}
        if state is not None:
            if is_model(state):
                declared.update(field_types(state))
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
            if is_type_form(form):
                declared[name] = form
            else:
                faults.append(
                    Fault(
                        "inputs",
                        f"the input {name!r} needs a type; found {brief(form)}; expected a type. Write {name}=str.",
                        name,
                    )
                )
                declared[name] = Any
        self._state = _State(declared, defaults, faults=tuple(faults))

    # -- stages -----------------------------------------------------------------------------------------------------

    def stage(self, name: str, fn: Callable[..., Any], /, **constants: Any) -> Pipeline:
        """Add a stage. Without ``.through()`` its contract is the function's return annotation.

        Args:
            name: unique where it stands; the field of a one-value output is named after it.
            fn: a sync or async function, bound method, lambda, partial or callable object. Sync ones run in a thread.
            constants: values for parameters of the function.
        """
        check_name(name, "Pipeline.stage()")
        state = self._settled()
        return self._with(state._replace(pending=_new_stage(name, fn, constants, sys._getframe(1))))  # noqa: SLF001

    def through(self, contract: Any = _State, /, **keywords: Any) -> Pipeline:
        """Say what the output of the last stage must be, and attach hooks to it.

        Args:
            contract: a model (its fields join the context) or another type (a field named after the stage).
            keywords: ``name=type`` is a field; the name of a hook is a hook; a parameter of the stage function is a constant.
        """
        pending = self._state.pending
        if pending is None:
            return self._with_fault(
                "through",
                "there is no stage that .through() could follow; found .through() twice, or before a stage. "
                "Add a .stage() before it",
            )
        given = _State if contract is _State else contract
        return self._with(self._state._replace(pending=read_through(pending, given, _State, keywords)))

    # -- loops ------------------------------------------------------------------------------------------------------

    def loop_while(
        self,
        predicate: Predicate,
        /,
        *,
        carry: Mapping[str, Any] | None = None,
        max_iterations: int | None = None,
        name: str | None = None,
    ) -> Pipeline:
        """Begin a loop: what follows up to ``end_loop()`` runs while ``predicate(context)`` holds.

        Args:
            predicate: gets the context before each iteration.
            carry: first values of fields that the body replaces.
            max_iterations: passing it raises ``LoopLimit``. None: no limit.
            name: part of the addresses, ``name[3]/stage``; "loop", "loop2", ... by default.
        """
        state = self._settled()
        taken = {spec.name for spec in state.blocks[-1][1]}
        chosen = check_name(name, "Pipeline.loop_while()") if name is not None else _default_name(taken)
        carried = dict(carry or {})
        for key in carried:
            check_field_name(key, "Pipeline.loop_while(carry=)")
        faults = _loop_faults(predicate, max_iterations)
        loop = LoopSpec(chosen, predicate, carried, max_iterations, faults=faults)
        return self._with(state._replace(blocks=(*state.blocks, (loop, ()))))

    def end_loop(self) -> Pipeline:
        """End the innermost open loop."""
        state = self._settled()
        loop, body = state.blocks[-1]
        if loop is None:
            return self._with_fault(
                "end_loop", "there is no open loop here; found end_loop() without loop_while(). Remove it, or begin the loop"
            )
        faults = (
            loop.faults
            if body
            else (
                *loop.faults,
                "the loop has no stages; found an empty body; expected at least one stage. Add one before end_loop().",
            )
        )
        done = LoopSpec(loop.name, loop.predicate, loop.carry, loop.max_iterations, body, faults)
        outer_loop, outer = state.blocks[-2]
        return self._with(state._replace(blocks=(*state.blocks[:-2], (outer_loop, (*outer, done)))))

    # -- the whole --------------------------------------------------------------------------------------------------

    def with_global_hooks(self, **hooks: Any) -> Pipeline:
        """Attach observers to every stage: ``before(stage, data)``, ``after(stage, data)``, ``profile=True``.

        They are outermost: first before a stage, last after it. Observers of several calls are all told, in the order of the calls.
        """
        hooks = {name: value for name, value in hooks.items() if value is not None}
        problems = check_global_hooks(hooks)
        faults = (*self._state.faults, *(Fault("global hooks", problem) for problem in problems))
        good = {} if problems else hooks
        return self._with(self._state._replace(hooks=add_global_hooks(self._state.hooks, good), faults=faults))

    def build(self, *, strict: bool = False) -> Plan:
        """Check everything and make it runnable.

        Args:
            strict: what cannot be checked is a fault, too.

        Raises:
            BuildError: with every structural fault.
        """
        state = self._settled()
        faults = list(state.faults)
        for loop, _ in state.blocks[1:]:
            if loop is not None:
                faults.append(
                    Fault(
                        loop.name, f"the loop {loop.name!r} is never ended; found loop_while() without end_loop(). Add .end_loop()."
                    )
                )
        specs = _close_all(state.blocks)
        if not specs and not faults:
            faults.append(Fault("pipeline", "there is nothing to run; found no stages; expected at least one. Add a .stage()."))
        flow = Flow({**dict.fromkeys(state.inputs, ("inputs",)), **providers_of(specs)}, state.hooks)
        flow.fields = {name: FieldState(form, "inputs", definite=True) for name, form in state.inputs.items()}
        nodes = compile_all(specs, flow)
        faults.extend(flow.faults)
        if strict:
            faults.extend(
                Fault(edge.stage, f"{edge.what}; strict builds leave nothing unchecked. Annotate it") for edge in flow.unchecked
            )
        if faults or nodes is None:
            raise BuildError(faults)
        for path, field in flow.kept:
            _keep(nodes, path, field)
        return Plan(state.inputs, state.defaults, nodes, state.hooks, tuple(flow.notes), tuple(flow.unchecked), dict(flow.fields))

    def _settled(self) -> _State:
        """The description with its pending stage in place."""
        state = self._state
        if state.pending is None:
            return state
        loop, parts = state.blocks[-1]
        return state._replace(pending=None, blocks=(*state.blocks[:-1], (loop, (*parts, state.pending))))

    def _with(self, state: _State) -> Pipeline:
        new = object.__new__(type(self))
        new._state = state  # of its own class
        return new

    def _with_fault(self, place: str, message: str) -> Pipeline:
        return self._with(self._state._replace(faults=(*self._state.faults, Fault(place, message + "."))))


def _new_stage(name: str, fn: Callable[..., Any], constants: Mapping[str, Any], caller: types.FrameType) -> StageSpec:
    if not callable(cast("object", fn)):
        fault = f"the stage function cannot be called; found {brief(fn)}; expected a function. Pass it without calling it."
        return StageSpec(name, fn, None, constants, inferred_contract(name, None), faults=(fault,))
    try:
        signature = read_signature(fn)
        if UNRESOLVED in (signature.returns, *(parameter.annotation for parameter in signature.parameters)):
            signature = read_signature(fn, caller.f_locals)  # local classes, which postponed annotations leave out of closures
    except (TypeError, ValueError):
        wrapped = f"lambda x: {getattr(fn, '__name__', 'fn')}(x)"
        fault = f"the stage function has no signature; found {brief(fn)}; expected a Python function. Wrap it: {wrapped}."
        return StageSpec(name, fn, None, constants, inferred_contract(name, None), faults=(fault,))
    return StageSpec(name, fn, signature, constants, inferred_contract(name, signature))


def _default_name(taken: set[str]) -> str:
    name, number = "loop", 1
    while name in taken:
        number += 1
        name = f"loop{number}"
    return name


def _loop_faults(predicate: object, max_iterations: object) -> tuple[str, ...]:
    faults: list[str] = []
    if not callable(predicate):
        faults.append(
            f"the predicate cannot be called; found {brief(predicate)}; expected a function of the context. "
            "Write loop_while(lambda ctx: ctx.n < 3)."
        )
    if max_iterations is not None and (
        isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1
    ):
        faults.append(
            f"max_iterations cannot be used; found {brief(max_iterations)}; expected an int of at least 1, or None. "
            "Write max_iterations=100."
        )
    return tuple(faults)


def _close_all(blocks: tuple[tuple[LoopSpec | None, tuple[Spec, ...]], ...]) -> tuple[Spec, ...]:
    """The parts of the pipeline, open loops closed, so that faults in them are found as well."""
    rest: tuple[Spec, ...] = ()
    for loop, parts in reversed(blocks):
        rest = (*parts, *rest)
        if loop is not None:
            rest = (LoopSpec(loop.name, loop.predicate, loop.carry, loop.max_iterations, rest, loop.faults),)
    return rest


def _keep(nodes: tuple[Any, ...], path: str, field: str) -> None:
    for node in nodes:
        if not isinstance(node, StageNode):
            _keep(node.nodes, path, field)
        elif node.path == path:
            node.keep((*node.keep_fields, field))
