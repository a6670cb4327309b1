"""What the stages of a kept run share: where they find what was recorded, and where values without content come from."""

from __future__ import annotations

import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from metta_sweep.pipeline.hook_table import CodeChange
from metta_sweep.records import Recorder, Store

__all__ = ["Origins", "Shelf", "read_from"]

logger: Final = logging.getLogger("metta_sweep")


read_from: Final[ContextVar[Store | None]] = ContextVar("metta_sweep_read_from", default=None)
"""The store out of which an output is being read; None: out of none."""
_MOST: Final = 4096
"""Values that cannot be watched for their end are remembered up to this number."""


class Origins:
    """Where values come from that have no content which could be digested: models in training, connections, open files.

    Keyed by the object itself. An object that ends is forgotten.
    """

    def __init__(self) -> None:
        self._watched: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._held: OrderedDict[int, tuple[Any, str]] = OrderedDict()

    def add(self, value: Any, origin: str) -> None:
        """Remember where a value comes from, and what it holds directly."""
        self._add(value, origin)
        if isinstance(value, list | tuple):
            for index, part in enumerate(value):
                self._add(part, f"{origin}[{index}]")
        elif isinstance(value, dict):
            for index, part in enumerate(value.values()):
                self._add(part, f"{origin}[{index}]")

    def _add(self, value: Any, origin: str) -> None:
        key = id(value)
        forget: Callable[[Any], Any] = lambda _: self._watched.pop(key, None)  # noqa: E731  # it is bound to this key
        try:
            self._watched[key] = weakref.ref(value, forget), origin
        except TypeError:
            self._held[key] = value, origin
            if len(self._held) > _MOST:
                self._held.popitem(last=False)

    def of(self, value: Any) -> str | None:
        """The origin of a value; None: it is unknown."""
        watched = self._watched.get(id(value))
        if watched is not None and watched[0]() is value:
            return watched[1]
        held = self._held.get(id(value))
        return held[1] if held is not None and held[0] is value else None


class Shelf:
    """What was recorded for a run, as its stages find it.

    Args:
        recorder: keeps it.
        on_code_change: what is done with outputs of other code, where a stage does not say.
    """

    def __init__(self, recorder: Recorder, on_code_change: CodeChange = "warn") -> None:
        self.recorder = recorder
        self.on_code_change: CodeChange = on_code_change
        self.origins = Origins()
        self._warned: set[tuple[str, str]] = set()

    def folder(self) -> Path | None:
        """Where files are kept that stages make; None: nowhere."""
        folder: Path | None = getattr(self.recorder, "folder", None)
        return folder

    @property
    def cache(self) -> Store | None:
        """The store that holds what runs share; None: there is none."""
        store: Store | None = getattr(self.recorder, "store", None)
        return store

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """While the block runs, what is read back may look for what it refers to in the store."""
        token = read_from.set(self.cache)
        try:
            yield
        finally:
            read_from.reset(token)

    def warn_once(self, stage: str, what: str, *values: object) -> None:
        """Warn, once in a run for a stage, whatever the number of its executions."""
        if (stage, what) not in self._warned:
            self._warned.add((stage, what))
            logger.warning(what, *values)
