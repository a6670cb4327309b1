"""Hyperband, and synchronous successive halving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from metta_sweep.core.events import Dispatch, Paused, Pick, Reported, Resume
from metta_sweep.core.failures import FailurePolicy
from metta_sweep.core.trial import TrialState
from metta_sweep.errors import MetricError, SchedulerError, UnknownOption
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments import SweepExperiment, SweepResult
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import HyperbandScheduler
from metta_sweep.schedulers.halving import Bracket, BracketPlan, bracket_plans
from metta_sweep.store import MemoryStore
from metta_sweep.testing import run_virtual
from metta_sweep.testing.scheduler_sweeps import Curve, SchedulerSweep


def climbs(trial: TrialContext) -> Iterator[dict[str, Any]]:
    """Rises to its parameter; goes on where it was."""
    for step in range(trial.resume_step + 1, 1000):
        yield {"step": step, "score": trial.params["x"] * (1 - 0.5**step)}


def run(
    scheduler: HyperbandScheduler, count: int, objective: Any = climbs, budget: int | None = None, **options: Any
) -> SweepResult:
    """A sweep over ``count`` values, the best one last, with one slot."""
    experiment = SweepExperiment(
        **{
            "objective": objective,
            "optimizer": SuggestionQueue([{"x": number / count} for number in range(count)]),
            "scheduler": scheduler,
            "store": "memory",
            "slots": 1,
            "seed": 1,
            **options,
        }
    )
    return run_virtual(experiment.arun(budget))


def ends(results: SweepResult) -> list[tuple[str, int]]:
    """Each trial's state and last step."""
    return [(trial.state.value, trial.last_report.step if trial.last_report else 0) for trial in results.trials]


def test_the_brackets_are_those_of_the_paper() -> None:
    """Table 1 of the paper, for 81 epochs and a factor of 3."""
    assert bracket_plans(81, 3) == [
        BracketPlan(81, (1, 3, 9, 27, 81)),
        BracketPlan(34, (3, 9, 27, 81)),
        BracketPlan(15, (9, 27, 81)),
        BracketPlan(8, (27, 81)),
        BracketPlan(5, (81,)),
    ]


@pytest.mark.parametrize(("epochs", "factor", "count"), [(243, 3, 6), (1000, 10, 4), (3**30, 3, 31), (80, 3, 4), (1, 2, 1)])
def test_no_bracket_is_lost_by_rounding(epochs: int, factor: int, count: int) -> None:
    """Logarithms of floats would lose some; the last level of each is the last epoch."""
    plans = bracket_plans(epochs, factor)
    assert len(plans) == count
    assert all(plan.levels[-1] == epochs and plan.levels[0] >= 1 for plan in plans)


