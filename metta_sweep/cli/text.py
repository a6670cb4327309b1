"""Values as text for a terminal. What comes from a journal may hold anything: control characters are shown, never sent."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["as_json", "duration", "moment", "number", "out", "params_text", "plain", "shown_json"]

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONTROL_IN_JSON: Final = re.compile(r"[\x7f-\x9f]")


def plain(text: str) -> str:
    """The text, with control characters other than new lines and tabs spelled out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def out(text: str) -> None:
    """A line on the standard output."""
    print(text)  # noqa: T201


def number(value: float | None) -> str:
    """A score or metric in at most six digits; a dash for none."""
    return "-" if value is None else f"{value:.6g}"


def params_text(params: Mapping[str, Any]) -> str:
    """Parameters in one line."""
    shown = (f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value!r}" for name, value in params.items())
    return plain(", ".join(shown))


def duration(seconds: float) -> str:
    """A time span: ``8.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment(wall: float) -> str:
    """A time of day, local, to the second; a question mark for what is no time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
    except (OverflowError, ValueError, OSError):
        return "?"


def as_json(value: Any) -> str:
    """A value as one line of JSON; what is not finite is a string, as in the journal."""
    from pydantic_core import to_json

    return shown_json(to_json(value, inf_nan_mode="strings").decode())


def shown_json(text: str) -> str:
    """JSON for a terminal: the same values, with those control characters spelled out, too, that JSON allows in its strings."""
    return _CONTROL_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
