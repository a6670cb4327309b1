"""One execution of a plan: what its nodes share, and where in it they are."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from metta_sweep.address import join
from metta_sweep.errors import Fault, message_of
from metta_sweep.here import here
from metta_sweep.pipeline.context import Context, context_of
from metta_sweep.pipeline.events import HookFailed, PipelineEvent, PipelineListener
from metta_sweep.pipeline.hook_table import CodeChange
from metta_sweep.pipeline.keeping.shelf import Shelf
from metta_sweep.pipeline.proof.outline import Part
from metta_sweep.pipeline.running.deadline import Watch
from metta_sweep.pipeline.running.profile import Profile
from metta_sweep.pipeline.stage_context import StageContext
from metta_sweep.records import Recorder

if TYPE_CHECKING:
    from metta_sweep.pipeline.keeping.resume_plan import Preview
    from metta_sweep.pipeline.running.attempts import ThreadedCall

__all__ = ["Lean", "Node", "Run", "Scope", "note_place", "run_nodes"]

logger: Final = logging.getLogger("metta_sweep")
_ITERATION: Final = re.compile(r"\[\d+\]")


class Node(Protocol):
    """A runnable part of a plan. One kind of node is one file."""

    @property
    def name(self) -> str:
        """Its name, unique where it stands."""
        ...  # type checkers need it

    @property
    def lean(self) -> Lean | None:
        """The whole of a stage that is one coroutine function and nothing else; None for everything that has more to do."""

    async def run(self, scope: Scope) -> None:
        """Do it all: hooks, attempts, records."""

    def outline(self) -> Part:
        """What it looks like in tables and drawings."""
        ...  # type checkers need it

    def preview(self, preview: Preview) -> None:
        """Tell what a resumed run does with it, and add what is known of its outputs to the values. Runs nothing."""

    def faults_when_kept(self, scope: str) -> list[Fault]:
        """What stands against keeping its outputs in a store."""
        ...  # type checkers need it


class Lean(NamedTuple):
    """What there is to do for a stage to which nothing is attached: call, await, check, write."""

    call: Callable[[Scope], Any]
    check: Callable[[Any], Any]
    write: Callable[[dict[str, Any], Any], None]


class Run:
    """What all nodes of one execution share."""

    __slots__ = (
        "_run_id",
        "broken",
        "clock",
        "cuts",
        "keeps",
        "leaks",
        "listeners",
        "needs_inputs",
        "outer",
        "profile",
        "record",
        "recorder",
        "rooms",
        "seed",
        "shelf",
        "strict_hooks",
        "watch",
        "watched",
    )

    def __init__(
        self,
        recorder: Recorder,
        seed: int,
        listeners: Sequence[PipelineListener],
        *,
        strict_hooks: bool,
        profile: bool,
        on_code_change: CodeChange = "warn",
    ) -> None:
        self.recorder = recorder
        self.shelf = Shelf(recorder, on_code_change)
        self.keeps = recorder.keeps
        self.clock: Callable[[], float] = time.monotonic
        """Seconds; of a run that has begun, by the clock of the event loop: virtual where that is."""
        self.needs_inputs = recorder.keeps and recorder.needs_inputs
        self.record = recorder.record if recorder.keeps else None
        self.seed = seed
        self.listeners = tuple(listeners)
        rooms = (getattr(listener, "has_room", None) for listener in self.listeners)
        self.rooms = tuple(room for room in rooms if room is not None)
        """What a stage waits for before it begins: listeners that would have to keep too many events."""
        self.strict_hooks = strict_hooks
        self.profile = Profile() if profile else None
        self.leaks: dict[str, ThreadedCall] = {}
        """By the address of a stage: its thread, which nobody waits for any more and which still runs."""
        self.watch = Watch()
        """The deadlines of its stages."""
        self.broken: Exception | None = None
        """What ends the run whatever ``retry``, ``on_error`` and ``on_item_error`` of what encloses it say: an error of what keeps
        outputs or, where hooks are strict, of an observer."""
        self.cuts = 0
        """How often something inside its stages had less than its own budget: what ran meanwhile is not kept, nor cached."""
        around = here.get()
        self.outer = "" if around is None else around.place
        """The address of the trial or stage, of the experiment that it is in, within which it runs; empty outside of all."""
        self._run_id = ""
        self.watched = bool(self.listeners) or self.profile is not None or self.needs_inputs

    @property
    def run_id(self) -> str:
        """The id of the run in its store, the same whenever it is resumed; for a run that is not kept an id of its own."""
        if not self._run_id:
            self._run_id = str(getattr(self.recorder, "run_id", "")) or uuid.uuid4().hex
        return self._run_id

    def leaks_within(self, address: str) -> tuple[str, ...]:
        """The addresses of stages, this one or within it, whose threads still run though they were given up."""
        if not self.leaks:
            return ()
        return tuple(at for at in self.leaks if at == address or (at.startswith(address) and at[len(address)] in "/["))

    def leaks_before(self, address: str) -> tuple[ThreadedCall, ...]:
        """The threads of this stage that still run though they were given up: of an attempt, or an iteration, before this one."""
        path = _ITERATION.sub("", address)
        return tuple(call for at, call in self.leaks.items() if at == address or _ITERATION.sub("", at) == path)

    async def leaks_ended(self, address: str) -> None:
        """Wait until no thread of this stage, or of one within it, runs on after it was given up."""
        for at in self.leaks_within(address):
            call = self.leaks.get(at)
            if call is not None:
                await call.ended()

    def tell(self, event: PipelineEvent) -> None:
        """Give an event to the listeners."""
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:
                if self.strict_hooks:
                    self.broken = error
                    raise
                logger.warning(
                    "a listener raised %s at %s: %s", type(error).__name__, event.address, message_of(error), exc_info=error
                )

    def hook_failed(self, address: str, stage: str, hook: str, error: Exception) -> None:
        """An observer raised: strict hooks raise it, others are logged and told."""
        if self.strict_hooks:
            error.add_note(f"in hook {hook!r} of stage {stage!r} at {address}")
            self.broken = error
            raise error
        what = f"{type(error).__name__}: {message_of(error)}"
        logger.warning("hook %r of stage %r at %s raised %s", hook, stage, address, what, exc_info=error)
        self.tell(HookFailed(address, stage, hook, error))


class Scope:
    """Where in a run its nodes are: the values, and the address of what encloses them."""

    __slots__ = (
        "_prefix",
        "attempt",
        "attempt_context",
        "deadline",
        "index",
        "item",
        "kept",
        "node",
        "path",
        "reads",
        "run",
        "values",
    )

    def __init__(self, run: Run, values: dict[str, Any], path: str, *, deadline: float | None = None, item: Any = None) -> None:
        self.run = run
        self.values = values
        self.kept: dict[str, Any] = {}
        """Outputs by the stage's path and the field, of stages that a ``ref`` reads by name."""
        self.path = path
        """The address of the enclosing pipeline, loop, branch or item."""
        self.deadline = deadline
        """When what encloses this place times out, by the clock of the event loop; None: never."""
        self.item = item
        """The element of the enclosing map that runs here."""
        self.index = -1
        """The iteration of the enclosing loop; -1 outside of loops."""
        self._prefix: str | None = None
        self.node = ""
        """The name of the node that runs now."""
        self.reads = ""
        """The digest of what it reads, where that is kept."""
        self.attempt = 1
        """The number of its attempt."""
        self.attempt_context: StageContext | None = None

    def inner(self, path: str, values: dict[str, Any] | None = None) -> Scope:
        """The scope of what is enclosed here, at another address: with the same values, unless it has its own."""
        inner = Scope(self.run, self.values if values is None else values, path, deadline=self.deadline, item=self.item)
        if values is None:
            inner.kept = self.kept
        return inner

    def context(self) -> Context:
        """What the stage that runs here may read."""
        return context_of(self.values)

    @property
    def prefix(self) -> str:
        """The address that the nodes here are named under."""
        if self._prefix is None:
            self._prefix = self.path if self.index < 0 else f"{self.path}[{self.index}]"
        return self._prefix

    def move_to(self, index: int) -> None:
        """The enclosing loop is at this iteration now."""
        self.index = index
        self._prefix = None

    def address(self, name: str) -> str:
        """The address of the node called ``name`` here."""
        prefix = self._prefix
        if prefix is None:
            prefix = self.prefix
        return f"{prefix}/{name}" if prefix else name

    @property
    def place(self) -> str:
        """The address of what runs now, within the experiment that it belongs to."""
        outer = self.run.outer
        return join(outer, self.address(self.node)) if outer else self.address(self.node)

    @property
    def stage_context(self) -> StageContext:
        """What the stage that runs now may ask about itself."""
        if self.attempt_context is None:
            return StageContext(self.address(self.node), self.run, enclosing=self.deadline)
        return self.attempt_context


