"""What pipelines have in common whose stages are sweeps of one objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import GoalError, ObjectiveError, SearchSpaceError
from metta_sweep.experiments.definition import as_kept
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.settings import describe_objective
from metta_sweep.experiments.sweep import SweepExperiment

__all__ = ["OneObjective"]


class OneObjective(Experiment):
    """A pipeline whose stages run sweeps of one objective. What all of them have in common is said once."""

    objective: Callable[..., Any] | None = None
    search_space: Any = None
    """A ``SearchSpace``, once the experiment is made."""
    goal: Any = "maximize"
    """A ``Goal``, once the experiment is made."""
    slots: int | None = None
    _settings: ClassVar[tuple[str, ...]] = ("name", "seed", "objective", "search_space", "goal", "metric", "slots")

    def create_sweep(self, **settings: Any) -> SweepExperiment:
        """A sweep of the objective with these settings. Override it to give all sweeps resources, failures or an executor.

        Args:
            settings: options of ``SweepExperiment`` that this sweep has beside objective, search space, goal and slots, or in
                their place.
        """
        common = {"objective": self.objective, "search_space": self.search_space, "goal": self.goal, "slots": self.slots}
        return SweepExperiment(**{**common, **settings})

    @property
    def _definition(self) -> dict[str, Any]:
        """What a kept run of that name must be of, too: how much is done of it may change, not what is searched."""
        settings = {
            "objective": describe_objective(self.objective),
            "search_space": self.search_space.describe(),
            "goal": self.goal.describe(),
            **self._members(),
        }
        return as_kept({**super()._definition, "settings": settings})

    def _members(self) -> dict[str, Any]:
        """What else makes it what it is, as JSON values."""
        return {}

    def _set_problem(
        self,
        objective: Callable[..., Any] | None,
        search_space: Mapping[str, Any] | type | SearchSpace | None,
        goal: str | Mapping[str, str] | Goal | None,
        metric: str | None,
        slots: int | None,
    ) -> None:
        """Take what the constructor was given, else what the class says.

        Raises:
            InvalidInput: the objective or search space is missing, the goal has several objectives, or one of them is none.
        """
        kind = type(self).__name__
        if objective is not None:
            self.objective = objective
        if self.objective is None:
            remedy = "Give objective=train, or define the method objective in a subclass"
            raise ObjectiveError(kind, "it has no objective, so there is nothing to search", remedy=remedy)
        space = self._own("search_space", search_space)
        if space is None:
            remedy = "Give search_space={'lr': LogUniform(1e-4, 1e-1)}, say"
            raise SearchSpaceError(f"{kind}(search_space=)", "it has nothing to search", found=None, remedy=remedy)
        self.search_space = SearchSpace.of(space)
        self.goal = Goal.of(self._own("goal", goal), self._own("metric", metric))
        if self.goal.has_several:
            raise GoalError(
                f"{kind}(goal=)",
                "it compares trials by one score, and the goal has several objectives",
                found=[part.metric for part in self.goal.objectives],
                expected="a goal with one objective",
                remedy=f"Write goal={{{self.goal.metric!r}: {self.goal.direction!r}}}, and leave the others out",
            )
        self._set_slots(slots)
