"""``list``: the runs of a store, one line each."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from metta_sweep.cli.exits import DONE
from metta_sweep.cli.kept import Outline, damaged_outline, outline, reader_at
from metta_sweep.cli.text import as_json, moment, number, out, plain
from metta_sweep.errors import DamagedPayload, StoreError
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader

__all__ = ["list_runs"]


def list_runs(store: str | None, *, json: bool) -> int:
    """All runs of a store, oldest first. One that is damaged does not hide the others."""
    with reader_at(store) as reader:
        outlines = [_outlined(reader, row) for row in reader.runs()]
    if json:
        out(as_json([it._asdict() for it in outlines]))
    elif outlines:
        _print_outlines(outlines)
    else:
        out(f"no runs are kept in {reader.path}")
    return DONE


def _outlined(reader: SqliteReader, row: RunRow) -> Outline:
    try:
        return outline(reader, row)
    except DamagedPayload:
        return damaged_outline(row)
    except StoreError as error:
        # of the file as a whole: all the others would be damaged, too
        if isinstance(error.__cause__, sqlite3.Error):
            raise
        return damaged_outline(row)


def _print_outlines(outlines: Sequence[Outline]) -> None:
    header = ("name", "id", "status", "ended", "failed", "best", "began", "tags")
    rows = [header, *(_outline_row(it) for it in outlines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = (
            cell.rjust(width) if header[column] in ("ended", "failed", "best") else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        out("  ".join(cells).rstrip())


def _outline_row(it: Outline) -> tuple[str, ...]:
    status = it.status if it.pid is None else f"{it.status} (process {it.pid})"
    if it.kind == "pipeline":
        status += " (a pipeline)"
    counts = ("-" if count is None else str(count) for count in (it.trials, it.failed))
    return (
        plain(it.name or "-"),
        plain(it.run_id),
        status,
        *counts,
        number(it.best_score) if it.front is None else f"front of {it.front}",
        moment(it.created),
        plain(", ".join(it.tags)),
    )
