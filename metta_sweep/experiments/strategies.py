"""The optimizer and the scheduler of one run: asked for suggestions, told of events, rebuilt from the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metta_sweep.core.events import Draw, Event, Pick, Reported, Score
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Report, Suggestion, Trial, TrialState
from metta_sweep.errors import OptimizerError, SuggestionError
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.live import LiveTrial
from metta_sweep.experiments.wish import Wish
from metta_sweep.optimizers.earlier import fits
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.pipeline.proof.binding import accepted_keywords
from metta_sweep.schedulers.scheduler import FOLLOW_UP, Scheduler

__all__ = ["Strategies", "branches_of"]

_SUGGEST_KEYWORDS = ("index", "pending", "fixed", "branch")


class Strategies:
    """Calls the two strategies of a run with what their signatures ask for."""

    def __init__(self, optimizer: Optimizer, scheduler: Scheduler, search_space: SearchSpace | None, state: SweepState) -> None:
        self.optimizer = optimizer
        self.scheduler = scheduler
        self._space = search_space
        self._trusted = bool(vars(type(optimizer)).get("stays_inside", False))
        self._state = state
        self._origin = type(optimizer).__name__
        self._branch_by = scheduler.branch_by
        takes = accepted_keywords(optimizer.suggest)
        self._takes = frozenset(_SUGGEST_KEYWORDS) if takes is None else takes & frozenset(_SUGGEST_KEYWORDS)
        self._branches = branches_of(optimizer)
        """What the optimizer can be asked within; in suggestions these give way to the branches of ``branch_by``."""
        self._tell = {
            TrialState.COMPLETED: _told_of_score(optimizer, state.goal),
            TrialState.FAILED: _optional(optimizer, "failed"),
            TrialState.STOPPED: _optional(optimizer, "stopped"),
        }
        self._reported: Callable[[Trial, Report], object] | None = _overridden(optimizer, Optimizer, "reported")
        self._scheduler_apply: Callable[[Event], None] | None = _overridden(scheduler, Scheduler, "apply")
        self._inherited: list[Trial] = []
        """Trials of before the settings were changed."""
        tells = [self._scheduler_apply, self._reported, *self._tell.values()]
        self.listens = any(tell is not None for tell in tells)
        """Whether one of them wants to be told of events at all."""

    @property
    def asks_again(self) -> bool:
        """Whether the optimizer keeps its own place, so that a journal that is read back asks it again."""
        return "index" not in self._takes

    def grants(self, wish: Wish) -> bool:
        """Whether the optimizer can suggest what is wished for when it is asked, so that not all it has need be drawn."""
        return (not wish.fixed or "fixed" in self._takes) and (wish.branch is None or wish.branch in self._branches)

    def why_none(self, *, made: int, in_flight: bool) -> str:
        """Why the optimizer had nothing to suggest, in words, after it ``made`` so many suggestions."""
        why: str | None = getattr(self.optimizer, "waiting_for", None)
        if why:
            return why
        if self.remaining() == 0:
            return "nothing is left to suggest"
        return "the optimizer has nothing to suggest now" if in_flight else f"the optimizer had {made} suggestions and no more"

    def remaining(self) -> int | None:
        """How many suggestions a finite optimizer has left; None when it has no end."""
        left: Any = getattr(self.optimizer, "remaining", None)
        if callable(left):
            left = left()
        if left is None or left == float("inf"):
            return None
        if isinstance(left, bool) or not isinstance(left, int) or left < 0:
            raise OptimizerError(
                f"{self._origin}.remaining",
                "it says how many suggestions are left",
                found=left,
                expected="a whole number, 0 or more, or None for one without an end",
                remedy="Leave the attribute out when the number is not known",
            )
        return left

    def suggest(self, n: int, index: int, drawn: int, wish: Wish | None, picked: Sequence[tuple[Pick, Draw]] = ()) -> list[Draw]:
        """Ask for ``n`` suggestions and number them from ``index``; the optimizer has made ``drawn`` before.

        ``picked`` are the picks of this turn, which the state does not know yet: they are pending as well.

        Raises:
            SuggestionError: one of them is none, or lies outside the search space.
        """
        answer = self._ask(n, drawn, wish, picked)
        draw = self._draw if self._trusted else self.number
        draws = [draw(value, number) for number, value in enumerate(answer, start=index)]  # type: ignore[arg-type]
        if draws and wish is None:
            draws[0] = draws[0]._replace(asked=n)
        elif draws and wish is not None:
            draws[0] = draws[0]._replace(asked=n, fixed=dict(wish.fixed) if wish.fixed else None, within=wish.branch)
        return draws

    def number(self, value: Suggestion | Mapping[str, Any], index: int) -> Draw:
        """One suggestion of the optimizer, checked, as the event of its entry into the pool."""
        suggestion = check_suggestion(value, self._origin)
        if self._space is not None:
            self._space.check(suggestion.params, self._origin)
        return self._draw(suggestion, index)

    def follow_up(self, suggestion: Suggestion, index: int) -> Draw:
        """One follow-up, which need not lie in the search space, as the event of its entry into the pool."""
        return self._draw(suggestion, index, FOLLOW_UP)

    def _draw(self, suggestion: Suggestion, index: int, origin: str | None = None) -> Draw:
        params = suggestion.params
        branch = suggestion.branch
        if self._branch_by is not None and (branch is None or self._branches) and self._branch_by in params:
            branch = str(params[self._branch_by])
        return Draw(index, params, branch, suggestion.id, origin or suggestion.origin or self._origin, suggestion.parent)

    def apply(self, event: Event, trial: Trial | None, *, inherited: bool = False) -> None:
        """Tell both of an event that is in the journal.

        Args:
            event: what happened.
            trial: the trial that a ``score`` event ended.
            inherited: it happened under other settings: what came of it is told to the optimizer at once, by ``take_over``.
        """
        if self._scheduler_apply is not None:
            self._scheduler_apply(event)
        if inherited:
            if isinstance(event, Score) and trial is not None and event.counts:
                self._inherited.append(trial)
        elif isinstance(event, Score):
            tell = self._tell[trial.state] if trial is not None and event.counts else None
            if tell is not None and trial is not None:
                tell(trial)
        elif self._reported is not None and isinstance(event, Reported):
            self._reported(self._state.live[event.trial_id].trial(), Report(event.step, event.metrics))

    def take_over(self) -> None:
        """From now on what happens is of these strategies' making: the optimizer learns what became of the trials before.

        Not of follow-ups outside the search space, of which a warm start cannot be.
        """
        inherited = [trial for trial in self._inherited if fits(self._space, trial.params)]
        self._inherited = []
        if inherited:
            self.optimizer.warm_start(inherited)

    def ask_again(self, events: Sequence[Event]) -> None:
        """Before events of one record that is read back are applied: an optimizer that keeps its own place is asked again."""
        fresh: dict[int, Draw] = {}
        picked: list[tuple[Pick, Draw]] = []
        for event in events:
            if isinstance(event, Draw):
                fresh[event.suggestion] = event
                if event.asked:
                    wished = event.fixed or event.within is not None
                    self._ask(event.asked, 0, Wish(event.fixed, event.within) if wished else None, picked)
            elif isinstance(event, Pick):
                found = fresh.get(event.suggestion) or self._state.pool.get(event.suggestion)
                if found is not None:
                    picked.append((event, found))

    def _ask(
        self, n: int, drawn: int, wish: Wish | None, picked: Sequence[tuple[Pick, Draw]]
    ) -> Sequence[Suggestion | Mapping[str, Any]]:
        keywords: dict[str, Any] = {}
        if "index" in self._takes:
            keywords["index"] = drawn
        if "pending" in self._takes:
            new = [LiveTrial(pick.trial_id, pick.number, pick.branch, draw).trial() for pick, draw in picked]
            keywords["pending"] = [*self._state.in_flight(), *new]
        if wish is not None:
            if wish.fixed and "fixed" in self._takes:
                keywords["fixed"] = dict(wish.fixed)
            if wish.branch is not None and "branch" in self._takes:
                keywords["branch"] = wish.branch
        answer = self.optimizer.suggest(n, **keywords)
        if type(answer) is list:
            return answer
        if answer is None or isinstance(answer, (Suggestion, Mapping, str, bytes)) or not hasattr(answer, "__iter__"):
            raise SuggestionError(
                f"{self._origin}.suggest({n})",
                "it returned no sequence of suggestions",
                found=answer,
                expected="a list of Suggestion or of mappings of parameters",
                remedy="Return [] when there is none now",
            )
        return list(answer)


def branches_of(optimizer: Optimizer) -> tuple[str, ...]:
    """The branches that an optimizer can be asked within: what it declares, where its ``suggest`` takes ``branch``."""
    declared = getattr(optimizer, "branches", ())
    if not isinstance(declared, tuple) or not declared:
        return ()
    takes = accepted_keywords(optimizer.suggest)
    return declared if takes is None or "branch" in takes else ()


def _optional(owner: object, name: str) -> Callable[[Trial], object] | None:
    method: Callable[[Trial], object] | None = _overridden(owner, Optimizer, name)
    return method


def _overridden(owner: object, origin: type, name: str) -> Any:
    """The method, unless it is missing or the one of ``origin`` that does nothing."""
    method = getattr(owner, name, None)
    if method is None or getattr(type(owner), name, None) is getattr(origin, name):
        return None
    if not callable(method):
        raise OptimizerError(type(owner).__name__, f"{name} must be a method", found=method)
    return method


def _told_of_score(optimizer: Optimizer, goal: Goal) -> Callable[[Trial], object] | None:
    observe = _overridden(optimizer, Optimizer, "observe")
    if observe is None:
        return None
    if goal.has_several:
        return lambda trial: observe(trial, goal.scores(trial.metrics))
    return lambda trial: observe(trial, trial.score)
