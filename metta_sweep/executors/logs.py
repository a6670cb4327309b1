"""The logger that trials get."""

from __future__ import annotations

import logging
from typing import Any, Final, cast

import structlog
from structlog.stdlib import BoundLogger

__all__ = ["bound_logger"]

_PROCESSORS: Final[list[Any]] = [
    structlog.stdlib.filter_by_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.format_exc_info,
    structlog.processors.KeyValueRenderer(key_order=["event", "address"], drop_missing=True),
]


def bound_logger(address: str) -> BoundLogger:
    """A structlog logger that tells the address, over the standard logger ``metta_sweep``: silent where that one is."""
    wrapped = structlog.wrap_logger(logging.getLogger("metta_sweep"), processors=_PROCESSORS, wrapper_class=BoundLogger)
    return cast("BoundLogger", wrapped.bind(address=address))
