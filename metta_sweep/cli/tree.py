"""``tree``: an experiment and those within it, one line each."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from metta_sweep.cli.exits import DONE, UsageError
from metta_sweep.cli.families import Twig, grown, locate
from metta_sweep.cli.kept import Outline, reader_at, safe_outline, spend_of
from metta_sweep.cli.tables import table_lines
from metta_sweep.cli.text import as_json, duration, number, out, plain
from metta_sweep.core.budget import Spend
from metta_sweep.store import SqliteReader

__all__ = ["TreeOptions", "show_tree"]

SIBLINGS: Final = 20
"""So many of those in one parent are shown, unless all are asked for."""
NARROWEST: Final = 24
"""Columns that the names get at least, however narrow the terminal is."""
WIDTH: Final = 100
"""Columns of a terminal that does not tell how many it has."""


class TreeOptions(NamedTuple):
    """What of a tree is shown, and how."""

    depth: int | None = None
    """Levels below the top."""
    all: bool = False
    json: bool = False


class _Line(NamedTuple):
    """A node of the tree in one line."""

    stem: str
    """The drawing before its name."""
    under: str
    """The drawing before what is told below it."""
    label: str
    kind: str
    """The class in brackets, where that is not what it is called."""
    outline: Outline | None
    """None for one that is not kept, and where something else than a node is told."""
    spend: Spend
    note: str


class _Strokes(NamedTuple):
    """What trees are drawn with."""

    branch: str
    last: str
    along: str
    cut: str


_DRAWN: Final = _Strokes("├─ ", "└─ ", "│  ", "…")
_TYPED: Final = _Strokes("|- ", "`- ", "|  ", "..")
"""For terminals and files that cannot hold the others."""


def show_tree(name: str, address: str | None, store: str | None, options: TreeOptions) -> int:
    """The tree of a run: place and name, state, trials, best score and spend of each experiment in it."""
    if options.depth is not None and options.depth < 0:
        raise UsageError("--depth", "it must be at least 0", found=options.depth, expected="a whole number of levels, 0 or more")
    with reader_at(store) as reader:
        found = locate(reader, name, address)
        if found.address is not None:
            raise UsageError(
                f"tree {name}",
                f"{found.address!r} is in no experiment inside {found.name!r}, and has no tree",
                found=found.address,
                expected="the address of an experiment, such as 'trial[3]>inner'",
                remedy=f"Look at it: metta-sweep show {shlex.quote(found.name)} {shlex.quote(found.address)}",
            )
        top = grown(found.name, found.row, reader.runs(under=found.name))
        if options.json:
            out(as_json(_as_dict(reader, top, options.depth)))
        else:
            strokes = _strokes()
            lines = list(_lines(reader, top, strokes, options))
            for line in _table(lines, strokes):
                out(line)
    return DONE


# -- what there is to tell ---------------------------------------------------------------------------------------------------


def _as_dict(reader: SqliteReader, twig: Twig, depth: int | None) -> dict[str, Any]:
    outline = None if twig.row is None else safe_outline(reader, twig.row)
    told: dict[str, Any] = {"name": twig.name, "label": twig.label, "kept": outline is not None}
    if outline is not None:
        told |= {key: value for key, value in outline._asdict().items() if key not in ("name", "children")}
        told |= {"spend": _spend(reader, twig, outline)._asdict(), "forked_from": _name_of(reader, outline.forked_from)}
    told["within"] = len(twig)
    if depth != 0:
        told["children"] = [_as_dict(reader, inner, None if depth is None else depth - 1) for inner in twig.inner]
    return told


def _lines(
    reader: SqliteReader, twig: Twig, strokes: _Strokes, options: TreeOptions, stem: str = "", rest: str = "", level: int = 0
) -> Iterator[_Line]:
    """The lines of a node and of all in it, each read when it is its turn."""
    outline = None if twig.row is None else safe_outline(reader, twig.row)
    hidden = len(twig) if level == options.depth else 0
    spend = _spend(reader, twig, outline)
    under = rest + (strokes.along if twig.inner and not hidden else "   ")
    yield _Line(stem, under, twig.label, _kind(twig, outline), outline, spend, "; ".join(_notes(reader, twig, outline, hidden)))
    if hidden:
        return
    shown = twig.inner if options.all or len(twig.inner) <= SIBLINGS + 1 else twig.inner[:SIBLINGS]
    more = len(twig.inner) - len(shown)
    for position, inner in enumerate(shown, start=1):
        ends = position == len(shown) and not more
        yield from _lines(
            reader,
            inner,
            strokes,
            options,
            rest + (strokes.last if ends else strokes.branch),
            rest + ("   " if ends else strokes.along),
            level + 1,
        )
    if more:
        yield _Line(rest + strokes.last, rest, f"... {more} more: --all", "", None, Spend(), "")


def _kind(twig: Twig, outline: Outline | None) -> str:
    kind = None if outline is None else outline.class_name
    return "" if kind in (None, twig.label.rpartition(">")[2]) else f" ({kind})"


def _notes(reader: SqliteReader, twig: Twig, outline: Outline | None, hidden: int) -> Iterator[str]:
    if outline is None:
        yield "not kept itself"
    else:
        source = _name_of(reader, outline.forked_from)
        if source is not None:
            parent = twig.name.removesuffix(twig.label)
            yield f"forked from {source.removeprefix(parent) if parent else source}"
        if outline.why is not None:
            yield outline.why.splitlines()[0]
    if hidden:
        yield f"{hidden} within it"


def _spend(reader: SqliteReader, twig: Twig, outline: Outline | None) -> Spend:
    return Spend() if twig.row is None or outline is None else spend_of(reader, twig.row, outline)


def _name_of(reader: SqliteReader, run_id: str | None) -> str | None:
    """The name that a run has now."""
    row = None if run_id is None else reader.find_run(run_id)
    return run_id if row is None else row.name or row.run_id


# -- how it is told ------------------------------------------------------------------------------------------------------------


def _strokes() -> _Strokes:
    try:
        "".join(_DRAWN).encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return _TYPED
    return _DRAWN


_HEADER: Final = ("", "state", "ended", "failed", "best", "took", "cost", "")
_NUMBERS: Final = _HEADER[2:7]


def _table(lines: Sequence[_Line], strokes: _Strokes) -> list[str]:
    """The lines below each other. On a terminal names are cut where they are too long, and notes that do not fit stand below."""
    top = lines[0].outline
    rows = [_cells(line, None if top is None or index == 0 else top.pid) for index, line in enumerate(lines)]
    whole = table_lines(_HEADER, rows, _NUMBERS)
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    if not _is_terminal() or max(map(len, whole)) <= width:
        return whole
    noteless = [row[:-1] for row in rows]
    beside = max(map(len, table_lines(_HEADER[1:-1], [row[1:] for row in noteless], _NUMBERS)))
    room = max(NARROWEST, width - beside - 2)
    names = [row[0] if len(row[0]) <= room else row[0].removesuffix(line.kind) for row, line in zip(rows, lines, strict=True)]
    cells = [(_cut(name, room, strokes.cut), *row[1:]) for name, row in zip(names, noteless, strict=True)]
    header, *told = table_lines(_HEADER[:-1], cells, _NUMBERS)
    shown = [header]
    for line, text in zip(lines, told, strict=True):
        beyond = len(text) + 2 + len(line.note) > width
        shown.append(f"{text}  {plain(line.note)}" if line.note and not beyond else text)
        if line.note and beyond:
            shown.append(_cut(f"{line.under}  {plain(line.note)}", width, strokes.cut))
    return shown


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _cells(line: _Line, told: int | None) -> tuple[str, ...]:
    """The texts of a line. The process that runs it is left out where it has been told."""
    name, it = plain(f"{line.stem}{line.label}{line.kind}"), line.outline
    if it is None:
        return (name, *[""] * 6, line.note)
    status = it.status if it.pid in (None, told) else f"{it.status} ({it.pid})"
    ended = line.spend.trials or None if it.trials is None else it.trials
    best = number(it.best_score) if it.front is None else f"front of {it.front}"
    seconds, cost = line.spend.seconds, line.spend.cost
    return (
        name,
        status,
        "-" if ended is None else str(ended),
        str(it.failed or ""),
        best,
        duration(seconds) if seconds else "-",
        f"{cost:.6g}" if cost else "",
        plain(line.note),
    )


def _cut(text: str, room: int, mark: str) -> str:
    """The text in so many columns: where it is longer, the first two thirds of what there is room for, and its end."""
    if len(text) <= room:
        return text
    tail = room // 3
    return f"{text[: room - len(mark) - tail]}{mark}{text[len(text) - tail :]}"
