"""Other people's libraries kept quiet while an adapter calls them."""

from __future__ import annotations

import logging
import threading
import warnings
from collections import Counter
from types import TracebackType
from typing import Any, Final
from weakref import WeakSet

__all__ = ["Quiet", "hush"]

_LOCK: Final = threading.RLock()
_QUIET_THREADS: Final[Counter[int]] = Counter()
"""How often each thread has entered."""
_OF_LIBRARIES: Final[WeakSet[threading.Thread]] = WeakSet()


class _OfQuietThreads(type):
    """Makes every warning of a thread that is quiet one of its kind, and none of another thread."""

    def __subclasscheck__(cls, _: type) -> bool:
        return threading.get_ident() in _QUIET_THREADS or threading.current_thread() in _OF_LIBRARIES


class _HushedWarning(Warning, metaclass=_OfQuietThreads):
    """What warnings are to the filter that is there while a thread is quiet."""


_FILTER: Final[Any] = ("ignore", None, _HushedWarning, None, 0)


class Quiet:
    """While it is entered, warnings of this thread are left out, and log lines below ERROR of the loggers named.

    Afterwards all is as before. Trials in other threads warn as ever. Levels of loggers belong to the process: adapters that are
    called in several threads at once share the outermost entry.

    Args:
        loggers: names of loggers. Those below them that have levels of their own count, too.
    """

    def __init__(self, *loggers: str) -> None:
        self._loggers = loggers
        self._depth = 0
        self._levels: list[tuple[logging.Logger, int]] = []

    def __enter__(self) -> None:
        with _LOCK:
            _QUIET_THREADS[threading.get_ident()] += 1
            _take_away_filter()
            # in front of what trials may have put there since
            filters: Any = warnings.filters
            filters.insert(0, _FILTER)
            self._depth += 1
            if self._depth > 1:
                return
            self._levels = [(logger, logger.level) for logger in _with_children(self._loggers)]
            for logger, _ in self._levels:
                logger.setLevel(logging.ERROR)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with _LOCK:
            here = threading.get_ident()
            _QUIET_THREADS[here] -= 1
            if not _QUIET_THREADS[here]:
                del _QUIET_THREADS[here]
            if not _QUIET_THREADS:
                _take_away_filter()
            self._depth -= 1
            if self._depth:
                return
            for logger, level in self._levels:
                logger.setLevel(level)


def hush(thread: threading.Thread) -> None:
    """Leave out the warnings of a thread that a library has started, too, while any thread is quiet."""
    _OF_LIBRARIES.add(thread)


def _take_away_filter() -> None:
    """Where it is: trials may have put back filters of before, or those of another time with it among them."""
    filters: Any = warnings.filters
    while _FILTER in filters:
        filters.remove(_FILTER)


def _with_children(names: tuple[str, ...]) -> list[logging.Logger]:
    below = tuple(f"{name}." for name in names)
    known = [logger for name, logger in list(logging.root.manager.loggerDict.items()) if name.startswith(below)]
    children = [logger for logger in known if isinstance(logger, logging.Logger) and logger.level]
    return [*map(logging.getLogger, names), *children]
