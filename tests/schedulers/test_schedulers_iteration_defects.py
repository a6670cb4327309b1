"""Defects of the scheduler that this one descends from; each was seen there and must not come back."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from scheduler_driver import Driver, queue, setup_for

from metta_sweep.core.events import Score
from metta_sweep.core.reasons import reason_of
from metta_sweep.core.trial import Suggestion, Trial, TrialState
from metta_sweep.errors import MetricError
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing.bandits import deterministic_expander


def scored(driver: Driver) -> dict[str | None, int]:
    """Runs by branch."""
    return {branch: runs for branch, (runs, _) in driver.stats.items()}


def test_defect_1_a_branch_that_always_fails_counts_its_runs() -> None:
    """A failed trial is a run with reward 0: the branch does not stay first for ever, and is pruned."""
    driver = Driver(IterationScheduler(), queue(*["bad", "good"] * 10))
    picks = driver.run(lambda trial: None if trial.branch == "bad" else 0.6, 10)
    assert [pick.branch for pick in picks].count("bad") == 3
    assert [prune.branch for prune in driver.of("prune")] == ["bad"]
    assert {score.reward for score in driver.of("score") if score.branch == "bad"} == {0.0}


def test_defect_1_on_an_unknown_scale_a_failure_counts_as_the_worst_seen() -> None:
    """When minimizing, a failed trial is a run with the worst reward so far, not with 0, which would be praise."""
    driver = Driver(IterationScheduler(), queue(*["bad", "good"] * 10), setup=setup_for(goal="minimize"))
    picks = driver.run(lambda trial: None if trial.branch == "bad" else 200.0 - 10 * trial.number, 12)
    assert [pick.branch for pick in picks].count("good") > [pick.branch for pick in picks].count("bad")
    rewards = [score.reward for score in driver.of("score") if score.branch == "bad"]
    assert rewards[0] is None
    assert set(rewards[1:]) == {-190.0}


def test_defect_1_failures_before_any_reward_take_the_first_one() -> None:
    """A failure that came before there was a worst reward counts as the first reward that is seen."""
    driver = Driver(IterationScheduler(c=0, reward="observed_range"), queue(*["bad", "good"] * 3))
    driver.run(lambda trial: None if trial.branch == "bad" else 50.0, 2)
    (pick,) = driver.pick()
    assert (pick.mean, pick.others) == (0.5, (("good", 0.5),))
    driver.finish(driver.running[0], 20.0)
    (pick,) = driver.pick()
    assert (pick.branch, pick.mean, pick.others) == ("good", 1.0, (("bad", 0.5),))


def test_defect_1_failure_reward_can_be_set() -> None:
    """A user's failure reward holds on every scale."""
    assert IterationScheduler().failure_reward() == 0.0
    assert IterationScheduler(failure_reward=-1).failure_reward() == -1.0
    assert IterationScheduler().for_run(setup_for(goal="minimize")).failure_reward() is None
    assert IterationScheduler(failure_reward=-7).for_run(setup_for(goal="minimize")).failure_reward() == -7.0


def test_defect_2_runs_in_flight_are_seen() -> None:
    """With A, A, A, B, C waiting and three slots, A, B and C start: what is pending counts."""
    driver = Driver(IterationScheduler(), queue("a", "a", "a", "b", "c"), slots=3)
    picks = driver.pick()
    assert [pick.branch for pick in picks] == ["a", "b", "c"]
    assert [pick.score for pick in picks] == [inf, inf, inf]


def test_defect_2_runs_in_flight_are_seen_over_stages_too() -> None:
    """What an earlier stage has started counts as pending."""
    driver = Driver(IterationScheduler(), queue("a", "a", "a", "b", "c"), slots=1)
    first = driver.pick()
    driver.slots = 2
    second = driver.pick()
    driver.slots = 4
    third = driver.pick()
    assert [pick.branch for pick in (*first, *second, *third)] == ["a", "b", "c", "a"]
    assert (third[1].runs, third[1].pending, third[1].mean) == (0, 1, 0.0)


@pytest.mark.parametrize("value", [nan, inf, -inf, None, "0.5", True])
def test_defect_3_a_reward_that_is_no_number_is_refused(value: Any) -> None:
    """What ``reward=`` returns must be a finite number; the error names trial, value and remedy, and the branch goes on."""
    driver = Driver(IterationScheduler(reward=lambda trial: value), queue("a", "a"))
    driver.pick()
    with pytest.raises(MetricError, match=r"reward=.*returned .* for trial '0'; expected a finite number.*Return a float"):
        driver.finish(driver.running[0], 0.5)
    (trial,) = driver.running
    driver.record([Score(trial.id, "a", None, 0.0, 1, 0.0)])
    assert [pick.branch for pick in driver.pick()] == ["a"]


