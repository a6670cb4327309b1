"""What adapters to other libraries share: asking, telling, and which suggestion a result belongs to."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from metta_sweep.core.described import described
from metta_sweep.core.goal import Goal
from metta_sweep.core.numbers import check_flag, check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.trial import Suggestion, Trial, TrialState
from metta_sweep.errors import OptimizerError
from metta_sweep.optimizers.earlier import fits
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.optimizers.seen import SeenParams, params_key

if TYPE_CHECKING:
    from pydantic import BaseModel

    from metta_sweep.core.distributions import Distribution
    from metta_sweep.core.setup import Setup

    Space = Mapping[str, Distribution] | type[BaseModel] | SearchSpace

__all__ = ["AskTellOptimizer"]

Asked = TypeVar("Asked")
"""What the library gives when it is asked, and wants back when it is told."""


class AskTellOptimizer(Optimizer, Generic[Asked]):
    """An optimizer of another library that is asked for points and told their results.

    A subclass says how its library is begun, asked and told. Here is the rest: a result is told of the point that was asked for
    with its parameters; what was tried already is not suggested again; trials that others suggested are added.

    Suggestions that the library repeats are answered at once with the result that is known, as a deterministic trial would give it
    again, at most ``attempts`` times; then a random new point takes their place.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        seed: a whole number; None: derived from the sweep's seed.
        duplicates: whether parameters may be suggested that were suggested before.
    """

    stays_inside = True
    needs_search_space = True
    attempts = 10
    """How often the library is asked for one new point."""
    _worst: list[float]
    """The worst result seen so far, objective by objective."""

    def __init__(self, search_space: Space | None, seed: int | None, duplicates: bool) -> None:
        name = type(self).__name__
        self.search_space = None if search_space is None else SearchSpace.of(search_space)
        if seed is not None:
            seed = check_int(seed, f"{name}(seed=)", OptimizerError, remedy="Leave it out to take the sweep's")
        self.seed = seed
        remedy = "Leave it out, and no point is suggested twice"
        self.duplicates = check_flag(duplicates, f"{name}(duplicates=)", OptimizerError, remedy=remedy)
        # kept apart from what for_run fills in, which is no setting of this optimizer
        self._settings: dict[str, Any] = {}
        if self.search_space is not None:
            self._settings["search_space"] = self.search_space.describe()
        if seed is not None:
            self._settings["seed"] = seed
        self._goal = Goal()
        self._slots = 1
        self._forget()

    # -- what a subclass says ----------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def origin(self) -> str:
        """What its suggestions tell where they come from."""

    @abstractmethod
    def _begin(self, space: SearchSpace, seed: int) -> None:
        """Make the library's optimizer, with no history."""

    @abstractmethod
    def _ask(self, fixed: Mapping[str, Any] | None) -> tuple[Asked, dict[str, Any]] | None:
        """Ask the library for one point, or None when it finds none. Parameters must be plain, and lie inside the space."""

    @abstractmethod
    def _attach(self, params: dict[str, Any]) -> Asked:
        """Tell the library that these parameters are being tried, as if it had suggested them."""

    @abstractmethod
    def _tell(self, asked: Asked, params: dict[str, Any], values: list[float]) -> None:
        """Tell it the values of the goal's objectives, in the user's units."""

    @abstractmethod
    def _tell_failed(self, asked: Asked, params: dict[str, Any]) -> None:
        """Tell it that the trial failed, while no result is known."""

    @abstractmethod
    def _drop(self, asked: Asked) -> None:
        """Tell it that the point is not tried, since it is being tried already."""

    def _tell_stopped(self, asked: Asked, trial: Trial) -> None:
        """Tell it that the trial was stopped early, where it knows such a thing."""

    @property
    def _has_ended(self) -> bool:
        """Whether the library has nothing more to suggest."""
        return False

    # -- what a sweep calls ------------------------------------------------------------------------------------------------------

    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """Up to ``n`` new points, with these parameters ``fixed``; none when a finite space is used up.

        Raises:
            OptimizerError: when it has no search space.
            SuggestionError: when something is fixed that the search space does not have.
        """
        space, seen = self._begun()
        if fixed:
            fixed = space.check_fixed(fixed)
        found: list[Suggestion] = []
        while len(found) < n and not self._has_ended and (self.duplicates or not seen.used_up(fixed)):
            new = self._new(space, seen, fixed)
            if new is None:
                break
            asked, params = new
            self._open.setdefault(params_key(params), []).append(asked)
            found.append(Suggestion(params=params, origin=self.origin))
        return found

    def observe(self, trial: Trial, result: float | Mapping[str, float]) -> None:
        """Tell the library the result; a trial that others suggested is added, where it lies in the search space."""
        space, seen = self._begun()
        asked = self._close(params_key(trial.params))
        if asked is None:
            if not fits(space, trial.params):
                return
            seen.add(trial.params)
        self._learn(trial, result, asked)

    def failed(self, trial: Trial) -> None:
        """Tell the library the worst result seen so far; before there is one, that the trial failed."""
        key = params_key(trial.params)
        asked = self._close(key)
        if asked is not None:
            self._tell_bad(asked, trial.params)
            if not self.duplicates:
                self._ended[key] = None

    def stopped(self, trial: Trial) -> None:
        """Tell the library that it was stopped early, where it knows such a thing."""
        asked = self._close(params_key(trial.params))
        if asked is not None:
            self._tell_stopped(asked, trial)

    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Add them to what the library knows: completed ones first, so that failed ones are told the worst of all of these."""
        _, seen = self._begun()
        for trial in sorted(trials, key=lambda trial: trial.state is not TrialState.COMPLETED):
            seen.add(trial.params)
            if trial.state is TrialState.COMPLETED:
                self._learn(trial, self._goal.scores(trial.metrics) if self._goal.has_several else trial.score or 0.0, None)
            elif trial.state is TrialState.FAILED:
                self._add_failed(trial.params)
                if not self.duplicates:
                    self._ended.setdefault(params_key(trial.params), None)
            else:
                self._add_stopped(trial)

    def for_run(self, setup: Setup) -> Self:
        """A new one with these settings and no history; what was left out comes from the sweep."""
        fresh = type(self).__new__(type(self))
        vars(fresh).update(vars(self))
        fresh.fill_in(setup)
        return fresh

    def fill_in(self, setup: Setup) -> None:
        """Take search space, seed, goal and slots from the sweep, and forget what was before."""
        super().fill_in(setup)
        self._forget()
        self._goal = setup.goal
        self._slots = setup.slots

    def describe(self) -> dict[str, Any]:
        """Its class, its options, and the search space and seed that it was given."""
        return {**described(self, without=("search_space", "seed")), **self._settings}

    # -- pieces ------------------------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._seen: SeenParams | None = None
        self._open: dict[str, list[Asked]] = {}
        self._ended: dict[str, list[float] | None] = {}
        self._worst = []

    def _begun(self) -> tuple[SearchSpace, SeenParams]:
        space = self.search_space
        if space is None:
            raise OptimizerError(
                type(self).__name__,
                "it has no search space",
                found=None,
                expected="a mapping of names to distributions",
                remedy="Give search_space to it, or to the sweep",
            )
        if self._seen is None:
            self._begin(space, self._own_seed())
            self._seen = SeenParams(space)
        return space, self._seen

    def _own_seed(self) -> int:
        return 0 if self.seed is None else self.seed

    def _new(self, space: SearchSpace, seen: SeenParams, fixed: Mapping[str, Any] | None) -> tuple[Asked, dict[str, Any]] | None:
        for _ in range(self.attempts):
            answer = self._ask(fixed)
            if answer is None:
                break
            asked, params = answer
            if seen.add(params) or self.duplicates:
                return answer
            self._repeated(asked, params)
            if self._has_ended:
                return None
        seed = derive_seed(self._own_seed(), "new", len(seen))
        drawn = seen.draw_new(lambda number: space.sample_at(seed, number, fixed), fixed)
        return None if drawn is None else (self._attach(drawn), drawn)

    def _repeated(self, asked: Asked, params: dict[str, Any]) -> None:
        key = params_key(params)
        values = self._ended.get(key)
        if values is not None:
            self._tell(asked, params, values)
        elif key in self._ended:
            self._tell_bad(asked, params)
        else:
            self._drop(asked)

    def _tell_bad(self, asked: Asked, params: dict[str, Any]) -> None:
        if self._worst:
            self._tell(asked, params, self._worst)
        else:
            self._tell_failed(asked, params)

    def _worse(self, values: list[float]) -> list[float]:
        """The worst of these and of what was seen before, objective by objective."""
        if not self._worst:
            return values
        pairs = zip(self._goal.objectives, values, self._worst, strict=True)
        return [worst if goal.better(value, worst) else value for goal, value, worst in pairs]

    def _add(self, params: dict[str, Any], values: list[float]) -> None:
        """Tell the library of a trial that it did not suggest."""
        self._tell(self._attach(params), params, values)

    def _add_failed(self, params: dict[str, Any]) -> None:
        """Tell it of a failed trial that it did not suggest."""
        self._tell_bad(self._attach(params), params)

    def _add_stopped(self, trial: Trial) -> None:
        """Tell it of a stopped trial that it did not suggest, where it knows such a thing."""
        self._tell_stopped(self._attach(trial.params), trial)

    def _learn(self, trial: Trial, result: float | Mapping[str, float], asked: Asked | None) -> None:
        """Learn a result; of a trial that it did not suggest, where nothing was ``asked``."""
        params, values = trial.params, self._values(result)
        if asked is None:
            self._add(params, values)
        else:
            self._tell(asked, params, values)
        self._worst = self._worse(values)
        if not self.duplicates:
            self._ended[params_key(params)] = values

    def _close(self, key: str) -> Asked | None:
        waiting = self._open.get(key)
        if waiting is None:
            return None
        asked = waiting.pop(0)
        if not waiting:
            del self._open[key]
        return asked

    def _opened(self, trial: Trial) -> Asked | None:
        """What was asked for a running trial; None for one that others suggested."""
        waiting = self._open.get(params_key(trial.params))
        return waiting[0] if waiting else None

    def _values(self, result: float | Mapping[str, float]) -> list[float]:
        if isinstance(result, Mapping):
            return [float(result[str(goal.metric)]) for goal in self._goal.objectives]
        return [float(result)]