async def run_nodes(nodes: Sequence[Node], scope: Scope) -> None:
    """Run nodes one after another. What runs in them finds where it is in ``here``."""
    around = here.get()
    here.set(scope)
    try:
        if scope.run.watched:
            for node in nodes:
                await node.run(scope)
        else:
            await _run_lean(nodes, scope)
    finally:
        here.set(around)


async def _run_lean(nodes: Sequence[Node], scope: Scope) -> None:
    """Lean stages run right here: a call less, for each of many thousand."""
    run = scope.run
    values, record = scope.values, run.record
    inline: Node | None = None
    try:
        for node in nodes:
            lean = node.lean
            if lean is None:
                inline = None
                await node.run(scope)
                continue
            inline = node
            call, check, write = lean
            scope.node = node.name
            output = check(await call(scope))
            if record is not None:
                record(scope.address(node.name), output, None)
            write(values, output)
    except Exception as error:
        if inline is not None:
            note_place(error, inline.name, scope.address(inline.name))
        raise


def note_place(error: BaseException, stage: str, address: str, attempt: int = 1, attempts: int = 1) -> None:
    """Say in an exception where it happened, unless the note of a hook says that already."""
    place = f"stage {stage!r} at {address}"
    if attempts > 1:
        error.add_note(f"in {place} (attempt {attempt} of {attempts})")
    elif not any(note.startswith("in hook") and note.endswith(place) for note in getattr(error, "__notes__", ())):
        error.add_note(f"in {place}")
