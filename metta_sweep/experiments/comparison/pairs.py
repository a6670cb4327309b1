"""What is said of two sides, by the differences of their paired runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from metta_sweep.core.paired import SignedRanks, median, median_interval, signed_ranks
from metta_sweep.core.seeds import derive_seed

__all__ = ["ALPHA", "Pair"]

ALPHA = 0.05
"""A difference is called significant below this p-value."""


@dataclass(frozen=True)
class Pair:
    """Two sides, pair by pair.

    Args:
        first: the side whose better scores make differences positive.
        second: the other side.
        differences: by problem, for each pair of runs how much better the first side's score is, in the score's units; infinite
            where one of them has no score, zero where both have none.
        corrected: the p-value after Holm's correction for all pairs of sides; None: it is that of the test.
        seed: of the bootstrap.
    """

    first: str
    second: str
    differences: Mapping[str, tuple[float, ...]]
    corrected: float | None = None
    seed: int = 0

    @cached_property
    def _test(self) -> SignedRanks:
        return signed_ranks(list(self.differences.values()))

    @property
    def p_value(self) -> float:
        """Of Wilcoxon's signed-rank test, two-sided, exact, with ranks within each problem; after Holm's correction, if any."""
        return self._test.p_value if self.corrected is None else self.corrected

    @property
    def uncorrected(self) -> float:
        """The p-value of the test alone."""
        return self._test.p_value

    @property
    def significant(self) -> bool:
        """Whether the p-value is below 0.05."""
        return self.p_value < ALPHA

    @property
    def better(self) -> str | None:
        """The side that is significantly better; None where no difference was found."""
        if not self.significant:
            return None
        return self.first if self._test.leaning > 0 else self.second

    @cached_property
    def _all(self) -> tuple[float, ...]:
        return tuple(chain.from_iterable(self.differences.values()))

    @property
    def pairs(self) -> int:
        """How many pairs of runs there are."""
        return len(self._all)

    @property
    def wins(self) -> int:
        """In how many of them the first side is better."""
        return sum(difference > 0 for difference in self._all)

    @property
    def losses(self) -> int:
        """In how many of them the second side is better."""
        return sum(difference < 0 for difference in self._all)

    @property
    def ties(self) -> int:
        """In how many of them both are the same."""
        return self.pairs - self.wins - self.losses

    @property
    def difference(self) -> float:
        """The median of the differences: positive, where the first side is better. NaN without pairs.

        Over several problems they have one unit only where the problems have: see ``by_problem``.
        """
        return median(self._all)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Where the median difference lies, with 95 %: percentiles of 10,000 bootstrap resamples, drawn within each problem."""
        return median_interval(
            list(self.differences.values()), derive_seed(self.seed, "bootstrap", *sorted((self.first, self.second)))
        )

    @cached_property
    def by_problem(self) -> dict[str, Pair]:
        """The same for each problem alone. Their p-values are not corrected: they tell where to look."""
        return {
            problem: Pair(self.first, self.second, {problem: differences}, seed=derive_seed(self.seed, problem))
            for problem, differences in self.differences.items()
        }

    def turned(self) -> Pair:
        """The same with the sides in each other's place."""
        turned = {problem: tuple(-difference for difference in found) for problem, found in self.differences.items()}
        return Pair(self.second, self.first, turned, self.corrected, self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Everything of it, as JSON values; an infinite difference is None."""
        return {
            "first": self.first,
            "second": self.second,
            "pairs": self.pairs,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "difference": finite(self.difference),
            "interval": [finite(end) for end in self.interval],
            "p_value": self.p_value,
            "uncorrected": self.uncorrected,
            "better": self.better,
            "differences": {problem: [finite(one) for one in found] for problem, found in self.differences.items()},
        }


def finite(value: float) -> float | None:
    """The value, or None where JSON has none for it."""
    return value if value - value == 0.0 else None
