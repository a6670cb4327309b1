"""The problems that sides are compared on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from metta_sweep.address import check_name
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import InvalidInput, ObjectiveError, a_kind
from metta_sweep.experiments.settings import describe_objective

__all__ = ["OWN", "Instance", "Problem", "check_part", "problems_of", "takes"]

OWN: Final = "problem"
"""What the problem is called where the experiments bring their own."""
_EXAMPLE: Final = "problems={'sphere': sphere, 'branin': (branin, {'x': Uniform(-5, 10), 'y': Uniform(0, 15)})}"


class Instance(NamedTuple):
    """One problem as both sides of a pair get it."""

    made: Any
    """What the user gave, or what the factory made."""
    objective: Callable[..., Any]
    search_space: SearchSpace | None
    """None: that of each experiment."""


class Problem:
    """A named problem: an objective, with or without a search space, or a function that makes one from a seed.

    Args:
        name: what it is called in addresses and tables.
        given: an objective, ``(objective, search_space)``, or a function with the parameter ``seed`` that returns either.
        searched: names of parameters that are searched: an objective may have one that is called ``seed``.
    """

    def __init__(self, name: str, given: Any, searched: Collection[str] = ()) -> None:
        self.name = check_part(name, "compare(problems=)")
        self.where = f"compare(problems={{{name!r}: ...}})"
        self._given = given
        maker, space = self._parts(given)
        names = {*searched, *(() if space is None else space.names)}
        self._maker = maker if "seed" not in names and takes(maker, "seed") else None

    @property
    def is_made(self) -> bool:
        """Whether a seed makes it, so that repeats are of different instances."""
        return self._maker is not None

    def instance(self, seed: int) -> Instance:
        """The problem of one pair; with a factory, the one of this seed."""
        if self._maker is None:
            return Instance(self._given, *self._parts(self._given))
        made = self._maker(seed=seed)
        if isinstance(self._given, tuple) and not isinstance(made, tuple):
            made = (made, self._given[1])
        return Instance(made, *self._parts(made))

    def describe(self) -> Any:
        """What is kept of it in a definition: names, never code."""
        objective, space = self._parts(self._given)
        described = describe_objective(objective)
        return described if space is None else {"objective": described, "search_space": space.describe()}

    def _parts(self, given: Any) -> tuple[Callable[..., Any], SearchSpace | None]:
        objective, space = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        if not callable(objective):
            raise ObjectiveError(
                self.where,
                f"{a_kind(given)} is no problem",
                found=given,
                expected="an objective, (objective, search_space), or a function of a seed that makes one",
                remedy=f"Write {_EXAMPLE}, say",
            )
        return objective, None if space is None else SearchSpace.of(space)


def problems_of(problems: object, searched: Collection[str]) -> dict[str, Problem] | None:
    """The problems by name; None where the experiments bring their own."""
    if problems is None:
        return None
    if not isinstance(problems, Mapping) or not problems:
        raise InvalidInput(
            "compare(problems=)",
            "problems are a mapping of names to objectives, with one at least",
            found=problems,
            expected="a mapping, or None where the experiments have objectives",
            remedy=f"Write {_EXAMPLE}, say",
        )
    return {name: Problem(name, given, searched) for name, given in problems.items()}


def check_part(name: object, where: str) -> str:
    """The name, if it can be part of the id ``problem:repeat:side`` of a run. Raises ``InvalidName``."""
    checked = check_name(name, where)
    if ":" in checked:
        raise InvalidInput(
            where,
            f"the name {checked!r} holds ':', which stands between the parts of a run's id",
            found=name,
            expected="a name without ':'",
            remedy="Write '-' or '_' there",
        )
    return checked


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of that name, given by name."""
    try:
        parameter = inspect.signature(function).parameters.get(name)
    except (TypeError, ValueError):  # builtins may have none
        return False
    return parameter is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
