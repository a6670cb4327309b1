"""Describing a pipeline: each call returns a new one, so that a beginning can be shared."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

from metta_sweep.address import check_name
from metta_sweep.errors import Fault
from metta_sweep.pipeline.branch import new_branch
from metta_sweep.pipeline.description import Description, declared, default_name, new_stage
from metta_sweep.pipeline.hooks import add_global_hooks, check_global_hooks
from metta_sweep.pipeline.loop import Predicate, new_loop
from metta_sweep.pipeline.map import MapSpec, map_faults
from metta_sweep.pipeline.override import overridden
from metta_sweep.pipeline.plan import Plan
from metta_sweep.pipeline.planning import plan_of
from metta_sweep.pipeline.through import read_through

__all__ = ["Pipeline"]

_ABSENT = object()
_frame = sys._getframe  # noqa: SLF001  # local classes of the caller resolve annotations


class Pipeline:
    """The flow of an experiment: stages, what their outputs must be, loops, and what is attached to them.

    Args:
        state: a model whose fields are the declared inputs.
        inputs: the declared inputs, ``name=type``.

    Nothing is checked as a whole before ``build()``, which reports every structural fault at once.
    """

    def __init__(self, state: type | None = None, /, **inputs: Any) -> None:
        self._state = declared(state, inputs)

    # -- stages -----------------------------------------------------------------------------------------------------

    def stage(self, name: str, fn: Callable[..., Any] | Pipeline, /, **constants: Any) -> Pipeline:
        """Add a stage. Without ``.through()`` its contract is the function's return annotation.

        Args:
            name: unique where it stands; the field of a one-value output is named after it.
            fn: a sync or async function, bound method, lambda, partial or callable object. Sync ones run in a thread.
                Or a pipeline: it gets its declared inputs by name, has values of its own, and provides what its last part provides,
                or what ``.through()`` picks of all its fields.
            constants: values for parameters of the function, or for inputs of the pipeline.
        """
        check_name(name, "Pipeline.stage()")
        return self._with(self._state.settled()._replace(pending=new_stage(name, _described(fn), constants, _frame(1))))

    def map(
        self,
        name: str,
        fn: Callable[..., Any] | Pipeline,
        /,
        *,
        over: str,
        into: str | None = None,
        limit: int = 64,
        on_item_error: Literal["fail", "collect"] = "fail",
        key: Callable[[Any], Any] | str | None = None,
        **constants: Any,
    ) -> Pipeline:
        """Add a stage that runs for each item of a field; the outputs are gathered in the order of the items.

        ``.through()`` after it describes one item: its contract and its hooks. Items that are done are kept one by one.

        Args:
            name: unique where it stands; an item's address is ``name[item=0]``.
            fn: as for ``stage()``. Its first parameter, or the first declared input of a pipeline, is the item.
            over: the field that holds the items: a list, tuple or another sequence.
            into: the field that gets the list of outputs; called like the map by default.
            limit: how many items run at once.
            on_item_error: ``"fail"``: the first failure ends the others and is raised. ``"collect"``: an ``ItemFailure`` stands
                in the place of the output, and the others go on.
            key: what names an item in its address instead of its index: a function of the item, or one of its attributes.
            constants: values for the other parameters.
        """
        check_name(name, "Pipeline.map()")
        stage = new_stage(name, _described(fn), constants, _frame(1))
        faults = map_faults(over, into, limit, on_item_error, key)
        spec = MapSpec(stage, over, into, limit, on_item_error == "collect", key, faults)
        return self._with(self._state.settled()._replace(pending=spec))

    def through(self, contract: Any = _ABSENT, /, **keywords: Any) -> Pipeline:
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
        if isinstance(pending, MapSpec):
            stage = read_through(pending.stage, contract, _ABSENT, keywords)
            return self._with(self._state._replace(pending=pending.with_stage(stage)))
        return self._with(self._state._replace(pending=read_through(pending, contract, _ABSENT, keywords)))

    # -- loops and branches -----------------------------------------------------------------------------------------

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
        state = self._state.settled()
        chosen = name if name is not None else default_name("loop", state.taken())
        loop = new_loop(chosen, predicate, carry, max_iterations, "Pipeline.loop_while")
        return self._with(state._replace(blocks=(*state.blocks, (loop, ()))))

    def end_loop(self) -> Pipeline:
        """End the innermost open loop."""
        state = self._state.settled()
        loop, body = state.blocks[-1]
        if loop is None:
            return self._with_fault(
                "end_loop", "there is no open loop here; found end_loop() without loop_while(). Remove it, or begin the loop"
            )
        return self._with(state._replace(blocks=state.blocks[:-1]).added(loop.ended(body)))

    def loop(
        self,
        body: Pipeline,
        /,
        *,
        while_: Predicate,
        carry: Mapping[str, Any] | None = None,
        max_iterations: int | None = None,
        name: str | None = None,
    ) -> Pipeline:
        """Add a loop whose body is a pipeline: its stages read the fields here, and write to them.

        Args:
            body: what it declares as inputs must be provided here.
            while_: gets the context before each iteration.
            carry: first values of fields that the body replaces.
            max_iterations: passing it raises ``LoopLimit``. None: no limit.
            name: part of the addresses, ``name[3]/stage``; "loop", "loop2", ... by default.
        """
        state = self._state.settled()
        chosen = name if name is not None else default_name("loop", state.taken())
        loop = new_loop(chosen, while_, carry, max_iterations, "Pipeline.loop")
        return self._with(state.added(loop.around(_described(body))))

    def branch(
        self, predicate: Predicate, then: Pipeline, otherwise: Pipeline | None = None, /, *, name: str | None = None
    ) -> Pipeline:
        """Add a choice: the stages of one of two pipelines run; they read the fields here, and write to them.

        Args:
            predicate: gets the context, and says whether ``then`` runs.
            then: what it declares as inputs must be provided here.
            otherwise: runs when the predicate does not hold; None: nothing does.
            name: part of the addresses, ``name/then/stage``; "branch", "branch2", ... by default.
        """
        state = self._state.settled()
        chosen = name if name is not None else default_name("branch", state.taken())
        return self._with(state.added(new_branch(chosen, predicate, _described(then), _described(otherwise))))

    # -- the whole --------------------------------------------------------------------------------------------------

    def override(self, path: str, replacement: Callable[..., Any] | Pipeline, /) -> Pipeline:
        """Replace the function of a stage, at any depth. The stage keeps its name, contract, hooks and constants.

        Args:
            path: the stage's address without indices: ``"train/fit"``, ``"loop/fit"``, ``"choose/then/fit"``.
            replacement: a function or pipeline; ``build()`` checks it against the contract, and where it stands.
        """
        return self._with(overridden(self._state.settled(), path, _described(replacement), _frame(1)))

    def with_global_hooks(self, **hooks: Any) -> Pipeline:
        """Attach observers to every stage: ``before(stage, data)``, ``after(stage, data)``, ``profile=True``.

        They are outermost: first before a stage, last after it. Observers of several calls are all told, in the order of the calls.
        Those of a pipeline within another one are told about its own stages only, inside of those of the outer one.
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
        return plan_of(self._state.block(), strict=strict)

    def _with(self, state: Description) -> Pipeline:
        new = object.__new__(type(self))
        new._state = state  # of its own class
        return new

    def _with_fault(self, place: str, message: str) -> Pipeline:
        return self._with(self._state._replace(faults=(*self._state.faults, Fault(place, message + "."))))


def _described(part: object) -> Any:
    """A pipeline as the block that it describes; anything else as it is."""
    return part._state.block() if isinstance(part, Pipeline) else part  # noqa: SLF001  # of its own class
