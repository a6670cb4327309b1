"""An optimizer with a search space and a seed: its own, or those of the sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from metta_sweep.core.described import described
from metta_sweep.core.goal import Goal
from metta_sweep.core.numbers import check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.setup import Setup
from metta_sweep.errors import OptimizerError
from metta_sweep.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from metta_sweep.core.distributions import Distribution
    from metta_sweep.core.trial import Trial

__all__ = ["SeededOptimizer"]


class SeededOptimizer(Optimizer):
    """Takes a search space and a seed, fills in what was left out when a run begins, and describes what it was given.

    A subclass calls ``super().__init__`` last, and makes everything that a run changes in ``begin``: so that a new run is a copy of
    the settings which has begun.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        seed: a whole number; None: derived from the sweep's seed.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for a seed that is none.
    """

    goal: Goal = Goal()
    """The goal of the run."""

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        seed: int | None = None,
    ) -> None:
        kind = type(self).__name__
        self.search_space = None if search_space is None else SearchSpace.of(search_space)
        if seed is not None:
            seed = check_int(seed, f"{kind}(seed=)", OptimizerError, remedy="Leave it out to take the sweep's")
        self.seed = seed
        # kept apart from what a run fills in, which is no setting of this optimizer
        self._settings: dict[str, Any] = {}
        if self.search_space is not None:
            self._settings["search_space"] = self.search_space.describe()
        if seed is not None:
            self._settings["seed"] = seed
        if self.search_space is not None:
            self.begin(self.search_space, seed or 0)

    def begin(self, space: SearchSpace, seed: int) -> None:
        """Make what a run changes; called when the space is known, and again for each run.

        Raises:
            InvalidInput: a setting does not fit the space.
        """

    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Learn from trials that have been checked. Raises ``OptimizerError`` when it has no search space."""
        if self.space:
            super().learn_earlier(trials)

    def for_run(self, setup: Setup) -> Self:
        """A new one with these settings; what was left out comes from the sweep."""
        fresh = type(self).__new__(type(self))
        vars(fresh).update(vars(self))
        fresh.fill_in(setup)
        fresh.goal = setup.goal
        if fresh.search_space is not None:
            fresh.begin(fresh.search_space, fresh.seed or 0)
        return fresh

    def describe(self) -> dict[str, Any]:
        """Its class, its options, and the search space and seed that it was given."""
        return {**described(self, without=("search_space", "seed")), **self._settings}

    @property
    def space(self) -> SearchSpace:
        """The search space.

        Raises:
            OptimizerError: there is none.
        """
        if self.search_space is None:
            raise OptimizerError(
                type(self).__name__,
                "it has no search space",
                found=None,
                expected="a mapping of names to distributions",
                remedy="Give search_space to it, or to the sweep",
            )
        return self.search_space
