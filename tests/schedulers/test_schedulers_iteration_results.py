"""What the iteration scheduler makes of results: triggers, prunings, follow-ups."""

from __future__ import annotations

from typing import Any

import pytest
from scheduler_driver import Driver, queue, setup_for

from metta_sweep.core.distributions import Choice
from metta_sweep.core.events import Expand, PaperTrigger, Prune
from metta_sweep.core.reasons import reason_of
from metta_sweep.core.trial import Suggestion, Trial, TrialState
from metta_sweep.errors import SuggestionError
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing.bandits import deterministic_expander


def kinds(events: list[Any]) -> list[str]:
    """The kinds of events."""
    return [event.kind for event in events]


def test_trigger_fires_at_the_threshold_once_per_branch() -> None:
    """A branch whose mean reaches the threshold, equality included, triggers once."""
    driver = Driver(IterationScheduler(), queue("a", "a", "a", "b"))
    driver.run(lambda trial: 0.7, 4)
    assert driver.triggers == ["a", "b"]
    (first, _) = driver.of("paper.trigger")
    assert (first.mean, first.threshold, first.runs) == (0.7, 0.7, 1)
    assert reason_of(first) == "mean 0.7 of 1 run reached the threshold 0.7"


def test_trigger_looks_at_the_mean_of_the_branch() -> None:
    """One good result does not trigger a branch whose mean is below the threshold."""
    driver = Driver(IterationScheduler(prune_floor=None), queue("a", "a", "a"))
    driver.run(lambda trial: [0.2, 0.9, 1.0][trial.number], 3)
    assert driver.triggers == [("a")]
    assert driver.of("paper.trigger")[0].trial_id == "2"


def test_trigger_fires_once_for_results_of_one_turn() -> None:
    """Two results of one turn that both reach the threshold trigger their branch once."""
    driver = Driver(IterationScheduler(), queue("a", "a"), slots=2)
    driver.pick()
    decided = driver.finish_together([(driver.running[0], 0.8), (driver.running[1], 0.9)])
    assert kinds(decided) == ["paper.trigger"]


def test_pruning_after_three_runs_below_the_floor() -> None:
    """After three runs a branch whose mean is strictly below the floor is given up, with what waits."""
    driver = Driver(IterationScheduler(), queue("a", "a", "a", "a", "b"))
    picks = driver.run(lambda trial: 0.1 if trial.branch == "a" else 0.5, 10)
    assert [pick.branch for pick in picks] == ["a", "b", "a", "a"]
    (prune,) = driver.of("prune")
    assert (prune.branch, prune.runs, prune.floor) == ("a", 3, 0.2)
    assert reason_of(prune) == "mean 0.1 of 3 runs is below the floor 0.2"
    assert driver.pool == {}


def test_a_mean_at_the_floor_is_kept() -> None:
    """Pruning is strict: a mean that equals the floor stays."""
    driver = Driver(IterationScheduler(prune_floor=0.25), queue("a", "a", "a", "a"))
    driver.run(lambda trial: 0.25, 4)
    assert driver.of("prune") == []


def test_prune_after_runs_is_a_setting() -> None:
    """The number of runs before pruning can be chosen."""
    driver = Driver(IterationScheduler(prune_after_runs=1), queue("a", "a", "b"))
    driver.run(lambda trial: 0.0 if trial.branch == "a" else 0.5, 5)
    assert [prune.runs for prune in driver.of("prune")] == [1]


def test_pruning_happens_once_for_results_of_one_turn() -> None:
    """Results of one turn see each other's prunings."""
    driver = Driver(IterationScheduler(prune_after_runs=1), queue("a", "a"), slots=2)
    driver.pick()
    decided = driver.finish_together([(driver.running[0], 0.0), (driver.running[1], 0.0)])
    assert kinds(decided) == ["prune"]


