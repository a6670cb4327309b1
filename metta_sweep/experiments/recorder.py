"""How a sweep is kept: each stage's output becomes one record of the journal, and then takes effect, once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from logging import DEBUG, getLogger
from typing import Any, Final

from metta_sweep.address import join
from metta_sweep.clock import crash_point
from metta_sweep.core.budget import Spend, StopReason
from metta_sweep.core.events import Error, Event, PaperTrigger
from metta_sweep.errors import IllegalTransition, StoreError
from metta_sweep.experiments.event_log import LEVELS, note_events
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.forking import Fork
from metta_sweep.experiments.journal import JournalWriter
from metta_sweep.experiments.outputs import FannedOut, Happened, Picked, Scored
from metta_sweep.experiments.strategies import Strategies
from metta_sweep.experiments.tree.spent import read_spent, spent_payload
from metta_sweep.pipeline.keeping.recording import read_note
from metta_sweep.records import Checkpoint, LoopState, Record, Store, TrialRow

__all__ = ["SweepRecorder"]

_log = getLogger("metta_sweep")

_ITERATION: Final = re.compile(r"\[(\d+)\]")
_OUTPUTS: Final = frozenset({Picked, Happened, Scored, FannedOut})

AfterRecord = Callable[[Any], None]
"""Told of a stage's output after it has joined the journal."""


