"""What is recorded of the stages of a kept pipeline: their addresses, in order and folded."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from metta_sweep.errors import StoreError, did_you_mean
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteReader

__all__ = ["address_lines", "by_number", "nothing_at", "recorded_addresses", "within"]

_SHOWN: Final = 60
"""Lines of addresses that are shown at most."""
_FOLDED: Final = 4
"""Addresses of one stage one after another, from which on they become one line."""
_NUMBER: Final = re.compile(r"(\d+)")
_INDEX: Final = re.compile(r"\[.*?\]")


def recorded_addresses(reader: SqliteReader, row: RunRow) -> list[str]:
    """The addresses at which an output is kept, by name and number: ``loop[2]`` comes before ``loop[10]``."""
    return sorted(reader.checkpoint_addresses(row.run_id), key=by_number)


def within(addresses: Iterable[str], address: str) -> list[str]:
    """Those that lie within an address: items of a map, iterations of a loop, stages of a nested pipeline."""
    return [name for name in addresses if name.startswith((f"{address}/", f"{address}["))]


def address_lines(addresses: Sequence[str]) -> list[str]:
    """One line each, those of many items in one; bounded."""
    lines = list(_folded(addresses))
    more = len(lines) - _SHOWN
    return lines if more <= 0 else [*lines[:_SHOWN], f"... and {more} lines more"]


def nothing_at(row: RunRow, address: str, addresses: Sequence[str]) -> StoreError:
    """The error for an address of a pipeline at which nothing is recorded."""
    guess = did_you_mean(address, [*addresses, *dict.fromkeys(_INDEX.sub("", name) for name in addresses)])
    lines = list(_folded(addresses))
    shown = ", ".join(lines[:10]) + (f" and {len(lines) - 10} more" if len(lines) > 10 else "")
    return StoreError(
        f"run {row.name or row.run_id!r}",
        f"nothing is recorded at {address!r}",
        expected=f"one of {shown}" if addresses else "the address of a recorded stage; none is recorded yet",
        remedy=f"Did you mean {guess!r}?" if guess else None,
    )


def by_number(address: str) -> list[Any]:
    """For sorting by name and number: ``trial[2]`` comes before ``trial[10]``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBER.split(address)]


def _folded(addresses: Sequence[str]) -> Iterator[str]:
    for _, group in itertools.groupby(addresses, key=lambda name: _INDEX.sub("", name)):
        names = list(group)
        if len(names) < _FOLDED:
            yield from names
        else:
            yield f"{names[0]} ... {names[-1]} ({len(names)})"
