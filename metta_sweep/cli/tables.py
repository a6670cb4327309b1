"""Rows of cells below each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["table_lines"]


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """One line for the header and each row. Columns of which only the header tells are left out.

    Args:
        header: the titles of the columns.
        rows: as many cells each.
        right: the titles of the columns that are lined up at their right ends.
    """
    kept = [column for column in range(len(header)) if not rows or any(row[column] for row in rows)]
    widths = {column: max(len(row[column]) for row in (header, *rows)) for column in kept}
    lines: list[str] = []
    for row in (header, *rows):
        cells = (row[it].rjust(widths[it]) if header[it] in right else row[it].ljust(widths[it]) for it in kept)
        lines.append("  ".join(cells).rstrip())
    return lines
