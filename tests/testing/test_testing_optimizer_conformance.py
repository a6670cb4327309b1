"""The conformance suite of optimizers finds what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import SuggestionError
from metta_sweep.optimizers import EvolutionOptimizer, Optimizer, RandomOptimizer, Supports
from metta_sweep.testing import OptimizerConformance

WORLD = Random(0)


class Evolution(EvolutionOptimizer):
    """A sound one that learns soon; the faulty ones below are made of it."""

    def __init__(self, search_space: SearchSpace | None = None, seed: int | None = None) -> None:
        super().__init__(search_space, population_size=6, tournament_size=4, seed=seed)


class Outside(Evolution):
    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """Adds a parameter that nobody asked for."""
        return [replace(found, params={**found.params, "more": 1}) for found in super().suggest(n, fixed)]


class Generous(Evolution):
    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """One more than it was asked for."""
        return super().suggest(n + 1, fixed)


class Stubborn(Evolution):
    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """Takes ``fixed`` and does nothing with it."""
        return super().suggest(n)


class Repeating(Evolution):
    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """The same one several times."""
        return super().suggest(1, fixed) * n


class Branching(Evolution):
    branches = ("a", "b")

    def suggest(self, n: int, branch: str | None = None) -> list[Suggestion]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Has branches, and answers with the first."""
        return [replace(found, branch="a") for found in super().suggest(n)]


class Loyal(Branching):
    def suggest(self, n: int, branch: str | None = None) -> list[Suggestion]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Answers with the branch that it is asked within."""
        return [replace(found, branch=branch) for found in super().suggest(n)]


class Endless(RandomOptimizer):
    """Never ends."""


class Unseeded(Evolution):
    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """Draws from what the whole process draws from."""
        self.seed = WORLD.randrange(2**32)
        return super().suggest(n, fixed)


class Deaf(Evolution):
    def for_run(self, setup: Setup) -> Deaf:
        """Does not hear of the sweep's seed."""
        return super().for_run(setup._replace(seed=0))


class OneSeed(RandomOptimizer):
    def __init__(self, search_space: SearchSpace | None = None, seed: int | None = None) -> None:
        super().__init__(search_space, seed=0)


class Shared(Evolution):
    def for_run(self, setup: Setup) -> Shared:
        """Runs with itself."""
        if self.search_space is None:
            self.fill_in(setup)
            self.begin(self.space, self.seed or 0)
        return self


