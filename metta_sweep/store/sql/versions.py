"""Versions of the schema, oldest first. Known without loading the library that migrates: most starts have nothing to migrate."""

from __future__ import annotations

from typing import Final

__all__ = ["APPLICATION", "HEAD", "REVISIONS"]

REVISIONS: Final = ("0001", "0002")
HEAD: Final = REVISIONS[-1]

APPLICATION: Final = "metta_sweep"
"""What ``meta`` says of a file of ours; a database of something else is never touched."""
