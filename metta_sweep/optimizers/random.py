"""Random search: the floor that every other optimizer is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Never

from metta_sweep.core.described import described
from metta_sweep.core.numbers import check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Suggestion
from metta_sweep.errors import OptimizerError, refuse_unknown
from metta_sweep.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from metta_sweep.core.distributions import Distribution

__all__ = ["RandomOptimizer"]


class RandomOptimizer(Optimizer):
    """Draws independently from the search space. Suggestion number *i* is a function of the seed and *i*, whatever came before.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        seed: a whole number; None: derived from the sweep's seed.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for a seed that is none.
    """

    stays_inside = True
    needs_search_space = True

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        seed: int | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown("RandomOptimizer", unknown, ("search_space", "seed"))
        self.search_space = None if search_space is None else SearchSpace.of(search_space)
        if seed is not None:
            seed = check_int(seed, "RandomOptimizer(seed=)", OptimizerError, remedy="Leave it out to take the sweep's")
        self.seed = seed
        # kept apart from what for_run fills in, which is no setting of this optimizer
        self._settings: dict[str, Any] = {}
        if self.search_space is not None:
            self._settings["search_space"] = self.search_space.describe()
        if seed is not None:
            self._settings["seed"] = seed

    def suggest(self, n: int, index: int = 0, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """Suggestions number ``index`` to ``index + n - 1``, with these parameters ``fixed``.

        Raises:
            OptimizerError: when it has no search space.
            SuggestionError: when something is fixed that the search space does not have.
        """
        space = self.search_space
        if space is None:
            raise OptimizerError(
                "RandomOptimizer",
                "it has no search space",
                found=None,
                expected="a mapping of names to distributions",
                remedy="Give search_space to it, or to the sweep",
            )
        seed = 0 if self.seed is None else self.seed
        return [Suggestion(params=space.sample_at(seed, number, fixed), origin="random") for number in range(index, index + n)]

    def for_run(self, setup: Setup) -> RandomOptimizer:
        """A new one with these settings; what was left out comes from the sweep."""
        fresh = type(self).__new__(type(self))
        vars(fresh).update(vars(self))
        fresh.fill_in(setup)
        return fresh

    def describe(self) -> dict[str, Any]:
        """Its class, and the search space and seed that it was given."""
        return {**described(self, without=("search_space", "seed")), **self._settings}
