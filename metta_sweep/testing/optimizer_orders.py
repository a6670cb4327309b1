"""What every optimizer must do with orders of items, as tests: a part of the conformance of optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from metta_sweep.core.distributions import Distribution
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.testing import optimizer_spaces as spaces
from metta_sweep.testing.optimizer_sweeps import check_killed

__all__ = ["OrdersConformance"]


class OrdersConformance:
    """The tests with ``Permutation``; one that does not search it says so in ``supports``."""

    history: ClassVar[int]

    def make_optimizer(self, search_space: SearchSpace | None, seed: int | None) -> Optimizer:
        """A new optimizer with this search space and seed; None: the sweep's."""
        raise NotImplementedError

    def test_suggestions_lie_inside_a_space_of_orders(self) -> None:
        """Each order has all items, once."""
        self._check_inside(spaces.ORDERS)

    def test_a_finite_space_of_orders_is_used_up(self) -> None:
        """Every order once, and then nothing."""
        self._check_used_up(spaces.FINITE_ORDERS, 12)

    def test_a_sweep_of_orders_killed_and_resumed_gives_the_same_trials(self) -> None:
        """With one slot, killed again and again."""
        check_killed(lambda: self.make_optimizer(None, None), self._supported(spaces.ORDERS), self.history)

    def _supported(self, space: Mapping[str, Distribution]) -> SearchSpace:
        raise NotImplementedError

    def _check_inside(self, parameters: Mapping[str, Distribution]) -> None:
        raise NotImplementedError

    def _check_used_up(self, parameters: Mapping[str, Distribution], size: int) -> None:
        raise NotImplementedError