class SweepRecorder:
    """The recorder of a sweep. Its journal is its checkpoint: nothing else is kept, and nothing is replayed stage by stage.

    For each output: the state takes the events and refuses illegal ones, the strategies are told, and the events join the journal
    with the rows of the trials that ended. An output with an illegal event is not kept and ends the run. ``flush`` commits; the run
    does so before it waits and before it tells anybody. Whatever ends a run, its journal is complete, and the state of a later run
    is folded from it.
    """

    keeps = True
    needs_inputs = False

    def __init__(self, store: Store, run_id: str, state: SweepState) -> None:
        from metta_sweep.experiments import codec  # pydantic, which is slow to import, is behind it

        self._encode_events = codec.encode_events
        self._encode_trial = codec.encode_trial
        self._decode = codec.decode_facts
        self._store = store
        self._run_id = run_id
        self._state = state
        self._journal = JournalWriter(store, run_id)
        self._pid = os.getpid()
        self._triggers: list[PaperTrigger] = []
        self._next_index = 0
        self.strategies: Strategies | None = None
        self.after_record: AfterRecord | None = None
        self.after_flush: Callable[[], None] | None = None
        """Called when all that was recorded has been committed."""
        self.elapsed: Callable[[], float] = float
        """Active seconds of the run in this process; 0.0 before it begins."""
        self.active_before = 0.0
        """Active seconds of the run in the processes before this one."""
        self._active = 0.0
        """The same, without the last one of them, while the journal is read back."""
        self._inside: dict[str, int] = {}
        """How many events there were inside trials that were lost, when it was last looked."""
        self.children: dict[str, Spend] = {}
        """What experiments used that ran inside this one in the processes before this one, by their addresses."""
        self.inherited = Spend()
        """What of all this another run has used, of which this one is a fork."""
        self.prefix = ""
        """The address of the experiment in the tree, for what is logged."""

    @property
    def run_id(self) -> str:
        """The id of the run in its store."""
        return self._run_id

    @property
    def state(self) -> SweepState:
        """What the journal comes to."""
        return self._state

    # -- the recorder of the pipeline ------------------------------------------------------------------------------------------

    def recorded(self, address: str) -> Checkpoint | None:
        """A sweep goes on from its state; no output is reused."""
        return None

    def record(self, address: str, output: object, checkpoint: Checkpoint | None) -> None:
        """Keep one output and let it take effect. Outputs of stages that are none of the four are not kept."""
        kind = type(output)
        if kind not in _OUTPUTS:
            return
        events: tuple[Event, ...] = output.events  # type: ignore[attr-defined]  # one of the four
        if events:
            crash_point("record.before")
            try:
                self._keep(address, events)
            except BaseException as error:
                # the state may be ahead of the journal now, which may name what the state needs no more
                self.after_flush = None
                if isinstance(error, IllegalTransition):
                    error.add_note(f"recorded at {address}; nothing of this output was kept")
                raise
            crash_point("record.after")
        if kind is FannedOut:
            self._state.fanned_out()
        if self.after_record is not None:
            self.after_record(output)

    def loop_state(self, address: str) -> LoopState | None:
        """The loop goes on with the iteration after the last one in the journal."""
        stop = self._state.stop
        return LoopState(self._next_index, {"stop_reason": None if stop is None else StopReason(stop.reason)})

    # -- writing ---------------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Commit what was recorded. Before this returns nothing of it is told outside: no result, no update, no trigger."""
        self._journal.flush()
        if self.after_flush is not None:
            self.after_flush()
        if self._triggers and self.strategies is not None:
            triggers, self._triggers = self._triggers, []
            for event in triggers:
                try:
                    self.strategies.scheduler.on_trigger(event)
                except Exception:  # noqa: BLE001 - an observer cannot lose a result, nor the triggers after it
                    _log.exception("on_trigger failed for branch %r; the sweep goes on", event.branch)

    def has_ended(self, trial_id: str) -> bool:
        """Whether a trial of that id has ended in this run."""
        return self._journal.has_ended(trial_id)

    def note_start(self, payload: bytes, warm: bytes | None = None) -> None:
        """Keep the fact that a process takes the run up (and what its optimizer began with), and let it take effect."""
        self._journal.start(payload, warm)
        self._state.started()

    def gather_by(self, clock: Callable[[], float]) -> None:
        """Records gather for so long by this clock, where ``elapsed`` does not tell how much time passes outside."""
        self._journal.clock = clock

    @property
    def noted(self) -> float:
        """Active seconds of the run in this process that the journal knows of."""
        return self._journal.noted

    def note_alive(self) -> None:
        """Keep how long this process has driven the run: what it waits for may make no record for hours."""
        self._journal.alive(self.elapsed())

    def note_headway(self, inside: Mapping[str, int]) -> None:
        """Keep how many events there are inside trials that were lost with the process before this one.

        Those in which there are more than the last time got on, and are no suspects: they are not given up.
        """
        self._journal.note("headway", json.dumps(inside).encode(), self.elapsed())
        self._got_on(inside)

    def note_child(self, address: str, spend: Spend) -> None:
        """Keep what an experiment has used that runs inside this one, over all the times it was run."""
        self._journal.note("child", spent_payload(spend), self.elapsed(), address)

    def note_end(self, why: str = "") -> None:
        """Keep the fact that this process leaves the run in order, and all that was recorded; and why it is left before its end.

        Not in a child process that was forked while the run was open: it does not leave it. Nor after an append has failed: that
        error is the one to be seen, and nothing more can be kept.
        """
        if self._journal.failed or os.getpid() != self._pid:
            return
        crash_point("end.before")
        self.flush()
        self._journal.end(self.elapsed(), json.dumps({"why": why} if why else {}).encode())

    def _keep(self, address: str, events: Sequence[Event]) -> None:
        payload = self._encode_events(events)  # before the state takes them: what cannot be kept does not happen
        take, strategies = self._state.take, self.strategies
        listens = strategies is not None and strategies.listens
        rows: list[TrialRow] = []
        loud = _log.isEnabledFor(DEBUG)
        for event in events:
            kind = type(event)
            loud = loud or kind in LEVELS
            trial = take[kind](event)
            if trial is not None:
                rows.append(self._encode_trial(trial))
            if listens and strategies is not None:
                strategies.apply(event, trial)
                if type(event) is PaperTrigger:
                    self._triggers.append(event)
        full = self._journal.add(address, len(events), self.elapsed(), payload, rows)
        if loud:
            note_events(events, join(self.prefix, address))
        if full:
            self.flush()

    def _got_on(self, inside: Mapping[str, int]) -> None:
        for trial_id, count in inside.items():
            live = self._state.live.get(trial_id)
            if live is not None and count > self._inside.get(trial_id, 0):
                live.lost = 0
        self._inside = dict(inside)

    # -- reading ---------------------------------------------------------------------------------------------------------------

    def replay(self, fork: Fork | None = None) -> Fork | None:
        """Fold the whole journal into the state and the strategies.

        Args:
            fork: where the run is one: what came before its strategies were changed is told to the optimizer as earlier trials.

        Returns:
            The fork, with what its source had used.
        """
        crash_point("fold.before")
        last = ""
        strategies = self.strategies
        anew = 0 if fork is None else fork.anew
        inherits = anew > 0
        for record in self._store.records(self._run_id):
            if self._is_note(record):
                continue
            last = record.address
            if inherits and strategies is not None and record.seq >= anew:
                inherits = False
                strategies.take_over()
            self._fold(record, inherits=inherits)
        if inherits and strategies is not None:
            strategies.take_over()
        self.active_before += self._active
        found = _ITERATION.search(last)
        if found is not None:
            self._next_index = int(found.group(1)) + 1
        if fork is not None and fork.spend is None:
            cost = self._state.cost + sum(spend.cost for spend in self.children.values())
            fork = fork._replace(spend=Spend(self._state.picked, self.active_before, cost))
        self.inherited = Spend() if fork is None or fork.spend is None else fork.spend
        crash_point("fold.after")
        return fork

    def _is_note(self, record: Record) -> bool:
        """Whether a record is a note about the run itself, which has then been taken."""
        if record.kind == "start":
            self._active += self.active_before
            self.active_before = 0.0
            self._state.started()
            return True
        if record.kind == "warm":
            return True
        self.active_before = record.elapsed
        if record.kind == "end":
            self._state.left()
        elif record.kind == "child":
            self.children[record.address] = read_spent(record)
        elif record.kind == "headway":
            self._got_on(read_note(self._run_id, record, dict, "Start over with fresh=True"))
        elif record.kind == "alive":
            self._state.fanned_out()
        else:
            return False
        return True

    def _fold(self, record: Record, *, inherits: bool) -> None:
        """Let what a record tells take effect again."""
        state, strategies, take = self._state, self.strategies, self._state.take
        events = self._decode(record)
        # whatever comes after a score, other than its fan-out, says that its fan-out decided nothing
        state.fanned_out()
        listens = strategies is not None and (strategies.listens or inherits)
        if strategies is not None and strategies.asks_again and not inherits:
            strategies.ask_again(events)
        try:
            for event in events:
                trial = take[type(event)](event)
                if listens and strategies is not None:
                    strategies.apply(event, trial, inherited=inherits)
                if type(event) is Error and not event.final:
                    state.live[event.trial_id].due = self._active + record.elapsed + event.backoff
        except IllegalTransition as error:
            raise StoreError(
                f"record {record.seq} at {record.address}",
                f"what it tells cannot have happened then ({error})",
                remedy="The journal is damaged. Start over with fresh=True: this one is kept beside it",
            ) from error
