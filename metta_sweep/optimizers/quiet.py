"""Other people's libraries kept quiet while an adapter calls them."""

from __future__ import annotations

import logging
import threading
import warnings
from types import TracebackType
from typing import Final

__all__ = ["Quiet"]

_LOCK: Final = threading.RLock()


class Quiet:
    """While it is entered, warnings are left out, and log lines below ERROR of the loggers named; afterwards all is as before.

    Warnings and levels belong to the process: adapters that are called in several threads at once share the outermost entry.

    Args:
        loggers: names of loggers. Those below them that have levels of their own count, too.
    """

    def __init__(self, *loggers: str) -> None:
        self._loggers = loggers
        self._depth = 0
        self._levels: list[tuple[logging.Logger, int]] = []
        self._caught: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with _LOCK:
            self._depth += 1
            if self._depth > 1:
                return
            self._caught = warnings.catch_warnings()
            self._caught.__enter__()
            warnings.simplefilter("ignore")
            self._levels = [(logger, logger.level) for logger in _with_children(self._loggers)]
            for logger, _ in self._levels:
                logger.setLevel(logging.ERROR)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with _LOCK:
            self._depth -= 1
            if self._depth or self._caught is None:
                return
            for logger, level in self._levels:
                logger.setLevel(level)
            self._caught.__exit__(kind, error, trace)
            self._caught = None


def _with_children(names: tuple[str, ...]) -> list[logging.Logger]:
    below = tuple(f"{name}." for name in names)
    known = [logger for name, logger in list(logging.root.manager.loggerDict.items()) if name.startswith(below)]
    children = [logger for logger in known if isinstance(logger, logging.Logger) and logger.level]
    return [*map(logging.getLogger, names), *children]
