"""The levels of a search space: which parameters exist under which alternatives, and the compiled way to draw them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from metta_sweep.core.distributions import Choice, Distribution, Sampler
from metta_sweep.errors import SearchSpaceError

__all__ = ["Condition", "Level", "Program", "active_parameters", "collect", "compile_level", "in_words"]

Level = tuple[tuple[str, Distribution], ...]
"""The parameters of one level of a space."""
Condition = tuple[tuple[str, str], ...]
"""Choices and the alternatives of theirs under which a parameter exists; () at the top."""
Program = Callable[[Sequence[float], dict[str, Any], Mapping[str, Any]], None]
"""Draws the active parameters into a dict: (uniform floats, the dict, what is fixed)."""


def collect(level: Level, condition: Condition, conditions: dict[str, list[Condition]], choices: dict[str, Choice]) -> set[str]:
    """Note each parameter with the conditions under which it exists, depth first; returns the names of the level and below.

    Raises:
        SearchSpaceError: where two parameters of one name may exist at once.
    """
    seen: set[str] = set()
    for name, distribution in level:
        conditions.setdefault(name, []).append(condition)
        names = {name}
        if isinstance(distribution, Choice):
            choices[name] = distribution
            for option, space in zip(distribution.options, distribution.spaces or (), strict=False):
                inner = collect(space, (*condition, (name, option)), conditions, choices)
                if name in inner:
                    raise _clash(name, conditions)
                # alternatives of one choice exclude each other, so that they may share names
                names |= inner
        if not seen.isdisjoint(names):
            raise _clash(min(seen & names), conditions)
        seen |= names
    return seen


def _clash(name: str, conditions: Mapping[str, list[Condition]]) -> SearchSpaceError:
    return SearchSpaceError(
        "search_space",
        f"two parameters are called {name!r}, and may be there at once ({in_words(conditions[name])})",
        found=name,
        expected="names that differ, but for those under different alternatives of one Choice",
        remedy="Rename one of them",
    )


def in_words(conditions: Sequence[Condition]) -> str:
    """Conditions as text: ``model = 'svm' and kernel = 'rbf'``; of many the first three."""
    words = [" and ".join([f"{choice} = {option!r}" for choice, option in condition]) or "always" for condition in conditions[:3]]
    return " or ".join([*words, "..."] if len(conditions) > 3 else words)


def active_parameters(level: Level, params: Mapping[str, Any]) -> Iterator[tuple[str, Distribution]]:
    """The parameters that exist beside these ones."""
    for name, distribution in level:
        yield name, distribution
        if isinstance(distribution, Choice) and distribution.spaces is not None and name in params:
            position = distribution.position(params[name])
            if position is not None:
                yield from active_parameters(distribution.spaces[position], params)


def compile_level(level: Level, numbers: Mapping[str, int]) -> Program:
    """The program that draws a level; ``numbers`` says which uniform float is whose."""
    steps: list[tuple[str, int, Sampler]] = []
    inner: list[tuple[str, Mapping[str, Program]]] = []
    for name, distribution in level:
        steps.append((name, numbers[name], distribution.sampler()))
        if isinstance(distribution, Choice) and distribution.spaces is not None:
            alternatives = zip(distribution.options, distribution.spaces, strict=True)
            inner.append((name, {option: compile_level(space, numbers) for option, space in alternatives}))

    def draw(units: Sequence[float], params: dict[str, Any], fixed: Mapping[str, Any]) -> None:
        for name, number, sample in steps:
            params[name] = fixed[name] if name in fixed else sample(units[number])
        for name, programs in inner:
            programs[params[name]](units, params, fixed)

    return draw
