"""The contract table of a pipeline: per stage what flows in and from whom, what it provides, and what is attached to it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from metta_sweep.pipeline.contracts.typeforms import type_name
from metta_sweep.pipeline.proof.flow import FieldState, Unchecked
from metta_sweep.pipeline.proof.outline import Part, PartKind, Wire

__all__ = ["DescribedPart", "Description", "describe"]

_WIDTH: Final = 120
_HEAD: Final = ("stage", "reads", "provides", "hooks")
_WIDEST: Final = (26, 44, 26, 18)
"""What a column gets, in characters, before what is left over is shared out."""
_NARROWEST: Final = (12, 24, 18, 14)


class DescribedPart(NamedTuple):
    """One row: a stage, loop, branch, map or nested pipeline."""

    path: str
    """Its address without indices."""
    kind: PartKind
    depth: int
    """How many loops, branches, maps and pipelines enclose it."""
    group: str
    """``then`` or ``otherwise``, for what is inside of a branch."""
    first: bool
    """It is the first of those that one part encloses side by side."""
    closed: str
    """The path of the nested pipeline or map around it, whose inputs are meant by ``inputs``; empty: those of the whole."""
    reads: tuple[Wire, ...]
    """What flows to it. Of a loop or branch: to its predicate."""
    everything: bool
    """It gets the whole context: everything in ``reads``."""
    constants: tuple[str, ...]
    provides: Mapping[str, Any]
    hooks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values; types by name."""
        reads = [
            {"field": wire.field, "type": type_name(wire.type), "providers": list(wire.providers), "sure": wire.sure}
            for wire in self.reads
        ]
        return {
            **self._asdict(),
            "reads": reads,
            "constants": list(self.constants),
            "provides": {name: type_name(form) for name, form in self.provides.items()},
            "hooks": list(self.hooks),
        }


class Description:
    """A built pipeline as a table: ``rows`` for programs, ``str()`` for people."""

    def __init__(
        self,
        parts: Sequence[Part],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, FieldState],
        unchecked: Sequence[Unchecked],
        notes: Sequence[Unchecked],
        global_hooks: Sequence[str],
    ) -> None:
        self.rows = tuple(_rows(parts, 0, "", ""))
        """One per part, in the order in which they stand; what is enclosed follows what encloses it."""
        self.inputs = dict(inputs)
        """The declared inputs and their types."""
        self.outputs = dict(outputs)
        """The fields at the end, with type, provider, and whether they are surely there."""
        self.unchecked = tuple(unchecked)
        """What the build could not check."""
        self.notes = tuple(notes)
        """What is worth a look, and no fault."""
        self.global_hooks = tuple(global_hooks)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "inputs": {name: type_name(form) for name, form in self.inputs.items()},
            "parts": [row.to_dict() for row in self.rows],
            "outputs": {
                name: {"type": type_name(state.type), "provider": state.provider, "sure": state.definite}
                for name, state in self.outputs.items()
            },
            "global_hooks": list(self.global_hooks),
            "unchecked": [entry._asdict() for entry in self.unchecked],
            "notes": [entry._asdict() for entry in self.notes],
        }

    def __str__(self) -> str:
        inputs = [_field(name, form) for name, form in self.inputs.items()]
        final = [_field(name, state.type, sure=state.definite) for name, state in self.outputs.items()]
        below = [
            *_listed("inputs", ", ".join(inputs) or "none"),
            *_listed("at the end", ", ".join(final) or "nothing"),
            *(_listed("global hooks", ", ".join(self.global_hooks)) if self.global_hooks else ()),
            *_entries("unchecked", self.unchecked),
            *_entries("notes", self.notes),
        ]
        if any(not state.definite for state in self.outputs.values()) or any(not w.sure for row in self.rows for w in row.reads):
            below.append("?: may not be there")
        return "\n".join([*_table(self.rows), "", *below])

    __repr__ = __str__