def test_results_of_a_pruned_branch_still_count() -> None:
    """What was in flight when its branch was pruned is scored as a run, and prunes nothing again."""
    driver = Driver(IterationScheduler(prune_after_runs=1), queue("a", "a", "b"), slots=3)
    driver.pick()
    first, second, _ = sorted(driver.running, key=lambda trial: str(trial.branch))
    assert kinds(driver.finish(first, 0.0)) == ["prune"]
    assert driver.finish(second, 0.1) == []


def test_all_pruned_finishes() -> None:
    """When every branch is pruned it says so, as a reason and as a property."""
    driver = Driver(IterationScheduler(), queue(*"aaabbbb"))
    scheduler = driver.scheduler
    assert (scheduler.finished(), scheduler.all_pruned) == (None, False)
    driver.run(lambda trial: 0.0, 10)
    assert (scheduler.finished(), scheduler.all_pruned) == ("all branches are pruned", True)


def test_all_pruned_with_branch_by() -> None:
    """With ``branch_by`` all alternatives must be pruned, tried or not."""
    driver = Driver(
        IterationScheduler(branch_by="m", prune_after_runs=1),
        source=lambda fixed: Suggestion(params=dict(fixed or {})),
        setup=setup_for({"m": Choice(["a", "b"])}),
    )
    seen = []
    for _ in range(2):
        driver.run(lambda trial: 0.0, 1)
        seen.append(driver.scheduler.all_pruned)
    assert seen == [False, True]
    assert driver.pick() == []
    assert driver.of("wait")[-1].why == "all branches are pruned"


def test_the_branch_none_is_never_pruned_nor_triggered() -> None:
    """A sweep without branches never prunes."""
    driver = Driver(IterationScheduler(), queue(*[None] * 9))
    assert len(driver.run(lambda trial: 0.0 if trial.number < 5 else 1.0, 9)) == 9
    assert kinds(driver.of("prune") + driver.of("paper.trigger")) == []


def test_expander_adds_runs() -> None:
    """Follow-ups of good results are run, on the same branch, with ids made of their parent's."""
    driver = Driver(IterationScheduler(expander=deterministic_expander), queue("a", "b"))
    picks = driver.run(lambda trial: 0.9 if trial.branch == "a" and "-" not in trial.id else 0.5, 10)
    assert [(pick.trial_id, pick.branch) for pick in picks] == [("0", "a"), ("1", "b"), ("0-f1", "a"), ("0-f2", "a")]
    (expand,) = driver.of("expand")
    assert reason_of(expand) == "reward 0.9 reached 0.7; follow-ups: 0-f1, 0-f2"


def test_order_is_trigger_prune_expand() -> None:
    """What follows from one result comes in a fixed order."""
    driver = Driver(IterationScheduler(expander=deterministic_expander), queue("a"))
    driver.pick()
    assert kinds(driver.finish(driver.running[0], 0.9)) == ["paper.trigger", "expand", "draw", "draw"]


def test_expansion_looks_at_the_result_not_the_mean() -> None:
    """One good result is followed up although the mean of its branch is low."""
    driver = Driver(IterationScheduler(expander=deterministic_expander, prune_floor=None), queue("a", "a", "a"))
    driver.run(lambda trial: 0.9 if trial.number == 2 else 0.0, 3)
    assert [expand.trial_id for expand in driver.of("expand")] == ["2"]
    assert driver.triggers == []


def test_expand_threshold_is_its_own() -> None:
    """The expansion threshold can differ from the paper threshold, which is its default."""
    driver = Driver(IterationScheduler(expander=deterministic_expander, expand_threshold=0.5), queue("a"))
    driver.pick()
    assert kinds(driver.finish(driver.running[0], 0.5)) == ["expand", "draw", "draw"]


def test_only_completed_trials_are_followed_up() -> None:
    """Failed and stopped trials have no follow-ups, whatever they count as."""
    scheduler = IterationScheduler(expander=deterministic_expander, failure_reward=1.0, paper_threshold=None, expand_threshold=0.5)
    driver = Driver(scheduler, queue("a", "a"))
    driver.pick()
    assert driver.finish(driver.running[0], None) == []
    driver.pick()
    assert driver.finish(driver.running[0], 0.9, state=TrialState.STOPPED) == []


