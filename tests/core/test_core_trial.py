"""Trials: states, their one table, and seeds."""

from __future__ import annotations

import itertools

import pytest

from metta_sweep.core.branch import BranchStats
from metta_sweep.core.seeds import derive_seed, unit_floats
from metta_sweep.core.trial import (
    ACTIVE_STATES,
    TERMINAL_STATES,
    TRANSITIONS,
    Report,
    Suggestion,
    Trial,
    TrialState,
    check_transition,
    metric_mean,
)
from metta_sweep.errors import IllegalTransition


@pytest.mark.parametrize(("before", "after"), list(itertools.product(TrialState, TrialState)))
def test_only_the_table_allows_transitions(before: TrialState, after: TrialState) -> None:
    """What the table allows passes; anything else raises and tells the trial, the states and what is allowed."""
    if after in TRANSITIONS[before]:
        check_transition("7", before, after, "result")
        return
    with pytest.raises(IllegalTransition, match=f"trial '7' is {before} and cannot become {after} by 'result'"):
        check_transition("7", before, after, "result")


def test_nothing_follows_an_end() -> None:
    """Completed, stopped and failed trials are at their end; all other states lead to one."""
    assert {TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED} == TERMINAL_STATES
    assert {TrialState.PENDING, TrialState.RUNNING, TrialState.PAUSED} == ACTIVE_STATES
    assert all(TRANSITIONS[state] & TERMINAL_STATES for state in ACTIVE_STATES)


def test_trials_and_suggestions_are_frozen() -> None:
    """A trial is one moment: it cannot be changed."""
    trial = Trial(id="0", number=0, params={"x": 1})
    with pytest.raises(AttributeError):
        trial.score = 1.0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Suggestion(params={}).branch = "a"  # type: ignore[misc]
    assert trial.last_report is None
    assert Trial(id="0", number=0, params={}, reports=(Report(1, {}), Report(2, {"a": 1.0}))).last_report == Report(2, {"a": 1.0})


def test_the_mean_of_a_metric() -> None:
    """The value of a metric is the number, or the mean beside its standard error."""
    assert metric_mean(0.5) == metric_mean((0.5, 0.1)) == 0.5


def test_the_mean_of_a_branch() -> None:
    """The mean reward leaves out runs without a value, and is 0 before the first."""
    assert BranchStats("a").mean == 0.0
    assert BranchStats("a", runs=3, reward_sum=1.0, unvalued=1).mean == 0.5


def test_derived_seeds_tell_their_parts_apart() -> None:
    """Seeds depend on each part, its type and the borders between parts, and are the same in every process."""
    parts: list[tuple[int | str, ...]] = [(1,), ("1",), ("ab", "c"), ("a", "bc"), ("abc",), (1, "trial"), (11, "trial")]
    assert len({derive_seed(*part) for part in parts}) == len(parts)
    assert derive_seed(0, "optimizer") == 1373541565270654260
    assert all(0 <= derive_seed(*part) < 2**63 for part in parts)


def test_unit_floats_are_a_function_of_seed_and_index() -> None:
    """Draws are in [0, 1), need none before them, and a longer draw begins as a shorter one."""
    assert unit_floats(1, 5, 12)[:3] == unit_floats(1, 5, 3)
    assert unit_floats(1, 5, 3) != unit_floats(1, 6, 3)
    assert unit_floats(1, 5, 3) != unit_floats(2, 5, 3)
    assert all(0 <= u < 1 for u in unit_floats(0, 0, 1000))
    assert unit_floats(0, 0, 0) == []
