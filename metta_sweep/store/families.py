"""Families of runs, by their names: a child's name is that of its parent, "/" and where it runs in it."""

from __future__ import annotations

__all__ = ["family_bounds", "moved"]


def family_bounds(name: str) -> tuple[str, str]:
    """The names of all descendants are at least the first and less than the second, in the order of their code points."""
    return f"{name}/", f"{name}0"  # 0 is what follows the slash


def moved(name: str | None, before: str, after: str) -> str:
    """The name of a descendant of ``before``, when that is called ``after``."""
    return f"{after}{(name or '')[len(before) :]}"
