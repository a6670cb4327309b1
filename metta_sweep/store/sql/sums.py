"""Sums over what is kept of a run, from the columns of its rows: for those who list runs, and read none of them as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from metta_sweep.records import TrialRow

__all__ = ["SumsReader", "TrialSums"]

_ROWS: Final = "SELECT seal, number, id, branch, state, score, attempt, seconds, payload FROM trials WHERE run = ?"


class TrialSums(NamedTuple):
    """What there is of ended trials in a run."""

    ended: int
    failed: int
    highest: float | None
    """Of all scores, in the user's units."""
    lowest: float | None


class SumsReader(ABC):
    """The part of a reader that sums up. Where it says so, rows are not checked against their seals."""

    def trial_sums(self, run_id: str) -> TrialSums:
        """Sums over the rows of ended trials, from their columns: no row is read as a whole, nor checked against its seal."""
        statement = "SELECT count(*), coalesce(sum(state = 'failed'), 0), max(score), min(score) FROM trials WHERE run = ?"
        ended, failed, highest, lowest = self._fetch(statement, (self._key(run_id),))[0]
        return TrialSums(ended, failed, _number(highest), _number(lowest))

    def failed_rows(self, run_id: str, count: int) -> Iterator[TrialRow]:
        """Rows of trials that failed for good, by number: at most ``count``, the first ones."""
        key = self._key(run_id)
        for columns in self._fetch(f"{_ROWS} AND state = 'failed' ORDER BY number LIMIT ?", (key, count)):
            yield self._row(key, run_id, columns)

    def rows_holding(self, run_id: str, name: str) -> Iterator[TrialRow]:
        """Rows of ended trials in whose payload a JSON string of that name occurs; all others are not even read."""
        key = self._key(run_id)
        for columns in self._fetch(f"{_ROWS} AND instr(payload, ?) ORDER BY number", (key, f'"{name}"'.encode())):
            yield self._row(key, run_id, columns)

    def active_seconds(self, run_id: str, now: float | None = None) -> float:
        """Active seconds over all the times that a sweep was taken up: of each, what its last record tells. Not checked.

        Args:
            run_id: the run.
            now: the wall clock, for a run that goes on: what has passed since its last record counts, too.
        """
        key = self._key(run_id)
        last = "SELECT elapsed, time FROM records WHERE run = ? {} ORDER BY seq DESC, id DESC LIMIT 1"
        starts = "SELECT seq, id FROM records WHERE run = ? AND kind = 'start' AND kind <> 'events' ORDER BY seq, id"
        found = [self._fetch(last.format(""), (key,))]
        for seq, position in self._fetch(starts, (key,))[1:]:
            found.append(self._fetch(last.format("AND (seq, id) < (?, ?)"), (key, seq, position)))
        passed = max(0.0, now - (_number(found[0][0][1]) or now)) if now is not None and found[0] else 0.0
        return passed + sum(_number(rows[0][0]) or 0.0 for rows in found if rows)

    def copied_end(self, run_id: str) -> int:
        """The number of the first event that a fork has not from its source; 0 for what is no fork. Not checked."""
        statement = "SELECT seq + count FROM records WHERE run = ? AND epoch = 0 ORDER BY seq DESC, id DESC LIMIT 1"
        found = self._fetch(statement, (self._key(run_id),))
        return int(_number(found[0][0]) or 0) if found else 0

    @abstractmethod
    def _fetch(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def _key(self, run_id: str) -> int: ...

    @abstractmethod
    def _row(self, key: int, run_id: str, columns: Sequence[Any]) -> TrialRow: ...


def _number(value: object) -> float | None:
    """A column may have been damaged: what is no number is none."""
    return float(value) if isinstance(value, float | int) else None
