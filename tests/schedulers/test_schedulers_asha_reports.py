"""Asynchronous successive halving: which reports count, and for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from asha_kit import Told, run

from metta_sweep.core.events import Pick, Reported, Resume, Stop
from metta_sweep.core.trial import Verdict
from metta_sweep.errors import MetricError
from metta_sweep.executors import LocalExecutor, SimulatedExecutor
from metta_sweep.executors.context import TrialContext
from metta_sweep.schedulers import ASHAScheduler
from metta_sweep.schedulers.rungs import bracket_shares
from metta_sweep.store import MemoryStore

# -- reports -----------------------------------------------------------------------------------------------------------------------


def test_the_first_report_at_or_past_a_level_counts() -> None:
    """Steps may skip levels; what comes later, or again, changes nothing."""
    told = Told(ASHAScheduler(100, 2, 10))
    first, second = told.start(), told.start()
    assert told.report(first, 8, 0.1) is Verdict.CONTINUE
    assert told.report(first, 12, 0.5) is Verdict.PAUSE
    assert told.report(first, 13, 0.9) is Verdict.PAUSE
    assert told.report(second, 10, 0.7) is Verdict.CONTINUE, "it is better than 0.5"
    assert told.judge(first, 9, score=0.1) is Verdict.CONTINUE
    assert told.judge(first, 12, score=0.5) is Verdict.PAUSE, "what was decided then is decided so again"


def test_several_levels_at_once_are_climbed_one_by_one() -> None:
    """A report past two levels counts at both, as far as it is good enough."""
    told = Told(ASHAScheduler(81, 3, 1, mode="stopping"))
    trials = [told.start() for _ in range(3)]
    assert told.report(trials[0], 1, 0.9) is Verdict.CONTINUE
    assert told.report(trials[0], 3, 0.5) is Verdict.CONTINUE
    assert told.report(trials[1], 4, 0.95) is Verdict.CONTINUE
    assert told.report(trials[2], 4, 0.96) is Verdict.CONTINUE
    assert told.report(trials[0], 9, 0.1) is Verdict.CONTINUE, "nobody came to 9 before"


@pytest.mark.parametrize("scheduler", [ASHAScheduler(9, 3, 1), ASHAScheduler(9, 3, 1, rule="ray")], ids=["promotion", "ray"])
def test_the_last_epoch_completes_whatever_the_value(scheduler: ASHAScheduler) -> None:
    """Also when a trial comes there in one step."""
    told = Told(scheduler)
    assert told.report(told.start(), 9, 0.9) is Verdict.COMPLETE
    assert told.report(told.start(), 12, 0.0) is Verdict.COMPLETE


def test_reports_without_the_metric_of_the_goal_are_passed_over() -> None:
    """Where others have it: accuracy every second epoch only."""
    told = Told(ASHAScheduler(9, 3, 2), {"accuracy": "maximize"})
    trial = told.start()
    assert told.report(trial, 1, loss=0.5) is Verdict.CONTINUE
    assert told.report(trial, 2, loss=0.4, accuracy=0.5) is Verdict.PAUSE


def test_a_metric_that_no_report_has_is_an_error_at_the_first_rung() -> None:
    """Otherwise nothing would ever be stopped, and nobody would know why. Mended, the run goes on."""
    store = MemoryStore()
    options: dict[str, Any] = {"goal": {"accuracy": "maximize"}, "name": "asha", "store": store}

    def reports_loss(trial: TrialContext) -> Iterator[dict[str, Any]]:
        for _ in range(9):
            yield {"acuracy": 0.5}

    def reports_both(trial: TrialContext) -> Iterator[dict[str, Any]]:
        for _ in range(9):
            yield {"accuracy": 0.5, "loss": 0.1}

    with pytest.raises(MetricError, match=r"trial '0' at step 3: it has no metric 'accuracy'.*Did you mean 'accuracy'|acuracy"):
        run(ASHAScheduler(9, 3, 3), [0.1, 0.2, 0.3], reports_loss, **options)
    options["name"] = "mended"
    assert run(ASHAScheduler(9, 3, 3), [0.1, 0.2, 0.3], reports_both, **options).best_score == 0.5


def test_several_metrics_without_a_named_one_are_an_error_at_the_first_rung() -> None:
    """The message says how to name it."""

    def reports_two(trial: TrialContext) -> Iterator[dict[str, Any]]:
        for _ in range(9):
            yield {"accuracy": 0.5, "loss": 0.1}

    with pytest.raises(MetricError, match="names none of them"):
        run(ASHAScheduler(9, 3, 3), [0.1], reports_two)


def test_trials_that_never_report_are_noted_in_the_picks() -> None:
    """They run to their end; the trace says why nothing was stopped."""
    results = run(ASHAScheduler(), [0.1, 0.2], lambda x: x)

    picks = [event.why for event in results.trace if isinstance(event, Pick)]
    assert picks == ["", "1 trials ran to their end without a report at a rung"]


def test_the_leading_one_of_several_objectives_decides() -> None:
    """The others are kept, and do not stop anybody."""
    told = Told(ASHAScheduler(9, 3, 1, mode="stopping"), {"accuracy": "maximize", "latency": "minimize"})
    first, second = told.start(), told.start()
    assert told.report(first, 1, accuracy=0.5, latency=9.0) is Verdict.CONTINUE
    assert told.report(second, 1, accuracy=0.4, latency=1.0) is Verdict.STOP


# -- brackets ----------------------------------------------------------------------------------------------------------------------


def test_brackets_are_drawn_from_the_seed_of_the_run() -> None:
    """By trial number: the same in any process and after a restart, another for another seed."""
    scheduler = ASHAScheduler(81, 3, 1, brackets=4)

    def drawn(seed: int) -> list[int | None]:
        told = Told(scheduler, seed=seed)
        return [told.scheduler.next_judged(told.start(), -1) for _ in range(60)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) == {1, 3, 9, 27}


@pytest.mark.parametrize(
    ("rule", "shares"),
    [("paper", bracket_shares([4, 3, 2], 3)), ("ray", [0.665, 0.245, 0.09]), ("syne_tune", [0.665, 0.245, 0.09])],
)
def test_brackets_have_their_shares_of_trials(rule: Any, shares: list[float]) -> None:
    """The softmax of their rungs for those who come from there; else about equal epochs for each."""
    told = Told(ASHAScheduler(81, 3, 1, rule=rule, brackets=3))
    counts = Counter(told.scheduler.next_judged(told.start(), -1) for _ in range(4000))
    assert [counts[level] / 4000 for level in (1, 3, 9)] == pytest.approx(shares, abs=0.03)


def test_brackets_compete_among_themselves() -> None:
    """The rungs of one say nothing of those of another, though their levels are the same."""
    told = Told(ASHAScheduler(9, 3, 1, mode="stopping", brackets=2), seed=3)
    trials = [told.start() for _ in range(30)]
    late = [trial for trial in trials if told.scheduler.next_judged(trial, -1) == 3]
    early = [trial for trial in trials if told.scheduler.next_judged(trial, -1) == 1]
    assert told.report(early[0], 3, 0.9) is Verdict.CONTINUE
    assert told.report(late[0], 1, 0.1) is Verdict.CONTINUE
    assert told.report(late[0], 3, 0.1) is Verdict.CONTINUE, "the first of its bracket"
    assert told.report(late[1], 3, 0.05) is Verdict.STOP


def test_the_last_of_all_brackets_lets_its_trials_run_to_their_end() -> None:
    """One more than there are rungs: nothing is judged there before the last epoch."""
    told = Told(ASHAScheduler(9, 3, 1, brackets=3), seed=5)
    judged = {told.scheduler.next_judged(told.start(), -1) for _ in range(60)}
    assert judged == {1, 3, 9}


# -- what is judged next -----------------------------------------------------------------------------------------------------------


def test_a_level_that_was_passed_without_the_metric_is_judged_at_the_next_report() -> None:
    """It has it then: the trial does not run on to the level after it."""
    for scheduler in (ASHAScheduler(81, 3, 3), ASHAScheduler(81, 3, 3, mode="stopping"), ASHAScheduler(81, 3, 3, rule="ray")):
        told = Told(scheduler, {"accuracy": "maximize"})
        trial = told.start()
        assert told.scheduler.next_judged(trial, -1) == 3
        told.report(told.start(), 1, accuracy=0.5)
        assert told.report(trial, 3, loss=0.5) is Verdict.CONTINUE
        assert told.scheduler.next_judged(trial, 3) == 4


def test_a_trial_that_was_promoted_past_its_next_level_is_judged_at_its_next_report() -> None:
    """It reports every fifth epoch: the level of 3 counts at epoch 10."""
    told = Told(ASHAScheduler(81, 3, 1))
    trial = told.start()
    assert told.report(trial, 5, 0.5) is Verdict.PAUSE
    told.scheduler.apply(Resume(trial, None, 5))
    assert told.scheduler.next_judged(trial, 5) == 6
    assert told.report(trial, 10, 0.6) is Verdict.PAUSE


@pytest.mark.parametrize("every", [1, 2, 5])
def test_simulated_time_judges_as_real_time_does_where_steps_are_skipped(every: int) -> None:
    """The same trials with the same reports, paused and stopped at the same steps."""

    def reports_seldom(trial: TrialContext) -> Iterator[dict[str, Any]]:
        for step in range(trial.resume_step + every, 28, every):
            yield {"step": step, "score": trial.params["x"]} if step % 4 else {"step": step, "loss": 1.0}

    def course(scheduler: ASHAScheduler, executor: Any) -> list[tuple[str, str, int | None]]:
        xs = [number * 7 % 13 / 13 for number in range(13)]
        results = run(scheduler, xs, reports_seldom, goal={"score": "maximize"}, executor=executor)
        return [(event.trial_id, event.reason, event.step) for event in results.trace if isinstance(event, Stop) and event.trial_id]

    for scheduler in (ASHAScheduler(21, 3, 2), ASHAScheduler(21, 2, 1, mode="stopping"), ASHAScheduler(21, 2, 1, rule="syne_tune")):
        assert course(scheduler, SimulatedExecutor()) == course(scheduler, LocalExecutor())


@pytest.mark.parametrize("rule", ["ray", "syne_tune"])
def test_reports_that_come_again_are_noted_at_no_further_level(rule: Any) -> None:
    """A lost attempt that skipped levels begins anew: what it reports again is known, and new reports are noted as before."""

    def verdicts(*, lost: bool) -> list[Verdict]:
        told = Told(ASHAScheduler(81, 3, 1, rule=rule))
        first, second = told.start(), told.start()
        told.report(first, 4, 0.9)
        if lost:
            told.scheduler.apply(Reported(first, None, 2, 4, {"score": 0.9}))
        told.scheduler.apply(Reported(first, None, 2 if lost else 1, 5, {"score": 0.1}))
        return [told.report(second, step, 0.5) for step in (1, 3, 9)]

    assert verdicts(lost=True) == verdicts(lost=False) == [Verdict.CONTINUE, Verdict.STOP, Verdict.STOP]
