"""Schedulers under observation: what one is told and asked in a run, so that a copy can be told and asked the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, cast

from metta_sweep.core.events import Event, PaperTrigger, Score
from metta_sweep.core.resources import Resources
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.schedulers.scheduler import Follow, Offer, Scheduler

__all__ = ["Decision", "WatchedScheduler", "decide_again"]

_DECLARED: Final = ("default_slots", "needs_reports", "needs_pauses", "proposes", "bounds_itself", "slow", "branch_by")


class Decision(NamedTuple):
    """One question to a scheduler, and what it said."""

    kind: Literal["pick", "judge", "fan_out"]
    applied: int
    """How many events had been applied before."""
    asked: tuple[Any, ...]
    """The arguments; of a pick, whether it was finished."""
    answer: Any
    """What it returned; of a pick, what it asked of the offer and did with it."""


class WatchedScheduler(Scheduler):
    """Passes everything on to another scheduler, and remembers it.

    Args:
        inner: the scheduler that decides.
        judges_all: ask it about every report, also about those that it says it does not judge.
    """

    def __init__(self, inner: Scheduler, *, judges_all: bool = False) -> None:
        self.inner = inner
        self.judges_all = judges_all
        self.setup: Setup | None = None
        self.last: WatchedScheduler | None = None
        """The one that the last run of this had."""
        self.events: list[Event] = []
        """What was applied, in order."""
        self.decisions: list[Decision] = []
        for name in _DECLARED:
            setattr(self, name, getattr(inner, name))

    def for_run(self, setup: Setup) -> WatchedScheduler:
        """A watched copy."""
        self.last = WatchedScheduler(self.inner.for_run(setup), judges_all=self.judges_all)
        self.last.setup = setup
        return self.last

    def apply(self, event: Event) -> None:
        """Remember it, and pass it on."""
        self.events.append(event)
        self.inner.apply(event)

    def pick(self, offer: Offer) -> None:
        """Remember all that was asked of the offer and done with it."""
        told: list[Any] = []
        finished = self.inner.finished()
        self.inner.pick(cast("Offer", _Listening(offer, told)))
        self.decisions.append(Decision("pick", len(self.events), (finished,), told))

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Remember the verdict."""
        verdict = self.inner.judge(trial, report)
        self.decisions.append(Decision("judge", len(self.events), (trial, report), verdict))
        return verdict

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """The other one's, unless all are judged."""
        return step + 1 if self.judges_all else self.inner.next_judged(trial_id, step)

    def fan_out(self, trial: Trial, score: Score, decided: Sequence[Event]) -> Sequence[Event | Follow]:
        """Remember what follows."""
        before = tuple(decided)
        follows = self.inner.fan_out(trial, score, decided)
        self.decisions.append(Decision("fan_out", len(self.events), (trial, score, before), _shown(follows)))
        return follows

    def reward(self, trial: Trial) -> float | None:
        """The other one's."""
        return self.inner.reward(trial)

    def failure_reward(self) -> float | None:
        """The other one's."""
        return self.inner.failure_reward()

    def allocate_resources(self, trial: Trial) -> Resources | None:
        """The other one's."""
        return self.inner.allocate_resources(trial)

    def on_trigger(self, event: PaperTrigger) -> object:
        """The other one's."""
        return self.inner.on_trigger(event)

    def finished(self) -> str | None:
        """The other one's."""
        return self.inner.finished()

    @property
    def follows_up(self) -> bool:
        """The other one's."""
        return self.inner.follows_up

    @property
    def all_pruned(self) -> bool:
        """The other one's."""
        return self.inner.all_pruned

    @property
    def unit_rewards(self) -> bool:
        """The other one's."""
        return self.inner.unit_rewards

    def describe(self) -> dict[str, Any]:
        """The other one's."""
        return self.inner.describe()


def decide_again(scheduler: Scheduler, decision: Decision) -> Any:
    """What a scheduler says to a question that another one was asked.

    Raises:
        AssertionError: at a pick, as soon as it asks or does something else than the other one.
    """
    if decision.kind == "judge":
        return scheduler.judge(*decision.asked)
    if decision.kind == "fan_out":
        return _shown(scheduler.fan_out(*decision.asked))
    if (scheduler.finished(),) != decision.asked:
        raise AssertionError(f"it is finished by {scheduler.finished()!r}, and was by {decision.asked[0]!r}")
    again = _Again(decision.answer)
    scheduler.pick(cast("Offer", again))
    return again.done()


class _Listening:
    """An offer that writes down what is read of it and asked of it."""

    def __init__(self, offer: Offer, told: list[Any]) -> None:
        self._offer = offer
        self._told = told

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._offer, name)
        if not callable(found):
            value = list(found) if isinstance(found, list) else found
            self._told.append((name, None, value))
            return found

        def call(*args: Any, **options: Any) -> Any:
            answer = found(*args, **options)
            self._told.append((name, (args, options), answer))
            return answer

        return call


class _Again:
    """An offer that says what another one said, as long as it is asked the same."""

    def __init__(self, told: Sequence[Any]) -> None:
        self._told = told
        self._at = 0

    def __getattr__(self, name: str) -> Any:
        if self._at >= len(self._told):
            raise AssertionError(f"it asks for {name}, when the other one had picked all that it wanted")
        expected, call, answer = self._told[self._at]
        if expected != name:
            raise AssertionError(f"it asks for {name}, where the other one asked for {expected}")
        if call is None:
            self._at += 1
            return answer

        def again(*args: Any, **options: Any) -> Any:
            if (args, options) != call:
                raise AssertionError(f"it calls {name} with {(args, options)!r}, where the other one did with {call!r}")
            self._at += 1
            return answer

        return again

    def done(self) -> Any:
        """All that was told; what was not asked for again is an error."""
        if self._at != len(self._told):
            raise AssertionError(f"it stopped where the other one went on with {self._told[self._at]!r}")
        return self._told


def _shown(follows: Sequence[Event | Follow]) -> list[Any]:
    return [(item.suggestions, item.reward, item.threshold, item.refused) if isinstance(item, Follow) else item for item in follows]