def test_defect_5_all_pruned_is_told_from_an_empty_queue() -> None:
    """A queue that ran out is not reported as pruned branches, and pruned branches not as an empty queue."""
    empty = Driver(IterationScheduler(), queue("a"))
    empty.run(lambda trial: 0.5, 5)
    assert (empty.scheduler.all_pruned, empty.scheduler.finished()) == (False, None)
    pruned = Driver(IterationScheduler(), queue("a", "a", "a", "a"))
    pruned.run(lambda trial: 0.0, 5)
    assert (pruned.scheduler.all_pruned, pruned.scheduler.finished()) == (True, "all branches are pruned")


def test_defect_6_a_pruned_branch_has_no_follow_ups() -> None:
    """The result that prunes its branch is not followed up, nor are later results of that branch."""
    scheduler = IterationScheduler(expander=deterministic_expander, expand_threshold=0.0, prune_after_runs=1)
    driver = Driver(scheduler, queue("a", "a", "b"), slots=3)
    driver.pick()
    first, second = [trial for trial in driver.running if trial.branch == "a"]
    assert [event.kind for event in driver.finish(first, 0.1)] == ["prune"]
    assert driver.finish(second, 0.15) == []


def test_defect_6_nor_has_one_that_was_pruned_earlier_in_the_turn() -> None:
    """Of two results of one turn the first prunes the branch; the second, though good, is not followed up."""
    scheduler = IterationScheduler(expander=deterministic_expander, prune_after_runs=1, prune_floor=0.5)
    driver = Driver(scheduler, queue("a", "a"), slots=2)
    driver.pick()
    first, second = driver.running
    low = Score(first.id, "a", 0.0, 0.0, 1, 0.0)
    high = Score(second.id, "a", 0.8, 0.8, 2, 0.4)
    driver.record([low, high])
    ended = [Trial(id=trial.id, number=0, params={}, branch="a", state=TrialState.COMPLETED) for trial in (first, second)]
    assert [event.kind for event in driver.fan_out([(ended[0], low), (ended[1], high)])] == ["prune"]


def test_defect_7_results_are_treated_alike_to_the_end() -> None:
    """There is no second path for results that come when nothing may start any more: they prune, trigger and expand as well."""
    driver = Driver(IterationScheduler(expander=deterministic_expander, prune_after_runs=2), queue("a", "a", "b"), slots=3)
    driver.pick()
    driver.slots = 0
    by_branch = {trial.branch: trial for trial in driver.running}
    assert [event.kind for event in driver.finish(by_branch["b"], 0.9)] == ["paper.trigger", "expand", "draw", "draw"]
    first, second = driver.running
    assert driver.finish(first, 0.0) == []
    assert [event.kind for event in driver.finish(second, 0.0)] == ["prune"]


def test_defect_8_an_error_of_the_expander_loses_nothing() -> None:
    """An exception of the expander passes with a note that names the trial; what was recorded stands, and it can be asked again."""
    broken = True

    def expander(trial: Trial) -> list[Suggestion]:
        if broken:
            raise ZeroDivisionError
        return [Suggestion(params={})]

    driver = Driver(IterationScheduler(expander=expander), queue("a", "b"))
    driver.pick()
    trial = driver.running[0]
    with pytest.raises(ZeroDivisionError) as caught:
        driver.finish(trial, 0.9)
    assert caught.value.__notes__ == ["in the expander, for the follow-ups of trial '0'"]
    assert scored(driver) == {"a": 1}
    broken = False
    (score,) = driver.of("score")
    ended = Trial(id="0", number=0, params={}, branch="a", state=TrialState.COMPLETED, score=0.9)
    assert [event.kind for event in driver.fan_out([(ended, score)])] == ["paper.trigger", "expand", "draw"]


def test_defect_9_ids_of_follow_ups_are_their_own() -> None:
    """Follow-ups of follow-ups have ids that no other has."""
    driver = Driver(IterationScheduler(expander=deterministic_expander), queue("a", "b"))
    driver.run(lambda trial: 0.9, 40)
    ids = [draw.id for draw in driver.of("draw") if draw.id is not None]
    assert len(ids) == len(set(ids)) == 80
    assert "0-f1-f2" in ids


def test_defect_9_results_of_one_turn_are_decided_in_their_order() -> None:
    """Each decision sees those before it, so that the order of results decides, not the order of tasks in a set."""
    driver = Driver(IterationScheduler(), queue("a", "a"), slots=2)
    driver.pick()
    first, second = driver.running
    decided = driver.finish_together([(second, 0.9), (first, 0.9)])
    assert [reason_of(event) for event in decided] == ["mean 0.9 of 1 run reached the threshold 0.7"]
    assert decided[0].kind == "paper.trigger"
    assert driver.of("paper.trigger")[0].trial_id == second.id


def test_defect_10_rewards_of_any_scale_are_compared() -> None:
    """Rewards far outside [0, 1] do not drown the bonus: on the observed range every branch is still explored."""
    driver = Driver(IterationScheduler(reward="observed_range"), queue(*["a", "b"] * 50))
    picks = driver.run(lambda trial: 1e6 + (2.0 if trial.branch == "a" else 1.0), 60)
    counts = [pick.branch for pick in picks].count("b")
    assert 5 < counts < 30
