"""Pretend values of trials in flight."""

from __future__ import annotations

import pytest

from metta_sweep.errors import OptimizerError
from metta_sweep.optimizers.liar import check_liar, check_model_liar, pretend


@pytest.mark.parametrize(
    ("sign", "liar", "value"), [(1, "worst", 1.0), (1, "best", 6.0), (-1, "worst", 6.0), (1, "mean", 3.0), (-1, "mean", 3.0)]
)
def test_the_liar_says_the_worst_best_or_mean_score(sign: int, liar: str, value: float) -> None:
    """In the direction of the goal, in the user's units."""
    assert pretend([2.0, 1.0, 6.0], sign, check_liar(liar, "liar")) == pytest.approx(value)


def test_the_best_pretend_value_is_the_smallest_when_minimizing() -> None:
    """The original took the largest whatever the direction, and so called the worst score the best."""
    assert pretend([2.0, 1.0, 6.0], -1, "best") == 1.0


def test_the_mean_of_huge_scores_does_not_overflow() -> None:
    """Scores near the largest float have a finite mean."""
    assert pretend([1.5e308, 1.5e308], 1, "mean") == pytest.approx(1.5e308)


def test_other_liars_are_refused_with_what_was_meant() -> None:
    """The message shows the allowed words."""
    with pytest.raises(OptimizerError, match=r"Did you mean 'worst'\?"):
        check_liar("wors", "BayesianOptimizer(liar=)")
    with pytest.raises(OptimizerError, match="'worst' or 'mean' or 'best'"):
        check_liar(3, "BayesianOptimizer(liar=)")


def test_a_model_may_say_what_it_predicts() -> None:
    """The kriging believer, which the constant liars do not know."""
    assert check_model_liar("predicted", "liar") == "predicted"
    with pytest.raises(OptimizerError, match="unknown kind"):
        check_liar("predicted", "liar")
    with pytest.raises(OptimizerError, match=r"Did you mean 'predicted'\?"):
        check_model_liar("predictd", "liar")
