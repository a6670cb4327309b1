"""What pickers of suggestions share: which suggestions wait, which trials are pending, and which rewards came."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from metta_sweep.core.bandit import scaled
from metta_sweep.core.events import Draw, Event, Pick, Prune, Score
from metta_sweep.schedulers.scheduler import Offer, Waiting

__all__ = ["Chosen", "SuggestionFold", "told_of"]


@contextmanager
def told_of(where: str, number: int) -> Iterator[None]:
    """Exceptions of a user's function pass, with a note that names the suggestion."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in {where}, for suggestion {number}")
        raise


class Chosen(NamedTuple):
    """The suggestion to start next, and why."""

    suggestion: int
    score: float
    mean: float | None
    bonus: float | None
    why: str


class SuggestionFold(ABC):
    """Keeps what waits and what is pending, and fills slots one by one, each choice seeing those before it.

    Args:
        candidates: so many suggestions are drawn to choose from, of an optimizer without end.
    """

    def __init__(self, candidates: int) -> None:
        self._candidates = candidates
        self._pool: dict[int, Waiting] = {}
        self._pruned: set[str | None] = set()
        self._unvalued: list[str] = []
        """Trials that failed before any reward was seen: pending until there is one."""
        self._range: tuple[float, float] | None = None
        self.picks = 0
        """How many there were: what draws are made by."""

    # -- what a rule says --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def choose(self, waiting: Mapping[int, Waiting]) -> Chosen | None:
        """One of these, by number; None when there are none."""

    @abstractmethod
    def took(self, waiting: Waiting) -> None:
        """It was chosen, and counts as pending until the overlay ends."""

    @abstractmethod
    def overlaid(self, *, begins: bool) -> None:
        """An overlay begins, or ends: what ``took`` was told of is to be forgotten."""

    @abstractmethod
    def pulled(self, trial_id: str, waiting: Waiting) -> None:
        """A trial of this suggestion is pending."""

    @abstractmethod
    def learned(self, trial_id: str, reward: float) -> None:
        """A pending trial has ended with this reward."""

    @abstractmethod
    def gave_up(self, trial_id: str) -> None:
        """A pending trial has ended, and is no run."""

    # -- what is the same for all --------------------------------------------------------------------------------------------------

    def fill(self, offer: Offer, note: str) -> None:
        """Pick for the free slots; ``note`` goes into the reasons."""
        waiting = dict(self._pool)
        seen = 0
        with self._overlay():
            while free := offer.free:
                offer.draw(max(self._candidates, free), spare=True)
                for fresh in offer.fresh[seen:]:
                    waiting[fresh.suggestion] = fresh
                seen = len(offer.fresh)
                chosen = self.choose(waiting) if waiting else None
                if chosen is None:
                    offer.wait(offer.why)
                    return
                taken = waiting.pop(chosen.suggestion)
                why = f"{chosen.why}; {note}" if note else chosen.why
                offer.pick(taken, score=chosen.score, mean=chosen.mean, bonus=chosen.bonus, why=why)
                self.took(taken)
                self.picks += 1

    def scale(self, low: float, high: float) -> None:
        """Count the reward ``low`` as 0 and ``high`` as 1."""
        self._range = (low, high)

    def scaled(self, mean: float) -> float:
        """A mean reward on the scale in use."""
        return mean if self._range is None else scaled(mean, *self._range)

    def apply(self, event: Event) -> None:
        """Take note of one event: draws, picks, scores and prunings matter."""
        if isinstance(event, Draw):
            if event.branch not in self._pruned:
                self._pool[event.suggestion] = event
        elif isinstance(event, Pick):
            self.picks += 1
            self.pulled(event.trial_id, self._pool.pop(event.suggestion))
        elif isinstance(event, Score):
            self._score(event)
        elif isinstance(event, Prune):
            self._pruned.add(event.branch)
            self._pool = {number: waiting for number, waiting in self._pool.items() if waiting.branch != event.branch}

    def _score(self, event: Score) -> None:
        if not event.counts:
            self.gave_up(event.trial_id)
        elif event.reward is None:
            self._unvalued.append(event.trial_id)
        else:
            for trial_id in self._unvalued:
                self.learned(trial_id, event.reward)
            self._unvalued.clear()
            self.learned(event.trial_id, event.reward)

    @contextmanager
    def _overlay(self) -> Iterator[None]:
        picks = self.picks
        self.overlaid(begins=True)
        try:
            yield
        finally:
            self.picks = picks
            self.overlaid(begins=False)
