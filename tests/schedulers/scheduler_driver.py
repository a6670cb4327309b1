"""A small sweep without executor or journal: it offers, folds events and scores, as the real one does, for tests of schedulers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metta_sweep.core.events import Draw, Event, Expand, PaperTrigger, Paused, Pick, Prune, Score, Wait
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Suggestion, Trial, TrialError, TrialState
from metta_sweep.schedulers.scheduler import Follow, Scheduler, Waiting

Source = Callable[[Mapping[str, Any] | None], Suggestion | None]
"""Draws the next suggestion, with what is fixed."""


def setup_for(space: Mapping[str, Any] | None = None, goal: str = "maximize") -> Setup:
    """What a strategy is told when a run begins."""
    return Setup(None if space is None else SearchSpace.of(space), Goal.of(goal), 0, 3)


def queue(*branches: str | None) -> list[Suggestion]:
    """One suggestion per branch named, in this order."""
    return [Suggestion(params={"x": number}, branch=branch) for number, branch in enumerate(branches)]


class Driver:
    """Runs a scheduler step by step.

    Args:
        scheduler: as a user made it.
        suggestions: a finite queue, drawn whole within the first pick.
        source: an endless optimizer, asked one by one.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        suggestions: Sequence[Suggestion] = (),
        *,
        source: Source | None = None,
        slots: int = 1,
        setup: Setup | None = None,
    ) -> None:
        self.setup = setup or setup_for()
        self.scheduler = scheduler.for_run(self.setup)
        self.branch_by = scheduler.branch_by
        self.queue = list(suggestions)
        self.source = source
        self.slots = slots
        self.pool: dict[int, Draw] = {}
        self.running: list[Trial] = []
        self.events: list[Event] = []
        self.stats: dict[str | None, tuple[int, float]] = {}
        self.worst: float | None = None
        self.drawn = 0

    def pick(self) -> list[Pick]:
        """One pick stage; the picks that it made."""
        offer = DriverOffer(self)
        if self.queue:
            offer.draw_all()
        self.scheduler.pick(offer)
        self.record(offer.events)
        return [event for event in offer.events if isinstance(event, Pick)]

    def finish(self, trial: Trial, reward: float | None, *, counts: bool = True, state: TrialState | None = None) -> list[Event]:
        """End a trial: with a reward; or failed, with None; or cut, with ``counts=False``. Returns what was fanned out."""
        ended = self._ended(trial, reward, state, counts)
        self.record([self._score(ended, reward, counts)])
        return self.fan_out([(ended, self._last_score())])

    def finish_together(self, results: Sequence[tuple[Trial, float]]) -> list[Event]:
        """End several trials in one turn: all are scored before the first is fanned out."""
        scored = []
        for trial, reward in results:
            ended = self._ended(trial, reward, None, True)
            self.record([self._score(ended, reward, True)])
            scored.append((ended, self._last_score()))
        return self.fan_out(scored)

    def fan_out(self, scored: Sequence[tuple[Trial, Score]]) -> list[Event]:
        """One fan-out stage."""
        decided: list[Event] = []
        for trial, score in scored:
            for decision in self.scheduler.fan_out(trial, score, decided):
                if isinstance(decision, Follow):
                    decided.extend(self._expansion(trial, decision, decided))
                else:
                    decided.append(decision)
        self.record(decided)
        return decided

    def run(self, rewards: Callable[[Trial], float | None], trials: int) -> list[Pick]:
        """Up to so many trials, the oldest running one ending at each step."""
        picks: list[Pick] = []
        while True:
            if len(picks) < trials:
                picks += self.pick()
            if not self.running:
                return picks
            trial = self.running[0]
            self.finish(trial, rewards(trial))

    def record(self, events: Sequence[Event]) -> None:
        """Make events so."""
        for event in events:
            self.events.append(event)
            if isinstance(event, Draw):
                self.pool[event.suggestion] = event
                self.drawn += 1
            elif isinstance(event, Pick):
                draw = self.pool.pop(event.suggestion)
                self.running.append(
                    Trial(id=event.trial_id, number=event.number, params=draw.params, branch=event.branch, index=draw.suggestion)
                )
            elif isinstance(event, Score):
                self.running = [trial for trial in self.running if trial.id != event.trial_id]
            elif isinstance(event, Prune):
                self.pool = {index: draw for index, draw in self.pool.items() if draw.branch != event.branch}
            self.scheduler.apply(event)

    def of(self, kind: str) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.events if event.kind == kind]

    @property
    def triggers(self) -> list[str | None]:
        """The branches that were triggered."""
        return [event.branch for event in self.events if isinstance(event, PaperTrigger)]

    def _ended(self, trial: Trial, reward: float | None, state: TrialState | None, counts: bool) -> Trial:
        default = TrialState.STOPPED if not counts else TrialState.FAILED if reward is None else TrialState.COMPLETED
        state = state or default
        return Trial(
            id=trial.id,
            number=trial.number,
            params=trial.params,
            branch=trial.branch,
            index=trial.index,
            state=state,
            score=reward if state is TrialState.COMPLETED else None,
            error=TrialError("ValueError", "no", "") if state is TrialState.FAILED else None,
        )

    def _score(self, trial: Trial, value: float | None, counts: bool) -> Score:
        if not counts:
            return Score(trial.id, trial.branch, None, None, *self._shown(trial.branch), counts=False)
        reward = value
        if trial.state is TrialState.FAILED:
            reward = self.scheduler.failure_reward()
            reward = self.worst if reward is None else reward
        elif value is not None:
            given = self.scheduler.reward(trial)
            reward = self.setup.goal.sign * value if given is None else given
            self.worst = reward if self.worst is None else min(self.worst, reward)
        runs, total = self.stats.get(trial.branch, (0, 0.0))
        self.stats[trial.branch] = (runs + 1, total + (reward or 0.0))
        return Score(trial.id, trial.branch, trial.score, reward, *self._shown(trial.branch))

    def _shown(self, branch: str | None) -> tuple[int, float | None]:
        runs, total = self.stats.get(branch, (0, 0.0))
        return runs, total / runs if runs else None

    def _last_score(self) -> Score:
        score = self.events[-1]
        assert isinstance(score, Score)
        return score

    def _expansion(self, trial: Trial, follow: Follow, decided: Sequence[Event]) -> list[Event]:
        index = self.drawn + sum(isinstance(event, Draw) for event in decided)
        draws = []
        for offset, item in enumerate(follow.suggestions):
            assert isinstance(item, Suggestion)
            draws.append(Draw(index + offset, item.params, item.branch, item.id, item.origin, item.parent))
        names = tuple(str(draw.id) for draw in draws)
        return [Expand(trial.id, trial.branch, follow.reward, follow.threshold, names, follow.refused), *draws]


