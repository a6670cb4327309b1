"""What every optimizer must do with trials of earlier experiments, as tests: a part of its conformance."""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.trial import Report, Trial, TrialError, TrialState
from metta_sweep.errors import OptimizerError
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.optimizers.seen import params_key
from metta_sweep.testing import optimizer_spaces as spaces
from metta_sweep.testing.optimizer_driver import OptimizerDriver
from metta_sweep.testing.optimizer_spaces import worth
from metta_sweep.testing.optimizer_sweeps import check_killed

__all__ = ["WarmStartConformance", "earlier_trials"]


class WarmStartConformance:
    """Checks of ``warm_start``. ``OptimizerConformance`` has them all; what it says of an optimizer holds here, too."""

    history: ClassVar[int]
    learns: ClassVar[bool]
    repeats: ClassVar[bool]

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """A new optimizer with this search space and seed; None: the sweep's."""
        raise NotImplementedError

    def test_it_learns_from_earlier_trials(self) -> None:
        """What it is told before the first suggestion changes what it suggests, where it learns at all."""
        space = self._any_space()
        taught, untaught = self._driver(space), self._driver(space)
        taught.warm_start(earlier_trials(space, self.history))
        first = taught.drive(6)
        assert len(first) == 6
        if self.learns:
            assert first != untaught.drive(6)

    def test_it_does_not_suggest_what_earlier_trials_tried(self) -> None:
        """Of a finite space only the points that are left, whether the others completed, failed or were stopped."""
        self._skip_if(self.repeats, "it may suggest the same parameters twice")
        space = self._finite_space()
        driver = self._driver(space)
        earlier = ended_in_every_way(earlier_trials(space, 9, different=True))
        driver.warm_start(earlier)
        found = [params_key(params) for params in driver.drive(24, slots=2)]
        tried = [params_key(trial.params) for trial in earlier]
        assert len(set(found)) == len(found) == 12 - len(tried)
        assert not set(found) & set(tried)

    def test_earlier_trials_are_none_of_its_own(self) -> None:
        """It suggests as many as it would have, and takes results of its own after them."""
        space = self._any_space()
        driver = self._driver(space)
        driver.warm_start(ended_in_every_way(earlier_trials(space, self.history)))
        before = driver.optimizer.describe()
        driver.drive(self.history, slots=3)
        assert driver.suggested == self.history
        assert driver.optimizer.describe() == before

    def test_the_same_earlier_trials_give_the_same_suggestions(self) -> None:
        """In another object, told in the same order."""
        space = self._any_space()
        earlier = ended_in_every_way(earlier_trials(space, self.history))
        runs = []
        for _ in range(2):
            driver = self._driver(space)
            driver.warm_start(earlier)
            runs.append(driver.drive(self.history))
        assert runs[0] == runs[1]

    def test_no_earlier_trials_change_nothing(self) -> None:
        """Neither an empty list, nor trials that have not ended, or were cut."""
        space = self._any_space()
        expected = self._driver(space).drive(6)
        trials = earlier_trials(space, 4)
        unended = [replace(trial, state=state, score=None) for trial in trials for state in (TrialState.RUNNING, TrialState.PAUSED)]
        cut = [
            replace(trial, state=TrialState.STOPPED, score=None, reason=why)
            for trial in trials
            for why in ("deadline", "interrupt")
        ]
        for nothing in ([], unended, cut):
            driver = self._driver(space)
            driver.warm_start(nothing)
            assert driver.drive(6) == expected

    def test_earlier_trials_of_another_space_are_refused(self) -> None:
        """With one error that names the trial and the parameter, before anything is learned."""
        space = self._any_space()
        trials = earlier_trials(space, 5)
        name = space.names[0]
        outside = [replace(trials[3], params={**trials[3].params, name: ["none"]}), replace(trials[3], params={"unheard_of": 1})]
        for wrong, parameter in zip(outside, (name, "unheard_of"), strict=True):
            driver = self._driver(space)
            error = _refusal(driver, [*trials[:3], replace(wrong, id="odd"), trials[4]])
            assert error is not None, "it took a trial that does not fit the search space"
            assert "'odd'" in str(error)
            assert parameter in str(error)
            assert driver.drive(6) == self._driver(space).drive(6), "it learned of trials before it refused one of them"

    def test_an_earlier_trial_without_a_score_is_refused(self) -> None:
        """A completed one has a score."""
        space = self._any_space()
        trials = earlier_trials(space, 2)
        assert _refusal(self._driver(space), [trials[0], replace(trials[1], score=None)]) is not None
        assert _refusal(self._driver(space), [trials[0], replace(trials[1], score=float("nan"))]) is not None

    def test_earlier_trials_that_all_failed_are_no_reason_to_raise(self) -> None:
        """Nor are those that were all stopped."""
        space = self._any_space()
        for place in (1, 2):
            driver = self._driver(space)
            driver.warm_start([ended_in_every_way([trial] * 3)[place] for trial in earlier_trials(space, 8)])
            assert len(driver.drive(8)) == 8

    def test_earlier_trials_of_several_objectives(self) -> None:
        """All of them are told, and what it suggests then is the same each time."""
        space = self._any_space()
        self._skip_if(self._lacks(space, spaces.SEVERAL) is not None, "it takes one objective")
        trials = []
        for trial in earlier_trials(space, self.history):
            value = trial.score or 0.0
            trials.append(replace(trial, metrics={"accuracy": value, "latency": (value + 0.1) ** 2}))

        def first() -> list[dict[str, Any]]:
            driver = self._driver(space, goal=spaces.SEVERAL)
            driver.warm_start(ended_in_every_way(trials))
            return [trial.params for trial in driver.ask(2)]

        assert first() == first()
        lacking = [replace(trials[0], metrics={"accuracy": 1.0})]
        assert _refusal(self._driver(space, goal=spaces.SEVERAL), lacking) is not None

    def test_a_sweep_that_begins_with_earlier_trials_goes_on_with_them(self) -> None:
        """With one slot, killed again and again: it has the trials of one that was not."""
        space = self._any_space()
        earlier = ended_in_every_way(earlier_trials(space, self.history))
        check_killed(lambda: self.make_optimizer(None, None), space, min(self.history, 12), warm_start=earlier)

    # said by OptimizerConformance

    def _any_space(self) -> SearchSpace:
        raise NotImplementedError

    def _finite_space(self) -> SearchSpace:
        raise NotImplementedError

    def _driver(self, space: SearchSpace, seed: int = 0, goal: Goal | None = None) -> OptimizerDriver:
        raise NotImplementedError

    def _lacks(self, space: SearchSpace, goal: Goal) -> str | None:
        raise NotImplementedError

    def _skip_if(self, condition: bool, why: str) -> None:
        raise NotImplementedError


