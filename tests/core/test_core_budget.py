"""Budgets, failure policies, resources and stop reasons."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metta_sweep.core.budget import Budget, Spend, StopReason
from metta_sweep.core.failures import FailurePolicy
from metta_sweep.core.resources import Resources
from metta_sweep.errors import BudgetError, UnknownOption


def test_budgets_as_users_write_them() -> None:
    """A number is a number of trials; None caps nothing; zero is a budget."""
    assert Budget.of(60) == Budget(trials=60)
    assert Budget.of(np.int64(60)) == Budget(trials=60)  # type: ignore[arg-type]
    assert Budget.of(Budget(seconds=3)) == Budget(seconds=3)
    assert Budget.of(None) == Budget()
    assert Budget.of(0) == Budget(trials=0)
    assert Budget.of(Budget(cost=0)) != Budget()


def test_budgets_are_plain() -> None:
    """A budget describes itself in JSON, numpy numbers included."""
    budget = Budget(trials=np.int64(3), seconds=np.float32(1.5))  # type: ignore[arg-type]
    assert json.loads(json.dumps(budget.describe())) == {"trials": 3, "seconds": 1.5, "cost": None}


def test_plus_adds_trials() -> None:
    """More trials raise the cap on trials and leave the others; without that cap nothing changes."""
    assert Budget(trials=3, seconds=9).plus(2) == Budget(trials=5, seconds=9)
    assert Budget(seconds=9).plus(2) == Budget(seconds=9)


def test_nothing_is_spent_at_first() -> None:
    """A spend starts at nothing."""
    assert Spend() == (0, 0.0, 0.0)


def test_stop_reasons_in_their_order() -> None:
    """The reasons are strings, in the order in which the first that applies is given."""
    assert [reason.value for reason in StopReason] == [
        "interrupted",
        "failure_rate",
        "budget_time",
        "budget_trials",
        "budget_cost",
        "stopped_by_scheduler",
        "all_branches_pruned",
        "queue_empty",
        "optimizer_exhausted",
        "executor_exhausted",
    ]
    assert str(StopReason.BUDGET_TRIALS) == "budget_trials"
    assert all(reason.meaning for reason in StopReason)
    assert [reason for reason in StopReason if reason.is_bad] == ["interrupted", "failure_rate", "executor_exhausted"]


def test_delays_double_or_follow_a_list() -> None:
    """A number doubles with each failed attempt; of a list the last delay repeats."""
    assert [FailurePolicy(retries=3, backoff=0.5).delay(attempt) for attempt in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert [FailurePolicy(retries=3, backoff=[1, 5]).delay(attempt) for attempt in (1, 2, 3)] == [1, 5, 5]
    assert FailurePolicy().delay(1) == 0.0
    assert math.isfinite(FailurePolicy(retries=5000, backoff=1.0).delay(5000))


@pytest.mark.parametrize(
    ("failed", "dispatched", "exceeded"),
    [(4, 4, False), (5, 10, False), (5, 9, True), (6, 11, True), (0, 0, False)],
)
def test_the_failure_rate_is_strict(failed: int, dispatched: int, exceeded: bool) -> None:
    """A run stops when more than the tolerated share failed, once enough failed to tell."""
    assert FailurePolicy(tolerated_rate=0.5, min_failed=5).exceeded(failed, dispatched) is exceeded


def test_a_rate_of_one_never_stops() -> None:
    """When everything may fail, nothing stops a run."""
    assert not FailurePolicy(tolerated_rate=1.0, min_failed=1).exceeded(10, 10)


def test_policies_and_resources_describe_themselves() -> None:
    """Policies and resources are frozen, hashable, and describe themselves in JSON."""
    policy, resources = FailurePolicy(backoff=[1, 2.5]), Resources(gpus=1, time_limit=3600)
    assert json.loads(json.dumps(policy.describe())) == {"retries": 0, "backoff": [1, 2.5], "tolerated_rate": 0.5, "min_failed": 5}
    assert resources.describe() == {"cpus": None, "gpus": 1, "memory": None, "time_limit": 3600}
    assert len({policy, resources}) == 2
    with pytest.raises(AttributeError):
        resources.gpus = 2  # type: ignore[misc]


MALFORMED: list[tuple[Any, str, Any, str]] = [
    (lambda: Budget(trials=-1), "Budget(trials=)", -1, "Leave it out"),
    (lambda: Budget(trials=10.0), "Budget(trials=)", 10.0, "Leave it out"),  # type: ignore[arg-type]
    (lambda: Budget(trials=True), "Budget(trials=)", True, "Leave it out"),
    (lambda: Budget(trials="10"), "Budget(trials=)", "10", "Leave it out"),  # type: ignore[arg-type]
    (lambda: Budget(seconds=math.inf), "Budget(seconds=)", math.inf, "Leave it out"),
    (lambda: Budget(seconds=math.nan), "Budget(seconds=)", math.nan, "Leave it out"),
    (lambda: Budget(seconds="1h"), "Budget(seconds=)", "1h", "Leave it out"),  # type: ignore[arg-type]
    (lambda: Budget(cost=-0.5), "Budget(cost=)", -0.5, "Leave it out"),
    (lambda: Budget.of(True), "budget", True, "Write budget=100"),
    (lambda: Budget.of(-3), "budget", -3, "Write budget=100"),
    (lambda: Budget.of("60"), "budget", "60", "Write budget=100"),  # type: ignore[arg-type]
    (lambda: Budget.of(1.5), "budget", 1.5, "Write Budget(seconds=1.5)"),  # type: ignore[arg-type]
    (lambda: Budget(trials=1).plus(-1), "Budget.plus(trials)", -1, "number of trials to add"),
    (lambda: FailurePolicy(retries=-1), "FailurePolicy(retries=)", -1, "Write 0"),
    (lambda: FailurePolicy(retries=1.5), "FailurePolicy(retries=)", 1.5, "Write 0"),  # type: ignore[arg-type]
    (lambda: FailurePolicy(backoff=-1), "FailurePolicy(backoff=)", -1, "Give seconds"),
    (lambda: FailurePolicy(backoff="1s"), "FailurePolicy(backoff=)", "1s", "Give seconds"),  # type: ignore[arg-type]
    (lambda: FailurePolicy(backoff=[]), "FailurePolicy(backoff=)", [], "Give seconds"),
    (lambda: FailurePolicy(backoff=[1, math.nan]), "FailurePolicy(backoff=) at position 1", math.nan, "Give seconds"),
    (lambda: FailurePolicy(tolerated_rate=50), "FailurePolicy(tolerated_rate=)", 50, "Give a share"),
    (lambda: FailurePolicy(min_failed=0), "FailurePolicy(min_failed=)", 0, "Write 1"),
    (lambda: Resources(cpus=0), "Resources(cpus=)", 0, "Leave it out"),
    (lambda: Resources(gpus=-1), "Resources(gpus=)", -1, "Write 0"),
    (lambda: Resources(gpus=None), "Resources(gpus=)", None, "Write 0"),  # type: ignore[arg-type]
    (lambda: Resources(memory="4GB"), "Resources(memory=)", "4GB", "Give bytes"),  # type: ignore[arg-type]
    (lambda: Resources(memory=0), "Resources(memory=)", 0, "Give bytes"),
    (lambda: Resources(time_limit=0), "Resources(time_limit=)", 0, "Give seconds"),
    (lambda: Resources(time_limit=True), "Resources(time_limit=)", True, "Give seconds"),
]


@pytest.mark.parametrize(("make", "where", "found", "remedy"), MALFORMED)
def test_malformed_budgets_are_refused(make: Any, where: str, found: Any, remedy: str) -> None:
    """What cannot be kept is refused with the argument, the value found and the way to mend it."""
    with pytest.raises(BudgetError) as caught:
        make()
    assert caught.value.where == where
    assert caught.value.found is found or caught.value.found == found
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("make", "name", "guess"),
    [
        (lambda: Budget(max_experiments=3), "max_experiments", "trials"),  # type: ignore[arg-type]
        (lambda: Budget(n_trials=3), "n_trials", "trials"),  # type: ignore[arg-type]
        (lambda: Budget(max_seconds=3), "max_seconds", "seconds"),  # type: ignore[arg-type]
        (lambda: Budget(timeout=3), "timeout", "seconds"),  # type: ignore[arg-type]
        (lambda: Budget(max_cost=3), "max_cost", "cost"),  # type: ignore[arg-type]
        (lambda: Budget(trails=3), "trails", "trials"),  # type: ignore[arg-type]
        (lambda: Budget(time=3), "time", "seconds"),  # type: ignore[arg-type]
        (lambda: FailurePolicy(max_retries=3), "max_retries", "retries"),  # type: ignore[arg-type]
        (lambda: Resources(gpu=1), "gpu", "gpus"),  # type: ignore[arg-type]
        (lambda: Resources(num_gpus=1), "num_gpus", "gpus"),  # type: ignore[arg-type]
        (lambda: Resources(timeout=1), "timeout", "time_limit"),  # type: ignore[arg-type]
    ],
)
def test_foreign_names_get_did_you_mean(make: Any, name: str, guess: str) -> None:
    """Names that people bring from elsewhere are refused with the one that they have here."""
    with pytest.raises(UnknownOption, match=f"unknown option '{name}'.*Did you mean '{guess}'?"):
        make()


def test_kinds_have_their_article() -> None:
    """Messages say "an int", and "a str"."""
    with pytest.raises(BudgetError, match="an object is not a whole number"):
        Budget(trials=object())  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="a str is no budget"):
        Budget.of("60")  # type: ignore[arg-type]


def test_policies_and_resources_are_copied_as_they_are() -> None:
    """Copies, and copies with a change, are equal to what the constructor makes."""
    assert replace(FailurePolicy(retries=2), min_failed=1) == FailurePolicy(retries=2, min_failed=1)
    assert replace(Resources(gpus=2), cpus=1) == Resources(cpus=1, gpus=2)
    assert pickle.loads(pickle.dumps(Resources(gpus=2))) == copy.deepcopy(Resources(gpus=2)) == Resources(gpus=2)
