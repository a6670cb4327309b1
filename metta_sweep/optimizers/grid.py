"""Grid search: all combinations of evenly spread values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Never

from metta_sweep.core.distributions import Choice, Constant, Distribution, LogInteger, Permutation
from metta_sweep.core.levels import Level
from metta_sweep.core.numbers import check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import OptimizerError, a_kind, did_you_mean, refuse_unknown
from metta_sweep.optimizers.grid_values import values_of
from metta_sweep.optimizers.seeded import SeededOptimizer
from metta_sweep.optimizers.seen import SeenParams, params_key, point_at, size_of
from metta_sweep.optimizers.shuffle import Shuffle

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["GridOptimizer"]

_OPTIONS: Final = ("search_space", "resolution", "order", "seed")
_RESOLUTION: Final = 10


class GridOptimizer(SeededOptimizer):
    """Suggests every point of a grid once, and then nothing more. A run without a budget tries them all.

    Options of a ``Choice`` are all on the grid, with the grid of a sub-space under its option only, and so are the orders of a
    ``Permutation``; ranges have ``resolution`` values. Nothing is listed: a grid of 10**12 points costs no more than a small one.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's.
        resolution: how many values a range has: a number for all of them, or by parameter (10 for the others). ``Uniform`` has
            evenly spaced ones with both bounds, ``LogUniform`` evenly spaced ones in the logarithm, ``Integer`` and ``LogInteger``
            different whole ones, all where there are no more. 1 is the middle.
        order: ``"given"``: nested loops over the parameters in the order of their names, the last one fastest, so that the order in
            which a space is written does not matter; ``"shuffled"``: in a pseudorandom order.
        seed: of the shuffled order; None: derived from the sweep's seed.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for a resolution, order or seed that is none, and for the resolution of a parameter that is no range, or
            that there is not.
    """

    stays_inside = True
    needs_search_space = True
    bounds_itself = True

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "resolution": LogInteger(2, 20),
        "order": Choice(["given", "shuffled"]),
    }

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        resolution: int | Mapping[str, int] = _RESOLUTION,
        order: Literal["given", "shuffled"] = "given",
        seed: int | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown("GridOptimizer", unknown, _OPTIONS)
        self.resolution = _check_resolution(resolution)
        self.order = _check_order(order)
        super().__init__(search_space, seed)

    def begin(self, space: SearchSpace, seed: int) -> None:
        """Make the grid."""
        by_name = self.resolution if isinstance(self.resolution, dict) else {}
        ranges = set(_ranges(space.top)) if by_name else set()
        for name in by_name:
            if name not in space.names:
                raise _no_parameter(name, space)
            if name not in ranges:
                raise _no_range(name, by_name[name])
        default = _RESOLUTION if isinstance(self.resolution, dict) else self.resolution
        self._grid = SearchSpace(_on_grid(space.top, by_name, default))
        self._walks: dict[str, _Walk] = {}
        self._seen: SeenParams | None = None
        self._earlier: set[str] = set()

    @property
    def size(self) -> int:
        """How many points the grid has.

        Raises:
            OptimizerError: it has no search space.
        """
        return self._walk({}).size if self.space else 0

    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """The next ``n`` points, or as many as are left; with ``fixed``, of the grid of the other parameters.

        Raises:
            OptimizerError: when it has no search space.
            SuggestionError: when something is fixed that the search space does not have.
        """
        space = self.space
        if fixed:
            fixed = space.check_fixed(fixed)
            self._remember()
        walk = self._walk(fixed or {})
        found: list[Suggestion] = []
        while len(found) < n:
            params = walk.following()
            if params is None:
                break
            if self._earlier and params_key(params) in self._earlier:
                continue
            if self._seen is None or self._seen.add(params):
                found.append(Suggestion(params=params, origin="grid"))
        return found

    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Pass over their points."""
        if self.space:
            self._earlier.update(params_key(trial.params) for trial in trials)

    def _walk(self, fixed: Mapping[str, Any]) -> _Walk:
        key = params_key(fixed)
        if key not in self._walks:
            self._walks[key] = _Walk(self._grid, dict(fixed), (self.seed or 0) if self.order == "shuffled" else None)
        return self._walks[key]

    def _remember(self) -> None:
        """From the first time that something is fixed, walks may meet: what was suggested is kept from then on."""
        if self._seen is not None:
            return
        self._seen = SeenParams(self._grid)
        walk = self._walk({})
        for place in range(walk.place):
            self._seen.add(walk.at(place))


