"""Quasi-random search: points that fill the space more evenly than independent draws do."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Never

from metta_sweep.core.distributions import Choice, Distribution
from metta_sweep.core.numbers import check_flag
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import seed_of_32_bits
from metta_sweep.core.trial import Suggestion, Trial
from metta_sweep.errors import MissingExtra, OptimizerError, refuse_unknown
from metta_sweep.optimizers.seeded import SeededOptimizer
from metta_sweep.optimizers.seen import SeenParams, params_key
from metta_sweep.optimizers.supports import Supports

if TYPE_CHECKING:
    from pydantic import BaseModel


__all__ = ["SobolOptimizer"]

_OPTIONS: Final = ("search_space", "seed", "scramble", "duplicates")
_MOST: Final = 21201
_BLOCK: Final = 64
_KEPT: Final = 8
_LEAVE_OUT: Final = "Leave it out for the default"


class SobolOptimizer(SeededOptimizer):
    """Suggests the points of a Sobol sequence, one after another: the same stream however many are asked for at once.

    With parameters ``fixed`` (a branch of a sweep, say) it walks the same sequence from its beginning, apart from the others: each
    branch is covered evenly, and what branches have in common takes the same values in each. Its points have 30 bits, so that it
    comes to all orders of up to 12 items, and of more to evenly spread ones. Needs SciPy.

    SOURCE: Joe and Kuo 2008, "Constructing Sobol sequences with better two-dimensional projections"; scrambling: Matousek 1998.

    Args:
        search_space: a mapping of names to distributions, or a model class; None: the sweep's. At most 21201 parameters.
        seed: a whole number; None: derived from the sweep's seed. Of no effect without ``scramble``.
        scramble: a random linear scramble and shift, which differ between seeds. Without them the first point is the lower end of
            every range, and the second one the middle.
        duplicates: whether points of finite spaces may be suggested more than once; without, such a space is used up some time.

    Raises:
        SearchSpaceError: for a search space that is none.
        OptimizerError: for a seed or option that is none.
        MissingExtra: SciPy is not installed.
    """

    stays_inside = True
    needs_search_space = True
    supports = Supports(most_parameters=_MOST)

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "scramble": Choice([True, False]),
    }

    def __init__(
        self,
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        seed: int | None = None,
        scramble: bool = True,
        duplicates: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown("SobolOptimizer", unknown, _OPTIONS)
        self.scramble = check_flag(scramble, "SobolOptimizer(scramble=)", OptimizerError, remedy=_LEAVE_OUT)
        self.duplicates = check_flag(duplicates, "SobolOptimizer(duplicates=)", OptimizerError, remedy=_LEAVE_OUT)
        _import_qmc()
        super().__init__(search_space, seed)

    def begin(self, space: SearchSpace, seed: int) -> None:
        """Make the sequence; its dimensions are the parameters by name, so that the order in which they are written is none."""
        if len(space.names) > _MOST:
            raise OptimizerError(
                "SobolOptimizer(search_space=)",
                "the sequence has no more dimensions",
                found=f"{len(space.names)} parameters",
                expected=f"at most {_MOST}",
                remedy="Use RandomOptimizer",
            )
        names = sorted(space.names)
        self._dimensions = [names.index(name) for name in space.names]
        self._sequence = _Sequence(len(names), seed_of_32_bits(seed, "sobol") if self.scramble else None)
        self._places: dict[str, int] = {}
        self._seen = SeenParams(space)

    def suggest(self, n: int, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """The points of the next ``n`` places, of the sequence for these ``fixed`` parameters; none twice.

        Raises:
            OptimizerError: when it has no search space.
            SuggestionError: when something is fixed that the search space does not have.
        """
        space = self.space
        if fixed:
            fixed = space.check_fixed(fixed)
        key = params_key(fixed or {})

        def following(_number: int) -> dict[str, Any]:
            place = self._places.get(key, 0)
            self._places[key] = place + 1
            units = self._sequence.at(place)
            return space.sample([units[dimension] for dimension in self._dimensions], fixed)

        found: list[Suggestion] = []
        while len(found) < n:
            params = following(0) if self.duplicates else self._seen.draw_new(following, fixed)
            if params is None:
                break
            found.append(Suggestion(params=params, origin="sobol"))
        return found

    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """Remember their points, so that they are not suggested again; the sequence begins where it begins."""
        if self.space:
            for trial in trials:
                self._seen.add(trial.params)


class _Sequence:
    """A Sobol sequence by place. Blocks of it are made as they are needed, and the newest are kept."""

    def __init__(self, dimensions: int, seed: int | None) -> None:
        self._dimensions = dimensions
        self._seed = seed
        self._engine: Any = None
        self._blocks: dict[int, list[list[float]]] = {}

    def at(self, place: int) -> list[float]:
        """Floats in [0, 1), one per dimension."""
        number, offset = divmod(place, _BLOCK)
        if number not in self._blocks:
            self._blocks[number] = self._block(number)
            if len(self._blocks) > _KEPT:
                del self._blocks[next(iter(self._blocks))]
        return self._blocks[number][offset]

    def _block(self, number: int) -> list[list[float]]:
        if self._engine is None:
            self._engine = _engine(self._dimensions, self._seed)
        ahead = number * _BLOCK - self._engine.num_generated
        if ahead < 0:
            self._engine.reset()
            ahead = number * _BLOCK
        if ahead:
            self._engine.fast_forward(ahead)
        points: list[list[float]] = self._engine.random(_BLOCK).tolist()
        return points


def _engine(dimensions: int, seed: int | None) -> Any:
    sobol = _import_qmc().Sobol
    # renamed in SciPy 1.15
    keyword = "rng" if "rng" in inspect.signature(sobol).parameters else "seed"
    return sobol(dimensions, scramble=seed is not None, **{keyword: seed})


def _import_qmc() -> Any:
    try:
        from scipy.stats import qmc
    except ImportError:
        raise MissingExtra("SobolOptimizer", extra="sobol", library="SciPy") from None
    return qmc
