"""Statistics of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta_sweep.core import paired
from metta_sweep.core.paired import holm, median, median_interval, pairs_needed, quantile, signed_ranks

INFINITE = math.inf


def by_counting(differences: Sequence[float]) -> float:
    """The p-value of the signed-rank test, by giving the mean ranks of the differences all signs there are."""
    sizes = sorted(map(abs, differences))
    ranks = [sizes.index(abs(one)) + (sizes.count(abs(one)) + 1) / 2 for one in differences]
    used = [(rank, one) for rank, one in zip(ranks, differences, strict=True) if one]
    observed = abs(sum(math.copysign(rank, one) for rank, one in used))
    sums = [
        abs(sum(rank * sign for (rank, _), sign in zip(used, signs, strict=True))) for signs in product((1, -1), repeat=len(used))
    ]
    return sum(one >= observed for one in sums) / len(sums)


@given(st.lists(st.sampled_from([-INFINITE, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, INFINITE]), min_size=1, max_size=9))
def test_the_test_counts_all_signs(differences: list[float]) -> None:
    """With ties, zeros and infinite differences, the p-value is the share of all signs that lean as far."""
    assert signed_ranks([differences]).p_value == pytest.approx(by_counting(differences))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.lists(st.floats(-5, 5), max_size=20))
def test_sides_can_be_exchanged(one: list[float], other: list[float]) -> None:
    """Turned round, the same differences have the same p-value and lean to the other side."""
    there, back = signed_ranks([one, other]), signed_ranks([[-x for x in one], [-x for x in other]])
    assert back == (there.p_value, -there.leaning)


@pytest.mark.parametrize(
    "sizes", [[1.0, 2, 3, 4, 5, 6, 7, 8], [1.0, 1, 1, 1, 1, 1, 1], [0.0, 0, 1, 1, 2, 2, 2, 5, 9], [INFINITE] * 6]
)
def test_the_test_keeps_its_size_whatever_the_differences(sizes: list[float]) -> None:
    """Of all signs that differences can have, at most 5 % are significant: fewer with ties, zeros and few pairs."""
    signs = list(product((1.0, -1.0), repeat=len(sizes)))
    found = [signed_ranks([[size * sign for size, sign in zip(sizes, one, strict=True)]]).p_value for one in signs]
    assert sum(p_value < 0.05 for p_value in found) <= 0.05 * len(signs)
    assert min(found) < 0.05


def test_strata_are_ranked_apart() -> None:
    """A problem of large scores does not drown another one: both count by their ranks."""
    small = [0.001, 0.002, 0.003, 0.004, 0.005]
    large = [-1000.0, 2000.0, 3000.0, 4000.0, 5000.0]
    apart, together = signed_ranks([small, large]), signed_ranks([[*small, *large]])
    assert apart.p_value == signed_ranks([large, small]).p_value
    assert apart.p_value < together.p_value


def test_it_agrees_with_scipy() -> None:
    """Without ties the exact p-value is SciPy's, too."""
    stats = pytest.importorskip("scipy.stats")
    for seed, count in enumerate((6, 13, 30, 49)):
        rng = Random(seed)
        differences = [rng.gauss(0.3, 1.0) for _ in range(count)]
        assert signed_ranks([differences]).p_value == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_many_differences_are_told_by_the_normal_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 200 differences the normal distribution gives what counting gives."""
    rng = Random(3)
    differences = [round(rng.gauss(0.15, 1.0), 1) for _ in range(260)]
    near = signed_ranks([differences])
    monkeypatch.setattr(paired, "EXACT_UP_TO", 1000)
    exact = signed_ranks([differences])
    assert near.p_value == pytest.approx(exact.p_value, rel=0.02)
    assert near.leaning == exact.leaning == 1


@pytest.mark.parametrize("strata", [[], [[]], [[0.0, 0.0]], [[1.0, -1.0]]])
def test_nothing_leans_to_no_side(strata: list[list[float]]) -> None:
    """No differences, zeros and balanced ones say nothing."""
    assert signed_ranks(strata) == (1.0, 0)


def test_how_many_pairs_can_be_significant() -> None:
    """The least number of pairs is the one with which the clearest outcome there is passes."""
    for comparisons in (1, 3, 6):
        needed = pairs_needed(0.05, comparisons)
        assert comparisons * signed_ranks([[1.0] * needed]).p_value < 0.05
        assert comparisons * signed_ranks([[1.0] * (needed - 1)]).p_value >= 0.05
    assert pairs_needed() == 6


def test_holm_corrects_for_several_tests() -> None:
    """The smallest p-value counts as often as there are tests, the next one less often; none falls below a smaller one."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_quantiles_know_infinity() -> None:
    """Quantiles are linear between neighbours, and infinite next to infinity."""
    assert quantile([1.0, 2.0, 4.0], 0.25) == 1.5
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5
    assert median([1.0, INFINITE]) == INFINITE
    assert median([1.0, 2.0, 3.0, INFINITE]) == 2.5
    assert median([-INFINITE, INFINITE]) == 0.0
    assert math.isnan(median([]))


def test_intervals_depend_on_the_seed_alone() -> None:
    """The same seed draws the same resamples; turned round, differences have the interval turned round."""
    rng = Random(0)
    values = [rng.gauss(1.0, 1.0) for _ in range(20)]
    low, high = median_interval([values], 7, resamples=500)
    assert median_interval([values], 7, resamples=500) == (low, high)
    assert median_interval([values], 8, resamples=500) != (low, high)
    assert median_interval([[-value for value in values]], 7, resamples=500) == pytest.approx((-high, -low))
    assert low < median(values) < high
    assert all(map(math.isnan, median_interval([[]], 0)))


def test_resamples_are_drawn_within_each_stratum() -> None:
    """A stratum that never varies never makes the interval vary."""
    assert median_interval([[1.0] * 5, [2.0] * 6], 0, resamples=200) == (2.0, 2.0)


def test_intervals_cover_the_median() -> None:
    """Of 200 samples of 30 skewed values, the 95 % interval holds the median in about 95 %."""
    rng = Random(1)
    held = 0
    for number in range(200):
        low, high = median_interval([[rng.lognormvariate(0.0, 1.0) for _ in range(30)]], number, resamples=200)
        held += low <= 1.0 <= high
    assert 180 <= held <= 198


@pytest.mark.timeout(10)
def test_what_is_no_number_has_no_rank() -> None:
    """NaN among the differences is refused: nothing compares with it."""
    with pytest.raises(ValueError, match="NaN"):
        signed_ranks([[1.0, math.nan]])
