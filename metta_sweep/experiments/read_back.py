"""Results of runs that are kept, read back from their store: the fold of a journal, the recorded outputs of a pipeline."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from metta_sweep.core.budget import Spend
from metta_sweep.errors import StoreError
from metta_sweep.experiments.experiment_result import ExperimentResult, RunFacts
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.forking import Fork, begun_fork
from metta_sweep.experiments.kept_result import revived
from metta_sweep.experiments.recorder import SweepRecorder
from metta_sweep.experiments.result import SweepResult
from metta_sweep.experiments.start_note import StartNote, read_start
from metta_sweep.experiments.tree.spent import read_spent
from metta_sweep.pipeline import PipelineResult, StageReused
from metta_sweep.pipeline.context import context_of
from metta_sweep.pipeline.running.profile import ProfileTable
from metta_sweep.records import Record, RunRow, Store

if TYPE_CHECKING:
    from metta_sweep.store import SqliteReader

__all__ = ["OUTPUTS", "address_of", "read_experiment", "read_result", "read_sweep"]

OUTPUTS: Final = "outputs"
"""The kind of the record that tells which fields the last part of a pipeline provides."""
_NUMBERS: Final = re.compile(r"(\d+)")


def read_result(store: Store, row: RunRow) -> SweepResult | ExperimentResult:
    """What a run has come to so far, as the result of its experiment.

    Raises:
        StoreError: it has not begun, or what is kept of it cannot be read.
    """
    note = _first_note(store, row)
    return read_sweep(store, row, note) if note.is_sweep else read_experiment(store, row, note)


def read_sweep(store: Store | SqliteReader, row: RunRow, note: StartNote | None = None, *, end: int | None = None) -> SweepResult:
    """What a sweep has come to so far: the fold of its journal.

    What optimizer and scheduler have learned is not restored.

    Args:
        store: that it is kept in, or a reader of it.
        row: the run.
        note: of the process that began it, where it was read before.
        end: so many events of it; None: all.
    """
    reader = cast("Store", store)  # the reading half, of which nothing more is used
    if note is None:
        note = _first_note(reader, row)
    if end is not None:
        reader = cast("Store", _Beginning(reader, end))
    state = SweepState(note.goal)
    recorder = SweepRecorder(reader, row.run_id, state)
    recorder.replay(_fork_of(row, note))
    used, inherited = recorder.active_before, recorder.inherited
    cost = state.cost + sum(spend.cost for spend in recorder.children.values())
    return SweepResult(
        name=row.name,
        address=address_of(row),
        run_id=row.run_id,
        goal=note.goal,
        state=state,
        store=reader,
        spend=Spend(state.picked - inherited.trials, used - inherited.seconds, cost - inherited.cost),
        seed=note.seed,
        added=sum(state.ended.values()),
        optimizer=None,
        scheduler=None,
    )


def read_experiment(store: Store, row: RunRow, note: StartNote | None = None) -> ExperimentResult:
    """What an experiment with a pipeline has come to so far. Its fields are the recorded ones, as JSON values.

    The results of sweeps among them are results. Where several executions provided a field (a loop's), the last one counts.
    """
    if note is None:
        note = _first_note(store, row)
    fields: dict[str, Any] = {}
    events: list[StageReused] = []
    for address in sorted(store.checkpoint_addresses(row.run_id), key=_in_order):
        kept = store.get_checkpoint(row.run_id, address)
        if kept is not None:
            fields.update({name: revived(value, store) for name, value in json.loads(kept.payload).items()})
            events.append(StageReused(address, address.rpartition("/")[2].partition("[")[0], "checkpoint"))
    seconds, spends, outputs = 0.0, dict[str, Spend](), tuple[str, ...]()
    for record in store.records(row.run_id):
        seconds = max(seconds, record.elapsed)
        if record.kind == "child":
            spends[record.address] = read_spent(record)
        elif record.kind == OUTPUTS:
            outputs = tuple(json.loads(record.payload))
    spend = Spend(sum(one.trials for one in spends.values()), seconds, sum(one.cost for one in spends.values()))
    there = tuple(name for name in outputs if name in fields)
    facts = RunFacts(row.name, row.run_id, address_of(row), note.seed, spend, None, "", tuple(events), there, store)
    return ExperimentResult(PipelineResult(context_of(fields), ProfileTable(), seconds), facts)


def _fork_of(row: RunRow, note: StartNote) -> Fork | None:
    """The fork that a run is. One that has not been taken up has used nothing itself."""
    if row.forked_from is None:
        return None
    return begun_fork(row, note.fork) or Fork(row.forked_from, 0, 0, None)


def address_of(row: RunRow) -> str:
    """The address of a run in the tree of experiments; empty for a root."""
    return (row.name or "").partition("/")[2]


def _in_order(address: str) -> list[tuple[int, str]]:
    """Addresses in the order of their executions, as far as they tell it: iterations by number."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBERS.split(address)]


def _first_note(store: Store, row: RunRow) -> StartNote:
    starts = store.records(row.run_id, kind="start")
    record = next(starts, None)
    if record is None:
        raise StoreError(f"run {row.name or row.run_id!r}", "it has not begun", remedy="Run it, or the experiment that it is in")
    if row.forked_from is not None:
        # the first ones are those of its source
        for record in starts:  # noqa: B007  # the last one
            pass
    return read_start(row.run_id, record)


class _Beginning:
    """A store in which a run has no more events than it had then."""

    def __init__(self, store: Store, end: int) -> None:
        self._store = store
        self._end = end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def records(self, run_id: str, start: int = 0, kind: str | None = None) -> Iterator[Record]:
        """Those up to then."""
        return (record for record in self._store.records(run_id, start, kind) if record.seq + record.length <= self._end)

    def end_of(self, run_id: str) -> int:
        """How many events it had then."""
        return min(self._end, self._store.end_of(run_id))
