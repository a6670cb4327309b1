"""A pipeline as a Mermaid flowchart: what flows from whom to whom.

Boxes are stages. A loop, branch, nested pipeline or map over a pipeline is a frame with an entry: where its predicate is asked, or
its inputs come in. Edges carry the names of fields: whole ones flow on, dotted ones flow back into the next iteration of a loop,
or only say what runs after what. ``?`` marks a field that may not be there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from metta_sweep.pipeline.proof.outline import Group, Part, Wire

__all__ = ["to_mermaid"]

_ESCAPES: Final = {ord(mark): f"#{ord(mark)};" for mark in '"#%&<>`\\'}
_LONGEST: Final = 60
"""Characters of an edge's label."""


def to_mermaid(parts: Sequence[Part], inputs: Mapping[str, Any]) -> str:
    """The flowchart of a pipeline with these parts and declared inputs."""
    return "\n".join(_Drawing(parts, inputs).lines())


class _Drawing:
    def __init__(self, parts: Sequence[Part], inputs: Mapping[str, Any]) -> None:
        self._parts = parts
        self._inputs = inputs
        self._boxes: dict[str, str] = {}
        """What stands for a part where it reads: by path, the id of its box or of the entry of its frame."""
        self._frames: dict[str, str] = {}
        """The ids of frames, by path."""
        self._loops: set[str] = set()
        """The paths of loops: what they carry comes from their entry, for readers outside as well."""
        self._order: dict[str, int] = {}
        self._edges: dict[tuple[str, str, bool], list[str]] = {}
        """The labels of each edge, by its ends and whether it is dotted."""

    def lines(self) -> Iterator[str]:
        """The text, line by line."""
        yield "flowchart TD"
        if self._inputs:
            yield f"  inputs([{_text('inputs')}])"
        yield from self._boxes_of(self._parts, "  ")
        self._wire(self._parts, "", "", "")
        for (start, end, dotted), labels in self._edges.items():
            arrow = "-.->" if dotted else "-->"
            label = f"|{_text(_joined(labels))}|" if any(labels) else ""
            yield f"  {start} {arrow}{label} {end}"

    def _boxes_of(self, parts: Sequence[Part], indent: str) -> Iterator[str]:
        for part in parts:
            number = self._order[part.path] = len(self._order)
            box = self._boxes[part.path] = f"n{number}"
            if not part.groups:
                opening, closing = ("[[", "]]") if part.kind == "map" else ("[", "]")
                yield f"{indent}{box}{opening}{_text(_title(part) if part.kind == 'map' else part.name)}{closing}"
                continue
            frame = self._frames[part.path] = f"g{number}"
            if part.kind == "loop":
                self._loops.add(part.path)
            yield f"{indent}subgraph {frame}[{_text(_title(part))}]"
            opening, closing = ("{", "}") if part.kind in ("loop", "branch") else ("([", "])")
            yield f"{indent}  {box}{opening}{_text(_ENTRIES[part.kind])}{closing}"
            for index, group in enumerate(part.groups):
                yield from self._group(group, f"{frame}{'abcdefgh'[index]}", f"{indent}  ")
            yield f"{indent}end"

    def _group(self, group: Group, frame: str, indent: str) -> Iterator[str]:
        if not group.label:
            yield from self._boxes_of(group.parts, indent)
            return
        yield f"{indent}subgraph {frame}[{_text(group.label)}]"
        yield from self._boxes_of(group.parts, f"{indent}  ")
        yield f"{indent}end"

    def _wire(self, parts: Sequence[Part], entry: str, label: str, closed: str) -> None:
        """Draw the edges into these parts.

        Args:
            parts: that follow one another.
            entry: the box that leads to the first of them.
            label: of the edge from there; empty: it is drawn only where no field leads from there.
            closed: the path of the nested pipeline or map around them, whose inputs are meant by "inputs".
        """
        before = entry
        for index, part in enumerate(parts):
            box = self._boxes[part.path]
            drawn = False if part.everything else self._flows(part, closed)
            if part.everything and before:
                self._edge(before, box, "everything", dotted=True)
            elif index == 0 and label:
                self._edge(before, box, label, dotted=True)
            elif before and (not drawn if index else (before, box, False) not in self._edges):
                self._edge(before, box, "", dotted=True)
            inner = part.path if part.kind in ("pipeline", "experiment", "map") else closed
            for group in part.groups:
                self._wire(group.parts, box, group.label, inner)
            before = self._frames.get(part.path, box)

    def _flows(self, part: Part, closed: str) -> bool:
        """Draw what flows to a part; whether anything flows to it from before."""
        ahead = False
        for wire in part.reads:
            for provider in wire.providers:
                start = self._source(provider, wire.field, part, closed)
                if start is None or (part.kind == "loop" and provider == part.path):
                    continue
                back = start != _INPUTS and self._order.get(provider, -1) >= self._order[part.path]
                self._edge(start, self._boxes[part.path], _label(wire), dotted=back)
                ahead = ahead or not back
        return ahead

    def _source(self, provider: str, field: str, reader: Part, closed: str) -> str | None:
        if provider == _INPUTS and (closed or not self._is_from_a_stage(field, reader)):
            return self._boxes[closed] if closed else _INPUTS if self._inputs else None
        inside = reader.path.startswith(f"{provider}/") or reader.path == provider
        frame = None if inside or provider in self._loops else self._frames.get(provider)
        return frame or self._boxes.get(provider)

    def _is_from_a_stage(self, field: str, reader: Part) -> bool:
        """Whether a stage that is itself called "inputs" is meant, and not the declared inputs."""
        made = next((part.provides for part in self._parts if part.path == _INPUTS), {})
        return field in made and self._order[_INPUTS] < self._order[reader.path]

    def _edge(self, start: str, end: str, label: str, *, dotted: bool) -> None:
        labels = self._edges.setdefault((start, end, dotted), [])
        if label not in labels:
            labels.append(label)


_INPUTS: Final = "inputs"
_ENTRIES: Final = {
    "loop": "goes on?",
    "branch": "holds?",
    "map": "each item",
    "pipeline": "inputs",
    "experiment": "inputs",
    "stage": "",
}


def _title(part: Part) -> str:
    if part.kind == "map":
        return f"{part.name} (map {part.hooks[0]})" if part.hooks else part.name
    name = part.name if part.name.startswith(part.kind) else f"{part.name} ({part.kind})"
    return ", ".join([name, *part.hooks]) if part.kind == "loop" else name


def _label(wire: Wire) -> str:
    return wire.field if wire.sure else f"{wire.field}?"


def _joined(labels: Sequence[str]) -> str:
    """The names on one edge, as many as fit."""
    text = ""
    for number, label in enumerate(labels):
        longer = f"{text}, {label}" if text else label
        if text and len(longer) > _LONGEST:
            return f"{text} and {len(labels) - number} more"
        text = longer
    return text


def _text(text: str) -> str:
    """A text in quotes, with what Mermaid would take for its own written as character codes."""
    return f'"{text.translate(_ESCAPES)}"'
