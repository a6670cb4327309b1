"""The research loop, end to end: what it promises, and the faults of its original that it must not have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sweep_kit import branches_of, events, kinds, queue, rewards, run, sweep

from metta_sweep import Budget, FailurePolicy, MemoryStore, StopReason, Suggestion, SweepResult, Trial, TrialContext, TrialState
from metta_sweep.core.events import Draw, Expand, PaperTrigger, Pick, Prune, Score, Stop
from metta_sweep.errors import InvalidInput, SuggestionError
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing import deterministic_expander, make_deterministic_runner
from metta_sweep.testing.virtual import run_virtual


def loop(worth: dict[str, float], *branches: str, seconds: float = 1.0, slots: int = 1, **settings: Any) -> SweepResult:
    """Run a queue of branches whose rewards are known."""
    budget = settings.pop("budget", None)
    policy = settings.pop("failures", FailurePolicy(tolerated_rate=1))
    experiment = sweep(
        settings.pop("objective", rewards(worth, seconds)),
        optimizer=queue(*branches),
        scheduler=IterationScheduler(**settings),
        slots=slots,
        failures=policy,
    )
    return run(experiment, budget)


# -- twelve behaviours -------------------------------------------------------------------------------------------------------------


def test_untried_branches_come_first() -> None:
    """Each branch once, in queue order, before any comes again."""
    result = loop({"a": 0.9, "b": 0.1, "c": 0.5}, *"aaabbbccc")
    assert branches_of(result.trials[:3]) == ["a", "b", "c"]


def test_equal_runs_the_higher_mean_comes_first() -> None:
    """After one run each the bonus is equal, and the mean decides."""
    result = loop({"a": 0.3, "b": 0.6, "c": 0.5}, *"abcabc")
    assert branches_of(result.trials) == ["a", "b", "c", "b", "c", "a"]


def test_equal_means_fewer_runs_come_first() -> None:
    """The less known of two equal branches is tried."""
    result = loop({"a": 0.5, "b": 0.5}, *"aabbb")
    assert branches_of(result.trials) == ["a", "b", "a", "b", "b"]


def test_three_slots_overlap() -> None:
    """Three trials run at once, and no more."""
    running, most = 0, 0

    async def objective(trial: TrialContext) -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1.0)
        running -= 1
        return 0.5

    result = loop({}, *"aaabbbccc", slots=3, objective=objective)
    assert most == 3
    assert result.spend.seconds == pytest.approx(3.0)


def test_a_branch_triggers_a_paper_once() -> None:
    """However often its mean stays above the threshold; a mean equal to it suffices."""
    result = loop({"a": 0.7, "b": 0.69}, *"aaaabbbb")
    assert result.triggers == ["a"]
    assert [(event.branch, event.trial_id, event.runs) for event in events(result, PaperTrigger)] == [("a", "0", 1)]


def test_the_trigger_hook_hears_of_each_paper() -> None:
    """on_trigger is called after the event was kept."""
    heard: list[tuple[str | None, int]] = []
    loop({"a": 0.8, "b": 0.9}, *"abab", on_trigger=lambda event: heard.append((event.branch, event.runs)))
    assert heard == [("a", 1), ("b", 1)]


def test_the_expander_adds_runs() -> None:
    """A good result brings two follow-ups of the same branch, named after it, that name it."""
    result = loop({"a": 0.9, "b": 0.5}, "a", "b", expander=deterministic_expander, budget=4)
    assert [(trial.id, trial.branch, trial.parent) for trial in result.trials] == [
        ("0", "a", None),
        ("1", "b", None),
        ("0-f1", "a", "0"),
        ("0-f2", "a", "0"),
    ]
    assert result.trials[2].params["parent"] == "0"
    assert result.trials[2].origin == "expander"


def test_only_good_results_are_expanded() -> None:
    """The reward of the result itself decides; expand_threshold may differ from the paper's."""
    result = loop({"a": 0.65, "b": 0.5}, "a", "b", expander=deterministic_expander, expand_threshold=0.6, budget=10)
    assert {event.branch for event in events(result, Expand)} == {"a"}
    assert result.triggers == []


