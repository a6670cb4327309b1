"""Runs that lie within other runs, by their names: ``meta/trial[3]>inner/trial[5]>deep``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from metta_sweep.cli.stages import by_number
from metta_sweep.errors import StoreError, did_you_mean
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader

__all__ = [
    "TRIAL",
    "Located",
    "Twig",
    "called",
    "children_of",
    "grown",
    "is_child",
    "locate",
    "parent_of",
    "root_of",
    "steps_of",
]

TRIAL: Final = re.compile(r"trial\[(?P<id>.+?)\](?:#(?P<attempt>[1-9]\d*))?")
"""The address of a trial within its sweep."""
_ATTEMPT: Final = re.compile(r"#\d+(?=>)")
"""Which attempt of a trial an experiment ran in is no part of its address."""
_SHOWN: Final = 10


class Twig:
    """An experiment in the tree, and those within it. Without a row it is none that is kept: an unnamed pipeline, say."""

    __slots__ = ("inner", "label", "name", "row")

    def __init__(self, name: str, label: str, row: RunRow | None) -> None:
        self.name = name
        """Of its run: that of the root, and its address."""
        self.label = label
        """``trial[3]>inner``: where it runs in its parent, and what it is called."""
        self.row = row
        self.inner: list[Twig] = []

    def __len__(self) -> int:
        """How many lie within it, however deep."""
        return sum(1 + len(twig) for twig in self.inner)


class Located(NamedTuple):
    """What a name and an address on the command line lead to."""

    name: str
    """Of the innermost experiment on the way, ``meta/trial[3]>inner``."""
    row: RunRow | None
    """Its run; None where it is not kept."""
    address: str | None
    """What is left of the address: within that run."""

    @property
    def kept(self) -> RunRow:
        """Its run. Raises ``StoreError`` where it is not kept."""
        if self.row is None:
            raise StoreError(
                f"run {self.name!r}",
                "nothing of it is kept but what ran inside it: it is an experiment without a name",
                remedy=f"Look at what ran inside it: metta-sweep tree {shlex.quote(self.name)}",
            )
        return self.row


def called(row: RunRow) -> str:
    """What the names of the runs within a run begin with."""
    return row.name or row.run_id


def is_child(row: RunRow) -> bool:
    """Whether a run lies within another one: names that people give hold no slash."""
    return row.name is not None and "/" in row.name


def root_of(name: str) -> str:
    """The name of the outermost run."""
    return name.partition("/")[0]


def steps_of(address: str) -> list[str]:
    """An address by levels: ``a/b>inner/trial[5]>deep`` is ``a/b>inner`` and ``trial[5]>deep``; what is in no child comes last."""
    steps: list[str] = []
    place, *rest = address.split(">")
    for part in rest:
        name, _, following = part.partition("/")
        steps.append(f"{place}>{name}")
        place = following
    return [*steps, place] if place else steps


def parent_of(name: str) -> str:
    """The name of the run that a child lies directly within, be that kept or not."""
    root, _, address = name.partition("/")
    return "/".join((root, *steps_of(address)[:-1]))


def grown(name: str, row: RunRow | None, descendants: Iterable[RunRow]) -> Twig:
    """The tree of a run: siblings in the order of their places, those that are not kept where something lies within them."""
    top = Twig(name, name, row)
    known = {name: top}
    for one in descendants:
        parent, at = top, name
        for step in steps_of((one.name or "")[len(name) + 1 :]):
            at = f"{at}/{step}"
            twig = known.get(at)
            if twig is None:
                twig = known[at] = Twig(at, step, None)
                parent.inner.append(twig)
            parent = twig
        parent.row = one
    for twig in known.values():
        twig.inner.sort(key=lambda inner: by_number(inner.label))
    return top


def children_of(reader: SqliteReader, name: str, place: str | None = None) -> list[Twig]:
    """Those directly within a run; or only those in one trial or stage of it, or in what lies within that stage."""
    twigs = grown(name, None, reader.runs(under=name)).inner
    if place is None:
        return twigs
    return [twig for twig in twigs if twig.label.startswith((f"{place}>", f"{place}/", f"{place}["))]


def locate(reader: SqliteReader, name: str, address: str | None = None) -> Located:
    """The innermost run that a name and an address lead to, and what of the address is left.

    Raises:
        StoreError: there is no such run, with a guess.
    """
    row = reader.find_run(name)
    if row is None and "/" in name:
        name, _, within = name.partition("/")
        address = within if address is None else f"{within}/{address}"
        row = reader.find_run(name)
    if row is not None:
        name = called(row)
    elif not reader.runs(under=name):
        raise _no_run(reader, name)
    if address is None:
        return Located(name, row, None)
    found, left = name, _ATTEMPT.sub("", address)
    steps = steps_of(left)
    for count in range(len(steps), 0, -1):
        if ">" not in steps[count - 1]:
            continue
        inner = "/".join((name, *steps[:count]))
        deeper = reader.find_run(inner)
        if deeper is not None or reader.runs(under=inner):
            found, row, left = inner, deeper, "/".join(steps[count:])
            break
    if ">" in left:
        raise _no_child(reader, found, left)
    return Located(found, row, left or None)


def _no_run(reader: SqliteReader, name: str) -> StoreError:
    names = list(_roots(reader))
    guess = did_you_mean(name, names)
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return StoreError(
        f"store {str(reader.path)!r}",
        f"there is no run {name!r}",
        expected=f"one of {shown}" if names else "the name of a run; this store has none",
        remedy=f"Did you mean {guess!r}?" if guess else None,
    )


def _roots(reader: SqliteReader) -> Iterator[str]:
    return iter(dict.fromkeys(root_of(called(row)) for row in reader.runs()))


def _no_child(reader: SqliteReader, name: str, address: str) -> StoreError:
    """The error for an address that no experiment within the run of that name has."""
    whole = [row.name[len(name) + 1 :] for row in reader.runs(under=name) if row.name is not None]
    wanted = next(step for step in steps_of(address) if ">" in step)
    labels = [twig.label for twig in children_of(reader, name)]
    guess = did_you_mean(address, whole) or did_you_mean(wanted, labels)
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return StoreError(
        f"run {name!r}",
        f"no experiment ran at {wanted!r}",
        expected=f"one of {', '.join(labels[:_SHOWN])}{more}" if labels else "an address within it: no experiment ran inside it",
        remedy=f"Did you mean {guess!r}?" if guess else None,
    )
