"""The sides of a comparison: experiments to copy, or functions that make them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from metta_sweep.core.goal import Direction, Goal
from metta_sweep.errors import GoalError, InvalidInput, ObjectiveError, OptimizerError, a_kind
from metta_sweep.experiments.comparison.problems import Instance, check_part, takes
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.experiments.with_settings import with_settings

__all__ = ["BEST_SCORE", "Side", "goal_of", "sides_of"]

BEST_SCORE: Final = "best_score"
"""The score that a sweep has by itself."""
_EXAMPLE: Final = "{'random': SweepExperiment(optimizer=RandomOptimizer()), 'sobol': SweepExperiment(optimizer=SobolOptimizer())}"
_ITSELF: Final = frozenset({"name", "seed", "objective"})
"""What of an experiment's definition is no part of a side's: the comparison sets it."""


class Side:
    """One side: an experiment that is copied for each run, or a class or function that makes one.

    Args:
        name: what it is called in addresses and tables.
        given: an ``Experiment``, or what makes one when it is called, with ``problem=`` if it takes that.
    """

    def __init__(self, name: str, given: Any) -> None:
        self.name = check_part(name, "compare(experiments=)")
        self.where = f"compare(experiments={{{name!r}: ...}})"
        self._given = given
        if not isinstance(given, Experiment) and not callable(given):
            raise InvalidInput(
                self.where,
                f"{a_kind(given)} is no experiment",
                found=given,
                expected="an experiment, or a class or function that makes one",
                remedy=f"Write {name!r}: SweepExperiment(optimizer=...), say",
            )

    @property
    def searched(self) -> tuple[str, ...]:
        """The parameters that it searches, as far as is known without a problem."""
        space = self._given.search_space if isinstance(self._given, SweepExperiment) else None
        return () if space is None else space.names

    def experiment(self, instance: Instance | None, seed: int) -> Experiment:
        """A new experiment of this side for one problem, with this seed and the name of the side.

        Raises:
            InvalidInput: it cannot be run on the problem.
        """
        if isinstance(self._given, Experiment):
            made, knows = self._given, False
        else:
            knows = instance is not None and takes(self._given, "problem")
            made = self._given(problem=instance.made) if knows and instance is not None else self._given()
            if not isinstance(made, Experiment):
                raise InvalidInput(
                    self.where,
                    f"it made {a_kind(made)}, and no experiment",
                    found=made,
                    expected="an Experiment",
                    remedy="Return SweepExperiment(...) from it",
                )
        if isinstance(made, SweepExperiment):
            # it is kept where the comparison is, under the name of its side
            return with_settings(made, **self._put_in(made, instance, knows=knows), name=self.name, seed=seed, store=None)
        if instance is not None and not knows:
            raise InvalidInput(
                self.where,
                f"{type(made).__name__} is no sweep, so the problem cannot be put into it",
                found=self._given,
                expected="a function with the parameter problem",
                remedy=f"Write {self.name!r}: lambda problem: {type(made).__name__}(...), which uses it",
            )
        other = copy.copy(made)
        vars(other).update(name=self.name, seed=seed, _given_store=None)
        return other

    def describe(self, experiment: Experiment) -> Any:
        """What is kept of it in a definition."""
        if not isinstance(experiment, SweepExperiment):
            return {"class": type(experiment).__qualname__}
        definition = experiment._blueprint().definition  # noqa: SLF001  # sweeps are this room's own
        return {part: value for part, value in definition.items() if part not in _ITSELF}

    def check_seeds(self, experiment: Experiment) -> None:
        """Refuse strategies, and bases, with seeds of their own: each repeat would be the same again, not another one."""
        if not isinstance(experiment, SweepExperiment):
            return
        base = experiment._blueprint().definition.get("base")  # noqa: SLF001  # sweeps are this room's own
        parts = [
            (f"optimizer {type(experiment.optimizer).__name__}", experiment.optimizer.describe()),
            (f"scheduler {type(experiment.scheduler).__name__}", experiment.scheduler.describe()),
            (f"base {base.get('class')}" if isinstance(base, Mapping) else "base", base),
        ]
        for part, described in parts:
            found = next(_seeds(described), None)
            if found is not None:
                raise OptimizerError(
                    self.where,
                    f"the {part} has a seed of its own, so that all repeats would draw the same",
                    found=found,
                    expected="no seed: each run gets one of its own",
                    remedy="Leave its seed out; compare(seed=...) makes all that is random repeatable",
                )

    def _put_in(self, made: SweepExperiment, instance: Instance | None, *, knows: bool) -> dict[str, Any]:
        """The settings by which a problem comes into a sweep that does not know it; none where it has its own."""
        if instance is None or (knows and made.objective is not None):
            if made.objective is None:
                raise ObjectiveError(
                    self.where,
                    "the experiment has no objective",
                    remedy="Give it one, or give problems={'name': objective} to compare()",
                )
            return {}
        if made.objective is not None:
            raise InvalidInput(
                self.where,
                "the experiment has an objective of its own, and problems are given",
                found=made.objective,
                expected="a template, without an objective",
                remedy="Leave the objective out, or problems= of compare()",
            )
        space = instance.search_space
        if space is None:
            return {"objective": instance.objective}
        if made.search_space is not None and made.search_space != space:
            raise InvalidInput(
                self.where,
                "the experiment has another search space than the problem",
                found=", ".join(made.search_space.names),
                expected=", ".join(space.names),
                remedy="Leave search_space= of the experiment out",
            )
        return {"objective": instance.objective, "search_space": space}


def sides_of(experiments: object) -> dict[str, Side]:
    """The sides by name, at least two."""
    if not isinstance(experiments, Mapping):
        raise InvalidInput(
            "compare(experiments)",
            f"{a_kind(experiments)} is no mapping of names to experiments",
            found=experiments,
            expected="a mapping with two experiments or more",
            remedy=f"Write {_EXAMPLE}, say",
        )
    if len(experiments) < 2:
        raise InvalidInput(
            "compare(experiments)",
            "one experiment has nothing to be compared with" if experiments else "there is no experiment in it",
            found=list(experiments),
            expected="two experiments or more",
            remedy=f"Write {_EXAMPLE}, say",
        )
    return {name: Side(name, given) for name, given in experiments.items()}


def goal_of(experiments: Mapping[str, Experiment], score: str | Callable[[Any], Any], goal: Any) -> Goal:
    """Whether more of the score is better: as said, else as the goals of the experiments say.

    Args:
        experiments: one of each side.
        score: what the experiments are compared by.
        goal: ``"maximize"``, ``"minimize"``, or None where it was left out.

    Raises:
        GoalError: goals disagree, have several objectives without a score of them, or do not tell whether more of it is better.
    """
    given = None if goal is None else Goal.of(goal)
    goals = {name: one.goal for name, one in experiments.items() if isinstance(one, SweepExperiment)}
    if score != BEST_SCORE:
        if given is not None:
            return Goal(given.direction, "score")
        if isinstance(score, str) and score.startswith("spend."):
            raise GoalError(
                "compare(goal=)",
                "the score is what runs spend: whether more of it is better is not known",
                found=score,
                expected="'maximize' or 'minimize'",
                remedy="Write goal='minimize' if less of it is better",
            )
        if all(one.sign > 0 for one in goals.values()):
            return Goal("maximize", "score")
        raise GoalError(
            "compare(goal=)",
            "experiments minimize, and the score is not their best score: whether more of it is better is not known",
            found=score,
            expected="'maximize' or 'minimize'",
            remedy="Write goal='minimize' if less of the score is better",
        )
    for name, one in goals.items():
        if one.has_several:
            raise GoalError(
                f"compare(experiments={{{name!r}: ...}})",
                "its goal has several objectives, so that its results have no best score",
                found=[objective.metric for objective in one.objectives],
                expected="a function that makes one number of a result",
                remedy="Write score=lambda result: result.hypervolume({'accuracy': 0.0, 'latency': 100.0}), say",
            )
    directions: dict[str, Direction] = {name: one.direction for name, one in goals.items()}
    if len(set(directions.values())) > 1:
        raise GoalError(
            "compare(experiments)",
            "some maximize and some minimize",
            found=directions,
            expected="one direction",
            remedy="Give them one goal",
        )
    if directions:
        direction: Direction = min(directions.values())
    else:
        direction = "maximize" if given is None else given.direction
    if given is not None and given.direction != direction:
        raise GoalError(
            "compare(goal=)",
            f"the experiments {direction} their best score",
            found=goal,
            expected=repr(direction),
            remedy=f"Give the goal to the experiments: SweepExperiment(goal={given.direction!r}, ...)",
        )
    return Goal(direction, "score")


def _seeds(described: Any) -> Iterator[int]:
    """The seeds that a strategy or base, or one within it, was given."""
    if isinstance(described, Mapping):
        for key, value in described.items():
            if key == "seed" and isinstance(value, int):
                yield value
            elif key != "search_space":
                yield from _seeds(value)
    elif isinstance(described, list | tuple):
        for item in described:
            yield from _seeds(item)