def test_a_poor_branch_is_pruned_after_three_runs() -> None:
    """Three runs below the floor, and what waits of it is dropped; a mean equal to the floor stays."""
    result = loop({"a": 0.19, "b": 0.2}, *"aaaaaabbbb")
    assert result.branches["a"].pruned
    assert not result.branches["b"].pruned
    assert (result.branches["a"].runs, result.branches["b"].runs) == (3, 4)
    assert [(event.branch, event.runs, event.dropped) for event in events(result, Prune)] == [("a", 3, 3)]


def test_the_budget_of_experiments() -> None:
    """Never more trials than that."""
    result = loop({"a": 0.9}, "a", expander=deterministic_expander, budget=7)
    assert (len(result.trials), result.stop_reason) == (7, StopReason.BUDGET_TRIALS)


def test_the_budget_of_seconds() -> None:
    """Nothing starts after them."""
    result = loop({"a": 0.9}, *"a" * 9, budget=Budget(seconds=3.5))
    assert result.stop_reason is StopReason.BUDGET_TIME
    assert result.spend.seconds < 4.0


def test_the_deterministic_runner_gives_the_same_rewards_within_their_range() -> None:
    """Rewards lie in [0, 1], near their base, and are the same in every run."""
    runner = make_deterministic_runner({"good": 0.95, "poor": 0.05}, noise=0.2, seed=4)
    results = [run(sweep(runner, optimizer=queue(*["good", "poor"] * 20), slots=3)) for _ in range(2)]
    scores = [[trial.score for trial in result.trials] for result in results]
    assert scores[0] == scores[1]
    assert all(score is not None and 0.0 <= score <= 1.0 for score in scores[0])
    assert results[0].branches["good"].mean > 0.7 > 0.3 > results[0].branches["poor"].mean


# -- ten defects of the original ---------------------------------------------------------------------------------------------------


def test_a_branch_that_always_fails_does_not_eat_the_budget() -> None:
    """Defect 1: a failed trial is a run, worth 0: the branch is pruned after three."""

    async def objective(trial: TrialContext) -> float:
        if trial.branch == "broken":
            raise RuntimeError("as ever")
        return 0.6

    result = loop({}, *["broken"] * 10, *["works"] * 10, objective=objective, budget=10)
    assert (result.branches["broken"].runs, result.branches["broken"].failed) == (3, 3)
    assert result.branches["broken"].pruned
    assert result.branches["works"].runs == 7


def test_a_failure_counts_as_the_worst_where_the_scale_is_unknown() -> None:
    """Defect 1, when minimizing: a failure is as bad as the worst score so far, also one before any score."""

    async def objective(trial: TrialContext) -> float:
        if trial.params["i"] in {0, 2}:
            raise RuntimeError("as ever")
        return {"a": 5.0, "b": 300.0}[trial.branch or ""]

    experiment = sweep(
        objective,
        optimizer=queue("a", "b", "a", "a"),
        scheduler=IterationScheduler(),
        goal="minimize",
        failures=FailurePolicy(tolerated_rate=1),
    )
    result = run(experiment)
    scores = events(result, Score)
    assert [(event.branch, event.reward) for event in scores][:2] == [("a", None), ("b", -300.0)]
    assert result.branches["a"].reward_sum == pytest.approx(-300.0 - 300.0 - 5.0)
    assert result.stop_reason is StopReason.QUEUE_EMPTY


def test_runs_in_flight_are_visible_to_the_picker() -> None:
    """Defect 2: queue A, A, A, B, C with three slots starts A, B and C."""
    result = loop({"a": 0.5, "b": 0.5, "c": 0.5}, *"aaabc", slots=3)
    assert branches_of(result.trials[:3]) == ["a", "b", "c"]


@pytest.mark.parametrize("reward", [float("nan"), float("-inf"), float("inf")])
def test_a_reward_that_is_no_number_does_not_wedge_its_branch(reward: float) -> None:
    """Defect 3: such a trial has failed, with an error that says so; its branch goes on."""

    async def objective(trial: TrialContext) -> float:
        return reward if trial.params["i"] == 0 else 0.9

    result = loop({}, *"aaab", objective=objective)
    first = result.trials[0]
    assert first.state is TrialState.FAILED
    assert first.error is not None
    assert "finite" in first.error.message
    assert repr(reward) in first.error.message
    assert (result.branches["a"].runs, result.stop_reason) == (3, StopReason.QUEUE_EMPTY)


