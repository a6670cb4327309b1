"""Which suggestion the iteration scheduler starts."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, log, sqrt
from typing import Any

import pytest
from scheduler_driver import Driver, Source, queue, setup_for

from metta_sweep.core.distributions import Choice
from metta_sweep.core.reasons import reason_of
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.schedulers import IterationScheduler

SPACE = {"model": Choice(["a", "b", "c"])}


def source_of(*branches: str) -> Source:
    """Suggestions within what is fixed, of these branches, without end."""
    made = 0

    def draw(fixed: Mapping[str, Any] | None) -> Suggestion | None:
        nonlocal made
        made += 1
        model = (fixed or {}).get("model", branches[made % len(branches)])
        return Suggestion(params={"model": model}) if model in branches else None

    return draw


def branches_of(driver: Driver) -> list[str | None]:
    """The branches of one pick."""
    return [pick.branch for pick in driver.pick()]


def test_untried_branches_come_first() -> None:
    """Every branch is tried once before any is tried again, in queue order."""
    driver = Driver(IterationScheduler(), queue("a", "a", "a", "b", "c"))
    assert [pick.branch for pick in driver.run(lambda trial: 0.9 if trial.branch == "a" else 0.3, 3)] == ["a", "b", "c"]


def test_equal_runs_prefer_the_higher_mean() -> None:
    """Of branches with equally many runs the one with the higher mean is next."""
    driver = Driver(IterationScheduler(), queue("a", "b", "a", "b"))
    assert [pick.branch for pick in driver.run(lambda trial: 0.8 if trial.branch == "b" else 0.4, 3)] == ["a", "b", "b"]


def test_equal_means_prefer_fewer_runs() -> None:
    """Of branches with equal means the one with fewer runs is next."""
    driver = Driver(IterationScheduler(), queue("a", "b", "a", "b", "a", "b"))
    picks = driver.run(lambda trial: 0.5, 4)
    assert [pick.branch for pick in picks] == ["a", "b", "a", "b"]


def test_three_slots_overlap() -> None:
    """With three slots three trials are in flight, and a slot that frees is filled at once."""
    driver = Driver(IterationScheduler(), queue("a", "b", "c", "a", "b"), slots=3)
    assert branches_of(driver) == ["a", "b", "c"]
    driver.finish(driver.running[1], 0.5)
    assert len(driver.running) == 2
    assert branches_of(driver) == ["a"]


def test_default_slots_are_three() -> None:
    """It wants three slots when the sweep does not say."""
    assert IterationScheduler().default_slots == 3


def test_pick_carries_its_numbers() -> None:
    """A pick holds score, mean, bonus, runs, pending and the others' scores, and words are made of them when read."""
    driver = Driver(IterationScheduler(), queue("a", "b", "a", "b"))
    driver.run(lambda trial: 0.75 if trial.branch == "a" else 0.25, 2)
    (pick,) = driver.pick()
    bonus = sqrt(2) * sqrt(log(2) / 1)
    assert (pick.branch, pick.mean, pick.bonus, pick.score) == ("a", 0.75, bonus, 0.75 + bonus)
    assert (pick.runs, pick.pending, pick.compared, pick.others) == (1, 0, 2, (("b", 0.25 + bonus),))
    assert reason_of(pick) == "ucb 1.93 = mean 0.75 + 1.18, highest of 2 branches"


def test_untried_pick_scores_inf() -> None:
    """A branch that was never tried has the score inf and no mean, and says so."""
    driver = Driver(IterationScheduler(), queue("a", "b"))
    (pick,) = driver.pick()
    assert (pick.score, pick.mean, pick.bonus, pick.others) == (inf, None, None, (("b", inf),))
    assert reason_of(pick) == "ucb inf, not tried yet, first of 2 branches"


def test_one_slot_is_ucb1() -> None:
    """With one slot the branches picked are those of textbook UCB1."""
    means = {"a": 0.6, "b": 0.5, "c": 0.35}
    driver = Driver(IterationScheduler(prune_floor=None, paper_threshold=None), queue(*"abc" * 60))
    picks = driver.run(lambda trial: means[str(trial.branch)], 120)
    runs = dict.fromkeys(means, 0)
    for number, pick in enumerate(picks):
        best = max(means, key=lambda name: inf if runs[name] == 0 else means[name] + sqrt(2) * sqrt(log(number) / runs[name]))
        # Where sums of equal rewards round apart, both are right.
        if pick.branch != best:
            assert pick.score == pytest.approx(means[best] + sqrt(2) * sqrt(log(number) / runs[best]))
        runs[str(pick.branch)] += 1


