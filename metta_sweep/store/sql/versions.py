"""Versions of the schema, oldest first. Known without loading the library that migrates: most starts have nothing to migrate."""

from __future__ import annotations

from typing import Final

__all__ = ["APPLICATION", "HEAD", "READABLE", "REVISIONS", "WITHOUT_FORKS"]

REVISIONS: Final = ("0001", "0002", "0003", "0004")
HEAD: Final = REVISIONS[-1]

READABLE: Final = frozenset({"0002", "0003", "0004"})
"""Versions with the tables of this one: they differ in indexes, and in that older ones know of no forks."""
WITHOUT_FORKS: Final = frozenset({"0002", "0003"})
"""Of these, the ones whose runs have no column ``forked_from``."""

APPLICATION: Final = "metta_sweep"
"""What ``meta`` says of a file of ours; a database of something else is never touched."""
