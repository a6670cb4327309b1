"""Synchronous batches: so many suggestions at once, and the next ones when these have ended."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import ClassVar, Final, Never

from metta_sweep.core.distributions import Distribution, LogInteger, Uniform
from metta_sweep.core.events import Draw, Event, Pick, Prune, Score
from metta_sweep.errors import SchedulerError, refuse_unknown
from metta_sweep.schedulers.checks import check_count, check_number
from metta_sweep.schedulers.scheduler import Offer, Scheduler

__all__ = ["BatchScheduler", "SynchronousBatchScheduler"]

_WHERE: Final = "SynchronousBatchScheduler"


class SynchronousBatchScheduler(Scheduler):
    """Starts a batch of suggestions, waits until all of them have ended or failed, and starts the next batch.

    The optimizer is asked for a whole batch at once, with the results of all batches before it: what optimizers that plan batches
    are made for. Wants ``batch_size`` slots; with fewer the batch is run through them. A batch is smaller where the optimizer gives
    fewer, and the last one where the budget allows no more. The slots of trials that ended wait for the slowest of the batch: bound
    it by ``Resources(time_limit=)``, or go on without it by ``min_finished``.

    Args:
        batch_size: suggestions of one batch, at least 1.
        min_finished: share of a batch that must have ended before the next one starts, above 0 and at most 1. What is left of the
            batch runs on beside the next one.

    Raises:
        SchedulerError: a setting is out of its range.
    """

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "batch_size": LogInteger(2, 32),
        "min_finished": Uniform(0.5, 1.0),
    }

    def __init__(self, batch_size: int = 10, min_finished: float = 1.0, **unknown: Never) -> None:
        refuse_unknown(_WHERE, unknown, ("batch_size", "min_finished"))
        self.batch_size = check_count(f"{_WHERE}(batch_size=)", batch_size, example=10)
        self.min_finished = check_number(f"{_WHERE}(min_finished=)", min_finished, example=0.9)
        if not 0 < self.min_finished <= 1:
            raise SchedulerError(
                f"{_WHERE}(min_finished=)",
                "it is no share of a batch",
                found=min_finished,
                expected="above 0, at most 1",
                remedy="Write 0.9 to go on when 9 of 10 have ended",
            )
        self.default_slots = self.batch_size
        self._batch = 0
        """The number of the batch that is being run, from 1; 0 before the first."""
        self._picked = 0
        """Trials of it so far."""
        self._running: set[str] = set()
        """Those that have not ended."""
        self._closed = True
        """Whether what is drawn or picked from now on belongs to the next batch."""
        self._waiting: dict[int, str | None] = {}
        """Suggestions that wait, and their branches."""
        self._pruned: set[str | None] = set()

    def pick(self, offer: Offer) -> None:
        """Start what is left of the batch; or the next batch, once enough of this one have ended."""
        number, started, ended = self._batch, self._picked, self._picked - len(self._running)
        if self._is_whole():
            if started and ended < max(1, ceil(self.min_finished * started - 1e-9)):
                offer.wait(f"batch {number}: {ended} of {started} have ended")
                return
            number, started, ended = number + 1, 0, 0
            waiting = offer.draw(self.batch_size)
        else:
            waiting = len(self._waiting)
        for _ in range(min(waiting, self.batch_size - started, offer.free)):
            found = offer.next()
            if found is None:
                break
            offer.pick(found)
            started += 1
        if offer.free:
            offer.wait(f"batch {number}: {ended} of {started} have ended" if started else offer.why)

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """Reports decide nothing."""
        return None

    def apply(self, event: Event) -> None:
        """Take note of one event: draws, picks, scores and prunings matter."""
        if isinstance(event, Draw):
            self._closed = self._is_whole()
            if event.branch not in self._pruned:
                self._waiting[event.suggestion] = event.branch
        elif isinstance(event, Pick):
            if self._is_whole():
                self._begin_batch()
            self._waiting.pop(event.suggestion, None)
            self._picked += 1
            self._running.add(event.trial_id)
        elif isinstance(event, Score):
            self._running.discard(event.trial_id)
        elif isinstance(event, Prune):
            self._pruned.add(event.branch)
            self._waiting = {number: branch for number, branch in self._waiting.items() if branch != event.branch}

    def _begin_batch(self) -> None:
        self._batch += 1
        self._picked = 0
        self._running.clear()
        self._closed = False

    def _is_whole(self) -> bool:
        """Whether nothing is left to start of the batch, or none was begun."""
        return self._closed or self._picked >= self.batch_size or not self._waiting


BatchScheduler = SynchronousBatchScheduler
"""The same under a shorter name."""
