"""The store in memory: what was appended lives as long as the store object does."""

from __future__ import annotations

import bisect
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from metta_sweep.errors import RunInUse, StoreError
from metta_sweep.records import Checkpoint, Record, RunRow, TrialRow
from metta_sweep.store.families import family_bounds, moved

__all__ = ["MemoryStore"]


class _Run:
    """One run. Rows are kept as plain tuples of atoms: the cyclic garbage collector leaves those alone, however many there are."""

    __slots__ = ("checkpoints", "end", "held", "numbers", "place", "records", "row", "starts", "trials")

    def __init__(self, row: RunRow, place: int) -> None:
        self.row = row
        self.place = place
        """How many runs were made before it."""
        self.records: list[tuple[object, ...]] = []
        self.starts: list[int] = []
        self.end = 0
        self.trials: dict[int, tuple[object, ...]] = {}
        self.numbers: dict[str, int] = {}
        self.checkpoints: dict[str, Checkpoint] = {}
        self.held = False


class MemoryStore:
    """Keeps runs in memory. Share one object between experiments, or between two runs of one, to continue in the same process.

    It holds what a durable store would hold, byte for byte: JSON. Nothing that a caller changes later changes what was kept.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._names: dict[str, str] = {}
        self._sorted: list[str] = []
        """All names, so that those of a family lie together."""
        self._cache: dict[str, bytes] = {}
        self._files: str | None = None

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._runs)} runs)"

    def create_run(self, row: RunRow) -> None:
        """Add a run."""
        if row.run_id in self._runs:
            raise StoreError(
                "MemoryStore.create_run", f"there is a run {row.run_id!r} already", found=row.run_id, expected="a new id"
            )
        if row.name is not None:
            self._check_name_free(row.name)
            self._add_name(row.name, row.run_id)
        self._runs[row.run_id] = _Run(row, len(self._runs))

    def begin_run(self, row: RunRow, records: Sequence[Record] = ()) -> None:
        """Add a run, become its one driver, and append its first records."""
        self.create_run(row)
        try:
            self.append(row.run_id, records)
        except StoreError:
            del self._runs[row.run_id]
            if row.name is not None:
                self._drop_name(row.name)
            raise
        self.acquire(row.run_id)

    def find_run(self, name: str) -> RunRow | None:
        """The run of that name or id."""
        run = self._runs.get(self._names.get(name, name))
        return None if run is None else run.row

    def runs(self, under: str | None = None) -> Sequence[RunRow]:
        """All runs, oldest first; or only the descendants of the run with that name."""
        return [run.row for run in (self._runs.values() if under is None else self._descendants(under))]

    def rename_run(self, run_id: str, name: str) -> None:
        """Give a run another name, and its descendants names that begin with it."""
        run = self._run(run_id)
        before = run.row.name or run_id
        family = {run_id: name}
        for child in self._descendants(before):
            if child.held:
                raise self._in_use(child.row)
            family[child.row.run_id] = moved(child.row.name, before, name)
        for new in family.values():
            if self._names.get(new, run_id) not in family or new in self._runs:
                raise self._name_taken(new)
        for member in family:
            self._drop_name(self._runs[member].row.name)
        for member, new in family.items():
            self._runs[member].row = self._runs[member].row._replace(name=new)
            self._add_name(new, member)

    def fork_run(self, source_run_id: str, row: RunRow) -> None:
        """Add a run with all that is kept of another one."""
        source = self._run(source_run_id)
        self.create_run(row._replace(forked_from=source_run_id))
        run = self._runs[row.run_id]
        run.records, run.starts, run.end = [*source.records], [*source.starts], source.end
        run.trials, run.numbers, run.checkpoints = dict(source.trials), dict(source.numbers), dict(source.checkpoints)

    def acquire(self, run_id: str) -> None:
        """Become the one driver of a run."""
        run = self._run(run_id)
        if run.held:
            raise self._in_use(run.row)
        run.held = True

    def release(self, run_id: str) -> None:
        """Stop being its driver."""
        self._run(run_id).held = False

    def append(self, run_id: str, records: Sequence[Record], rows: Sequence[TrialRow] = ()) -> None:
        """Append records and set projection rows."""
        run = self._run(run_id)
        end = run.end
        for record in records:
            if record.seq != end:
                raise StoreError(
                    "MemoryStore.append", "the record does not continue the journal", found=record.seq, expected=f"seq {end}"
                )
            end += record.length
        for record in records:
            run.records.append(tuple(record))
            run.starts.append(record.seq)
        run.end = end
        for row in rows:
            run.trials[row.number] = tuple(row)
            run.numbers[row.id] = row.number

    def records(self, run_id: str, start: int = 0, kind: str | None = None) -> Iterator[Record]:
        """The records, in order, from the one that holds or follows event number ``start``; all, or those of one kind."""
        run = self._run(run_id)
        first = 0 if start <= 0 else self._index_of(run, start)
        for index in range(first, len(run.records)):
            record = Record(*run.records[index])  # type: ignore[arg-type]
            if kind is None or record.kind == kind:
                yield record

    def end_of(self, run_id: str) -> int:
        """The number that the next event of the run gets."""
        return self._run(run_id).end

    def trial_rows(self, run_id: str, start: int = 0, stop: int | None = None) -> Iterator[TrialRow]:
        """Rows of ended trials with ``start <= number < stop``, by number."""
        trials = self._run(run_id).trials
        last = (max(trials) + 1 if trials else 0) if stop is None else stop
        for number in range(start, last):
            row = trials.get(number)
            if row is not None:
                yield TrialRow(*row)  # type: ignore[arg-type]

    def trial_row(self, run_id: str, trial_id: str) -> TrialRow | None:
        """The row of the ended trial of that id."""
        run = self._run(run_id)
        number = run.numbers.get(trial_id)
        return None if number is None else TrialRow(*run.trials[number])  # type: ignore[arg-type]

    def put_checkpoint(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Keep the output of a stage."""
        self._run(run_id).checkpoints[checkpoint.address] = checkpoint

    def get_checkpoint(self, run_id: str, address: str) -> Checkpoint | None:
        """What is kept at an address."""
        return self._run(run_id).checkpoints.get(address)

    def checkpoint_addresses(self, run_id: str) -> Sequence[str]:
        """The addresses at which something is kept."""
        return sorted(self._run(run_id).checkpoints)

    def put_cache(self, key: str, payload: bytes) -> None:
        """Keep what every run of this store may use again."""
        self._cache[key] = payload

    def get_cache(self, key: str) -> bytes | None:
        """What is kept under a key."""
        return self._cache.get(key)

    def artifact_folder(self) -> Path:
        """Where files lie that stages made: a temporary folder, which ends with the store."""
        if self._files is None:
            import shutil
            import tempfile

            self._files = tempfile.mkdtemp(prefix="metta_sweep-artifacts-")
            weakref.finalize(self, shutil.rmtree, self._files, ignore_errors=True)
        return Path(self._files)

    def close(self) -> None:
        """Nothing is held open: what was kept lives as long as the object."""

    @staticmethod
    def _index_of(run: _Run, seq: int) -> int:
        """The first record that holds event ``seq`` or comes after it; records without events share the next one's number."""
        index = bisect.bisect_right(run.starts, seq) - 1
        while index >= 0 and run.starts[index] == seq:
            index -= 1
        if index >= 0 and run.starts[index] + int(run.records[index][1]) > seq:  # type: ignore[call-overload]
            return index
        return index + 1

    def _descendants(self, name: str) -> list[_Run]:
        """Those of a run with this name, or of an unnamed one with this id, oldest first."""
        first, beyond = family_bounds(name)
        names = self._sorted[bisect.bisect_left(self._sorted, first) : bisect.bisect_left(self._sorted, beyond)]
        return sorted((self._runs[self._names[found]] for found in names), key=lambda run: run.place)

    def _add_name(self, name: str, run_id: str) -> None:
        self._names[name] = run_id
        bisect.insort(self._sorted, name)

    def _drop_name(self, name: str | None) -> None:
        if name is not None:
            del self._names[name]
            del self._sorted[bisect.bisect_left(self._sorted, name)]

    def _check_name_free(self, name: str) -> None:
        if name in self._names or name in self._runs:
            raise self._name_taken(name)

    @staticmethod
    def _name_taken(name: str) -> StoreError:
        return StoreError("MemoryStore", f"there is a run named {name!r} already", found=name, expected="a name that is free")

    @staticmethod
    def _in_use(row: RunRow) -> RunInUse:
        shown = row.name or row.run_id
        return RunInUse(
            f"the run {shown!r} is being run in this process already. Wait for it to end, or give this one another name."
        )

    def _run(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            raise StoreError("MemoryStore", f"there is no run {run_id!r}", found=run_id, expected="the id of a run of this store")
        return run
