"""Drives an optimizer as a sweep does, without a sweep: asks it, tells it, and replays what it was asked and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Report, Trial, TrialError, TrialState
from metta_sweep.errors import SuggestionError
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.pipeline import accepted_keywords
from metta_sweep.testing.optimizer_spaces import worth

__all__ = ["Call", "OptimizerDriver"]

_METRIC = "value"
_KEYWORDS = frozenset(("index", "pending", "fixed", "branch"))


class Call(NamedTuple):
    """One call of a method of an optimizer."""

    method: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    answer: tuple[dict[str, Any], ...] = ()
    """The parameters that it suggested."""


class OptimizerDriver:
    """Asks an optimizer with the keywords that it declares, and tells it what became of its trials.

    Args:
        optimizer: one for a run, as ``for_run`` makes it.
        space: what is searched.
        goal: the goal of the run; what is to be maximized by default.
    """

    def __init__(self, optimizer: Optimizer, space: SearchSpace, goal: Goal | None = None) -> None:
        self.optimizer = optimizer
        self.space = space
        self.goal = goal or Goal()
        self.pending: list[Trial] = []
        """Trials that were suggested and have not ended."""
        self.suggested = 0
        """How many suggestions it has made."""
        self.calls: list[Call] = []
        """Everything that it was asked and told, but for questions that it had no answer to."""
        takes = accepted_keywords(optimizer.suggest)
        self._takes = _KEYWORDS if takes is None else takes & _KEYWORDS

    @property
    def takes_index(self) -> bool:
        """Whether it is a function of the index, and so not asked again when a run goes on."""
        return "index" in self._takes

    @property
    def takes_fixed(self) -> bool:
        """Whether it can suggest with some parameters fixed."""
        return "fixed" in self._takes

    @property
    def branches(self) -> tuple[str, ...]:
        """The branches that it can be asked within."""
        return tuple(getattr(self.optimizer, "branches", ())) if "branch" in self._takes else ()

    def ask(self, n: int = 1, fixed: Mapping[str, Any] | None = None, branch: str | None = None) -> list[Trial]:
        """Ask for ``n`` suggestions; each becomes a trial in flight. All must lie inside the search space."""
        keywords: dict[str, Any] = {"index": self.suggested, "pending": list(self.pending)}
        if fixed:
            keywords["fixed"] = dict(fixed)
        if branch is not None:
            keywords["branch"] = branch
        call = Call("suggest", (n,), {name: value for name, value in keywords.items() if name in self._takes})
        trials = self._suggested(call)
        self.pending += trials
        return trials

    def refuses(self, fixed: Mapping[str, Any]) -> bool:
        """Whether it refuses these fixed parameters with a ``SuggestionError``, as one does that takes ``fixed``."""
        try:
            self.ask(1, fixed)
        except SuggestionError:
            return True
        return False

    def ask_like(self, call: Call) -> tuple[dict[str, Any], ...]:
        """The parameters that it suggests when it is asked as in this call."""
        return tuple(trial.params for trial in self._suggested(call))

    def complete(self, trial: Trial, result: float | Mapping[str, float]) -> None:
        """Tell it of a completed trial.

        Args:
            trial: one in flight.
            result: its score in the user's units; where the goal has several objectives, their metrics.
        """
        metrics: dict[str, Any] = dict(result) if isinstance(result, Mapping) else {self.goal.metric or _METRIC: result}
        score = self.goal.score(metrics)
        ended = replace(trial, state=TrialState.COMPLETED, metrics=metrics, score=score)
        self._end(trial)
        self._tell(Call("observe", (ended, self.goal.scores(metrics) if self.goal.has_several else score), {}))

    def fail(self, trial: Trial) -> None:
        """Tell it that a trial in flight failed for good."""
        self._end(trial)
        failed = replace(trial, state=TrialState.FAILED, error=TrialError("ValueError", "it diverged", ""))
        self._tell(Call("failed", (failed,), {}))

    def stop(self, trial: Trial, last: float) -> None:
        """Tell it that a trial in flight reported once, and was stopped."""
        self._end(trial)
        report = Report(1, {self.goal.metric or _METRIC: last})
        running = replace(trial, reports=(report,))
        self._tell(Call("reported", (running, report), {}))
        self._tell(Call("stopped", (replace(running, state=TrialState.STOPPED, reason="verdict"),), {}))

    def warm_start(self, trials: Sequence[Trial]) -> None:
        """Tell it of trials of earlier experiments."""
        self._tell(Call("warm_start", (list(trials),), {}))

    def drive(self, count: int, slots: int = 1, value: Callable[[Mapping[str, Any]], float] | None = None) -> list[dict[str, Any]]:
        """Suggestions in a history of ``count``: of so many slots the one that was filled first ends first; one in nine fails.

        Args:
            count: how many suggestions, unless it ends before.
            slots: how many trials are in flight at once.
            value: the score by parameters; the ``worth`` of the point by default.
        """
        found: list[dict[str, Any]] = []
        while len(found) < count:
            trials = self.ask(min(slots - len(self.pending), count - len(found)))
            found += [trial.params for trial in trials]
            if not self.pending:
                break
            first = self.pending[0]
            if first.number % 9 == 4:
                self.fail(first)
            else:
                self.complete(first, worth(self.space, first.params) if value is None else value(first.params))
        return found

    def replay(self, calls: Sequence[Call]) -> None:
        """Do what a restart does with a history: tell it everything, and ask it again unless it takes ``index``."""
        for call in calls:
            if call.method != "suggest":
                self._tell(call)
            elif self.takes_index:
                self.suggested += len(call.answer)
            else:
                self._suggested(call)

    def _suggested(self, call: Call) -> list[Trial]:
        name = type(self.optimizer).__name__
        trials: list[Trial] = []
        for number, suggestion in enumerate(self.optimizer.suggest(*call.arguments, **call.keywords), start=self.suggested):
            made = check_suggestion(suggestion, name)
            self.space.check(made.params, name)
            trials.append(
                Trial(
                    id=made.id or str(number),
                    number=number,
                    index=number,
                    params=made.params,
                    branch=made.branch,
                    origin=made.origin,
                    state=TrialState.RUNNING,
                    attempt=1,
                )
            )
        if trials:
            self.calls.append(call._replace(answer=tuple(trial.params for trial in trials)))
            self.suggested += len(trials)
        return trials

    def _tell(self, call: Call) -> None:
        self.calls.append(call)
        method = getattr(self.optimizer, call.method, None)
        if method is not None:
            method(*call.arguments, **call.keywords)

    def _end(self, trial: Trial) -> None:
        self.pending = [other for other in self.pending if other.id != trial.id]
