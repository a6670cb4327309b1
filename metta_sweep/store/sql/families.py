"""Renaming a run with its descendants, and copying one. The caller has begun the transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from metta_sweep.records import Checkpoint
from metta_sweep.store.families import family_bounds, moved
from metta_sweep.store.sql.reader import SqliteReader
from metta_sweep.store.sql.rows import checkpoint_values, record_values, row_values
from metta_sweep.store.sql.statements import ADD_RECORD, SET_CHECKPOINT, SET_ROW

__all__ = ["Member", "copied_rows", "family_of", "rename_family"]

PAGE: Final = 256
COPIED: Final = 0
"""The driver that wrote what was copied: none of the run that has it now, whose drivers count from 1."""


class Member(NamedTuple):
    """A run of a family."""

    key: int
    run_id: str
    name: str | None


def family_of(cursor: sqlite3.Cursor, run_id: str) -> tuple[str, list[Member]]:
    """What the names of a run's descendants begin with; and the run itself, followed by them."""
    columns = "SELECT id, run_id, name FROM runs WHERE "
    head = Member(*cursor.execute(f"{columns} run_id = ?", (run_id,)).fetchone())
    before = head.name or run_id
    found = cursor.execute(f"{columns} name >= ? AND name < ?", family_bounds(before)).fetchall()
    return before, [head, *(Member(*row) for row in found)]


def rename_family(cursor: sqlite3.Cursor, family: Sequence[Member], before: str, name: str) -> str | None:
    """Give the first one the name, and the others names that begin with it. The name that somebody else has, when there is one."""
    new = {member.key: moved(member.name or before, before, name) for member in family}
    family_keys = new.keys()
    columns = "SELECT id, name, run_id FROM runs WHERE "
    names = cursor.execute(f"{columns} name = ? OR run_id = ?", (name, name)).fetchall()
    names += cursor.execute(f"{columns} name >= ? AND name < ?", family_bounds(name)).fetchall()
    names += cursor.execute(f"{columns} run_id >= ? AND run_id < ?", family_bounds(name)).fetchall()
    wanted = set(new.values())
    for key, found, run_id in names:
        if run_id in wanted:
            return str(run_id)
        if found in wanted and key not in family_keys:
            return str(found)
    # a name may be one that another of the family has now
    cursor.executemany("UPDATE runs SET name = NULL WHERE id = ?", [(key,) for key in new])
    cursor.executemany("UPDATE runs SET name = ? WHERE id = ?", [(name, key) for key, name in new.items()])
    return None


def copied_rows(reader: SqliteReader, source: str, key: int) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """All that is kept of a run, checked, as pages of rows of the run with this key, each with the statement that adds it.

    Raises:
        DamagedPayload: something is not what was written.
    """
    records = (record_values(key, COPIED, record) for record in reader.records(source))
    trials = (row_values(key, row) for row in reader.trial_rows(source))
    checkpoints = (checkpoint_values(key, COPIED, kept) for kept in _checkpoints(reader, source))
    for statement, rows in ((ADD_RECORD, records), (SET_ROW, trials), (SET_CHECKPOINT, checkpoints)):
        while page := list(islice(rows, PAGE)):
            yield statement, page


def _checkpoints(reader: SqliteReader, source: str) -> Iterator[Checkpoint]:
    for address in reader.checkpoint_addresses(source):
        kept = reader.get_checkpoint(source, address)
        if kept is not None:
            yield kept
