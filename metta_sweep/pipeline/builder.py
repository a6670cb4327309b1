"""Describing a pipeline: each call returns a new one, so that a beginning can be shared."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, Unpack, overload

from metta_sweep.address import check_name
from metta_sweep.errors import UnknownOption
from metta_sweep.pipeline.describe import Description
from metta_sweep.pipeline.description import Draft, declared, new_stage
from metta_sweep.pipeline.hints import Unbuilt, known_options
from metta_sweep.pipeline.parts.branch import new_branch
from metta_sweep.pipeline.parts.loop import new_loop
from metta_sweep.pipeline.parts.map import MapSpec, map_faults
from metta_sweep.pipeline.parts.override import overridden
from metta_sweep.pipeline.plan import Plan
from metta_sweep.pipeline.planning import plan_of
from metta_sweep.pipeline.typed import Cur, In

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from metta_sweep.pipeline.cache import Cache
    from metta_sweep.pipeline.parts.guest import AsStage
    from metta_sweep.pipeline.retry import Retry
    from metta_sweep.pipeline.through import FieldSet
    from metta_sweep.pipeline.typed import (
        Dynamic,
        Given,
        GlobalHookOptions,
        HookOptions,
        LoopOptions,
        Model,
        Out,
        P,
        Runs,
        Takes,
        TakesBoth,
        TakesContext,
    )

__all__ = ["Pipeline"]

_ABSENT, _frame = object(), sys._getframe  # noqa: SLF001  # local classes of the caller resolve annotations


class Pipeline(Unbuilt, Generic[In, Cur]):
    """The flow of an experiment: stages, what their outputs must be, loops, and what is attached to them.

    Args:
        state: a model whose fields are the declared inputs.
        inputs: the declared inputs, ``name=type``.

    Nothing is checked as a whole before ``build()``, which reports every structural fault at once.

    For type checkers ``Pipeline[In, Cur]`` takes ``In`` and has come to ``Cur``. ``Pipeline[State]`` is ``Pipeline[State, State]``,
    and ``Pipeline`` is ``Pipeline[Any, Any]``, whose fields are read by name: see docs/typing.md.
    """

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(types.GenericAlias)  # typing's own knows no defaults of parameters before Python 3.13

    @overload
    def __init__(self: Pipeline[Any, Any], /, **inputs: Any) -> None: ...
    @overload
    def __init__(self, state: type[In], /) -> None: ...
    @overload
    def __init__(self: Pipeline[Any, Any], state: type[Any], /, **inputs: Any) -> None: ...
    def __init__(self, state: type | None = None, /, **inputs: Any) -> None:
        self._state = declared(state, inputs)

    # -- stages -----------------------------------------------------------------------------------------------------

    @overload
    def stage(self: Pipeline[Any, Dynamic], name: str, fn: Runs, /, **constants: Any) -> Pipeline[In, Any]: ...
    @overload
    def stage(self, name: str, fn: AsStage, /, **constants: Any) -> Pipeline[In, Any]: ...
    @overload
    def stage(self, name: str, fn: Pipeline[Cur, Out], /, **constants: Any) -> Pipeline[In, Out]: ...
    @overload
    def stage(self, name: str, fn: Callable[P, Given[Model]], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Model]: ...
    @overload
    def stage(self, name: str, fn: Takes[Cur, P, Given[Model]], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Model]: ...
    @overload
    def stage(
        self, name: str, fn: TakesBoth[Cur, P, Given[Model]], /, *args: P.args, **constants: P.kwargs
    ) -> Pipeline[In, Model]: ...
    @overload
    def stage(
        self, name: str, fn: TakesContext[P, Given[Model]], /, *args: P.args, **constants: P.kwargs
    ) -> Pipeline[In, Model]: ...
    @overload
    def stage(self, name: str, fn: Callable[P, Given[None]], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Cur]: ...
    @overload
    def stage(self, name: str, fn: Takes[Cur, P, Given[None]], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Cur]: ...
    @overload
    def stage(
        self, name: str, fn: TakesBoth[Cur, P, Given[None]], /, *args: P.args, **constants: P.kwargs
    ) -> Pipeline[In, Cur]: ...
    @overload
    def stage(self, name: str, fn: TakesContext[P, Given[None]], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Cur]: ...
    @overload
    def stage(self, name: str, fn: Callable[P, Out], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Any]: ...
    @overload
    def stage(self, name: str, fn: Takes[Cur, P, Out], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Any]: ...
    @overload
    def stage(self, name: str, fn: TakesBoth[Cur, P, Out], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Any]: ...
    @overload
    def stage(self, name: str, fn: TakesContext[P, Out], /, *args: P.args, **constants: P.kwargs) -> Pipeline[In, Any]: ...
    def stage(self, name: str, fn: Runs, /, *args: Any, **constants: Any) -> Pipeline[Any, Any]:
        """Add a stage. Without ``.through()`` its contract is the function's return annotation.

        Args:
            name: unique where it stands; the field of a one-value output is named after it.
            fn: a sync or async function, bound method, lambda, partial or callable object. Sync ones run in a thread.
                Or a pipeline or an experiment: it gets its declared inputs by name, has values of its own, and provides what its
                last part provides (a sweep its result), or what ``.through()`` picks of all its fields (of that result).
            constants: values for parameters of the function, or for inputs; of a sweep ``budget=``; of a class, its constructor's.
        """
        check_name(name, "Pipeline.stage()")
        if args:
            raise UnknownOption(
                "Pipeline.stage()",
                "constants are given by their names",
                found=args[0],
                remedy="Write .stage(name, fn, parameter=value)",
            )
        return self._with(self._state.settled()._replace(pending=new_stage(name, _described(fn), constants, _frame(1))))

    def map(
        self,
        name: str,
        fn: Runs,
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
            into: the field that gets the list of outputs; by default that of ``.through(name=Type)``, else called like the map.
            limit: how many items run at once.
            on_item_error: ``"fail"``: the first failure ends the others and is raised. ``"collect"``: an ``ItemFailure`` stands
                in the place of the output, and the others go on.
            key: what names an item in its address instead of its index: a function of the item, or one of its attributes.
            constants: values for the other parameters; for one that is called like an argument here, in ``.through()``.
        """
        check_name(name, "Pipeline.map()")
        stage = new_stage(name, _described(fn), constants, _frame(1))
        faults = map_faults(over, into, limit, on_item_error, key)
        spec = MapSpec(stage, over, into, limit, on_item_error == "collect", key, faults)
        return self._with(self._state.settled()._replace(pending=spec))

    @overload
    def through(self: Pipeline[Dynamic, Dynamic], contract: Any = ..., /, **keywords: Any) -> Pipeline: ...
    @overload
    def through(self, contract: None = ..., /, **hooks: Unpack[HookOptions[Cur]]) -> Self: ...
    @overload
    def through(self, contract: type[Model], /, **hooks: Unpack[HookOptions[Model]]) -> Pipeline[In, Model]: ...
    @overload
    def through(self, contract: TypeForm[Out], /, **hooks: Unpack[HookOptions[Out]]) -> Pipeline: ...
    @overload
    def through(
        self,
        contract: FieldSet = ...,
        /,
        *,
        before: Callable[[Any], Any] | None = ...,
        after: Callable[[Any], Any] | None = ...,
        validate: Callable[[Any], Any] | None = ...,
        on_error: Callable[[Any], Any] | None = ...,
        metrics: Callable[[Any], Any] | None = ...,
        retry: int | Retry | None = ...,
        timeout: float | None = ...,
        total_timeout: float | None = ...,
        timeout_mode: Literal["thread", "process"] | None = ...,
        checkpoint: bool | None = ...,
        cache: bool | Cache | None = ...,
        on_code_change: Literal["warn", "rerun", "refuse"] | None = ...,
        migrate: Callable[[Any], Any] | None = ...,
        profile: bool | None = ...,
        **fields: TypeForm[Any],
    ) -> Pipeline: ...
    def through(self, contract: Any = _ABSENT, /, **keywords: Any) -> Pipeline[Any, Any]:
        """Say what the output of the last stage must be, and attach hooks to it.

        Args:
            contract: a model (its fields join the context) or another type (a field named after the stage).
            keywords: ``name=type`` is a field; the name of a hook is a hook; a parameter of the stage function is a constant.
        """
        return self._with(self._state.through(contract, _ABSENT, keywords))

    # -- loops and branches -----------------------------------------------------------------------------------------

    @overload
    def loop_while(self, predicate: Callable[[Cur], Any], /, **options: Unpack[LoopOptions]) -> Self: ...
    @overload
    def loop_while(
        self, predicate: Callable[[Any], Any], /, *, carry: Mapping[str, Any] | None, **options: Unpack[LoopOptions]
    ) -> Pipeline: ...
    @known_options
    def loop_while(
        self,
        predicate: Callable[[Any], Any],
        /,
        *,
        carry: Mapping[str, Any] | None = None,
        max_iterations: int | None = None,
        name: str | None = None,
    ) -> Pipeline[Any, Any]:
        """Begin a loop: what follows up to ``end_loop()`` runs while ``predicate(context)`` holds.

        Args:
            predicate: gets the context before each iteration.
            carry: first values of fields that the body replaces.
            max_iterations: passing it raises ``LoopLimit``. None: no limit.
            name: part of the addresses, ``name[3]/stage``; "loop", "loop2", ... by default.
        """
        state, chosen = self._state.named("loop", name)
        loop = new_loop(chosen, predicate, carry, max_iterations, "Pipeline.loop_while")
        return self._with(state._replace(blocks=(*state.blocks, (loop, ()))))

    def end_loop(self) -> Self:
        """End the innermost open loop."""
        return self._with(self._state.loop_ended())

    @overload
    def loop(self, body: Pipeline[Cur, Cur], /, *, while_: Callable[[Cur], Any], **options: Unpack[LoopOptions]) -> Self: ...
    @overload
    def loop(
        self,
        body: Pipeline[Cur, Any],
        /,
        *,
        while_: Callable[[Any], Any],
        carry: Mapping[str, Any] | None,
        **options: Unpack[LoopOptions],
    ) -> Pipeline: ...
    @known_options
    def loop(
        self,
        body: Pipeline[Any, Any],
        /,
        *,
        while_: Callable[[Any], Any],
        carry: Mapping[str, Any] | None = None,
        max_iterations: int | None = None,
        name: str | None = None,
    ) -> Pipeline[Any, Any]:
        """Add a loop whose body is a pipeline: its stages read the fields here, and write to them.

        Args:
            body: what it declares as inputs must be provided here.
            while_: gets the context before each iteration.
            carry: as for ``loop_while()``; so are ``max_iterations`` and ``name``.
        """
        state, chosen = self._state.named("loop", name)
        loop = new_loop(chosen, while_, carry, max_iterations, "Pipeline.loop")
        return self._with(state.added(loop.around(_described(body))))

    @overload
    def branch(
        self, predicate: Callable[[Cur], Any], /, then: Pipeline[Cur, Any], otherwise: None = ..., *, name: str | None = ...
    ) -> Self: ...
    @overload
    def branch(
        self, predicate: Callable[[Cur], Any], /, then: Pipeline[Cur, Out], otherwise: Pipeline[Cur, Out], *, name: str | None = ...
    ) -> Pipeline[In, Out]: ...
    @known_options
    def branch(
        self, predicate: Callable[[Any], Any], /, then: Pipeline, otherwise: Pipeline | None = None, *, name: str | None = None
    ) -> Pipeline[Any, Any]:
        """Add a choice: the stages of one of two pipelines run; they read the fields here, and write to them.

        Args:
            predicate: gets the context, and says whether ``then`` runs.
            then: what it declares as inputs must be provided here.
            otherwise: runs when the predicate does not hold; None: nothing does.
            name: part of the addresses, ``name/then/stage``; "branch", "branch2", ... by default.
        """
        state, chosen = self._state.named("branch", name)
        return self._with(state.added(new_branch(chosen, predicate, _described(then), _described(otherwise))))

    # -- the whole --------------------------------------------------------------------------------------------------

    def override(self, path: str, replacement: Runs | None, /) -> Self:
        """Replace the function of a stage, at any depth. The stage keeps its name, contract, hooks and constants.

        Args:
            path: the stage's address without indices: ``"train/fit"``, ``"loop/fit"``, ``"choose/then/fit"``.
            replacement: a function or pipeline, which ``build()`` checks where it stands; None: the stage is left out.
        """
        return self._with(overridden(self._state.settled(), path, _described(replacement), _frame(1)))

    @overload
    def with_global_hooks(self: Pipeline[Dynamic, Dynamic], **hooks: Any) -> Pipeline: ...
    @overload
    def with_global_hooks(self, **hooks: Unpack[GlobalHookOptions]) -> Self: ...
    def with_global_hooks(self, **hooks: Any) -> Pipeline[Any, Any]:
        """Attach observers to every stage: ``before(stage, data)``, ``after(stage, data)``, ``profile=True``.

        They are outermost: first before a stage, last after it. Observers of several calls are all told, in the order of the calls.
        Those of a pipeline within another one are told about its own stages only, inside of those of the outer one.
        """
        return self._with(self._state.hooked(hooks))

    @known_options
    def build(self, *, strict: bool = False) -> Plan:
        """Check everything and make it runnable. With ``strict``, what cannot be checked is a fault, too.

        Raises:
            BuildError: with every structural fault.
        """
        return plan_of(self._state.block(), strict=strict)

    def __repr__(self) -> str:
        return self._state.told()

    def describe(self) -> Description:
        """The contract table of the built pipeline: ``build().describe()``."""
        return self.build().describe()

    def to_mermaid(self) -> str:
        """The flowchart of the built pipeline: ``build().to_mermaid()``."""
        return self.build().to_mermaid()

    def _with(self, state: Draft) -> Self:
        new = object.__new__(type(self))
        new._state = state  # of its own class
        return new


def _described(part: object) -> Any:
    """A pipeline as the block that it describes; anything else as it is."""
    return part._state.block() if isinstance(part, Pipeline) else part  # noqa: SLF001  # of its own class
