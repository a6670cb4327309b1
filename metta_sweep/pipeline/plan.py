"""A built pipeline: checked, immutable, runnable."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, Never, cast

from metta_sweep.address import check_name
from metta_sweep.errors import BuildError, Fault, InvalidInput, StoreError, did_you_mean
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.contracts.checks import Check, value_check
from metta_sweep.pipeline.describe import Description, describe
from metta_sweep.pipeline.event_forms import log_event, logs_events
from metta_sweep.pipeline.events import PipelineListener
from metta_sweep.pipeline.hook_table import CODE_CHANGES, CodeChange
from metta_sweep.pipeline.keeping.recording import BY_HAND, StoreRecorder, open_kept
from metta_sweep.pipeline.keeping.resume_plan import Preview, ResumePlan
from metta_sweep.pipeline.mermaid import to_mermaid
from metta_sweep.pipeline.proof.flow import FieldState, Unchecked
from metta_sweep.pipeline.run_inputs import RUN_OPTIONS, check_options, checked_inputs, given_inputs, refuse_unnamed
from metta_sweep.pipeline.running.main_guard import refuse_while_main_loads
from metta_sweep.pipeline.running.profile import ProfileTable, StageFigures
from metta_sweep.pipeline.running.run import Node, Run, Scope, run_nodes
from metta_sweep.pipeline.shown import chain, fields_line, names_line
from metta_sweep.pipeline.stream import PlanStream
from metta_sweep.records import NullRecorder, Recorder, Store, StoreReader

__all__ = ["PipelineResult", "Plan"]

_CANCELLED: Final = (asyncio.CancelledError, KeyboardInterrupt, SystemExit)


class PipelineResult:
    """What a run left behind. The final fields are attributes and items of it.

    ``context``, ``profile`` and ``seconds`` are about the run; a field of one of these names is read as an item.
    """

    __slots__ = ("context", "profile", "seconds")

    def __init__(self, context: Context, profile: Mapping[str, StageFigures], seconds: float) -> None:
        self.context = context
        self.profile = profile
        """Per path of a stage: calls, total, p50 and p95 in seconds, of those with ``profile=True``. As text it is a table."""
        self.seconds = seconds

    def __getattr__(self, name: str) -> Any:
        if name in self.__slots__ or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.context, name)

    def __getitem__(self, name: str) -> Any:
        return self.context[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({fields_line(self.context)}; {self.seconds:.3g} s)"


class Plan:
    """A pipeline that passed its build. Runs any number of times, also side by side."""

    _owner = "Plan"
    """Whose ``run`` messages speak of."""
    _options: Collection[str] = RUN_OPTIONS
    """What that takes besides inputs."""

    def __init__(
        self,
        inputs: Mapping[str, Any],
        defaults: Mapping[str, Callable[[], Any]],
        nodes: tuple[Node, ...],
        global_hooks: Mapping[str, Any],
        notes: Sequence[Unchecked],
        unchecked: Sequence[Unchecked],
        outputs: Mapping[str, FieldState],
    ) -> None:
        self.inputs = dict(inputs)
        """The declared inputs and their types."""
        self._defaults = dict(defaults)
        self.nodes = nodes
        """The runnable parts, in order."""
        self.notes = tuple(notes)
        """What is worth a look, and no fault."""
        self.unchecked = tuple(unchecked)
        """What the build could not check."""
        self.outputs = dict(outputs)
        """The fields at the end, with type, provider, and whether they are surely there."""
        self.global_hooks = dict(global_hooks)
        """Of each observer, all that were attached, in order."""
        self._profiled = any(_profiled(node) for node in nodes)

    @property
    def optional(self) -> frozenset[str]:
        """The declared inputs that need not be given."""
        return frozenset(self._defaults)

    def __repr__(self) -> str:
        outputs = names_line(name for name in self.outputs if name not in self.inputs)
        return (
            f"Plan({chain(node.name for node in self.nodes)}; {names_line(self.inputs) or 'no inputs'} -> {outputs or 'nothing'})"
        )

    @property
    def last_outputs(self) -> tuple[str, ...]:
        """The names of the fields that the last part provides."""
        return tuple(self.nodes[-1].outline().provides) if self.nodes else ()

    def check_call(self, inputs: Mapping[str, Any], *, listeners: object = (), on_code_change: object = "warn") -> None:
        """Raise what ``run`` with these inputs and options would raise before anything runs or is kept."""
        where = f"{self._owner}.run"
        check_options(where, store=None, seed=None, listeners=listeners)
        self._values(where, inputs)
        _check_code_change(on_code_change, f"{where}(on_code_change=)")

    def check_keepable(self) -> None:
        """Raise ``BuildError`` when an output has no JSON form, so that it cannot be kept."""
        if self._faults_when_kept:
            raise BuildError(self._faults_when_kept)

    def describe(self) -> Description:
        """The contract table: per stage what flows in and from whom, what it provides, and what is attached. Print it."""
        return describe(
            [node.outline() for node in self.nodes],
            inputs=self.inputs,
            outputs=self.outputs,
            unchecked=self.unchecked,
            notes=self.notes,
            global_hooks=self.global_hooks,
        )

    def to_mermaid(self) -> str:
        """A Mermaid flowchart of what flows from whom to whom. GitHub and most documentation tools draw it."""
        return to_mermaid([node.outline() for node in self.nodes], self.inputs)

    @cached_property
    def _faults_when_kept(self) -> list[Fault]:
        return [fault for node in self.nodes for fault in node.faults_when_kept("")]

    @cached_property
    def _checks(self) -> dict[str, Check]:
        return {name: value_check(form) for name, form in self.inputs.items()}

    async def run(
        self,
        *unnamed: Never,
        name: str | None = None,
        store: Store | None = None,
        recorder: Recorder | None = None,
        seed: int | None = None,
        address: str = "",
        listeners: Sequence[PipelineListener] = (),
        strict_hooks: bool = False,
        on_code_change: CodeChange = "warn",
        fresh: bool = False,
        inputs: object = None,
        definition: Mapping[str, Any] | None = None,
        **more_inputs: Any,
    ) -> PipelineResult:
        """Run it.

        Args:
            name: with ``store``: the run is kept under it, and goes on where it was when it is run again.
            store: where outputs are kept. Without a name the run is kept under an id of its own.
            recorder: keeps outputs instead of a store.
            seed: what the seeds of stages are derived from; by default 0, and for a kept run one that is drawn once and kept.
            address: what the addresses of stages begin with.
            listeners: called with every event.
            strict_hooks: an error of an observer ends the run.
            on_code_change: what becomes of recorded outputs whose stage has other code now: ``"warn"`` uses them and says so,
                ``"rerun"`` runs the stage again, ``"refuse"`` raises. A stage may have its own: ``.through(on_code_change=...)``.
            fresh: start over; a kept run of the name stays as ``name@1``, or with the next number that is free.
            inputs: values of declared inputs; needed where an input is called like a keyword of this method. An instance of the
                state model does as well.
            definition: what a kept run is, as JSON values; by default ``{"kind": "pipeline"}``.
            more_inputs: values of declared inputs.

        Raises:
            DefinitionChanged: the run of that name is of another kind, or a stage has other code and ``"refuse"`` says so.
            InvalidInput: an input is missing, unknown, or of the wrong type.
            BuildError: the run is to be kept, and a stage makes what has no JSON form.
        """
        where = f"{self._owner}.run"
        refuse_while_main_loads("a run")
        refuse_unnamed(where, unnamed, self.inputs)
        check_options(where, store=store, seed=seed, listeners=listeners)
        values = self._values(where, given_inputs(where, inputs, more_inputs))
        _check_code_change(on_code_change, f"{where}(on_code_change=)")
        if recorder is not None and (store is not None or name is not None):
            raise StoreError(
                "Plan.run(recorder=)", "a recorder is given beside a store or name", found=name, remedy="Give one of them"
            )
        if store is None:
            if name is not None:
                raise StoreError("Plan.run(name=)", "a named run needs a store", found=name, remedy="Pass store=MemoryStore()")
            given = recorder or NullRecorder()
            if given.keeps and given.needs_inputs and self._faults_when_kept:
                raise BuildError(self._faults_when_kept)
            run = self._new_run(given, seed or 0, listeners, strict_hooks=strict_hooks, on_code_change=on_code_change)
            return await self._execute(run, values, address)
        if self._faults_when_kept:
            raise BuildError(self._faults_when_kept)
        if name is not None:
            check_name(name, "Plan.run(name=)")
        kept, settled = open_kept(store, name, seed, definition or BY_HAND, fresh=fresh)
        try:
            run = self._new_run(kept, settled, listeners, strict_hooks=strict_hooks, on_code_change=on_code_change)
            result = await self._execute(run, values, address)
            kept.note_end("done")
            return result
        except (Exception, *_CANCELLED) as error:
            with suppress(StoreError):  # the error that ends the run is the one to be seen
                kept.note_end("cancelled" if isinstance(error, _CANCELLED) else "failed", error)
            raise
        finally:
            store.release(kept.run_id)

    def stream(self, *, listeners: Sequence[PipelineListener] = (), **options: Any) -> PlanStream:
        """Run it as a stream of its events: ``async for event in plan.stream(n=3)``.

        Args:
            listeners: more of them.
            options: everything that ``run()`` takes.
        """
        return PlanStream(lambda stream: self.run(listeners=[*listeners, stream], **options))

    def plan_resume(
        self,
        *,
        name: str,
        store: StoreReader,
        seed: int | None = None,
        address: str = "",
        on_code_change: CodeChange = "warn",
        inputs: object = None,
        definition: Mapping[str, Any] | None = None,
        **more_inputs: Any,
    ) -> ResumePlan:
        """What ``run()`` with the same arguments would do with what is recorded. It runs no stage, and writes nothing.

        Predicates and ``key=`` of maps are asked, as far as what they read is recorded. A stage that reads what has yet to be
        made is told to run; when it then reads the same as before, its recorded output is used all the same.

        Raises:
            DefinitionChanged: the run of that name is of another kind.
            InvalidInput: an input is missing, unknown, or of the wrong type.
            BuildError: a stage makes what has no JSON form.
        """
        where = f"{self._owner}.plan_resume"
        check_options(where, store=store, seed=seed, listeners=())
        values = self._values(where, given_inputs(where, inputs, more_inputs))
        _check_code_change(on_code_change, f"{where}(on_code_change=)")
        if self._faults_when_kept:
            raise BuildError(self._faults_when_kept)
        row = store.find_run(check_name(name, "Plan.plan_resume(name=)"))
        kept = StoreRecorder(cast("Store", store), "" if row is None else row.run_id)  # it is only read
        before = None if row is None else kept.kept_seed(definition or BY_HAND)
        recorded = frozenset(() if row is None else store.checkpoint_addresses(row.run_id))
        settled = seed if seed is not None else before or 0
        run = self._new_run(kept, settled, (), strict_hooks=False, on_code_change=on_code_change)
        preview = Preview(Scope(run, values, address), recorded)
        for node in self.nodes:
            node.preview(preview)
        return ResumePlan(name, preview.finished())

    def owned_by(self, owner: str, options: Collection[str]) -> Plan:
        """The same plan, whose messages speak of ``owner.run(...)``, which takes these options besides inputs."""
        plan = copy.copy(self)
        plan._owner, plan._options = owner, options  # noqa: SLF001  # one of this class
        return plan

    def _values(self, where: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return checked_inputs(where, given, self.inputs, self._checks, self._defaults, self._options)

    def _new_run(
        self,
        recorder: Recorder,
        seed: int,
        listeners: Sequence[PipelineListener],
        *,
        strict_hooks: bool,
        on_code_change: CodeChange = "warn",
    ) -> Run:
        if logs_events() and (recorder.needs_inputs or not recorder.keeps):  # what keeps a journal of its own logs that
            listeners = [*listeners, log_event]
        return Run(recorder, seed, listeners, strict_hooks=strict_hooks, profile=self._profiled, on_code_change=on_code_change)

    async def _execute(self, run: Run, values: dict[str, Any], address: str) -> PipelineResult:
        run.clock = asyncio.get_running_loop().time
        started = run.clock()
        try:
            await run_nodes(self.nodes, Scope(run, values, address))
        finally:
            run.watch.close()
        figures = run.profile.figures() if run.profile is not None else ProfileTable()
        return PipelineResult(context_of(values), figures, run.clock() - started)


def _check_code_change(value: object, where: str) -> None:
    if value not in CODE_CHANGES:
        guess = did_you_mean(value, CODE_CHANGES) if isinstance(value, str) else None
        raise InvalidInput(
            where,
            "there is no such policy",
            found=value,
            expected="'warn', 'rerun' or 'refuse'",
            remedy=f"Did you mean {guess!r}?" if guess else "Write on_code_change='rerun' to run again what has other code now",
        )


def _profiled(node: Any) -> bool:
    return bool(getattr(node, "profiled", False)) or any(_profiled(inner) for inner in getattr(node, "nodes", ()))
