"""Dotted paths: what of an experiment they name, and what was meant by one that names nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from metta_sweep.core.budget import Budget
from metta_sweep.core.given import settings_of
from metta_sweep.errors import SearchSpaceError, did_you_mean
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.meta.changing import Path, has_part, part_of, parts_of
from metta_sweep.experiments.meta.origin import Origin
from metta_sweep.experiments.meta.stage_paths import stage_paths
from metta_sweep.experiments.sweep import SweepExperiment
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.schedulers.scheduler import Scheduler

__all__ = ["Route", "Target", "Targets"]

BUDGET: Final = "budget"
STAGES: Final = "pipeline"
_DEPTH: Final = 5
"""How many names a path has at most that is offered in messages."""


class Route(Enum):
    """How the value at a path comes to a copy."""

    KEYWORD = auto()
    """To what makes the experiment, by name."""
    INPUT = auto()
    """To its run, as a declared input of its pipeline."""
    BUDGET = auto()
    """Into the budget of its run."""
    STAGE = auto()
    """As what a stage of its pipeline calls."""
    PART = auto()
    """Into the experiment, which is made anew around it."""


class Target(NamedTuple):
    """What a path names."""

    route: Route
    path: Path
    """Within the experiment; of a stage, its path as one name."""


class Targets:
    """What can be searched of one experiment.

    Args:
        origin: what copies are made of.
        example: an experiment that it makes.
        inputs: the declared inputs of its pipeline, where it is no sweep.
    """

    def __init__(self, origin: Origin, example: Experiment, inputs: Sequence[str]) -> None:
        self._origin = origin
        self._example = example
        self._inputs = inputs
        self._stages = stage_paths(example)

    def find(self, name: str, objects: Mapping[str, Sequence[Any]]) -> Target:
        """What a path names.

        Args:
            name: the path, as its user wrote it.
            objects: for paths that are searched, the objects that may stand there: a path that goes on from there must lead
                somewhere in all of them.

        Raises:
            SearchSpaceError: nothing, with what may have been meant.
        """
        head, _, rest = name.partition(".")
        if not rest and self._origin.takes(name):
            return Target(Route.KEYWORD, (name,))
        if not rest and name in self._inputs:
            return Target(Route.INPUT, (name,))
        if head == BUDGET and BUDGET not in parts_of(self._example):
            if rest in settings_of(Budget):
                return Target(Route.BUDGET, (rest,))
            raise self._nothing(name, "a budget", [f"{BUDGET}.{option}" for option in settings_of(Budget)])
        if head == STAGES and rest:
            if rest in self._stages:
                return Target(Route.STAGE, (rest,))
            kind = type(self._example).__name__
            raise self._nothing(name, f"the pipeline of {kind}", [f"{STAGES}.{path}" for path in self._stages])
        path = tuple(name.split("."))
        self._follow(name, path, objects)
        return Target(Route.PART, path)

    def all(self) -> list[str]:
        """Every path that leads somewhere, as far as can be told without trying."""
        own = [*self._origin.keywords(), *self._inputs]
        within = [".".join(path) for path in _paths_in(self._example, _DEPTH)]
        budget = [f"{BUDGET}.{option}" for option in settings_of(Budget)]
        stages = [] if isinstance(self._example, SweepExperiment) else [f"{STAGES}.{path}" for path in self._stages]
        return list(dict.fromkeys([*own, *within, *budget, *stages]))

    def _follow(self, name: str, path: Path, objects: Mapping[str, Sequence[Any]]) -> None:
        owners: list[Any] = [self._example]
        for depth, part in enumerate(path):
            before = ".".join(path[:depth])
            for owner in owners:
                if not has_part(owner, part):
                    raise self._nothing(
                        name, _called(owner, before), [f"{before}{'.' if before else ''}{own}" for own in parts_of(owner)]
                    )
            known = objects.get(".".join(path[: depth + 1]))
            owners = list(known) if known is not None else [part_of(owner, part) for owner in owners if part in parts_of(owner)]

    def _nothing(self, name: str, owner: str, there: Sequence[str]) -> SearchSpaceError:
        """The error for a path that leads to nothing in ``owner``, which has these."""
        known = self.all()
        last = name.rpartition(".")[2]
        same = [path for path in known if path.rpartition(".")[2] == last and path != name]
        guess = same[0] if same else did_you_mean(name, known)
        kind = self._origin.called
        meant = f"Write the paths of settings of {kind}, such as 'scheduler.c'; what {kind} itself searches is its own search_space"
        return SearchSpaceError(
            f"MetaExperiment(search_space={{{name!r}: ...}})",
            f"the path {name!r} leads to nothing in {owner}",
            found=name,
            expected="one of " + (", ".join(there) or "no paths: it has no settings"),
            remedy=f"Did you mean {guess!r}?" if guess else meant,
        )


def _called(owner: object, at: str) -> str:
    kind = type(owner).__name__
    return f"{kind} (at {at!r})" if at else kind


def _paths_in(thing: Any, depth: int) -> Iterator[Path]:
    for name in parts_of(thing):
        yield (name,)
        below = part_of(thing, name)
        if depth > 1 and _has_settings(below):
            yield from ((name, *path) for path in _paths_in(below, depth - 1))


def _has_settings(value: object) -> bool:
    """Whether there is something to search within a setting: its own settings, or those of its items."""
    if isinstance(value, Mapping):
        return any(map(_has_settings, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_settings, value))
    if isinstance(value, Optimizer | Scheduler | Experiment):
        return True
    kind = type(value)
    return kind.__module__.startswith("metta_sweep.") and bool(parts_of(value)) and not hasattr(value, "top")
