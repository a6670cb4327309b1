"""The bandit arithmetic, and the index against the plain scan."""

from __future__ import annotations

import random
from math import inf, log, sqrt

import pytest

from metta_sweep.core.bandit import ArmState, PendingRule, scaled, ucb_bonus, ucb_score
from metta_sweep.core.ucb import OTHERS_LIMIT, UcbIndex
from metta_sweep.errors import SchedulerError
from metta_sweep.testing.bandits import naive_best

RULES: tuple[PendingRule, ...] = ("mean", "pessimistic")


def test_score_is_ucb1() -> None:
    """The score is mean + c * sqrt(ln(total) / n), as published."""
    assert ucb_score(0.5, 4, 10, sqrt(2)) == 0.5 + sqrt(2) * sqrt(log(10) / 4)
    assert ucb_score(0.5, 0, 10, sqrt(2)) == inf
    assert ucb_bonus(4, log(10), 0.0) == 0.0


def test_scaled_maps_the_range_to_0_and_1() -> None:
    """The lowest reward counts as 0, the highest as 1; without a range that can be divided by every mean counts as 0.5."""
    assert [scaled(mean, -4.0, 4.0) for mean in (-4.0, 0.0, 4.0)] == [0.0, 0.5, 1.0]
    assert scaled(1e6 + 1.5, 1e6 + 1, 1e6 + 2) == 0.5
    assert scaled(3.0, 3.0, 3.0) == 0.5
    assert scaled(0.0, -1e308, 1e308) == 0.5
    assert scaled(5e-324, 0.0, 5e-324) == 1.0


def test_nothing_open_has_no_best() -> None:
    """Without an open arm there is no choice; closed arms count in the total all the same."""
    index: UcbIndex[str] = UcbIndex(1.0)
    assert index.best() is None
    index.set("a", 3, 1, 2.0, 0, open=False)
    assert index.best() is None
    assert index.total == 4


def test_untried_first_in_queue_order() -> None:
    """An arm without any pull scores inf and comes before all others, the earliest first."""
    index: UcbIndex[str] = UcbIndex(sqrt(2))
    index.set("tried", 1, 0, 1.0, 0)
    index.set("late", 0, 0, 0.0, 2)
    index.set("early", 0, 0, 0.0, 1)
    best = index.best()
    assert best is not None
    assert (best.arm, best.score, best.mean, best.bonus, best.compared) == ("early", inf, None, None, 3)
    assert dict(best.others) == {"late": inf, "tried": ucb_score(1.0, 1, 1, sqrt(2))}


def test_pending_only_arm_uses_the_mean_of_all_runs() -> None:
    """An arm with nothing but pending pulls counts with the mean of all runs, which moves with every run."""
    index: UcbIndex[str] = UcbIndex(0.0)
    index.set("pending", 0, 1, 0.0, 0)
    index.set("a", 2, 0, 1.0, 1)
    best = index.best()
    assert best is not None
    assert best.arm == "pending"
    assert best.mean == 0.5
    index.set("b", 2, 0, 0.0, 2)
    best = index.best()
    assert best is not None
    assert best.arm == "a"
    assert dict(best.others)["pending"] == 0.25


def test_pessimistic_counts_pending_as_nothing() -> None:
    """A pending pull lowers the mean as a reward of 0 would."""
    index: UcbIndex[str] = UcbIndex(1.0, "pessimistic")
    index.set("a", 1, 1, 1.0, 0)
    best = index.best()
    assert best is not None
    assert best.mean == 0.5


def test_pessimistic_on_an_observed_range_counts_pending_as_the_lowest() -> None:
    """Where rewards are negative a 0 would be praise: the lowest reward seen takes its place."""
    index: UcbIndex[str] = UcbIndex(0.0, "pessimistic")
    index.set("a", 1, 1, -2.0, 0)
    index.set("b", 2, 0, -8.0, 1)
    index.scale(-6.0, -2.0)
    best = index.best()
    assert best is not None
    assert best.mean == 0.5
    assert dict(best.others) == {"b": 0.5} if best.arm == "a" else {"a": 0.5}
    assert best.arm == "a"


def test_equal_pulls_prefer_the_higher_mean_over_the_earlier() -> None:
    """Among equally often pulled arms a higher mean wins even where rounding makes the scores equal."""
    index: UcbIndex[str] = UcbIndex(1e9)
    index.set("early", 3, 0, 1.0, 0)
    index.set("better", 3, 0, 1.0 + 2**-50, 1)
    best = index.best()
    assert best is not None
    assert best.arm == "better"
    assert dict(best.others)["early"] == best.score


def test_equal_scores_of_different_pulls_prefer_the_earlier() -> None:
    """Between different numbers of pulls equal scores go by queue order."""
    index: UcbIndex[str] = UcbIndex(0.0)
    index.set("late", 1, 0, 0.5, 7)
    index.set("early", 2, 0, 1.0, 3)
    best = index.best()
    assert best is not None
    assert best.arm == "early"


def test_others_are_all_of_few_and_the_best_of_each_count_of_many() -> None:
    """Up to 32 open arms all scores are shown, beyond that the best of each number of pulls."""
    index: UcbIndex[int] = UcbIndex(1.0)
    for arm in range(OTHERS_LIMIT):
        index.set(arm, 1 + arm % 2, 0, arm / 100, arm)
    best = index.best()
    assert best is not None
    assert len(best.others) == OTHERS_LIMIT - 1
    index.set(OTHERS_LIMIT, 3, 0, 0.1, OTHERS_LIMIT)
    best = index.best()
    assert best is not None
    assert (best.compared, {arm for arm, _ in best.others} | {best.arm}) == (33, {30, 31, 32})