class Forgetful(Evolution):
    def suggest(self, n: int, index: int = 0, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:  # type: ignore[override]
        """Says that it takes ``index``, and keeps its own place all the same."""
        return super().suggest(n, fixed)


class Upwards(Evolution):
    def for_run(self, setup: Setup) -> Upwards:
        """Maximizes whatever the goal is."""
        return super().for_run(setup._replace(goal=type(setup.goal)()))


class Proud(Evolution):
    def failed(self, trial: Trial) -> None:
        """A failure scores 0, which is much where scores are negative."""
        self.observe(trial, 0.0)


class Discouraged(Evolution):
    def failed(self, trial: Trial) -> None:
        """Gives up."""
        raise RuntimeError("it failed")


class Surprised(Evolution):
    def stopped(self, trial: Trial) -> None:
        """Nobody told it of verdicts."""
        raise RuntimeError("it was stopped")


class Overflowing(Evolution):
    def observe(self, trial: Trial, result: Any) -> None:
        """Squares."""
        super().observe(trial, result**2)


class Aloof(Evolution):
    def warm_start(self, trials: Iterable[Trial]) -> None:
        """Does not care."""


class Repetitive(Evolution):
    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Learns from earlier trials, and does not remember what they tried."""
        for trial in trials:
            if trial.score is not None:
                self.observe(trial, self.goal.scores(trial.metrics) if self.goal.has_several else trial.score)


class Hasty(Evolution):
    def warm_start(self, trials: Iterable[Trial]) -> None:
        """Learns from one earlier trial after the other, and looks at each when it comes to it."""
        for trial in trials:
            super().warm_start([trial])


class Credulous(Evolution):
    def warm_start(self, trials: Iterable[Trial]) -> None:
        """Takes earlier trials as they are."""
        self.learn_earlier(list(trials))


class Proprietary(Evolution):
    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Counts earlier trials as its own."""
        super().learn_earlier(trials)
        self._made += len(trials)

    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """No more than forty in all."""
        return super().suggest(min(n, max(0, 40 - self._made)), fixed)


class Narrow(Evolution):
    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Tells itself the score alone, however many objectives there are."""
        for trial in trials:
            self.observe(trial, trial.score)


class Whimsical(Evolution):
    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """In another mood each time."""
        super().learn_earlier(trials)
        self.seed = WORLD.randrange(2**32)


class OneSided(Evolution):
    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Reckons that something has completed."""
        best = max(trial.score for trial in trials if trial.score is not None)
        super().learn_earlier([trial for trial in trials if trial.score != best])


class Single(Evolution):
    def observe(self, trial: Trial, result: Any) -> None:
        """Takes one number only, and does not say so."""
        super().observe(trial, {name: float(result) for name in ("accuracy", "latency")} if self.goal.has_several else result)


class Secretive(Evolution):
    def describe(self) -> dict[str, Any]:
        """Its class alone."""
        return {"class": "Secretive"}


class Changing(Evolution):
    def describe(self) -> dict[str, Any]:
        """Tells what it has done as well."""
        return {**super().describe(), "made": getattr(self, "_made", 0)}


FAULTS: dict[Callable[..., Optimizer], list[str]] = {
    Outside: ["suggestions_lie_inside_a_flat_space", "suggestions_lie_inside_a_conditional_space"],
    Generous: ["it_suggests_no_more_than_it_is_asked_for"],
    Stubborn: ["fixed_parameters_hold"],
    Repeating: ["what_is_in_flight_is_not_suggested_again", "a_finite_space_is_used_up"],
    Endless: ["a_finite_space_is_used_up", "a_finite_conditional_space_is_used_up", "suggestions_lie_inside_a_space_of_one_point"],
    Unseeded: ["the_same_seed_and_history_give_the_same_suggestions", "a_sweep_killed_and_resumed_gives_the_same_trials"],
    Deaf: ["what_is_left_out_comes_from_the_sweep"],
    OneSeed: ["another_seed_gives_other_suggestions"],
    Shared: ["a_run_leaves_the_original_as_it_was", "what_is_left_out_comes_from_the_sweep"],
    Forgetful: ["a_run_that_goes_on_suggests_what_it_would_have", "a_sweep_killed_and_resumed_gives_the_same_trials"],
    Upwards: ["minimizing_is_maximizing_of_the_opposite"],
    Proud: ["failures_are_not_taken_for_successes"],
    Discouraged: ["it_goes_on_when_every_trial_fails", "a_sweep_with_eight_slots_runs_whole"],
    Surprised: ["stopped_trials_are_no_reason_to_raise"],
    Overflowing: ["extreme_results_do_no_harm"],
    Aloof: ["it_learns_from_earlier_trials", "it_does_not_suggest_what_earlier_trials_tried"],
    Repetitive: ["it_does_not_suggest_what_earlier_trials_tried"],
    Hasty: ["earlier_trials_of_another_space_are_refused"],
    Credulous: [
        "earlier_trials_of_another_space_are_refused",
        "an_earlier_trial_without_a_score_is_refused",
        "no_earlier_trials_change_nothing",
    ],
    Proprietary: ["earlier_trials_are_none_of_its_own"],
    Whimsical: [
        "the_same_earlier_trials_give_the_same_suggestions",
        "a_sweep_that_begins_with_earlier_trials_goes_on_with_them",
    ],
    OneSided: ["earlier_trials_that_all_failed_are_no_reason_to_raise"],
    Single: ["several_objectives"],
    Narrow: ["earlier_trials_of_several_objectives"],
    Secretive: ["it_describes_its_settings"],
    Changing: ["it_describes_its_settings"],
}


def suite(make: Callable[..., Optimizer]) -> OptimizerConformance:
    """The suite for this optimizer."""

    class Conformance(OptimizerConformance):
        def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
            return make(search_space, seed=seed)

    return Conformance()


@pytest.mark.parametrize(
    ("make", "check"),
    [(make, check) for make, checks in FAULTS.items() for check in checks],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_fault_is_found(make: Callable[..., Optimizer], check: str) -> None:
    """Each check finds the optimizer that it was made for, and has nothing against a sound one."""
    with pytest.raises((AssertionError, SuggestionError, RuntimeError, OverflowError, TypeError, ValueError)):
        getattr(suite(make), f"test_{check}")()
    getattr(suite(Evolution), f"test_{check}")()


def test_a_branch_that_is_not_kept_is_found() -> None:
    """Of an optimizer that has branches."""
    suite(Loyal).test_branches_hold()
    with pytest.raises(AssertionError):
        suite(Branching).test_branches_hold()


def test_what_is_not_supported_is_skipped_and_its_refusal_checked() -> None:
    """Skips say why; an optimizer that does not say what it supports is found by its errors."""

    class Floats(Evolution):
        supports = Supports(conditional=False, categorical=False, integers=False, several_objectives=False)

    for check, why in (
        ("suggestions_lie_inside_a_space_of_choices", "choices, such as 'kind'"),
        ("several_objectives", "it takes one objective"),
        ("a_finite_space_is_used_up", "whole numbers, such as 'a'"),
    ):
        with pytest.raises(pytest.skip.Exception, match=why):
            getattr(suite(Floats), f"test_{check}")()
    suite(Floats).test_what_it_does_not_search_is_refused()
    with pytest.raises(pytest.skip.Exception, match="every space and goal"):
        suite(Evolution).test_what_it_does_not_search_is_refused()
