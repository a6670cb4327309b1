"""What does not fit, in words: where it is, what was found, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from metta_sweep.pipeline.contracts.typeforms import brief

__all__ = ["Misfit", "checked_at", "conversion", "is_pending", "joined", "misfit_of", "shown"]


_NAMES: Final = {
    "bool": "bool",
    "bytes": "bytes",
    "complex": "complex",
    "date": "a date",
    "datetime": "a datetime",
    "dict": "a dict",
    "float": "float",
    "frozen_set": "a frozenset",
    "int": "int",
    "list": "a list",
    "mapping": "a mapping",
    "none_required": "None",
    "set": "a set",
    "string": "str",
    "time": "a time",
    "time_delta": "a timedelta",
    "tuple": "a tuple",
}
"""What pydantic's errors about types want, by the beginning of their names."""
_COMPARISONS: Final = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"})


class Misfit(Exception):
    """A value that does not fit a type. Becomes a ``ContractError`` that names stage and field."""

    def __init__(self, details: str, path: str = "") -> None:
        self.path = path
        self.details = details
        super().__init__(details)


def is_pending(value: object) -> bool:
    """Whether a value has yet to be awaited. A class of results that may be awaited all the same says so: ``_is_result = True``."""
    kind = type(value)
    return hasattr(kind, "__await__") and not getattr(kind, "_is_result", False)


def shown(value: object, limit: int = 80) -> str:
    """A value in a message: short, with its type."""
    pending = ", which was never awaited" if is_pending(value) else ""
    text = brief(value, limit)
    kind = "" if text.startswith(("a lambda", "the class ", "the function ", "the method ")) else f" ({type(value).__name__})"
    return f"{text}{kind}{pending}"


def checked_at(name: str, check: Callable[[Any], Any], value: Any) -> Any:
    """What ``check`` makes of a part of a value; its ``Misfit`` then says which part."""
    try:
        return check(value)
    except Misfit as error:
        raise Misfit(error.details, joined(name, error.path)) from None


def misfit_of(error: Any) -> Misfit:
    """What pydantic found, in our words: the first three mistakes."""
    found = error.errors(include_url=False)
    lines = []
    for entry in found[:3]:
        place = _place(entry)
        own = entry["type"] == "misfit"
        details = entry["msg"] if own else f"found {shown(entry['input'])}, {_wanted(entry)}{conversion(entry['input'])}"
        lines.append((f"{place}: " if place and len(found) > 1 else "") + details)
    if len(found) > 3:
        lines.append(f"and {len(found) - 3} more")
    return Misfit("; ".join(lines), _place(found[0]) if len(found) == 1 else "")


def _wanted(entry: Any) -> str:
    """What pydantic wants, in our words where they are shorter; messages of users' validators stay as they are."""
    kind, message = entry["type"], str(entry["msg"])
    name = _NAMES.get(kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float"))
    if name is not None:
        return f"expected {name}"
    if kind in _COMPARISONS:
        return message.replace("Input should be", "expected a value", 1)
    return message.replace("Input should be", "expected", 1) if kind in ("literal_error", "enum") else message


def conversion(value: object) -> str:
    """How a scalar of an array library is made a Python number, and what else says how it is made plain; nothing for others.

    A class says so by ``_made_plain = "list(x)"``.
    """
    plain = getattr(type(value), "_made_plain", None)
    if isinstance(plain, str):
        return f": write {plain}"
    library, kind = type(value).__module__.partition(".")[0], type(value).__name__
    if library == "numpy":
        for prefix, call in (("int", "int(x)"), ("uint", "int(x)"), ("float", "float(x)"), ("bool", "bool(x)")):
            if kind.startswith(prefix):
                return f": a numpy scalar, write {call}"
        return ": a numpy array, write x.tolist()" if kind == "ndarray" else ""
    return ": a tensor, write x.item()" if library in ("torch", "jax", "jaxlib", "tensorflow") else ""


def _place(entry: Any) -> str:
    """The path to a mistake, without the names that pydantic gives to functions within unions."""
    parts = [part for part in entry["loc"] if isinstance(part, int) or "(" not in part]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    return joined(place, entry["ctx"]["path"]) if entry["type"] == "misfit" else place


def joined(path: str, inner: str) -> str:
    """A path, and one within it: ``rows`` and ``[2].name``."""
    return f"{path}{inner}" if not path or not inner or inner.startswith("[") else f"{path}.{inner}"