def test_c_0_is_greedy() -> None:
    """Without exploration weight the leader is picked as long as it leads."""
    driver = Driver(IterationScheduler(c=0, prune_floor=None), queue(*"ab" * 10))
    picks = driver.run(lambda trial: 0.6 if trial.branch == "a" else 0.5, 10)
    assert [pick.branch for pick in picks] == ["a", "b", *"a" * 8]


@pytest.mark.parametrize(("pending", "expected"), [("mean", ["a", "a"]), ("pessimistic", ["a", "b"])])
def test_what_pending_trials_count_as(pending: Any, expected: list[str]) -> None:
    """A pending trial counts with its branch's mean, or with 0, when the next slot is filled."""
    driver = Driver(IterationScheduler(c=0.1, pending=pending, prune_floor=None), queue(*"abababab"))
    driver.run(lambda trial: 0.9 if trial.branch == "a" else 0.5, 2)
    driver.slots = 2
    assert branches_of(driver) == expected


def test_suggestions_without_branches_are_picked_in_order() -> None:
    """The branch None is an arm like others: suggestions without branches run in queue order."""
    driver = Driver(IterationScheduler(), queue(None, None, None), slots=2)
    assert [(pick.suggestion, pick.branch) for pick in driver.run(lambda trial: 0.5, 3)] == [(0, None), (1, None), (2, None)]


def test_idle_slots_say_why() -> None:
    """When nothing waits and the optimizer has no more, the pick says why slots stay idle."""
    driver = Driver(IterationScheduler(), queue("a"), slots=2)
    driver.pick()
    assert [event.why for event in driver.of("wait")] == ["nothing left"]


def test_an_endless_optimizer_is_asked_when_nothing_waits() -> None:
    """Without branches, one suggestion is drawn for each free slot."""
    driver = Driver(IterationScheduler(), source=lambda fixed: Suggestion(params={"x": 1}), slots=2)
    assert [pick.suggestion for pick in driver.pick()] == [0, 1]
    driver.finish(driver.running[0], 0.5)
    assert [pick.suggestion for pick in driver.pick()] == [2]
    assert len(driver.of("draw")) == 3


def test_branch_by_picks_the_branch_and_asks_within_it() -> None:
    """The alternatives of the choice are the branches; suggestions are drawn within the one that scores highest."""
    driver = Driver(IterationScheduler(branch_by="model"), source=source_of("a", "b", "c"), setup=setup_for(SPACE))
    picks = driver.run(lambda trial: 0.6 if trial.branch == "b" else 0.3, 6)
    assert [pick.branch for pick in picks[:4]] == ["a", "b", "c", "b"]
    assert all(draw.params == {"model": draw.branch} for draw in driver.of("draw"))


def test_branch_by_with_other_values_than_text() -> None:
    """The branch is the alternative's text; what is asked for is the alternative itself."""
    asked: list[Any] = []

    def draw(fixed: Mapping[str, Any] | None) -> Suggestion:
        asked.append(dict(fixed or {}))
        return Suggestion(params=dict(fixed or {}))

    driver = Driver(IterationScheduler(branch_by="size"), source=draw, setup=setup_for({"size": Choice([32, 64])}), slots=2)
    assert branches_of(driver) == ["32", "64"]
    assert asked == [{"size": 32}, {"size": 64}]


def test_an_exhausted_branch_is_left_out_for_this_offer_only() -> None:
    """When the optimizer has nothing within a branch the next one is asked; the branch is asked again next time."""
    dry = {"a"}

    def draw(fixed: Mapping[str, Any] | None) -> Suggestion | None:
        model = (fixed or {})["model"]
        return None if model in dry else Suggestion(params={"model": model})

    driver = Driver(IterationScheduler(branch_by="model"), source=draw, setup=setup_for(SPACE), slots=2)
    assert branches_of(driver) == ["b", "c"]
    dry.clear()
    driver.slots = 3
    assert branches_of(driver) == ["a"]
    dry.update("abc")
    driver.slots = 4
    assert driver.pick() == []
    assert driver.of("wait")[-1].why == "nothing left"


