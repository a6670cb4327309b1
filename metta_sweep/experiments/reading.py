"""Trials and trace of a run as sequences that are read from the store when they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, overload

from metta_sweep.core.events import Draw, Event
from metta_sweep.core.trial import Trial
from metta_sweep.records import Store

__all__ = ["TraceView", "TrialsView"]


class TrialsView(Sequence[Trial]):
    """The picked trials of a run, in the order of picks. Read lazily: a trial is made when it is looked at.

    ``by_id("7")`` finds one by its id.
    """

    _made_plain: ClassVar = "list(x)"
    """How contracts say that a list is made of it."""

    def __init__(self, store: Store, run_id: str, count: int, unended: Mapping[int, Trial]) -> None:
        from metta_sweep.experiments.codec import decode_trial

        self._decode = decode_trial
        self._store = store
        self._run_id = run_id
        self._count = count
        self._unended = dict(unended)

    @property
    def run_id(self) -> str:
        """The run that they are of."""
        return self._run_id

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Trial]:
        rows = self._store.trial_rows(self._run_id, 0, self._count)
        row = next(rows, None)
        for number in range(self._count):
            if row is not None and row.number == number:
                yield self._decode(row)
                row = next(rows, None)
            else:
                yield self._unended[number]

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | list[Trial]:
        if isinstance(index, slice):
            return [self._at(number) for number in range(*index.indices(self._count))]
        number = index + self._count if index < 0 else index
        if not 0 <= number < self._count:
            raise IndexError(f"trial {index} of {self._count}")
        return self._at(number)

    def by_id(self, trial_id: str) -> Trial:
        """The trial of that id. Raises ``KeyError`` when there is none."""
        row = self._store.trial_row(self._run_id, trial_id)
        if row is not None and row.number < self._count:
            return self._decode(row)
        for trial in self._unended.values():
            if trial.id == trial_id:
                return trial
        raise KeyError(f"there is no trial {trial_id!r} among the {self._count} of this run")

    def _at(self, number: int) -> Trial:
        row = next(self._store.trial_rows(self._run_id, number, number + 1), None)
        return self._unended[number] if row is None else self._decode(row)

    def __repr__(self) -> str:
        return f"<{self._count} trials>"


class TraceView(Sequence[Event]):
    """The events of a run, in order, read from the journal when they are looked at. ``print(trace)`` shows the first of them."""

    def __init__(self, store: Store, run_id: str, count: int) -> None:
        from metta_sweep.experiments.codec import decode_events

        self._decode = decode_events
        self._store = store
        self._run_id = run_id
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Event]:
        return self._from(0)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            numbers = range(*index.indices(self._count))
            if not numbers:
                return []
            low, high = min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])
            events = [event for event, _ in zip(self._from(low), range(high - low + 1), strict=False)]
            return [events[number - low] for number in numbers]
        number = index + self._count if index < 0 else index
        if not 0 <= number < self._count:
            raise IndexError(f"event {index} of {self._count}")
        return next(self._from(number))

    def _from(self, start: int) -> Iterator[Event]:
        for record in self._store.records(self._run_id, start):
            if record.kind != "events":
                continue
            if record.seq >= self._count:
                return
            for event in self._decode(record):
                if start <= event.seq < self._count:
                    yield event

    def __str__(self) -> str:
        shown = [f"{event.seq:>6}  {event.kind:<13}  {_subject(event):<16}  {event.explanation}" for event in self[:50]]
        more = self._count - len(shown)
        return "\n".join([*shown, f"... and {more} more"] if more > 0 else shown)

    def __repr__(self) -> str:
        return f"<trace of {self._count} events>"


def _subject(event: Event) -> str:
    """What an event is about: its trial and branch, or the suggestion's number."""
    name = f"suggestion {event.suggestion}" if isinstance(event, Draw) else f"trial {event.trial_id}" if event.trial_id else ""
    return f"{name} ({event.branch})" if name and event.branch is not None else name or event.branch or ""
