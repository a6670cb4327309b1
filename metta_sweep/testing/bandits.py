"""Bandit problems whose answers are known: a deterministic runner, its expander, and the plain scan to compare pickers with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from math import cos, log1p, pi, sqrt
from typing import Protocol, TypeVar

from metta_sweep.core.bandit import ArmState, PendingRule, scaled, ucb_score
from metta_sweep.core.numbers import check_number
from metta_sweep.core.seeds import derive_seed, unit_floats
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import InvalidInput, a_kind, did_you_mean

__all__ = ["BranchTrial", "deterministic_expander", "make_deterministic_runner", "naive_best"]

A = TypeVar("A", bound=Hashable)


class BranchTrial(Protocol):
    """What the deterministic runner reads of a trial, be it a ``TrialContext`` or a ``Trial``."""

    @property
    def id(self) -> str:
        """The trial's id."""
        ...

    @property
    def branch(self) -> str | None:
        """The trial's branch."""
        ...


def make_deterministic_runner(
    base_rewards: Mapping[str, float], noise: float = 0.05, delay_ms: float = 5, seed: int = 0
) -> Callable[[BranchTrial], Awaitable[float]]:
    """A trial function whose reward is ``clip(base_rewards[branch] + Normal(0, noise), 0, 1)``, a function of seed and trial id.

    Args:
        base_rewards: the mean reward of each branch, before clipping.
        noise: standard deviation, in units of reward.
        delay_ms: how long each trial sleeps, in milliseconds.
        seed: another seed, other noise.

    Raises:
        InvalidInput: a base reward is no number in [0, 1]; (when called) the trial's branch has none.
    """
    _check_bases(base_rewards)

    async def runner(trial: BranchTrial) -> float:
        branch = trial.branch
        if branch is None or branch not in base_rewards:
            guess = did_you_mean(str(branch), base_rewards)
            raise InvalidInput(
                "make_deterministic_runner(base_rewards=)",
                f"trial {trial.id!r} has a branch without a base reward",
                found=branch,
                expected="one of " + ", ".join(base_rewards),
                remedy=f"Did you mean {guess!r}?" if guess else None,
            )
        if delay_ms > 0:
            await asyncio.sleep(delay_ms / 1000)
        reward = base_rewards[branch] + noise * _normal(derive_seed("deterministic runner", seed, trial.id))
        return min(1.0, max(0.0, reward))

    return runner


def deterministic_expander(trial: Trial) -> list[Suggestion]:
    """Two follow-ups of any trial, ``<id>-f1`` and ``<id>-f2``, on its branch, with its id in their params."""
    return [
        Suggestion(id=f"{trial.id}-f{number}", branch=trial.branch, params={"parent": trial.id, "follow_up": number})
        for number in (1, 2)
    ]


def naive_best(
    arms: Mapping[A, ArmState], *, c: float, pending: PendingRule = "mean", observed: tuple[float, float] | None = None
) -> tuple[A, float] | None:
    """The open arm with the highest UCB score, and the score, by looking at all arms: what any exact picker must agree with.

    Args:
        arms: states by arm.
        c: exploration weight.
        pending: what pending pulls count as.
        observed: the rewards that count as 0 and 1; None: rewards count as they are.
    """
    runs = sum(state.runs for state in arms.values())
    prior = sum(state.reward_sum for state in arms.values()) / runs if runs else 0.0
    total = sum(state.runs + state.pending for state in arms.values())
    low = observed[0] if observed else 0.0
    firsts: dict[int, tuple[float, int, A]] = {}
    for arm, state in arms.items():
        n = state.runs + state.pending
        if not state.open:
            continue
        if n == 0:
            mean = 0.0
        elif pending == "pessimistic":
            mean = (state.reward_sum + state.pending * low) / n
        else:
            mean = state.reward_sum / state.runs if state.runs else prior
        if n not in firsts or (-mean, state.order) < (-firsts[n][0], firsts[n][1]):
            firsts[n] = (mean, state.order, arm)
    scored = [
        (ucb_score(scaled(mean, *observed) if observed else mean, n, total, c), -order, arm)
        for n, (mean, order, arm) in firsts.items()
    ]
    if not scored:
        return None
    score, _, best = max(scored, key=lambda item: item[:2])
    return best, score


def _check_bases(base_rewards: object) -> None:
    where = "make_deterministic_runner(base_rewards=)"
    if not isinstance(base_rewards, Mapping) or not base_rewards:
        what = (
            "there is no branch in it" if isinstance(base_rewards, Mapping) else f"{a_kind(base_rewards)} is no mapping of branches"
        )
        raise InvalidInput(
            where, what, found=base_rewards, expected="a mapping of branches to rewards", remedy="Write {'a': 0.7, 'b': 0.3}, say"
        )
    for branch, base in base_rewards.items():
        place = f"make_deterministic_runner(base_rewards={{{branch!r}: ...}})"
        check_number(base, place, InvalidInput, at_least=0, at_most=1, remedy="Give the mean reward of the branch, such as 0.7")


def _normal(seed: int) -> float:
    """A standard normal deviate (Box and Muller 1958)."""
    radius, angle = unit_floats(seed, 0, 2)
    return sqrt(-2.0 * log1p(-radius)) * cos(2.0 * pi * angle)
