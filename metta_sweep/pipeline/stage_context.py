"""What a stage function may ask about its own execution."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import MutableMapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from metta_sweep.threads import call_abandoned

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["StageContext", "stage_seed"]


def stage_seed(seed: int, address: str) -> int:
    """The seed of one execution: 63 bits from the run's seed and the address, the same on every attempt."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\x1f{address}".encode(), digest_size=8).digest(), "big") >> 1


class StageContext:
    """One execution of a stage, seen from inside. A stage function gets it by annotating a parameter with this class."""

    def __init__(self, address: str, run_seed: int, attempt: int = 1, timeout: asyncio.Timeout | None = None) -> None:
        self.address = address
        """The name of this execution: ``sweep[17]/pick``."""
        self.attempt = attempt
        """1 for the first."""
        self._run_seed = run_seed
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._cancelled = False

    @cached_property
    def seed(self) -> int:
        """A seed for this execution, the same on every attempt."""
        return stage_seed(self._run_seed, self.address)

    @cached_property
    def rng(self) -> random.Random:
        """A generator seeded with ``seed``."""
        return random.Random(self.seed)  # noqa: S311

    @property
    def idempotency_key(self) -> str:
        """A key for outside systems: the same whenever this execution is tried again, in this process or the next."""
        return f"{self.seed:016x}"

    def remaining(self) -> float | None:
        """Seconds until the attempt times out; None without a timeout."""
        deadline = None if self._timeout is None else self._timeout.when()
        return None if deadline is None else max(0.0, deadline - self._loop.time())

    def end_timeout(self) -> None:
        """The attempt may take as long as it needs from here on. Call it from the event loop or from the stage's thread."""
        timeout = self._timeout
        if timeout is None:
            return
        if _in_loop(self._loop):
            timeout.reschedule(None)
        else:
            self._loop.call_soon_threadsafe(_disarm, timeout)

    def check_cancelled(self) -> None:
        """In a thread: end the stage, by ``asyncio.CancelledError``, when it has timed out or its run was cancelled."""
        if self._cancelled or call_abandoned():
            raise asyncio.CancelledError(f"stage at {self.address} was cancelled")

    @cached_property
    def logger(self) -> FilteringBoundLogger:
        """A structured logger that knows the address; it writes through the standard logger ``metta_sweep``."""
        import structlog

        bound: Any = structlog.wrap_logger(
            logging.getLogger("metta_sweep"),
            wrapper_class=structlog.stdlib.BoundLogger,
            processors=[structlog.stdlib.filter_by_level, _as_text],
        )
        return bound.bind(address=self.address)  # type: ignore[no-any-return]

    def cancel(self) -> None:
        """Make ``check_cancelled`` end the stage. The runner calls this at the deadline."""
        self._cancelled = True


def _as_text(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    """One line: the message, and what goes with it."""
    parts = [f"{key}={value!r}" for key, value in event.items() if key != "event"]
    return " ".join([str(event["event"]), *parts])


def _in_loop(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _disarm(timeout: asyncio.Timeout) -> None:
    try:
        timeout.reschedule(None)
    except RuntimeError:
        return  # it ended in the meantime
