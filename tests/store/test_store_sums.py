"""What those who list runs ask of a reader: sums from columns, and where a fork begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_kit import RUN, fill, raw, start

from metta_sweep.errors import DamagedPayload
from metta_sweep.records import Record, RunRow
from metta_sweep.store import open_reader
from metta_sweep.testing.store_conformance import make_record, make_row


def note(seq: int, kind: str, elapsed: float, length: int = 0) -> Record:
    """A record that tells how long the run had been active then."""
    return make_record(seq, length)._replace(kind=kind, elapsed=elapsed)


def test_trials_are_summed_up(tmp_path: Path) -> None:
    """Those that ended, those that failed, and the highest and lowest score; nothing for a run without any."""
    with start(tmp_path / "sweeps.db") as store:
        assert store.trial_sums(RUN) == (0, 0, None, None)
        rows = [make_row(0, score=0.25), make_row(1, score=None, state="failed"), make_row(2, score=-3.0)]
        store.append(RUN, [make_record(0)], rows)
        assert store.trial_sums(RUN) == (3, 1, 0.25, -3.0)
        assert [row.number for row in store.failed_rows(RUN, 5)] == [1]


def test_active_seconds_are_those_of_every_time_it_was_taken_up(tmp_path: Path) -> None:
    """Of each, what its last record tells, whatever that is, and what has passed since the last one, of a run that goes on."""
    with start(tmp_path / "sweeps.db") as store:
        assert store.active_seconds(RUN) == 0.0
        store.append(RUN, [note(0, "start", 0.0), note(0, "events", 1.0, 2), note(2, "events", 2.5, 1)])
        assert store.active_seconds(RUN) == 2.5
        store.append(RUN, [note(3, "end", 3.0), note(3, "start", 0.0)])
        assert store.active_seconds(RUN) == 3.0
        store.append(RUN, [note(3, "events", 4.0, 1), note(4, "start", 0.0), note(4, "events", 0.5, 1)])
        assert store.active_seconds(RUN) == 7.5
        last = list(store.records(RUN))[-1].time
        assert [store.active_seconds(RUN, now) for now in (last + 2.0, last - 2.0)] == [9.5, 7.5]


def test_only_rows_that_hold_a_name_are_read(tmp_path: Path) -> None:
    """A damaged one among them is noticed, others are left alone."""
    path = tmp_path / "sweeps.db"
    with start(path) as store:
        rows = [
            make_row(0)._replace(payload=b'[{},{"cost":1.0}]'),
            make_row(1),
            make_row(2)._replace(payload=b'[{},{"costs":1.0}]'),
        ]
        store.append(RUN, [make_record(0)], rows)
    with raw(path) as connection:
        connection.execute("UPDATE trials SET payload = x'00' WHERE number = 1")
    with open_reader(path) as reader:
        assert list(reader.rows_holding(RUN, "cost")) == rows[:1]
    with raw(path) as connection:
        connection.execute("UPDATE trials SET payload = '[\"cost\"]' WHERE number = 0")
    with open_reader(path) as reader, pytest.raises(DamagedPayload, match="row of trial 0"):
        list(reader.rows_holding(RUN, "cost"))


def test_where_a_fork_begins_is_known(tmp_path: Path) -> None:
    """After what was copied, however much it has by itself; 0 for what is no fork, or of a run without events."""
    with start(tmp_path / "sweeps.db") as store:
        store.fork_run(RUN, RunRow("empty", None, 2.0))
        fill(store, 7)
        store.fork_run(RUN, RunRow("fork", None, 2.0))
        store.acquire("fork")
        store.append("fork", [make_record(7, 5), make_record(12)])
        assert [store.copied_end(run) for run in (RUN, "empty", "fork")] == [0, 0, 7]
        store.fork_run("fork", RunRow("again", None, 2.0))
        assert store.copied_end("again") == 13
