"""Addresses: the name of one execution, the same in checkpoints, journal, logs, errors and the command line.

``sweep[17]/dispatch`` is stage ``dispatch`` in the iteration 17 of loop ``sweep``; ``train[item=7]`` an item of a map;
``tasks[3]/optimize_task>inner/trial[5]#2`` attempt 2 of trial 5 of the experiment ``inner`` inside a stage.
Names, never positions: an address stays what it is when a stage is inserted before it.
"""

from __future__ import annotations

import re
from typing import Final

from metta_sweep.errors import InvalidName

__all__ = ["attempt", "check_name", "child", "item", "iteration", "join"]

_FORBIDDEN: Final = re.compile(r"[\[\]/>#=\s\x00-\x1f\x7f\ud800-\udfff]")
MAX_NAME: Final = 200


def check_name(name: object, where: str) -> str:
    """Return ``name`` if it can be part of an address; raise ``InvalidName`` if not."""
    if not isinstance(name, str):
        raise InvalidName(where, "a name must be a string", found=name, remedy="Give a short text such as 'digits'")
    if not name:
        raise InvalidName(where, "a name must not be empty", found=name, remedy="Give a short text such as 'digits'")
    if len(name) > MAX_NAME:
        raise InvalidName(
            where, f"the name has {len(name)} characters", found=name, expected=f"at most {MAX_NAME}", remedy="Shorten it"
        )
    bad = _FORBIDDEN.search(name)
    if bad is not None:
        raise InvalidName(
            where,
            f"the name {name!r} holds {bad.group()!r}, {_fault(bad.group())}",
            found=name,
            expected="a name without white space, control characters and any of / [ ] > # =",
            remedy="Use letters, digits, '_', '-' and '.'",
        )
    return name


def _fault(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "which UTF-8 cannot hold"
    return "which has a meaning in addresses" if character in "[]/>#=" else "which addresses cannot hold"


def join(parent: str, name: str) -> str:
    """The address of what is called ``name`` within ``parent`` ("" for the top)."""
    return f"{parent}/{name}" if parent else name


def iteration(loop: str, index: int) -> str:
    """The address of one iteration of a loop."""
    return f"{loop}[{index}]"


def item(stage: str, key: int | str) -> str:
    """The address of one item of a map."""
    return f"{stage}[item={key}]"


def child(parent: str, name: str) -> str:
    """The address of an experiment that runs inside ``parent``."""
    return f"{parent}>{name}"


def attempt(address: str, number: int) -> str:
    """The address of one attempt; the first has no mark."""
    return address if number <= 1 else f"{address}#{number}"
