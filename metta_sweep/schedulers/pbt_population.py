"""The population of population based training: what is known of each member, a fold over events."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, Final

from metta_sweep.core.events import Draw, Error, Event, Paused, Pick, Resume, Score
from metta_sweep.core.trial import Verdict

__all__ = ["Member", "Population", "quantile_size"]

_REMEMBERED: Final = 8
"""Generations whose scores are remembered: those ahead of others are compared with them by these."""


class Member:
    """What is kept of one member."""

    __slots__ = (
        "checkpoint",
        "id",
        "judged",
        "judged_step",
        "number",
        "paused",
        "paused_at",
        "scores",
        "step",
        "turn",
        "verdict",
        "verdict_from",
    )

    def __init__(self, trial_id: str, number: int) -> None:
        self.id = trial_id
        self.number = number
        """The order of its pick."""
        self.scores: dict[int, tuple[float, int]] = {}
        """By generation, oldest first: the score, higher is better, and the order in which members came to it."""
        self.step = 0
        """The step of its checkpoint."""
        self.checkpoint: str | None = None
        self.paused: Paused | None = None
        """While it is paused."""
        self.paused_at = -1
        """The order of its last pause; -1 before the first."""
        self.turn = 0
        """How often it has gone on after a pause."""
        self.judged = 0
        """The generation that was judged last."""
        self.judged_step = -1
        """By the report at this step."""
        self.verdict = Verdict.CONTINUE
        """What was said then: to pause holds for whatever it reports before it does."""
        self.verdict_from = 0
        """The generation since which it holds."""

    def score_at(self, generation: int) -> tuple[float, int] | None:
        """Its score of that generation, else of the last one before it, else of the first one after it; None before the first."""
        found = None
        for other, score in self.scores.items():
            if other > generation and found is not None:
                break
            found = score
        return found

    def scored(self, generation: int, score: float, order: int) -> None:
        """It has reported the score of a generation. Older ones that nobody is compared with any more are forgotten."""
        known = self.scores.pop(generation, None)
        self.scores[generation] = (score, order if known is None else known[1])
        self.scores = dict(sorted(self.scores.items())[-_REMEMBERED:])

    def standing(self) -> Paused | None:
        """The checkpoint that another one may take, as a pause of this member; None before its first pause."""
        if self.paused_at < 0:
            return None
        return Paused(self.id, None, 0, self.step, 0.0, self.checkpoint)


class Population:
    """The members that have not ended, by the ids of their trials, in the order of their picks."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.params: dict[str, dict[str, Any]] = {}
        """Their parameters."""
        self.started = 0
        self.early_failures = 0
        """Members that failed in the first half of their generations."""
        self._drawn: dict[int, dict[str, Any]] = {}
        self._pauses = 0
        self._scored = 0

    def scored(self, member: Member, generation: int, score: float) -> None:
        """A member has reported the score of a generation."""
        member.scored(generation, score, self._scored)
        self._scored += 1

    @property
    def any_score(self) -> bool:
        """Whether there ever was a score."""
        return self._scored > 0

    def ready(self) -> list[Member]:
        """Those that are paused: the ones behind first, of these the one that has waited longest."""
        paused = [member for member in self.members.values() if member.paused is not None]
        return sorted(paused, key=lambda member: (member.step, member.paused_at))

    def ranked(self, member: Member) -> list[tuple[Member, float]]:
        """The member and those that it is compared with, by their score at its generation; the best first.

        Of equals the one that came to the generation first. Those behind the member have been trained less: they count only where
        their last score is better than its own already.
        """
        own = member.score_at(member.judged)
        if own is None:
            return []
        compared: list[tuple[Member, tuple[float, int]]] = []
        for other in self.members.values():
            score = other.score_at(member.judged)
            if score is not None and (other.judged >= member.judged or score[0] > own[0]):
                compared.append((other, score))
        compared.sort(key=lambda one: (-one[1][0], one[1][1]))
        return [(other, score) for other, (score, _) in compared]

    def all_at(self, generation: int) -> bool:
        """Whether all members have come to that generation."""
        return all(member.judged >= generation for member in self.members.values())

    def apply(self, event: Event, generation_of: Callable[[int], int], half: float) -> None:
        """Take note of an event, but for reports. ``half``: failures before this generation are early ones."""
        if isinstance(event, Draw):
            self._drawn[event.suggestion] = event.params
        elif isinstance(event, Pick):
            self.started += 1
            self.members[event.trial_id] = Member(event.trial_id, event.number)
            self.params[event.trial_id] = self._drawn.pop(event.suggestion)
        elif isinstance(event, Error):
            member = self.members.get(event.trial_id)
            if event.final and member is not None and member.judged < half:
                self.early_failures += 1
        elif isinstance(event, Score):
            self.members.pop(event.trial_id, None)
            self.params.pop(event.trial_id, None)
        elif isinstance(event, Paused):
            self._paused(event)
        elif isinstance(event, Resume):
            self._resume(event, generation_of)

    def _paused(self, event: Paused) -> None:
        member = self.members[event.trial_id]
        member.paused = event
        member.paused_at = self._pauses
        self._pauses += 1
        member.step, member.checkpoint = event.step, event.checkpoint

    def _resume(self, event: Resume, generation_of: Callable[[int], int]) -> None:
        member = self.members[event.trial_id]
        member.paused = None
        member.turn += 1
        member.step, member.checkpoint = event.step, event.checkpoint
        member.judged, member.judged_step = generation_of(event.step), -1
        member.verdict, member.verdict_from = Verdict.CONTINUE, member.judged
        if event.params is not None:
            self.params[event.trial_id] = event.params


def quantile_size(count: int, quantile: float) -> int:
    """How many of so many are the top, and how many the bottom: ``ceil(count * quantile)``, at most half of them."""
    return min(ceil(round(count * quantile, 12)), count // 2)  # 100 * 0.07 is 7.000000000000001