def describe(
    parts: Sequence[Part],
    *,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, FieldState],
    unchecked: Sequence[Unchecked] = (),
    notes: Sequence[Unchecked] = (),
    global_hooks: Mapping[str, Any] | None = None,
) -> Description:
    """The description of a pipeline with these parts."""
    attached = []
    for name, value in (global_hooks or {}).items():
        count = len(value) if isinstance(value, tuple) else 1
        if value:
            attached.append(name if count == 1 else f"{name} ({count})")
    return Description(parts, inputs, outputs, unchecked, notes, attached)


def _rows(parts: Sequence[Part], depth: int, group: str, closed: str) -> Iterator[DescribedPart]:
    for number, part in enumerate(parts):
        yield DescribedPart(
            part.path,
            part.kind,
            depth,
            group,
            number == 0,
            closed,
            part.reads,
            part.everything,
            part.constants,
            part.provides,
            part.hooks,
        )
        around = part.path if part.kind in ("pipeline", "experiment", "map") else closed
        for inner in part.groups:
            yield from _rows(inner.parts, depth + 1, inner.label, around)


def _field(name: str, form: Any, *, sure: bool = True, limit: int = 60) -> str:
    text = type_name(form)
    return f"{name}{'' if sure else '?'}: {text if len(text) <= limit else text[: limit - 1] + '…'}"


def _listed(label: str, text: str) -> list[str]:
    return textwrap.wrap(f"{label}: {text}", _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _entries(label: str, entries: Sequence[Unchecked]) -> list[str]:
    return [f"{label}:", *(line for entry in entries for line in _listed(f"  {entry.stage}", entry.what))] if entries else []


def _table(rows: Sequence[DescribedPart]) -> list[str]:
    cells = [lines for row in rows for lines in _lines_of(row)]
    natural = [max(len(line) for row in [[[head] for head in _HEAD], *cells] for line in row[column]) for column in range(4)]
    widths = [max(_NARROWEST[column], min(natural[column], _WIDEST[column])) for column in range(4)]
    spare = _WIDTH - 6 - sum(widths)
    for column in (1, 2, 3, 0):
        more = min(max(spare, 0), max(natural[column] - widths[column], 0))
        widths[column] += more
        spare -= more
    lines = [_line(_HEAD, widths), "  ".join("-" * width for width in widths)]
    for row in cells:
        wrapped = [_wrapped(column, width) for column, width in zip(row, widths, strict=True)]
        height = max(len(column) for column in wrapped)
        lines.extend(_line([(*column, *[""] * height)[index] for column in wrapped], widths) for index in range(height))
    return lines


def _lines_of(row: DescribedPart) -> list[list[list[str]]]:
    """The lines of each column: of the row itself, after one that names its side of a branch where that begins."""
    indent = "  " * row.depth
    name = row.path.rpartition("/")[2]
    first = f"{indent}{name}" if row.kind == "stage" or name.startswith(row.kind) else f"{indent}{name} ({row.kind})"
    wires = [f"{_field(wire.field, wire.type, sure=wire.sure, limit=40)} <- {_providers(wire, row.closed)}" for wire in row.reads]
    reads = ["the whole context"] if row.everything else wires
    constants = [f"carry {text}" for text in row.constants] if row.kind == "loop" else row.constants
    own = () if row.kind in ("loop", "branch") else row.provides.items()
    provides = [_field(field, form, limit=44) for field, form in own]
    cells = [[first], [*reads, *constants], provides, [", ".join(row.hooks)] if row.hooks else []]
    return [[[f"{indent[2:]}- {row.group}:"], [], [], []], cells] if row.group and row.first else [cells]


def _providers(wire: Wire, closed: str) -> str:
    return ", ".join(f"inputs of {closed}" if closed and name == "inputs" else name for name in wire.providers)


def _wrapped(lines: Sequence[str], width: int) -> list[str]:
    done: list[str] = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        done.extend(textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False) or [""])
    return done


def _line(columns: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(columns, widths, strict=True)).rstrip()
