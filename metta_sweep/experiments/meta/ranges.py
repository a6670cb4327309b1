"""What is searched: the ranges at the paths, given, or those that strategies declare themselves; and their ends, tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from metta_sweep.core.distributions import Choice, Distribution, Variants
from metta_sweep.core.levels import Level
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import BuildError, MettaSweepError, MissingExtra, SearchSpaceError, did_you_mean, message_of
from metta_sweep.experiments.experiment import Experiment
from metta_sweep.experiments.meta.changing import part_of, parts_of

__all__ = ["check_ends", "distributions_in", "middle_of", "space_of", "tunable_of"]

_LAST: Final = 1.0 - 2.0**-53
"""The last quantile that there is."""
_MOST_OPTIONS: Final = 32
"""Of so many options each is tried, of more the first and the last one."""
_REFUSALS: Final = (MettaSweepError, TypeError, ValueError)


def space_of(given: Any, example: Experiment) -> SearchSpace:
    """The search space that a user gave: ranges by path, paths whose ranges strategies declare, or None for all of these.

    Raises:
        SearchSpaceError: a path has no declared range, or nothing is tunable.
    """
    if given is not None and not isinstance(given, list | tuple | set | frozenset):
        return SearchSpace.of(given)
    declared = tunable_of(example)
    kind = type(example).__name__
    if given is None:
        if declared:
            return SearchSpace(declared)
        members = ", ".join(type(part).__name__ for part in _members_of(example).values()) or "no strategies"
        raise SearchSpaceError(
            "MetaExperiment(search_space=)",
            f"nothing of {kind} is declared as tunable, so that there is nothing to search",
            found=members,
            expected="ranges by path, or strategies that declare what of them is tunable",
            remedy="Give search_space={'scheduler.c': Uniform(0.0, 4.0)}, say",
        )
    for path in given:
        if path not in declared:
            guess = _guess(str(path), declared)
            raise SearchSpaceError(
                "MetaExperiment(search_space=)",
                f"no range is declared for {path!r}",
                found=path,
                expected="one of " + (", ".join(declared) or f"none: the strategies of {kind} declare nothing"),
                remedy=f"Did you mean {guess!r}?" if guess else f"Give its range: search_space={{{path!r}: Uniform(lower, upper)}}",
            )
    return SearchSpace({path: declared[path] for path in given})


def tunable_of(example: Experiment) -> dict[str, Distribution]:
    """The ranges that the optimizer and the scheduler of an experiment declare, and what these are made of, by path."""
    found: dict[str, Distribution] = {}
    for at, part in _members_of(example).items():
        found.update({f"{at}.{name}": distribution for name, distribution in type(part).tunable.items()})
    return found


def distributions_in(level: Level) -> Iterator[tuple[str, Distribution]]:
    """Every parameter of a search space with what it may be, those under choices too."""
    for name, distribution in level:
        yield name, distribution
        if isinstance(distribution, Choice):
            for space in distribution.spaces or ():
                yield from distributions_in(space)


def middle_of(space: SearchSpace) -> dict[str, Any]:
    """The parameters in the middle of all ranges, with the objects that stand for names."""
    found = dict(distributions_in(space.top))
    return {name: _object(found[name], value) for name, value in space.sample([0.5] * len(space.names)).items()}


def check_ends(space: SearchSpace, make: Callable[[Mapping[str, Any]], object], skip: Callable[[str], bool]) -> None:
    """Try both ends of each range, and each option, with the other parameters left out, and at several of their values.

    Args:
        space: the search space.
        make: makes a copy with these parameters.
        skip: whether a parameter cannot be tried.

    Raises:
        SearchSpaceError: a value is refused whatever the others are.
    """
    tried = [name for name in space.names if not skip(name)]
    for name, distribution in distributions_in(space.top):
        if skip(name):
            continue
        for value in _ends_of(distribution):
            refusal = _refusal(make, name, value, [{}, *_others(space, tried, name)])
            if refusal is not None:
                raise SearchSpaceError(
                    f"MetaExperiment(search_space={{{name!r}: ...}})",
                    f"{value!r} cannot be set there: {message_of(refusal)}".rstrip("."),
                    found=distribution,
                    expected="values that can be set at the path, whatever is drawn",
                    remedy=_remedy(distribution, refusal),
                ) from refusal


def _refusal(
    make: Callable[[Mapping[str, Any]], object], name: str, value: Any, others: list[Mapping[str, Any]]
) -> Exception | None:
    """The first error, where all that is tried is refused."""
    first: Exception | None = None
    for given in others:
        try:
            make({**given, name: value})
        except MissingExtra:
            raise
        except _REFUSALS as error:
            first = first or error
        else:
            return None
    return first


def _others(space: SearchSpace, tried: list[str], name: str) -> Iterator[Mapping[str, Any]]:
    for unit in (0.5, 0.0, _LAST):
        drawn = space.sample([unit] * len(space.names))
        yield {other: value for other, value in drawn.items() if other in tried and other != name}


def _object(distribution: Distribution, value: Any) -> Any:
    return distribution.object(value) if isinstance(distribution, Variants) else value


def _ends_of(distribution: Distribution) -> list[Any]:
    if isinstance(distribution, Choice):
        options = list(distribution.options)
        return options if len(options) <= _MOST_OPTIONS else [options[0], options[-1]]
    return [distribution.from_unit(0.0), distribution.from_unit(_LAST)]


def _remedy(distribution: Distribution, refusal: Exception) -> str:
    if isinstance(refusal, BuildError):
        return "Give functions and pipelines that take and provide the same"
    if isinstance(distribution, Variants):
        return "Leave that one out, or mend it"
    if isinstance(distribution, Choice) and all(isinstance(option, str) for option in distribution.options):
        return "Leave it out; where names stand for objects write Variants(name=object, ...)"
    return "Narrow the range"


def _members_of(thing: object, at: str = "", depth: int = 4) -> dict[str, Any]:
    """The strategies of an experiment, and those that they are made of, by path: what may declare something tunable."""
    found: dict[str, Any] = {}
    for name in parts_of(thing) if depth else ():
        path = f"{at}.{name}" if at else name
        if not at and name not in ("optimizer", "scheduler", "base"):
            continue
        below = part_of(thing, name)
        if isinstance(getattr(type(below), "tunable", None), Mapping):
            found[path] = below
        found.update(_members_of(below, path, depth - 1))
    return found


def _guess(path: str, declared: Mapping[str, Any]) -> str | None:
    same = [known for known in declared if known.rpartition(".")[2] == path.rpartition(".")[2]]
    return same[0] if same else did_you_mean(path, declared)
