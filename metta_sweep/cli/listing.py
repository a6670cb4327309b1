"""``list``: the runs of a store, one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from metta_sweep.cli.exits import DONE
from metta_sweep.cli.families import called, is_child, parent_of, root_of
from metta_sweep.cli.kept import Outline, reader_at, safe_outline
from metta_sweep.cli.tables import table_lines
from metta_sweep.cli.text import as_json, moment, number, out, plain
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader

__all__ = ["list_runs"]

_HEADER: Final = ("name", "id", "status", "children", "ended", "failed", "best", "began", "tags")
_NUMBERS: Final = ("children", "ended", "failed", "best")


def list_runs(store: str | None, *, every: bool, json: bool) -> int:
    """The runs of a store, oldest first: those that lie in no other one, or every one. A damaged one does not hide the others."""
    with reader_at(store) as reader:
        rows = reader.runs()
        outlines = list(_outlines(reader, rows, every=every))
    if json:
        out(as_json([it._asdict() for it in outlines]))
        return DONE
    if not outlines:
        out(f"no runs are kept in {reader.path}")
        return DONE
    for line in table_lines(_HEADER, [_cells(it) for it in outlines], _NUMBERS):
        out(line)
    hidden = sum(map(is_child, rows))
    if hidden and not every:
        lie = "1 run lies" if hidden == 1 else f"{hidden} runs lie"
        out(f"{lie} within these: metta-sweep tree NAME shows them, metta-sweep list --all lists them")
    return DONE


def _outlines(reader: SqliteReader, rows: Sequence[RunRow], *, every: bool) -> Iterator[Outline]:
    """Of each run to be listed, with how many lie directly within it. Roots that are not kept come where their first child was."""
    inner = Counter(parent_of(row.name) for row in rows if row.name is not None and is_child(row))
    told = {called(row) for row in rows}
    for row in rows:
        if every or not is_child(row):
            yield safe_outline(reader, row)._replace(children=inner[called(row)])
            continue
        root = root_of(called(row))
        if root not in told:
            told.add(root)
            yield Outline(root, None, "unknown", "not kept", None, None, None, None, row.created, (), children=inner[root])


def _cells(it: Outline) -> tuple[str, ...]:
    status = it.status if it.pid is None else f"{it.status} (process {it.pid})"
    if it.kind == "pipeline":
        status += " (a pipeline)"
    counts = ("-" if count is None else str(count) for count in (it.trials, it.failed))
    return (
        plain(it.name or "-"),
        plain(it.run_id or "-"),
        status,
        str(it.children or ""),
        *counts,
        number(it.best_score) if it.front is None else f"front of {it.front}",
        moment(it.created),
        plain(", ".join(it.tags)),
    )
