"""Logs beside the display: through its console, so that they never mix with what is drawn."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.cli.exits import UsageError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LEVELS", "logs_shown"]

LEVELS: Final = ("debug", "info", "warning", "error")
_FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"


class _ConsoleHandler(logging.Handler):
    """Prints records on a console, above what is drawn there."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(logging.Formatter(_FORMAT, "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        from rich.text import Text

        from metta_sweep.cli.text import plain

        try:
            self._console.print(Text(plain(self.format(record))), soft_wrap=True)
        except OSError:
            self.handleError(record)


@contextmanager
def logs_shown(console: Console, level: str | None) -> Iterator[None]:
    """While the block runs, the logger ``metta_sweep`` prints on the console: warnings and errors, or from ``level`` on.

    Where the user's file has set logging up itself, that stays; what it sends to the standard error goes through the console.
    """
    logger = logging.getLogger("metta_sweep")
    before = logger.level
    if level is not None:
        if level.lower() not in LEVELS:
            raise UsageError("--log", "there is no such level", found=level, expected="one of " + ", ".join(LEVELS))
        logger.setLevel(level.upper())
    if logger.hasHandlers():
        moved = _move(console)
        try:
            yield
        finally:
            for handler, stream in moved:
                handler.setStream(stream)
            logger.setLevel(before)
        return
    shown = _ConsoleHandler(console)
    logger.addHandler(shown)
    try:
        yield
    finally:
        logger.removeHandler(shown)
        logger.setLevel(before)


class _AboveTheTable:
    """A stream that follows ``sys.stderr``, which is the console's while something is drawn."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _move(console: Console) -> list[tuple[logging.StreamHandler[Any], Any]]:
    if not console.is_terminal:
        return []
    handlers = [handler for name in (None, "metta_sweep") for handler in logging.getLogger(name).handlers]
    streams = [handler for handler in handlers if isinstance(handler, logging.StreamHandler)]
    ours = [handler for handler in streams if handler.stream in (sys.stderr, sys.__stderr__)]
    return [(handler, handler.setStream(_AboveTheTable())) for handler in ours]