def test_the_deadline_does_not_wait_for_a_hung_runner() -> None:
    """Defect 4: a cap of 0.1 seconds takes a little over 0.1 seconds."""

    async def hangs(trial: TrialContext) -> float:
        await asyncio.sleep(1e6)
        return 0.0

    result = loop({}, "a", objective=hangs, budget=Budget(seconds=0.1))
    assert result.spend.seconds == pytest.approx(0.11)
    assert result.stop_reason is StopReason.BUDGET_TIME


def test_no_time_and_all_pruned_are_not_called_queue_empty() -> None:
    """Defect 5: each has its own reason."""
    assert loop({"a": 0.5}, "a", budget=Budget(seconds=0)).stop_reason is StopReason.BUDGET_TIME
    assert loop({"a": 0.1}, *"aaaaa").stop_reason is StopReason.ALL_BRANCHES_PRUNED


def test_follow_ups_of_a_pruned_branch_do_not_stay_in_the_queue() -> None:
    """Defect 6: a branch that is pruned by the result that would be expanded gets no follow-ups, and none wait."""

    async def objective(trial: TrialContext) -> float:
        return 0.25 if trial.params["i"] == 3 else 0.05

    async def main() -> tuple[SweepResult, int]:
        experiment = sweep(
            objective,
            optimizer=queue(*"aaaa"),
            scheduler=IterationScheduler(expander=deterministic_expander, expand_threshold=0.04, prune_floor=0.2),
            slots=4,
        )
        async with experiment.open() as opened:
            await experiment.build().run(sweep=opened, recorder=opened.recorder)
            return opened.result(), len(opened.state.pool)

    result, waiting = run_virtual(main())
    assert result.branches["a"].pruned
    assert waiting == 0
    assert result.stop_reason is StopReason.ALL_BRANCHES_PRUNED
    assert len(result.trials) == 4


def test_results_at_the_end_are_pruned_and_expanded_like_all_others() -> None:
    """Defect 7: there is no second path for what is in flight when the budget is spent."""
    result = loop({"a": 0.9, "b": 0.1}, *"abbb", slots=4, expander=deterministic_expander, budget=4)
    assert result.stop_reason is StopReason.BUDGET_TRIALS
    assert result.branches["b"].pruned
    assert result.triggers == ["a"]
    assert [event.follow_ups for event in events(result, Expand)] == [("0-f1", "0-f2")]


def test_an_error_of_the_expander_loses_nothing_and_leaves_nothing_running() -> None:
    """Defect 8: it comes out of the run with a note; the results are kept, no task is left, and a mended one goes on."""
    store = MemoryStore()

    def make(broken: bool) -> Any:
        def expander(trial: Trial) -> list[Suggestion]:
            if broken:
                raise LookupError("no ideas")
            return deterministic_expander(trial)

        return sweep(
            rewards({"a": 0.9}),
            optimizer=queue(*"aaa"),
            scheduler=IterationScheduler(expander=expander),
            slots=3,
            store=store,
            name="it",
        )

    async def main() -> tuple[SweepResult, int]:
        with pytest.raises(LookupError, match="no ideas") as caught:
            await make(broken=True).arun(6)
        assert any("trial '0'" in note for note in caught.value.__notes__)
        tasks = len(asyncio.all_tasks())
        return await make(broken=False).arun(6), tasks

    result, tasks = run_virtual(main())
    assert tasks == 1
    assert [trial.attempt for trial in result.trials] == [1] * 6
    assert [event.trial_id for event in events(result, Expand)][:3] == ["0", "1", "2"]
    assert kinds(result).count("result") == 6


def test_a_runner_that_raises_at_once_loses_nothing() -> None:
    """Defect 8: an error before the first await is a failed trial like any other."""

    def objective(trial: TrialContext) -> Any:
        if trial.params["i"] == 0:
            raise RuntimeError("before anything")

        async def later() -> float:
            await asyncio.sleep(0)
            return 0.5

        return later()

    result = loop({}, *"aab", slots=3, objective=objective)
    assert [trial.state for trial in result.trials].count(TrialState.FAILED) == 1
    assert result.stop_reason is StopReason.QUEUE_EMPTY