def test_a_grace_period_leaves_out_the_brackets_that_end_trials_earlier() -> None:
    """And the sizes are those of fewer brackets."""
    assert bracket_plans(81, 3, 9) == [BracketPlan(9, (9, 27, 81)), BracketPlan(5, (27, 81)), BracketPlan(3, (81,))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 0}, "max_epochs"),
        ({"reduction_factor": 1}, "at least 2"),
        ({"grace_period": 100}, "at most max_epochs=81"),
        ({"brackets": 6}, "at most 5"),
        ({"brackets": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    """When the scheduler is made."""
    with pytest.raises(SchedulerError, match=message):
        HyperbandScheduler(**options)


def test_unknown_options_are_refused_with_the_right_name() -> None:
    """A misspelt one."""
    with pytest.raises(UnknownOption, match="Did you mean 'brackets'"):
        HyperbandScheduler(bracket=1)  # type: ignore[arg-type]


def test_one_bracket_halves_round_by_round() -> None:
    """Nine trials with 1 epoch, the best three with 3, the best of them with 9; the others are stopped."""
    results = run(HyperbandScheduler(9, brackets=1), 9)

    assert ends(results) == [("stopped", 1)] * 6 + [("stopped", 3)] * 2 + [("completed", 9)]
    assert Counter(type(event) for event in results.trace)[Reported] == 9 + 3 * 2 + 6


def test_nobody_goes_on_before_the_last_of_the_round_has_come() -> None:
    """Rounds are synchronous: the first resume comes after the ninth pause, best first."""
    results = run(HyperbandScheduler(9, brackets=1), 9)

    course = [event for event in results.trace if isinstance(event, Paused | Resume)]
    first = next(place for place, event in enumerate(course) if isinstance(event, Resume))
    assert first == 9
    assert [event.trial_id for event in course if isinstance(event, Resume)] == ["8", "7", "6", "8"]


def test_brackets_come_in_turn() -> None:
    """Nine trials from 1 epoch, five from 3, three that run all 9; then from the first again."""
    results = run(HyperbandScheduler(9), 26)

    firsts = {event.trial_id: event.step for event in reversed(list(results.trace)) if isinstance(event, Paused)}
    paused_at = [firsts.get(str(number), 9) for number in range(26)]
    assert paused_at == [1] * 9 + [3] * 5 + [9] * 3 + [1] * 9
    assert Counter(state for state, _ in ends(results)) == {"completed": 1 + 1 + 3 + 1, "stopped": 20}


def test_free_slots_begin_the_next_bracket() -> None:
    """A straggler holds up its own bracket, and no slot."""
    sweep = SchedulerSweep(lambda: HyperbandScheduler(9), trials=26, epochs=9)
    curve = Curve(9, slow_above=0.9)
    results = sweep.run(curve, slots=4)

    assert curve.most == 4
    kinds = [event.kind for event in results.trace]
    assert kinds[: kinds.index("wait")].count("pick") == 26, "no slot is idle while there are trials to start"


def test_a_bracket_that_the_budget_cuts_short_goes_on_with_what_it_has() -> None:
    """Seven of nine: two go on, and one of them to the end."""
    results = run(HyperbandScheduler(9, brackets=1), 30, budget=7)

    assert ends(results) == [("stopped", 1)] * 5 + [("stopped", 3), ("completed", 9)]
    assert results.stop_reason == "budget_trials"


def test_a_larger_budget_begins_a_new_bracket() -> None:
    """What was cut short is over; nothing of it is done again."""
    store = MemoryStore()
    first = ends(run(HyperbandScheduler(9, brackets=1), 30, budget=4, name="halving", store=store))
    second = ends(run(HyperbandScheduler(9, brackets=1), 30, budget=13, name="halving", store=store))

    assert first == [("stopped", 1)] * 3 + [("completed", 9)]
    assert second == first + [("stopped", 1)] * 6 + [("stopped", 3)] * 2 + [("completed", 9)]


def test_failed_trials_are_out_and_nobody_waits_for_them() -> None:
    """The best trials fail at step 2: the places that they had are not filled, as they came to the rung."""

    def fails(trial: TrialContext) -> Iterator[dict[str, Any]]:
        for step in range(trial.resume_step + 1, 10):
            if step == 1 and trial.params["x"] > 0.7:
                raise ValueError("diverged")
            yield {"step": step, "score": trial.params["x"]}

    results = run(HyperbandScheduler(9, brackets=1), 9, fails)

    assert ends(results) == [("stopped", 1)] * 4 + [("stopped", 3)] * 2 + [("completed", 9)] + [("failed", 0)] * 2


def test_a_round_in_which_all_fail_ends_its_bracket() -> None:
    """And the next one begins."""

    def fails(trial: TrialContext) -> Iterator[dict[str, Any]]:
        if trial.number < 9:
            raise ValueError("diverged")
        yield from climbs(trial)

    results = run(HyperbandScheduler(9, brackets=1), 18, fails, failures=FailurePolicy(tolerated_rate=1.0))

    assert Counter(state for state, _ in ends(results)) == {"failed": 9, "stopped": 8, "completed": 1}


def test_trials_that_end_by_themselves_leave_their_bracket() -> None:
    """A function that only returns is complete, and the next trials start."""
    results = run(HyperbandScheduler(9), 12, lambda x: x)

    assert {state for state, _ in ends(results)} == {"completed"}
    assert Counter(type(event) for event in results.trace)[Pick] == Counter(type(event) for event in results.trace)[Dispatch] == 12


def test_a_metric_that_no_report_has_is_an_error_at_the_first_rung() -> None:
    """Otherwise nothing would ever be stopped."""

    def reports_loss(trial: TrialContext) -> Iterator[dict[str, float]]:
        for _ in range(9):
            yield {"loss": 0.5}

    with pytest.raises(MetricError, match="HyperbandScheduler judges trials by what they report"):
        run(HyperbandScheduler(9), 9, reports_loss, goal={"accuracy": "maximize"})


def test_equal_values_go_on_in_the_order_in_which_they_came() -> None:
    """Ties are no matter of chance."""
    bracket = Bracket(BracketPlan(4, (1, 2, 4)), 2)
    for trial in "abcd":
        bracket.start(trial)
    for trial in "bdca":
        bracket.wait(trial, 0.5)
    assert list(bracket.to_resume) == ["b", "d"]
    assert list(bracket.to_drop) == ["c", "a"]


def test_trials_are_settled_whatever_the_slots() -> None:
    """None is left paused when the run is over."""
    for slots in (1, 2, 7):
        sweep = SchedulerSweep(lambda: HyperbandScheduler(9, 2), trials=31, epochs=9)
        states = {trial.state for trial in sweep.run(slots=slots).trials}
        assert states == {TrialState.COMPLETED, TrialState.STOPPED}
