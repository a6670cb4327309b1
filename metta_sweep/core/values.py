"""Plain values: what parameters, options and settings are made of, so that they can be written as JSON and read back equal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from metta_sweep.errors import a_kind

__all__ = ["NO_TEXT", "SPELL_OUT", "NotJson", "encodable", "is_encodable", "plain_json", "plain_scalar"]

_ATOMS: Final = (str, int, bool, type(None))
NO_TEXT: Final = "holds half of a surrogate pair, which UTF-8 cannot hold"
SPELL_OUT: Final = "Spell it out: text.encode(errors='backslashreplace').decode()"


class NotJson(Exception):
    """A value that JSON cannot hold. Internal: callers turn it into an error that names the parameter."""

    def __init__(self, path: str, what: str, found: object) -> None:
        super().__init__(path, what, found)
        self.path = path
        self.what = what
        self.found = found


def is_encodable(text: str) -> bool:
    """Whether it can be written as UTF-8. Names of files that are not have halves of surrogate pairs in them, which cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encodable(text: str) -> str:
    r"""The text; what of it cannot be written as UTF-8 is spelled out (``\udcff``)."""
    return text if is_encodable(text) else text.encode(errors="backslashreplace").decode()


def plain_scalar(value: Any) -> Any:
    """The plain Python number, bool or string of a numpy, torch or jax scalar; anything else as it is."""
    if isinstance(value, str | int | float):
        kind = type(value)
        if kind is float or kind is int or kind is str or kind is bool:
            return value
        # np.float64 is a float and np.str_ is a str: only .item() makes them plain; an enum member has its value
        item = getattr(value, "item", None)
        if callable(item):
            return item()
        if isinstance(value, str):
            # str(member) of a `class Colour(str, Enum)` would be "Colour.RED"
            return str.__str__(value)
        return int.__int__(value) if isinstance(value, int) else float.__float__(value)
    if getattr(value, "ndim", None) == 0:
        item = getattr(value, "item", None)
        if callable(item):
            return item()
    return value


def plain_json(value: Any, path: str = "") -> Any:
    """A copy of ``value`` made of dicts, lists, strings, finite numbers, bools and None.

    Tuples become lists, numpy scalars and arrays plain numbers and lists.

    Raises:
        NotJson: for anything else, with the path to it (``"[2]['lr']"``).
    """
    kind = type(value)
    if kind in _ATOMS:
        if kind is str and not is_encodable(value):
            raise NotJson(path, NO_TEXT, value)
        return value
    if kind is float:
        if not math.isfinite(value):
            raise NotJson(path, "is not a finite number", value)
        return value
    if isinstance(value, Mapping):
        return _plain_mapping(value, path)
    if isinstance(value, list | tuple):
        return [plain_json(item, f"{path}[{position}]") for position, item in enumerate(value)]
    if getattr(value, "ndim", 0) and callable(getattr(value, "tolist", None)):
        return plain_json(value.tolist(), path)
    scalar = plain_scalar(value)
    if type(scalar) in _ATOMS or type(scalar) is float:
        return plain_json(scalar, path)
    raise NotJson(path, f"is {a_kind(value)}, which JSON cannot hold", value)


def _plain_mapping(value: Mapping[Any, Any], path: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise NotJson(path, f"has the key {key!r}, which is not a string", value)
        if not is_encodable(key):
            raise NotJson(path, f"has the key {key!r}, which {NO_TEXT}", value)
        plain[plain_scalar(key)] = plain_json(item, f"{path}[{key!r}]")
    return plain
