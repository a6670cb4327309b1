"""What a scheduler asks for when it does not take the next suggestion, whatever it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from metta_sweep.core.events import Draw

__all__ = ["Wish"]


class Wish(NamedTuple):
    """A suggestion with some parameters, or of some branch, or both."""

    fixed: Mapping[str, Any] | None = None
    """Parameters that it has."""
    branch: str | None = None
    """The branch that it belongs to."""

    def met_by(self, draw: Draw) -> bool:
        """Whether the suggestion is such a one."""
        params = draw.params
        if self.branch is not None and draw.branch != self.branch:
            return False
        for name, value in (self.fixed or {}).items():
            if name not in params or params[name] != value:
                return False
            # equal numbers are one option of a choice, but True is not 1
            if isinstance(value, bool) is not isinstance(params[name], bool):
                return False
        return True

    def __str__(self) -> str:
        branch = [] if self.branch is None else [f"the branch {self.branch!r}"]
        return ", ".join([*branch, *[f"{name}={value!r}" for name, value in (self.fixed or {}).items()]])
