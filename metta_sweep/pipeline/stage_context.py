"""What a stage function may ask about its own execution."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Callable, MutableMapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from metta_sweep.threads import call_abandoned

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from metta_sweep.pipeline.running.deadline import Deadline

__all__ = ["StageContext", "stage_seed"]


def stage_seed(seed: int, address: str) -> int:
    """The seed of one execution: 63 bits from the run's seed and the address, the same on every attempt."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\x1f{address}".encode(), digest_size=8).digest(), "big") >> 1


class RunFacts(Protocol):
    """What a stage may know of its run."""

    @property
    def seed(self) -> int:
        """The seed of the run."""
        ...  # type checkers need it

    @property
    def run_id(self) -> str:
        """The id of the run."""
        ...  # type checkers need it


class StageContext:
    """One execution of a stage, seen from inside. A stage function gets it by annotating a parameter with this class."""

    def __init__(
        self,
        address: str,
        run: RunFacts,
        attempt: int = 1,
        deadline: Deadline | None = None,
        enclosing: float | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.address = address
        """The name of this execution: ``sweep[17]/pick``."""
        self.attempt = attempt
        """1 for the first."""
        self._run = run
        self._deadline = deadline
        self._enclosing = enclosing
        self._loop = asyncio.get_running_loop() if now is None else None
        self._now = now or asyncio.get_running_loop().time
        self._cancelled = False

    @cached_property
    def seed(self) -> int:
        """A seed for this execution, the same on every attempt."""
        return stage_seed(self._run.seed, self.address)

    @cached_property
    def rng(self) -> random.Random:
        """A generator seeded with ``seed``."""
        return random.Random(self.seed)  # noqa: S311

    @property
    def idempotency_key(self) -> str:
        """A key for outside systems, of this execution in this run: the same on every attempt, and when a kept run is resumed."""
        return hashlib.blake2b(f"{self._run.run_id}\x1f{self.address}".encode(), digest_size=16).hexdigest()

    def remaining(self) -> float | None:
        """Seconds until the attempt, or what encloses it, times out, whichever is first; None when nothing does."""
        own = None if self._deadline is None else self._deadline.when
        ends = [end for end in (own, self._enclosing) if end is not None]
        return max(0.0, min(ends) - self._now()) if ends else None

    def end_timeout(self) -> None:
        """The attempt may take as long as it needs from here on. Call it from the event loop or from the stage's thread.

        What encloses the stage, and a ``total_timeout``, end it all the same.

        Raises:
            RuntimeError: in a process, which cannot reach the clock that ends it.
        """
        if self._loop is None:
            raise RuntimeError(f"stage at {self.address}: end_timeout() works on the event loop and in threads, not in a process.")
        if self._deadline is None:
            return
        if _in_loop(self._loop):
            self._deadline.disarm()
        else:
            self._loop.call_soon_threadsafe(self._deadline.disarm)

    def check_cancelled(self) -> None:
        """In a thread: end the stage, by ``asyncio.CancelledError``, when it has timed out or its run was cancelled.

        In a process it does nothing: the process is ended.
        """
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

    def __reduce__(self) -> tuple[Any, ...]:
        """What crosses to the process of a stage: everything but the way back."""
        return _in_process, (self.address, self._run.seed, self._run.run_id, self.attempt, self.remaining())

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


class _Facts(NamedTuple):
    """What a process knows of the run."""

    seed: int
    run_id: str


def _in_process(address: str, seed: int, run_id: str, attempt: int, left: float | None) -> StageContext:
    end = None if left is None else time.monotonic() + left
    return StageContext(address, _Facts(seed, run_id), attempt, enclosing=end, now=time.monotonic)