def test_follow_ups_keep_what_the_expander_says() -> None:
    """Ids, branches, parents and origins that are given stay; those that are absent are filled in; mappings are parameters."""
    made: list[Any] = [{"y": 1}, Suggestion(params={}, id="mine", branch="b", parent="p", origin="o")]
    driver = Driver(IterationScheduler(expander=lambda trial: made if trial.number == 0 else []), queue("a"))
    driver.pick()
    driver.finish(driver.running[0], 0.9)
    first, second = driver.of("draw")[1:]
    assert (first.params, first.id, first.branch, first.parent, first.origin) == ({"y": 1}, "0-f1", "a", "0", "expander")
    assert (second.params, second.id, second.branch, second.parent, second.origin) == ({}, "mine", "b", "p", "o")


@pytest.mark.parametrize("made", [None, []])
def test_no_follow_ups_are_no_event(made: list[Any] | None) -> None:
    """An expander may return nothing."""
    driver = Driver(IterationScheduler(expander=lambda trial: made, paper_threshold=None, expand_threshold=0.5), queue("a"))
    driver.pick()
    assert driver.finish(driver.running[0], 0.9) == []


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ("again", "returned a str"),
        ({"x": 1}, "returned a dict"),
        (Suggestion(params={}), "returned a Suggestion"),
        (3, "returned an int"),
        (iter([{}]), "returned a list_iterator"),
        ([3], "follow-up 1 of trial '0' is an int"),
        ([{}, None], "follow-up 2 of trial '0' is a NoneType"),
        ([("x", 1)], "follow-up 1 of trial '0' is a tuple"),
    ],
)
def test_what_is_no_list_of_suggestions_is_refused(made: Any, found: str) -> None:
    """A wrong return value of an expander is one clear error that names the trial and the remedy."""
    driver = Driver(IterationScheduler(expander=lambda trial: made), queue("a"))
    driver.pick()
    with pytest.raises(SuggestionError, match=rf"expander.*{found}.*expected a list of suggestions.*Return"):
        driver.finish(driver.running[0], 0.9)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Suggestion(params={"m": "z"}), "found 'z'; expected one of a, b"),
        (Suggestion(params={}, branch="aa"), "found 'aa'; expected one of a, b. Did you mean 'a'?"),
        (Suggestion(params={"m": "a"}, branch="b"), "found 'b'; expected 'a'. Leave the branch out"),
    ],
)
def test_follow_ups_outside_the_branches_are_refused(made: Suggestion, message: str) -> None:
    """With ``branch_by`` a follow-up belongs to an alternative, and its parameters agree with its branch."""
    driver = Driver(
        IterationScheduler(branch_by="m", expander=lambda trial: [made]),
        source=lambda fixed: Suggestion(params=dict(fixed or {})),
        setup=setup_for({"m": Choice(["a", "b"])}),
    )
    driver.pick()
    with pytest.raises(SuggestionError) as caught:
        driver.finish(driver.running[0], 0.9)
    assert message in str(caught.value)


def test_follow_ups_may_go_to_another_alternative() -> None:
    """With ``branch_by`` the parameter decides the branch of a follow-up, and a branch that is named decides the parameter."""
    made = [Suggestion(params={"m": "b"}), Suggestion(params={}, branch="b"), Suggestion(params={})]
    driver = Driver(
        IterationScheduler(branch_by="m", expander=lambda trial: made),
        source=lambda fixed: Suggestion(params=dict(fixed or {})),
        setup=setup_for({"m": Choice(["a", "b"])}),
    )
    driver.pick()
    driver.finish(driver.running[0], 0.9)
    assert [(draw.branch, draw.params) for draw in driver.of("draw")[1:]] == [
        ("b", {"m": "b"}),
        ("b", {"m": "b"}),
        ("a", {"m": "a"}),
    ]