def test_follow_ups_wait_within_their_branch() -> None:
    """With ``branch_by`` follow-ups of a branch are picked before the optimizer is asked."""
    scheduler = IterationScheduler(branch_by="model", expander=lambda trial: [{}], prune_floor=None)
    driver = Driver(scheduler, source=source_of("a", "b", "c"), setup=setup_for(SPACE))
    driver.run(lambda trial: 0.9 if trial.branch == "b" else 0.1, 3)
    (pick,) = driver.pick()
    assert (pick.branch, pick.trial_id) == ("b", "1-f1")


def test_minimizing_scales_by_the_observed_range() -> None:
    """Where the scale is unknown the best reward seen counts as 1 and the worst as 0, and the pick says so."""
    driver = Driver(IterationScheduler(), queue(*"ababab"), setup=setup_for(goal="minimize"))
    driver.run(lambda trial: 100.0 if trial.branch == "a" else 300.0, 2)
    (pick,) = driver.pick()
    assert (pick.branch, pick.mean, pick.others[0]) == ("a", 1.0, ("b", pick.bonus))
    assert reason_of(pick).endswith("highest of 2 branches (rewards from -300 to -100 count as 0 to 1)")


def test_observed_range_can_be_asked_for() -> None:
    """With ``reward="observed_range"`` large scores are scaled when maximizing too."""
    driver = Driver(IterationScheduler(reward="observed_range"), queue(*"abab"))
    driver.run(lambda trial: 5000.0 if trial.branch == "b" else 1000.0, 2)
    (pick,) = driver.pick()
    assert (pick.branch, pick.mean) == ("b", 1.0)


def test_equal_rewards_on_an_unknown_scale() -> None:
    """As long as all rewards are equal every mean counts as one half."""
    driver = Driver(IterationScheduler(reward="observed_range"), queue(*"abab"))
    driver.run(lambda trial: 7.0, 2)
    (pick,) = driver.pick()
    assert (pick.branch, pick.mean) == ("a", 0.5)


def test_decisions_follow_from_events_alone() -> None:
    """A scheduler that is told the same events decides the same, whatever it was asked before: state is a fold."""
    scheduler = IterationScheduler(expander=lambda trial: [{"n": 1}], pending="pessimistic")
    driver = Driver(scheduler, queue(*"abcabcabc"), slots=4)

    def reward(trial: Trial) -> float:
        return (trial.number * 37 % 11) / 11

    driver.run(reward, 17)
    for cut in range(len(driver.events)):
        if driver.events[cut].kind != "pick" or driver.events[cut - 1].kind == "pick":
            continue
        again = Driver(scheduler, slots=4)
        again.record([event._replace() for event in driver.events[:cut]])
        expected = []
        for event in driver.events[cut:]:
            if event.kind != "pick":
                break
            expected.append(event)
        assert again.pick() == expected


def test_several_picks_of_one_stage_leave_no_trace() -> None:
    """Picks see each other while they are made; what was not recorded has not happened."""
    driver = Driver(IterationScheduler(), queue("a", "b", "c"), slots=2)
    driver.pick()
    driver.finish(driver.running[0], 0.4)
    before = [event for event in driver.events if event.kind == "pick"]
    events = list(driver.events)
    first = driver.pick()
    again = Driver(IterationScheduler(), slots=2)
    again.record(events)
    scheduler = again.scheduler
    assert again.pick() == first
    assert again.scheduler is scheduler
    assert len(before) == 2


def test_pruned_branches_are_never_picked_again() -> None:
    """A suggestion of a pruned branch that is drawn later is left alone, and the idle slot says why."""
    driver = Driver(IterationScheduler(), queue("a", "a", "a", "b"))
    driver.run(lambda trial: 0.1 if trial.branch == "a" else 0.5, 4)
    driver.source = lambda fixed: Suggestion(params={}, branch="a")
    assert driver.pick() == []
    assert driver.of("wait")[-1].why == "branch 'a' of the next suggestion is pruned"