class DriverOffer:
    """An ``Offer`` over a driver: what it draws and picks are events, which the driver records when the pick is over."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._picked: set[int] = set()
        self.free = driver.slots - len(driver.running)
        self.busy = len(driver.running)
        self.why = ""
        self.fresh: list[Waiting] = []
        self.events: list[Event] = []

    def draw_all(self) -> None:
        """Draw the whole queue."""
        for suggestion in self._driver.queue:
            self._draw(suggestion)
        self._driver.queue.clear()

    @property
    def idle(self) -> int:
        """Slots that are free; there is no budget."""
        return self.free

    def next(self, fixed: Mapping[str, Any] | None = None, branch: str | None = None) -> Waiting | None:
        """The oldest waiting suggestion with these parameters, or a new one."""
        known = {**self._driver.pool, **{draw.suggestion: draw for draw in self.fresh}}
        for index, waiting in known.items():
            if index not in self._picked and (fixed or {}).items() <= waiting.params.items():
                return waiting
        suggestion = self._driver.source(fixed) if self._driver.source is not None else None
        if suggestion is None:
            self.why = "nothing left"
            return None
        return self._draw(suggestion)

    def draw(self, count: int, *, spare: bool = False) -> int:
        """Have so many suggestions wait, as far as the source gives them."""
        while (waiting := len({*self._driver.pool, *(draw.suggestion for draw in self.fresh)} - self._picked)) < count:
            suggestion = self._driver.source(None) if self._driver.source is not None else None
            if suggestion is None:
                self.why = "nothing left"
                break
            self._draw(suggestion)
        return waiting

    def waiting(self, index: int) -> Waiting:
        """A waiting suggestion by its number."""
        assert index not in self._picked
        return self._driver.pool.get(index) or next(draw for draw in self.fresh if draw.suggestion == index)

    def pick(
        self,
        waiting: Waiting,
        *,
        branch: str | None = None,
        score: float | None = None,
        mean: float | None = None,
        bonus: float | None = None,
        runs: int | None = None,
        pending: int | None = None,
        others: tuple[tuple[str, float], ...] = (),
        compared: int = 0,
        why: str = "",
    ) -> None:
        """Start a suggestion."""
        assert self.free > 0
        assert waiting.suggestion not in self._picked
        self._picked.add(waiting.suggestion)
        number = sum(isinstance(event, Pick) for event in (*self._driver.events, *self.events))
        draw = self.waiting_draw(waiting.suggestion)
        where = branch if branch is not None else waiting.branch
        slots = (self.busy, self.free)
        self.events.append(
            Pick(
                waiting.suggestion,
                draw.id or str(number),
                number,
                where,
                score,
                mean,
                bonus,
                runs,
                pending,
                others,
                compared,
                *slots,
                why,
            )
        )
        self.free -= 1
        self.busy += 1

    def resume(
        self,
        trial_id: str,
        *,
        source: Paused | None = None,
        params: Mapping[str, Any] | None = None,
        queue: bool = False,
        why: str = "",
    ) -> None:
        """Nothing is paused here."""
        raise LookupError(trial_id)

    def end(self, trial_id: str, *, complete: bool = False, why: str = "") -> None:
        """Nothing is paused here."""
        raise LookupError(trial_id)

    def wait(self, why: str) -> None:
        """Leave slots idle."""
        self.events.append(Wait(why, self.busy, self.free))

    def waiting_draw(self, index: int) -> Draw:
        """The draw of a number, picked or not."""
        found = self._driver.pool.get(index)
        return (
            found if found is not None else next(draw for draw in self.fresh if isinstance(draw, Draw) and draw.suggestion == index)
        )

    def _draw(self, suggestion: Suggestion) -> Draw:
        branch_by = self._driver.branch_by
        branch = suggestion.branch
        if branch is None and branch_by is not None:
            branch = str(suggestion.params[branch_by])
        index = self._driver.drawn + len(self.fresh)
        draw = Draw(index, suggestion.params, branch, suggestion.id, suggestion.origin, suggestion.parent)
        self.fresh.append(draw)
        self.events.append(draw)
        return draw
