"""The values of a range on a grid."""

from __future__ import annotations

import math
from typing import Any

from metta_sweep.core.distributions import Distribution, Integer, LogInteger, LogUniform, Uniform

__all__ = ["values_of"]


def values_of(distribution: Distribution, resolution: int) -> list[Any]:
    """Up to ``resolution`` different values from one end of the range to the other; of one, the middle."""
    if isinstance(distribution, Integer | LogInteger):
        count = distribution.upper - distribution.lower + 1
        if count <= resolution:
            return list(range(distribution.lower, distribution.upper + 1))
    if resolution == 1:
        return [distribution.from_unit(0.5)]
    if isinstance(distribution, Integer):
        return _whole(distribution, resolution)
    if isinstance(distribution, LogInteger):
        return _whole_in_logarithm(distribution, resolution)
    places = [number / (resolution - 1) for number in range(1, resolution - 1)]
    if isinstance(distribution, Uniform | LogUniform):
        # the bounds as they were written: exp(log(lower)) may be another float
        return list(dict.fromkeys([distribution.lower, *map(distribution.sampler(), places), distribution.upper]))
    return list(dict.fromkeys(map(distribution.sampler(), [0.0, *places, math.nextafter(1.0, 0.0)])))


def _whole(distribution: Integer, resolution: int) -> list[int]:
    """Evenly spaced and rounded, in whole numbers: they differ, since there are more numbers than places."""
    gaps, span = resolution - 1, distribution.upper - distribution.lower
    return [distribution.lower + (2 * number * span + gaps) // (2 * gaps) for number in range(resolution)]


def _whole_in_logarithm(distribution: LogInteger, resolution: int) -> list[int]:
    """Evenly spaced in the logarithm and rounded, each at least one above the one before."""
    lower, upper, gaps = distribution.lower, distribution.upper, resolution - 1
    step = (math.log(upper) - math.log(lower)) / gaps
    found = [lower]
    for number in range(1, gaps):
        wanted = round(math.exp(math.log(lower) + number * step))
        found.append(min(max(wanted, found[-1] + 1), upper - (gaps - number)))
    return [*found, upper]
