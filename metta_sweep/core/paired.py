"""Paired differences: a test of whether they lean to one side, their median, and how certain it is. Without numpy.

Differences may be infinite (where one of a pair has no value at all), and equal or zero as often as they like: the test is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

__all__ = ["LEVEL", "RESAMPLES", "SignedRanks", "holm", "median", "median_interval", "pairs_needed", "quantile", "signed_ranks"]

EXACT_UP_TO: Final = 200
"""The number of differences up to which all signs are counted; beyond, the normal distribution is as good as exact."""
RESAMPLES: Final = 10_000
LEVEL: Final = 0.95


class SignedRanks(NamedTuple):
    """What Wilcoxon's test says of differences."""

    p_value: float
    """Two-sided: how likely ranks that lean so far to either side are, where differences are as likely to have either sign."""
    leaning: int
    """To which side they lean: 1 to positive differences, -1 to negative ones, 0 to none."""


def signed_ranks(strata: Sequence[Sequence[float]]) -> SignedRanks:
    """Wilcoxon's signed-rank test of the differences, ranked within each stratum; the ranks of all strata add up.

    It is the test of all ways to give the ranks signs, each as likely as the others: so it keeps its size whatever the differences
    are, if only either order within a pair is as likely. Equal differences get their mean rank, and zeros take the lowest ranks and
    drop out then. Differences of one scale compare with each other only, hence the strata: problems, say.

    SOURCE: Wilcoxon, "Individual comparisons by ranking methods", 1945; zeros: Pratt, JASA 54, 1959; strata: van Elteren, 1960,
    with equal weights. Over 200 differences: the normal distribution with the exact variance, sum(rank^2) / 4, and a continuity
    correction.

    Args:
        strata: differences, in groups; infinite ones are the largest.

    Raises:
        ValueError: one is NaN, which has no rank.
    """
    if any(math.isnan(difference) for differences in strata for difference in differences):
        raise ValueError("a difference is NaN, which has no rank")
    ranks = [signed for differences in strata for signed in _doubled_ranks(differences)]
    total = sum(abs(rank) for rank in ranks)
    above = sum(rank for rank in ranks if rank > 0)
    lower = min(above, total - above)
    leaning = (2 * above > total) - (2 * above < total)
    if not leaning:
        return SignedRanks(1.0, 0)
    if len(ranks) > EXACT_UP_TO:
        # ranks are doubled: half a rank is 1
        spread = math.sqrt(sum(rank * rank for rank in ranks)) / 2.0
        return SignedRanks(min(1.0, math.erfc(max(0.0, total / 2 - lower - 1.0) / (spread * math.sqrt(2.0)))), leaning)
    return SignedRanks(min(1.0, 2 * _ways_up_to(lower, [abs(rank) for rank in ranks]) / 2 ** len(ranks)), leaning)


def _doubled_ranks(differences: Sequence[float]) -> list[int]:
    """Twice the rank of each difference that is not zero, with its sign; doubled, mean ranks are whole."""
    ordered = sorted(differences, key=abs)
    found: list[int] = []
    start = 0
    while start < len(ordered):
        end = start
        size = abs(ordered[start])
        while end < len(ordered) and abs(ordered[end]) == size:
            end += 1
        if size > 0.0:
            found += [(start + end + 1) if value > 0 else -(start + end + 1) for value in ordered[start:end]]
        start = end
    return found


def _ways_up_to(limit: int, ranks: Sequence[int]) -> int:
    """How many of the subsets of the ranks add up to at most ``limit``.

    The counts by sum are the digits of one number, which is multiplied by (1 + x^rank) for each rank.
    """
    width = len(ranks) // 8 + 1
    digits = 1
    kept = (1 << 8 * width * (limit + 1)) - 1
    for rank in ranks:
        digits = (digits + (digits << 8 * width * rank)) & kept
    data = digits.to_bytes(width * (limit + 1), "little")
    return sum(int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width))


def pairs_needed(alpha: float = 0.05, comparisons: int = 1) -> int:
    """The least number of differences with which the test can be significant at all, after Holm's correction."""
    return math.floor(1 - math.log2(alpha / comparisons)) + 1


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, corrected for there being several.

    SOURCE: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of sorted values, linear between neighbours; NaN of none. Between infinities of both signs: 0."""
    if not ordered:
        return math.nan
    at = share * (len(ordered) - 1)
    below = ordered[math.floor(at)]
    above = ordered[math.ceil(at)]
    if below == above:
        return below
    weight = at - math.floor(at)
    if math.isinf(below) or math.isinf(above):
        return 0.0 if math.isinf(below) and math.isinf(above) else below if math.isinf(below) else above
    return below + weight * (above - below)


def median(values: Sequence[float]) -> float:
    """The median; NaN of none."""
    return quantile(sorted(values), 0.5)


def median_interval(
    strata: Sequence[Sequence[float]], seed: int, *, level: float = LEVEL, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """A bootstrap interval of the median of all values: the percentiles of the medians of resamples, drawn within each stratum.

    SOURCE: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979.

    Args:
        strata: values, in groups; how many a resample has of each is fixed.
        seed: of the resamples; 0 or more.
        level: how often such an interval is to hold the median.
        resamples: how many are drawn.
    """
    groups = [list(values) for values in strata if values]
    if not groups:
        return math.nan, math.nan
    rng = Random(seed)  # noqa: S311  # for statistics, not for secrets
    medians = sorted(median([value for group in groups for value in rng.choices(group, k=len(group))]) for _ in range(resamples))
    tail = (1.0 - level) / 2.0
    return quantile(medians, tail), quantile(medians, 1.0 - tail)