def test_follow_ups_to_pruned_branches_are_refused_and_counted() -> None:
    """A follow-up on a branch that is pruned, be it in the same turn, is left out and counted."""

    def expander(trial: Trial) -> list[Suggestion]:
        return [Suggestion(params={}, branch="bad"), Suggestion(params={}, branch="good")]

    driver = Driver(IterationScheduler(expander=expander, prune_after_runs=1), queue("bad", "good"), slots=2)
    driver.pick()
    decided = driver.finish_together([(driver.running[0], 0.0), (driver.running[1], 0.9)])
    assert kinds(decided) == ["prune", "paper.trigger", "expand", "draw"]
    expand = decided[2]
    assert isinstance(expand, Expand)
    assert (expand.refused, expand.follow_ups) == (1, ("1-f2",))


def test_minimizing_leaves_thresholds_off() -> None:
    """On an unknown scale nothing is pruned, triggered or followed up by thresholds that nobody gave."""
    driver = Driver(IterationScheduler(expander=deterministic_expander), queue(*"aaaa"), setup=setup_for(goal="minimize"))
    assert len(driver.run(lambda trial: 0.01 if trial.number else -5.0, 10)) == 4
    assert {event.kind for event in driver.events} == {"draw", "pick", "score", "wait"}


def test_thresholds_that_are_given_hold_when_minimizing() -> None:
    """Thresholds that a user gave, even to the value of the default, are kept: they are in the unit of rewards."""
    scheduler = IterationScheduler(paper_threshold=-1.0, prune_floor=-9.0, expander=deterministic_expander)
    driver = Driver(scheduler, queue(*"aaabbb"), setup=setup_for(goal="minimize"))
    driver.run(lambda trial: 0.5 if trial.branch == "a" else 10.0, 60)
    assert driver.triggers == ["a"]
    assert [prune.branch for prune in driver.of("prune")] == ["b"]
    assert driver.of("expand")
    given = Driver(IterationScheduler(prune_floor=0.2), queue(*"aaa"), setup=setup_for(goal="minimize"))
    given.run(lambda trial: 1.0, 3)
    assert len(given.of("prune")) == 1


def test_a_reward_makes_the_scale_known() -> None:
    """With ``reward=`` the default thresholds hold, whatever the goal's direction."""
    scheduler = IterationScheduler(reward=lambda trial: 1.0 / (1.0 + (trial.score or 0.0)))
    driver = Driver(scheduler, queue(*"ab"), setup=setup_for(goal="minimize"))
    driver.run(lambda trial: 0.0 if trial.branch == "a" else 3.0, 2)
    assert driver.triggers == ["a"]
    assert [score.reward for score in driver.of("score")] == [1.0, 0.25]


def test_on_trigger_is_called_with_the_event() -> None:
    """The user's function gets the event when the sweep has kept it."""
    seen: list[PaperTrigger] = []
    scheduler = IterationScheduler(on_trigger=seen.append).for_run(setup_for())
    event = PaperTrigger("0", "a", 0.8, 0.7, 1)
    scheduler.on_trigger(event)
    assert seen == [event]
    assert IterationScheduler().on_trigger(event) is None


def test_trials_that_were_cut_are_no_runs() -> None:
    """A trial cut by a deadline frees its place and says nothing of its branch."""
    driver = Driver(IterationScheduler(), queue("a", "a", "b"), slots=1)
    driver.pick()
    assert driver.finish(driver.running[0], None, counts=False) == []
    (pick,) = driver.pick()
    assert (pick.branch, pick.runs, pick.pending) == ("a", 0, 0)


def test_prune_event_of_another_turn_is_remembered() -> None:
    """Branches pruned by an applied event take no new suggestions into account."""
    driver = Driver(IterationScheduler(), queue("a", "b"))
    driver.pick()
    driver.record([Prune("0", "b", 0.0, 0.2, 3)])
    driver.finish(driver.running[0], 0.5)
    assert driver.pick() == []