def test_rewards_must_be_finite() -> None:
    """A reward that is not a number is refused by name, and nothing is changed."""
    index: UcbIndex[str] = UcbIndex(1.0)
    index.set("a", 1, 0, 1.0, 0)
    with pytest.raises(SchedulerError, match=r"reward_sum=.*'a'.*nan"):
        index.set("a", 2, 0, float("nan"), 0)
    assert index.state("a") == ArmState(1, 0, 1.0, 0, True)


def test_overlay_is_undone_to_the_bit() -> None:
    """What is set within an overlay leaves no trace: states, new arms, sums and the choice."""
    index: UcbIndex[str] = UcbIndex(1.0)
    for order, arm in enumerate("abc"):
        index.set(arm, 3, 1, 0.1 * (order + 1), order)
    before = (index.states(), index.total, index.mean, index.best())
    with index.overlay():
        index.set("a", 3, 2, 0.1, 9)
        index.set("a", 4, 1, 0.7, 9, open=False)
        index.set("new", 0, 1, 0.0, 1)
        with index.overlay():
            index.set("b", 9, 9, 9.0, 9)
            index.set("new", 1, 0, 1.0, 1)
        assert index.state("b") == ArmState(3, 1, 0.2, 1, True)
        assert index.state("new") == ArmState(0, 1, 0.0, 1, True)
    assert (index.states(), index.total, index.mean, index.best()) == before


def test_overlay_is_undone_after_an_error() -> None:
    """An error within an overlay passes, and the overlay is undone."""
    index: UcbIndex[str] = UcbIndex(1.0)
    index.set("a", 1, 0, 1.0, 0)

    def fail() -> None:
        with index.overlay():
            index.set("a", 1, 1, 1.0, 0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert index.state("a") == ArmState(1, 0, 1.0, 0, True)


def _check(index: UcbIndex[int], c: float, rule: PendingRule, observed: tuple[float, float] | None) -> None:
    best = index.best()
    expected = naive_best(index.states(), c=c, pending=rule, observed=observed)
    assert (None if best is None else (best.arm, best.score)) == expected
    if best is not None and best.mean is not None and best.bonus is not None:
        assert best.mean + best.bonus == best.score


def _random_state(rng: random.Random, arm: int) -> tuple[int, int, int, float, int, bool]:
    runs = rng.choice((0, 0, 1, 2, 3, rng.randrange(20)))
    pending = rng.choice((0, 0, 0, 1, 2))
    # Dyadic rewards have exact sums, so that both sides know the same mean of all runs.
    reward_sum = sum(rng.randrange(-16, 65) for _ in range(runs)) / 64
    return arm, runs, pending, reward_sum, rng.randrange(10**6) * 100 + arm, rng.random() < 0.8


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_index_equals_the_naive_scan(rule: PendingRule, scaled: bool, seed: int) -> None:
    """Over 10,000 random states in all, overlays and their undoing included, index and scan choose alike, to the bit."""
    rng = random.Random(f"{rule}{scaled}{seed}")
    c = rng.choice((0.0, 0.1, sqrt(2), 5.0))
    arms = rng.choice((3, 12, 60))
    index: UcbIndex[int] = UcbIndex(c, rule)
    observed: tuple[float, float] | None = None
    for step in range(500):
        if scaled and step % 50 == 0:
            low = -rng.randrange(5) / 4
            observed = (low, low + rng.randrange(3))
            index.scale(*observed)
        index.set(*_random_state(rng, rng.randrange(arms)))
        _check(index, c, rule, observed)
        if step % 10 == 0:
            before = index.states()
            with index.overlay():
                for _ in range(3):
                    index.set(*_random_state(rng, rng.randrange(arms)))
                    _check(index, c, rule, observed)
            assert index.states() == before
            _check(index, c, rule, observed)


@pytest.mark.parametrize("rule", RULES)
def test_following_the_policy_the_index_equals_the_naive_scan(rule: PendingRule) -> None:
    """Along a run of the policy itself, with several pulls pending, every choice is the scan's; stale entries stay few."""
    rng = random.Random(7)
    index: UcbIndex[int] = UcbIndex(sqrt(2), rule)
    states = {arm: ArmState(0, 0, 0.0, arm, True) for arm in range(40)}
    for arm, state in states.items():
        index.set(arm, *state)
    flying: list[int] = []
    for _ in range(1000):
        best = index.best()
        assert best is not None
        assert (best.arm, best.score) == naive_best(states, c=sqrt(2), pending=rule)
        state = states[best.arm]
        states[best.arm] = state._replace(pending=state.pending + 1)
        index.set(best.arm, *states[best.arm])
        flying.append(best.arm)
        if len(flying) > 5:
            arm = flying.pop(rng.randrange(len(flying)))
            state = states[arm]
            reward = float(rng.random() < arm / 40)
            states[arm] = state._replace(runs=state.runs + 1, pending=state.pending - 1, reward_sum=state.reward_sum + reward)
            index.set(arm, *states[arm])
