"""The test of a comparison keeps what it promises: no difference is found where there is none, and a clear one always is."""

from __future__ import annotations

import pytest
from comparison_kit import comparison, identity, side

from metta_sweep import Integer, SweepExperiment
from metta_sweep.optimizers import GridOptimizer, RandomOptimizer


def found_of(number: int, repeats: int, budget: int) -> bool:
    """Whether random search is found to be better than random search, or worse."""
    return comparison(repeats=repeats, budget=budget, seed=number).pairs[0].significant


def test_random_search_is_rarely_better_than_itself() -> None:
    """Of 25 small comparisons at most 6 find a difference: the 99.9 % quantile of a binomial of 5 %."""
    assert sum(found_of(number, 7, 1) for number in range(25)) <= 6


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_random_search_is_better_than_itself_in_at_most_38_of_500_comparisons() -> None:
    """Whole comparisons of 30 repeats, each with streams of its own: 38 is the 99.9 % quantile of a binomial of 500 and 5 %."""
    assert sum(found_of(number, 30, 8) for number in range(500)) <= 38


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ties_find_nothing_where_there_is_nothing() -> None:
    """Where scores are a few whole numbers, and most pairs are ties, no more is found."""

    def tied() -> SweepExperiment:
        return SweepExperiment(objective=identity, search_space={"x": Integer(0, 4)}, optimizer=RandomOptimizer(), slots=1)

    found = [comparison({"a": tied(), "b": tied()}, 12, 3, seed=number).pairs[0] for number in range(200)]
    assert sum(pair.significant for pair in found) <= 20
    assert sum(pair.ties for pair in found) > 200


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_clearly_better_search_is_always_found_better() -> None:
    """In 100 of 100 comparisons, a grid that holds the best point beats random search, with seven pairs only."""
    for number in range(100):
        found = comparison({"random": side(), "grid": side(GridOptimizer(resolution=2))}, 7, 3, seed=number)
        assert found.winner == "grid"
