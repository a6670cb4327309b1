"""The deterministic runner and expander that bandit tests and examples use."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from metta_sweep.core.trial import Trial
from metta_sweep.errors import InvalidInput
from metta_sweep.testing.bandits import deterministic_expander, make_deterministic_runner


def trial(number: int, branch: str | None = "a") -> Trial:
    """A trial of a branch."""
    return Trial(id=str(number), number=number, params={}, branch=branch)


async def test_rewards_lie_between_0_and_1() -> None:
    """Whatever the noise, a reward is clipped to [0, 1]."""
    runner = make_deterministic_runner({"a": 0.5}, noise=5.0, delay_ms=0)
    rewards = [await runner(trial(number)) for number in range(200)]
    assert min(rewards) == 0.0
    assert max(rewards) == 1.0


async def test_rewards_scatter_around_the_base() -> None:
    """Mean and standard deviation are those asked for."""
    runner = make_deterministic_runner({"a": 0.5}, delay_ms=0)
    rewards = [await runner(trial(number)) for number in range(500)]
    assert statistics.mean(rewards) == pytest.approx(0.5, abs=0.01)
    assert statistics.stdev(rewards) == pytest.approx(0.05, abs=0.005)


async def test_rewards_follow_from_seed_and_trial() -> None:
    """The same seed and trial give the same reward in any order; another seed gives another."""
    runner, again = (make_deterministic_runner({"a": 0.5}, delay_ms=0.1) for _ in range(2))
    other = make_deterministic_runner({"a": 0.5}, delay_ms=0, seed=1)
    rewards = [await runner(trial(number)) for number in range(3)]
    assert [await again(trial(number)) for number in (2, 1, 0)] == rewards[::-1]
    assert await other(trial(0)) != rewards[0]


@pytest.mark.parametrize(("branch", "remedy"), [("alpa", "Did you mean 'alpha'"), (None, "expected one of alpha")])
async def test_an_unknown_branch_is_refused(branch: Any, remedy: str) -> None:
    """A branch without a base reward is one clear error."""
    with pytest.raises(InvalidInput, match=remedy):
        await make_deterministic_runner({"alpha": 0.5}, delay_ms=0)(trial(0, branch))


def test_the_expander_makes_two_follow_ups() -> None:
    """Two follow-ups, on the same branch, whose params name the parent."""
    made = deterministic_expander(trial(4))
    assert [(item.id, item.branch, item.params["parent"]) for item in made] == [("4-f1", "a", "4"), ("4-f2", "a", "4")]


@pytest.mark.parametrize(
    ("bases", "says"),
    [
        (3, "an int is no mapping of branches; found 3"),
        ({}, "there is no branch in it"),
        ({"a": 2}, r"\{'a': ...\}\): it is above 1; found 2"),
        ({"a": -0.1}, "it is below 0; found -0.1"),
        ({"a": "0.5"}, "a str is not a number; found '0.5'"),
        ({"a": float("nan")}, "it is not finite"),
    ],
)
def test_base_rewards_lie_between_0_and_1(bases: Any, says: str) -> None:
    """What is no base reward is refused when the runner is made, and not clipped."""
    with pytest.raises(InvalidInput, match=says) as caught:
        make_deterministic_runner(bases)
    assert caught.value.remedy
