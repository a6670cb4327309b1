"""What an optimizer can search, and the refusal of what it cannot."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from metta_sweep.core.distributions import Choice, Integer, LogInteger, LogUniform, Permutation, Uniform
from metta_sweep.errors import OptimizerError

if TYPE_CHECKING:
    from metta_sweep.core.goal import Goal
    from metta_sweep.core.levels import Level
    from metta_sweep.core.search_space import SearchSpace

__all__ = ["Supports", "check_supported"]

_MANY: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Supports(NamedTuple):
    """What an optimizer declares that it can search."""

    conditional: bool = True
    """Spaces with sub-spaces under a ``Choice``."""
    categorical: bool = True
    """``Choice``, with or without sub-spaces."""
    continuous: bool = True
    """``Uniform`` and ``LogUniform``."""
    integers: bool = True
    """``Integer`` and ``LogInteger``."""
    several_objectives: bool = True
    """Goals with several objectives: ``observe`` is told a mapping then."""
    most_parameters: int | None = None
    """How many parameters a space may have; None: any number."""
    most_ordered: int | None = None
    """How many items a ``Permutation`` may have; None: any number; 0: it searches no orders."""

    def lacks(self, space: SearchSpace | None, goal: Goal) -> str | None:
        """What the space or the goal asks for and this does not have, in words; None when it has everything."""
        if goal.has_several and not self.several_objectives:
            return f"a goal with several objectives ({', '.join(str(objective.metric) for objective in goal.objectives)})"
        if space is None:
            return None
        if self.most_parameters is not None and len(space.names) > self.most_parameters:
            return f"a space of {len(space.names)} parameters (it searches up to {self.most_parameters})"
        for name, distribution, nested in _parameters(space.top):
            if nested and not self.conditional:
                return f"sub-spaces under a Choice, such as the one with {name!r}"
            if isinstance(distribution, Choice) and not self.categorical:
                return f"choices, such as {name!r}"
            if isinstance(distribution, Uniform | LogUniform) and not self.continuous:
                return f"continuous parameters, such as {name!r}: {distribution!r}"
            if isinstance(distribution, Integer | LogInteger) and not self.integers:
                return f"whole numbers, such as {name!r}: {distribution!r}"
            if isinstance(distribution, Permutation):
                lacking = self._lacks_orders(name, distribution)
                if lacking is not None:
                    return lacking
        return None

    def _lacks_orders(self, name: str, permutation: Permutation) -> str | None:
        most, length = self.most_ordered, len(permutation.items)
        if most is None or length <= most:
            return None
        limit = f" of {length} items (it searches those of up to {most})" if most else ""
        return f"orders{limit}, such as {name!r}: {permutation!r}"


def check_supported(optimizer: Any, space: SearchSpace | None, goal: Goal) -> None:
    """Refuse a space or goal that the optimizer does not declare to support.

    Raises:
        OptimizerError: naming what is asked for, and the optimizers that support it.
    """
    lacking = _lacking(optimizer, space, goal)
    if lacking is None:
        return
    path, member = _at_fault(optimizer, space, goal)
    who = f"its member {'/'.join(path)!r} ({type(member).__name__})" if path else "it"
    raise OptimizerError(
        f"SweepExperiment(optimizer={type(optimizer).__name__}(...))",
        f"{who} does not search {lacking}",
        found=goal.describe() if lacking.startswith("a goal") or space is None else ", ".join(space.names),
        expected="a search space and a goal that it supports",
        remedy="Optimizers that do: " + ", ".join(_that_support(space, goal)),
    )


def _lacking(optimizer: Any, space: SearchSpace | None, goal: Goal) -> str | None:
    supports = getattr(optimizer, "supports", None)
    return supports.lacks(space, goal) if isinstance(supports, Supports) else None


def _at_fault(optimizer: Any, space: SearchSpace | None, goal: Goal) -> tuple[list[str], Any]:
    """The first of the optimizers that it is made of which lacks something, with the names that lead there; else itself."""
    members = getattr(optimizer, "optimizers", None)
    for name, member in members.items() if isinstance(members, Mapping) else ():
        if _lacking(member, space, goal) is not None:
            path, innermost = _at_fault(member, space, goal)
            return [name, *path], innermost
    return [], optimizer


def _that_support(space: SearchSpace | None, goal: Goal) -> Iterator[str]:
    from metta_sweep import optimizers

    for name in optimizers.__all__:
        member = getattr(optimizers, name)
        supports = getattr(member, "supports", None)
        if member is optimizers.Optimizer or not isinstance(supports, Supports) or not _stands_alone(member):
            continue
        if supports.lacks(space, goal) is None:
            yield name


def _stands_alone(member: type) -> bool:
    """Whether it searches by itself: a queue needs suggestions, and what is made of other optimizers needs those."""
    parameters = inspect.signature(member).parameters.values()
    return all(parameter.default is not parameter.empty or parameter.kind in _MANY for parameter in parameters)


def _parameters(level: Level, nested: bool = False) -> Iterator[tuple[str, Any, bool]]:
    for name, distribution in level:
        yield name, distribution, nested
        if isinstance(distribution, Choice):
            for space in distribution.spaces or ():
                yield from _parameters(space, nested=True)
