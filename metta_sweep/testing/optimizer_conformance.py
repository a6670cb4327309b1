"""What every optimizer must do, as tests: for people who write one."""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metta_sweep.core.distributions import Constant, Distribution, Integer
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.optimizers.seen import params_key
from metta_sweep.optimizers.supports import Supports
from metta_sweep.testing import optimizer_spaces as spaces
from metta_sweep.testing.optimizer_driver import OptimizerDriver
from metta_sweep.testing.optimizer_orders import OrdersConformance
from metta_sweep.testing.optimizer_spaces import worth
from metta_sweep.testing.optimizer_sweeps import check_killed, check_refused, check_whole
from metta_sweep.testing.optimizer_warm_start import WarmStartConformance

__all__ = ["OptimizerConformance"]


class OptimizerConformance(WarmStartConformance, OrdersConformance):
    """Subclass it in a test file, name the class ``Test...`` and say how an optimizer is made; pytest runs the rest.

    What an optimizer says in ``supports`` that it does not search is skipped.

    Example:
        ```python
        class TestMyOptimizer(OptimizerConformance):
            def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
                return MyOptimizer(search_space, seed=seed)
        ```
    """

    history: ClassVar[int] = 30
    """How many suggestions a history has; fewer for one that is slow, and more than it draws before it learns."""
    learns: ClassVar[bool] = True
    """Whether what it suggests depends on results."""
    learns_of_failures: ClassVar[bool] = True
    """Whether one that learns keeps away from where trials failed; some libraries leave failures out."""
    seeded: ClassVar[bool] = True
    """Whether what it suggests depends on its seed."""
    repeats: ClassVar[bool] = False
    """Whether it may suggest the same parameters twice, and never ends."""

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """A new optimizer with this search space and seed; None: the sweep's."""
        raise NotImplementedError

    def test_suggestions_lie_inside_a_flat_space(self) -> None:
        """Floats within their bounds."""
        self._check_inside(spaces.FLAT)

    def test_suggestions_lie_inside_a_space_of_logarithms(self) -> None:
        """Over many orders of magnitude."""
        self._check_inside(spaces.LOGS)

    def test_suggestions_lie_inside_a_space_of_whole_numbers(self) -> None:
        """Whole numbers stay ints."""
        self._check_inside(spaces.WHOLE)

    def test_suggestions_lie_inside_a_space_of_choices(self) -> None:
        """Text, numbers, bools and None keep their types."""
        self._check_inside(spaces.CHOICES)

    def test_suggestions_lie_inside_a_mixed_space(self) -> None:
        """Everything at once, with a constant."""
        self._check_inside(spaces.MIXED)

    def test_suggestions_lie_inside_a_conditional_space(self) -> None:
        """Exactly the parameters of the chosen alternatives are there."""
        self._check_inside(spaces.CONDITIONAL)

    def test_suggestions_lie_inside_a_space_of_one_point(self) -> None:
        """A constant and a range of one number."""
        space = self._supported({"a": Constant([1, {"b": None}]), "n": Integer(3, 3)})
        trials = self._driver(space).ask(3)
        assert [trial.params for trial in trials] == [{"a": [1, {"b": None}], "n": 3}] * (3 if self.repeats else 1)

    def test_it_suggests_no_more_than_it_is_asked_for(self) -> None:
        """However many that are."""
        driver = self._driver(self._any_space())
        for n in (1, 2, 7, 1):
            assert len(driver.ask(n)) <= n

    def test_what_is_in_flight_is_not_suggested_again(self) -> None:
        """With five trials in flight, five more are five others."""
        self._skip_if(self.repeats, "it may suggest the same parameters twice")
        driver = self._driver(self._any_space())
        driver.drive(12)
        trials = [*driver.ask(5), *driver.ask(5)]
        assert len({params_key(trial.params) for trial in trials}) == len(trials) > 5

    def test_fixed_parameters_hold(self) -> None:
        """Where it takes ``fixed``, every suggestion has them, in a flat space and in a conditional one; others are refused."""
        space = self._any_space()
        driver = self._driver(space)
        self._skip_if(not driver.takes_fixed, "it takes no fixed parameters")
        name, distribution = space.top[0]
        self._check_fixed(driver, [{name: distribution.from_unit(0.3)}, {}] * 4)
        if self._supports(spaces.CONDITIONAL):
            fixed = [{"model": option} for option in ("svm", "forest", "none")] * 4
            self._check_fixed(self._driver(SearchSpace.of(spaces.CONDITIONAL)), [*fixed, {"model": "svm", "kernel": "linear"}])

    def test_branches_hold(self) -> None:
        """Asked within one of its branches, where it has any, it suggests of that one only."""
        driver = self._driver(self._any_space())
        self._skip_if(not driver.branches, "it has no branches")
        for branch in driver.branches * 4:
            for trial in driver.ask(2, branch=branch):
                assert trial.branch == branch
                driver.complete(trial, worth(driver.space, trial.params))

    def test_a_finite_space_is_used_up(self) -> None:
        """Each of its points is suggested once, whether it failed or not, and then nothing more."""
        self._check_used_up(dict(self._finite_space().top), 12)

    def test_a_finite_conditional_space_is_used_up(self) -> None:
        """Its points are those of the alternatives, added up."""
        self._check_used_up(spaces.FINITE_CONDITIONAL, 9)

    def test_the_same_seed_and_history_give_the_same_suggestions(self) -> None:
        """In another object."""
        space = self._any_space()
        assert self._driver(space).drive(self.history) == self._driver(space).drive(self.history)

    def test_another_seed_gives_other_suggestions(self) -> None:
        """If it has anything random at all."""
        self._skip_if(not self.seeded, "it has nothing random")
        space = self._any_space()
        assert self._driver(space, seed=1).drive(8) != self._driver(space, seed=2).drive(8)

    def test_what_is_left_out_comes_from_the_sweep(self) -> None:
        """Search space and seed; the original stays as it was made."""
        space = self._any_space()
        original = self.make_optimizer(None, None)

        def suggested(seed: int) -> list[dict[str, Any]]:
            return OptimizerDriver(original.for_run(Setup(space, Goal(), seed, 3)), space).drive(6)

        first = suggested(1)
        assert suggested(1) == first
        if self.seeded:
            assert suggested(2) != first
        assert (original.search_space, original.seed) == (None, None)

    def test_a_run_leaves_the_original_as_it_was(self) -> None:
        """The second run of one optimizer is as the first."""
        space = self._any_space()
        original = self.make_optimizer(space, 5)
        before = json.dumps(original.describe())
        runs = [OptimizerDriver(original.for_run(Setup(space, Goal(), 0, 3)), space).drive(12) for _ in range(2)]
        assert runs[0] == runs[1]
        assert json.dumps(original.describe()) == before

    def test_a_run_that_goes_on_suggests_what_it_would_have(self) -> None:
        """Killed after any call of a history, a new object that is told the same goes on in the same way."""
        space = self._any_space()
        goes_on = self._driver(space)
        goes_on.drive(self.history, slots=3)
        fresh = self._driver(space)
        for number, call in enumerate(goes_on.calls):
            if call.method != "suggest":
                continue
            if fresh.takes_index or number % 20 >= 18:
                fresh = self._driver(space)
            fresh.replay(goes_on.calls[len(fresh.calls) : number])
            assert fresh.ask_like(call) == call.answer, f"killed before call {number}"

    def test_minimizing_is_maximizing_of_the_opposite(self) -> None:
        """The same suggestions, whichever way round the results are."""
        space = self._any_space()

        def opposite(params: Mapping[str, Any]) -> float:
            return -worth(space, params)

        down = self._driver(space, goal=Goal("minimize")).drive(self.history, value=opposite)
        assert down == self._driver(space).drive(self.history)

    def test_it_goes_on_when_every_trial_fails(self) -> None:
        """Failures alone are no reason to raise or to stop."""
        space = self._any_space()
        driver = self._driver(space)
        for _ in range(self.history):
            for trial in driver.ask(1):
                driver.fail(trial)
        assert driver.suggested == self.history

    def test_stopped_trials_are_no_reason_to_raise(self) -> None:
        """Every other trial is stopped early."""
        space = self._any_space()
        driver = self._driver(space)
        for number in range(self.history):
            for trial in driver.ask(1):
                if number % 2:
                    driver.stop(trial, worth(space, trial.params))
                else:
                    driver.complete(trial, worth(space, trial.params))
        assert driver.suggested == self.history

    def test_failures_are_not_taken_for_successes(self) -> None:
        """Where half the space fails, it does not go there: neither with negative scores nor when minimizing positive ones."""
        self._skip_if(not self.learns or not self.learns_of_failures, "it does not learn from failures")
        space = self._any_space()
        name, distribution = space.top[0]
        for goal in (Goal(), Goal("minimize")):
            driver = self._driver(space, goal=goal)
            failed: list[bool] = []
            for _ in range(self.history):
                for trial in driver.ask(1):
                    failed.append(distribution.to_unit(trial.params[name]) > 0.5)
                    if failed[-1]:
                        driver.fail(trial)
                    else:
                        driver.complete(trial, goal.sign * (worth(space, trial.params) - 5.0))
            last = failed[-(self.history // 3) :]
            assert sum(last) <= 0.7 * len(last), f"goal {goal.direction}: {failed}"

    def test_extreme_results_do_no_harm(self) -> None:
        """Huge, tiny, equal and negative scores neither raise nor lead outside the space."""
        space = self._any_space()
        histories: list[list[float]] = [
            [1e300, -1e300, 0.0, 1e-300, 5.0, -1e300],
            [3.0],
            [0.0, -0.0],
            [-1e-12, -2e-12],
            [1e15, 1e15 + 0.125],
            [1.0, 1.0, 1.0, math.nextafter(1.0, 2.0)],
        ]
        for results in histories:
            driver = self._driver(space)
            for number in range(min(self.history, 16)):
                for trial in driver.ask(1):
                    driver.complete(trial, results[number % len(results)])

    def test_several_objectives(self) -> None:
        """It is told all of them, and what it suggests is inside the space and the same each time."""
        space = self._any_space()
        self._skip_if(self._lacks(space, spaces.SEVERAL) is not None, "it takes one objective")

        def run() -> list[dict[str, Any]]:
            driver = self._driver(space, goal=spaces.SEVERAL)
            found = []
            for number in range(self.history):
                for trial in driver.ask(1):
                    found.append(trial.params)
                    value = worth(space, trial.params)
                    if number % 7 == 6:
                        driver.fail(trial)
                    else:
                        driver.complete(trial, {"accuracy": value, "latency": (value + 0.1) ** 2})
            return found

        assert run() == run()

    def test_it_describes_its_settings(self) -> None:
        """As JSON, the same in a run and after it; another search space or seed gives another description."""
        space = self._any_space()
        optimizer = self.make_optimizer(space, 1)
        described = json.dumps(optimizer.describe(), sort_keys=True, allow_nan=False)
        assert json.loads(described)["class"] == type(optimizer).__qualname__
        driver = OptimizerDriver(optimizer.for_run(Setup(space, Goal(), 0, 3)), space)
        driver.drive(4)
        assert json.dumps(driver.optimizer.describe(), sort_keys=True) == described
        assert json.dumps(self.make_optimizer(space, 1).describe(), sort_keys=True) == described
        if self.seeded:
            assert json.dumps(self.make_optimizer(space, 2).describe(), sort_keys=True) != described
        other = self._supported({**dict(space.top), "one_more": space.top[0][1]})
        assert json.dumps(self.make_optimizer(other, 1).describe(), sort_keys=True) != described

    def test_what_it_does_not_search_is_refused(self) -> None:
        """When a sweep is made, with the names of optimizers that do."""
        some = map(SearchSpace.of, (spaces.FLAT, spaces.WHOLE, spaces.CHOICES, spaces.CONDITIONAL, spaces.ORDERS))
        asked = [*((space, Goal()) for space in some), (self._any_space(), spaces.SEVERAL)]
        lacking = [(space, goal) for space, goal in asked if self._lacks(space, goal) is not None]
        self._skip_if(not lacking, "it searches every space and goal")
        for space, goal in lacking:
            check_refused(self.make_optimizer(space, 0), space, goal)

    def test_a_sweep_with_eight_slots_runs_whole(self) -> None:
        """Every trial of the budget, on a virtual clock; some of them fail."""
        space = self._any_space()
        check_whole(self.make_optimizer(None, None), space, self.history, repeats=self.repeats)

    def test_a_sweep_killed_and_resumed_gives_the_same_trials(self) -> None:
        """With one slot, killed again and again."""
        space = self._any_space()
        check_killed(lambda: self.make_optimizer(None, None), space, self.history)

    def _lacks(self, space: SearchSpace, goal: Goal) -> str | None:
        supports = getattr(self.make_optimizer(space, 0), "supports", None)
        return supports.lacks(space, goal) if isinstance(supports, Supports) else None

    def _supports(self, space: Mapping[str, Distribution]) -> bool:
        return self._lacks(SearchSpace.of(space), Goal()) is None

    def _supported(self, space: Mapping[str, Distribution]) -> SearchSpace:
        self._skip_if(not self._supports(space), f"it does not search {self._lacks(SearchSpace.of(space), Goal())}")
        return SearchSpace.of(space)

    def _any_space(self) -> SearchSpace:
        return SearchSpace.of(next(space for space in (spaces.FLAT, spaces.WHOLE, spaces.CHOICES) if self._supports(space)))

    def _finite_space(self) -> SearchSpace:
        return self._supported(next((space for space in spaces.FINITE if self._supports(space)), spaces.FINITE[0]))

    def _driver(self, space: SearchSpace, seed: int = 0, goal: Goal | None = None) -> OptimizerDriver:
        goal = goal or Goal()
        return OptimizerDriver(self.make_optimizer(space, seed).for_run(Setup(space, goal, 0, 3)), space, goal)

    def _check_inside(self, parameters: Mapping[str, Distribution]) -> None:
        driver = self._driver(self._supported(parameters))
        for params in driver.drive(self.history, slots=2):
            assert json.loads(json.dumps(params, allow_nan=False)) == params
        assert driver.suggested == self.history

    def _check_fixed(self, driver: OptimizerDriver, each: Sequence[Mapping[str, Any]]) -> None:
        assert all(driver.refuses(wrong) for wrong in ({"unknown": 1}, {driver.space.top[0][0]: ["none"]}))
        for fixed in each:
            for trial in driver.ask(2, fixed):
                assert {name: trial.params[name] for name in fixed} == fixed
                driver.complete(trial, worth(driver.space, trial.params))

    def _check_used_up(self, parameters: Mapping[str, Distribution], size: int) -> None:
        self._skip_if(self.repeats, "it may suggest the same parameters twice")
        driver = self._driver(self._supported(parameters))
        found = driver.drive(2 * size, slots=2)
        assert len({params_key(params) for params in found}) == len(found) == size
        assert driver.ask(3) == []

    def _skip_if(self, condition: bool, why: str) -> None:
        if condition:
            import pytest

            pytest.skip(why)