class _Walk:
    """A way through the grid of the parameters that are not fixed."""

    def __init__(self, grid: SearchSpace, fixed: dict[str, Any], seed: int | None) -> None:
        size = size_of(grid, fixed)
        self.size = 0 if size is None else size
        self.place = 0
        """How many points were given."""
        self._grid = grid
        self._fixed = fixed
        self._shuffle = None if seed is None else Shuffle(self.size, seed)

    def at(self, place: int) -> dict[str, Any]:
        """Point number ``place`` of the way."""
        return point_at(self._grid, place if self._shuffle is None else self._shuffle.at(place), self._fixed)

    def following(self) -> dict[str, Any] | None:
        """The next point; None at the end."""
        if self.place >= self.size:
            return None
        self.place += 1
        return self.at(self.place - 1)


def _ranges(level: Level) -> Iterator[str]:
    """The parameters that are ranges, under some alternative at least."""
    for name, distribution in level:
        if isinstance(distribution, Choice):
            for space in distribution.spaces or ():
                yield from _ranges(space)
        elif not isinstance(distribution, Constant | Permutation):
            yield name


def _on_grid(level: Level, by_name: Mapping[str, int], default: int) -> dict[str, Distribution]:
    """The space with every range replaced by its values."""
    made: dict[str, Distribution] = {}
    for name, distribution in level:
        if isinstance(distribution, Choice):
            made[name] = _choice(distribution, by_name, default)
        elif isinstance(distribution, Constant | Permutation):
            made[name] = distribution
        else:
            made[name] = Choice(values_of(distribution, by_name.get(name, default)))
    return made


def _choice(choice: Choice, by_name: Mapping[str, int], default: int) -> Choice:
    if choice.spaces is None:
        return choice
    return Choice({option: _on_grid(space, by_name, default) for option, space in zip(choice.options, choice.spaces, strict=True)})


def _check_resolution(resolution: Any) -> int | dict[str, int]:
    where, remedy = "GridOptimizer(resolution=)", "Write 10, or {'lr': 5}, say"
    if isinstance(resolution, Mapping):
        return {
            name: check_int(value, f"{where}[{name!r}]", OptimizerError, at_least=1, remedy=remedy)
            for name, value in resolution.items()
        }
    return check_int(resolution, where, OptimizerError, at_least=1, remedy=remedy)


def _check_order(order: Any) -> Literal["given", "shuffled"]:
    if order in ("given", "shuffled"):
        return "given" if order == "given" else "shuffled"
    guess = did_you_mean(order, ("given", "shuffled")) if isinstance(order, str) else None
    raise OptimizerError(
        "GridOptimizer(order=)",
        "unknown order" if isinstance(order, str) else f"{a_kind(order)} is no order",
        found=order,
        expected="'given' or 'shuffled'",
        remedy=f"Did you mean {guess!r}?" if guess else "Write 'given'",
    )


def _no_parameter(name: Any, space: SearchSpace) -> OptimizerError:
    guess = did_you_mean(name, space.names) if isinstance(name, str) else None
    return OptimizerError(
        "GridOptimizer(resolution=)",
        f"the search space has no parameter {name!r}",
        found=name,
        expected="names among " + ", ".join(space.names),
        remedy=f"Did you mean {guess!r}?" if guess else "Leave it out",
    )


def _no_range(name: str, count: int) -> OptimizerError:
    return OptimizerError(
        f"GridOptimizer(resolution=)[{name!r}]",
        f"{name!r} is no range, so that all of its values are on the grid",
        found=count,
        expected="the names of Uniform, LogUniform, Integer and LogInteger parameters",
        remedy="Leave it out",
    )
