"""Where an acquisition function is highest in a search space of numbers, choices and sub-spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.core.encoding import Axis, Encoding
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.optimizers.acquisition import Worth, climb

if TYPE_CHECKING:
    import numpy as np

    from metta_sweep.optimizers.gaussian_process import Floats, GaussianProcess

__all__ = ["Search", "best_points", "peaks"]

_FEW: Final = 16
"""Whole numbers of at most so many values are tried one by one; of more, the model goes between them."""
_ROUNDS: Final = 3


class Search:
    """The points of a space that a model may be asked about, some parameters fixed.

    Args:
        encoding: of the search space.
        fixed: parameters that have one value.
    """

    def __init__(self, encoding: Encoding, fixed: Mapping[str, Any]) -> None:
        self.encoding = encoding
        self.fixed = fixed
        self._plain = not fixed and all(axis.width == 1 and axis.steps is None for axis in encoding.all_axes())

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.encoding.space

    def random(self, count: int, rng: np.random.Generator) -> Floats:
        """Random points, one row each."""
        import numpy as np

        units = rng.random((count, len(self.space.names)))
        if self._plain:
            return units
        encode, sample, fixed = self.encoding.encode, self.space.sample, self.fixed
        return np.array([encode(sample(row, fixed)) for row in units.tolist()]).reshape(count, self.encoding.width)

    def params(self, vector: Floats) -> dict[str, Any]:
        """The parameters nearest to a vector."""
        return self.encoding.decode_within(vector.tolist(), self.fixed)

    def nearest(self, vectors: Floats) -> Floats:
        """The points of the space nearest to vectors: whole numbers rounded, one option chosen."""
        import numpy as np

        if self._plain:
            return vectors
        return np.array([self.encoding.encode(self.params(vector)) for vector in vectors]).reshape(vectors.shape)

    def free(self, vector: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which coordinates can be moved along from here, others staying as they are."""
        import numpy as np

        mask = np.zeros(self.encoding.width, dtype=bool)
        for axis in self._movable(vector):
            if not _is_stepwise(axis) and not axis.is_order:
                mask[axis.start] = True
        return mask

    def steps_from(self, vector: Floats) -> list[Floats]:
        """Points that differ in one choice, in one number of few values, or in two items of an order, which are swapped."""
        found: list[Floats] = []
        for axis in self._movable(vector):
            if axis.is_order:
                found += _swaps(vector, range(axis.start, axis.start + axis.width))
            if not _is_stepwise(axis) or axis.inner:
                continue
            for number in range(axis.steps or 0):
                moved = vector.copy()
                if axis.is_choice:
                    moved[axis.start : axis.start + axis.width] = 0.0
                    moved[axis.start + number] = 1.0
                else:
                    moved[axis.start] = axis.distribution.to_unit(axis.sample((number + 0.5) / (axis.steps or 1)))
                found.append(moved)
        return found

    def _movable(self, vector: Floats) -> list[Axis]:
        if self._plain:
            return list(self.encoding.axes)
        return [axis for axis in self.encoding.active_axes(self.params(vector)) if axis.name not in self.fixed]


def best_points(
    search: Search, process: GaussianProcess, worth: Worth, incumbents: Floats, rng: np.random.Generator, sizes: tuple[int, int]
) -> list[Floats]:
    """Points by worth, the best ones first: random ones, those reached uphill from some of them, and from the incumbents.

    Args:
        search: the points that there are.
        process: what is known.
        worth: the acquisition function.
        incumbents: the best points so far, one row each, from which it also starts.
        rng: the source of randomness.
        sizes: how many random points, and from how many of them it goes uphill: the best one, and others by their worth.
    """
    import numpy as np

    candidates = search.random(sizes[0], rng)
    worths = worth.of(*process.predict(candidates))
    starts = [*candidates[_chosen(worths, sizes[1], rng)], *search.nearest(incumbents)]
    reached = np.array([_uphill(search, process, worth, start) for start in starts])
    everything = np.concatenate([search.nearest(reached), candidates])
    worths = np.concatenate([worth.of(*process.predict(everything[: len(reached)])), worths])
    return list(everything[np.argsort(-worths, kind="stable")])


def peaks(search: Search, process: GaussianProcess, worth: Worth, starts: Floats) -> list[Floats]:
    """The points reached uphill from these, one row each, the best ones first."""
    import numpy as np

    reached = search.nearest(np.array([_uphill(search, process, worth, start) for start in search.nearest(starts)]))
    return list(reached[np.argsort(-worth.of(*process.predict(reached)), kind="stable")])


def _chosen(worths: Floats, count: int, rng: np.random.Generator) -> Sequence[int]:
    import numpy as np

    best = int(np.argmax(worths))
    weights = np.exp(np.minimum(worths - worths[best], 0.0))
    weights[best] = 0.0
    others = min(count - 1, int(np.count_nonzero(weights)))
    if others < 1:
        return [best]
    return [best, *rng.choice(len(worths), others, replace=False, p=weights / weights.sum()).tolist()]


def _uphill(search: Search, process: GaussianProcess, worth: Worth, start: Floats) -> Floats:
    import numpy as np

    point, height = start, -np.inf
    for _ in range(_ROUNDS):
        point, height = climb(process, worth, point, search.free(point))
        steps = search.steps_from(point)
        if not steps:
            break
        worths = worth.of(*process.predict(np.array(steps)))
        best = int(np.argmax(worths))
        if worths[best] <= height + 1e-9:
            break
        point = steps[best]
    return point


def _swaps(vector: Floats, coordinates: range) -> list[Floats]:
    found: list[Floats] = []
    for one, other in combinations(coordinates, 2):
        moved = vector.copy()
        moved[one], moved[other] = vector[other], vector[one]
        found.append(moved)
    return found


def _is_stepwise(axis: Axis) -> bool:
    return axis.is_choice or (axis.steps is not None and axis.steps <= _FEW)