def earlier_trials(space: SearchSpace, count: int, *, different: bool = False) -> list[Trial]:
    """So many completed trials at random points of the space; with ``different``, fewer where points are drawn twice."""
    found: dict[str, Trial] = {}
    for number in range(count):
        params = space.sample_at(99, number)
        key = params_key(params) if different else str(number)
        value = worth(space, params)
        found.setdefault(
            key,
            Trial(
                id=f"old-{number}",
                number=number,
                params=params,
                origin="random",
                state=TrialState.COMPLETED,
                attempt=1,
                metrics={"value": value},
                score=value,
            ),
        )
    return list(found.values())


def ended_in_every_way(trials: Sequence[Trial]) -> list[Trial]:
    """Completed trials, of which every third one has failed instead, and every third one was stopped."""
    return [_ended(trial, number % 3) for number, trial in enumerate(trials)]


def _ended(trial: Trial, way: int) -> Trial:
    if way == 0:
        return trial
    if way == 1:
        error = TrialError("ValueError", "it diverged", "")
        return replace(trial, state=TrialState.FAILED, error=error, metrics={}, score=None)
    last = Report(1, dict(trial.metrics))
    return replace(trial, state=TrialState.STOPPED, reason="verdict", reports=(last,), metrics={}, score=None)


def _refusal(driver: OptimizerDriver, trials: Sequence[Trial]) -> OptimizerError | None:
    try:
        driver.warm_start(trials)
    except OptimizerError as error:
        return error
    return None