def test_duplicate_ids_are_refused() -> None:
    """Defect 9: in a queue at once; from an expander when it returns them."""
    with pytest.raises(SuggestionError, match="taken"):
        SuggestionQueue([Suggestion(id="x", params={}), Suggestion(id="x", params={})])
    with pytest.raises(SuggestionError, match="'twice' is taken"):
        loop({"a": 0.9}, *"aa", expander=lambda trial: [Suggestion(id="twice", params={})])


def test_expansion_is_bounded_by_the_budget() -> None:
    """Defect 9: a queue with an expander has no end of its own, so that without a budget 100 trials are its bound."""
    result = loop({"a": 0.9}, "a", expander=deterministic_expander, slots=3)
    assert (result.stop_reason, len(result.trials)) == (StopReason.BUDGET_TRIALS, 100)
    assert "no budget was given" in result.stop_detail


def test_completions_of_one_tick_are_handled_in_the_order_of_their_start() -> None:
    """Defect 9: five trials that end at the same moment are scored in the order in which they were dispatched."""
    result = loop(dict.fromkeys("edcba", 0.5), *"edcba", slots=5)
    assert [event.trial_id for event in events(result, Score)] == ["0", "1", "2", "3", "4"]
    assert len({event.address for event in events(result, Score)}) == 1


def test_results_of_one_tick_see_each_other() -> None:
    """The running statistics of each score count those before it; a paper is triggered by the first that reaches the mean."""
    result = loop({"a": 0.8}, *"aaa", slots=3)
    assert [(event.runs, event.mean) for event in events(result, Score)] == [
        (1, 0.8),
        (2, pytest.approx(0.8)),
        (3, pytest.approx(0.8)),
    ]
    assert [event.trial_id for event in events(result, PaperTrigger)] == ["0"]


def test_rewards_outside_their_scale_can_be_scaled_by_what_was_seen() -> None:
    """Defect 10: with reward="observed_range" scores in the thousands explore as scores in [0, 1] do."""
    small = loop({"a": 0.0, "b": 1.0, "c": 0.6}, *"abc" * 12, reward="observed_range", budget=24)
    large = loop({"a": 0.0, "b": 10_000.0, "c": 6_000.0}, *"abc" * 12, reward="observed_range", budget=24)
    assert branches_of(large.trials) == branches_of(small.trials)
    assert not any(stats.pruned for stats in large.branches.values())


# -- what else an end-to-end run shows ---------------------------------------------------------------------------------------------


def test_a_sweep_without_branches_never_prunes() -> None:
    """Statistics of no branch are nobody's."""

    async def objective(trial: TrialContext) -> float:
        return 0.0

    result = run(sweep(objective, scheduler=IterationScheduler()), 8)
    assert (result.branches, len(result.trials), kinds(result).count("prune")) == ({}, 8, 0)


def test_an_empty_queue_ends_at_once() -> None:
    """Nothing to do is no error."""
    result = loop({})
    assert (len(result.trials), result.stop_reason) == (0, StopReason.QUEUE_EMPTY)


def test_every_idle_slot_has_a_reason() -> None:
    """A wait event says why slots stay free, once for each reason."""
    result = loop({"a": 0.5}, "a", slots=3)
    waits = [event for event in result.trace if event.kind == "wait"]
    assert len(waits) == 1
    assert "(1 slots busy, 2 free)" in str(result.trace)


def test_the_trace_keeps_the_order_of_the_lesson() -> None:
    """After a result: its score, then the paper, then pruning, then follow-ups and their draws."""
    result = loop({"a": 0.9}, "a", expander=deterministic_expander, budget=1)
    order = [event.kind for event in result.trace if not isinstance(event, Stop) and event.kind != "wait"]
    assert order == ["draw", "pick", "dispatch", "result", "score", "paper.trigger", "expand", "draw", "draw"]
    assert [event.id for event in events(result, Draw)] == [None, "0-f1", "0-f2"]
    assert [event.number for event in events(result, Pick)] == [0]


def test_the_runner_refuses_unknown_branches() -> None:
    """The deterministic runner's own error becomes the trial's."""
    with pytest.raises(InvalidInput, match="base reward"):
        asyncio.run(_run_unknown())


async def _run_unknown() -> None:
    await make_deterministic_runner({"a": 1.0})(Trial(id="0", number=0, params={}, branch="b"))
