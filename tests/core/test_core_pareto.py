"""Domination, fronts and hypervolume, beside the plainest code that computes them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta_sweep.core.pareto import Front, dominates, hypervolume, pareto_front, pareto_ranks

Points = list[tuple[int, ...]]
MOST = 3
"""Coordinates are 0 to this: so few that equal values, equal points and points on the reference are common."""


@st.composite
def points_and_signs(draw: st.DrawFn, most: int = 12) -> tuple[Points, tuple[int, ...]]:
    """Points on a small grid, and the direction of each objective."""
    objectives = draw(st.integers(1, 5))
    signs = tuple(draw(st.sampled_from((1, -1))) for _ in range(objectives))
    return draw(st.lists(st.tuples(*[st.integers(0, MOST)] * objectives), max_size=most)), signs


def counted_volume(points: Points, reference: Sequence[int], signs: Sequence[int]) -> int:
    """How many unit cells at least one point dominates: cell by cell."""
    cells = 0
    for corner in itertools.product(*[range(MOST)] * len(signs)):
        # a cell is named by its corner nearest to the reference
        for point in points:
            if all(
                (low <= at and at + 1 <= value) if sign > 0 else (value <= at and at + 1 <= low)
                for at, value, low, sign in zip(corner, point, reference, signs, strict=True)
            ):
                cells += 1
                break
    return cells


@pytest.mark.parametrize(
    ("first", "second", "signs", "expected"),
    [
        ((1, 2), (1, 1), (1, 1), True),
        ((1, 2), (1, 2), (1, 1), False),
        ((1, 2), (2, 1), (1, 1), False),
        ((0.9, 10.0), (0.8, 20.0), (1, -1), True),
        ((0.9, 10.0), (0.8, 5.0), (1, -1), False),
        ((2,), (1,), (-1,), False),
        ((1,), (2,), (-1,), True),
    ],
)
def test_domination_is_no_worse_in_all_and_better_in_one(first: Any, second: Any, signs: Any, expected: bool) -> None:
    """A point dominates another that it equals or beats everywhere, and beats somewhere, in each objective's direction."""
    assert dominates(first, second, signs) is expected


@settings(deadline=None)
@given(points_and_signs())
def test_the_front_is_what_nothing_dominates(drawn: tuple[Points, tuple[int, ...]]) -> None:
    """The front is the positions of all points that no other dominates, equal points included, in their order."""
    points, signs = drawn
    expected = [at for at, point in enumerate(points) if not any(dominates(other, point, signs) for other in points)]
    assert pareto_front(points, signs) == expected


@settings(deadline=None)
@given(points_and_signs())
def test_ranks_peel_front_after_front(drawn: tuple[Points, tuple[int, ...]]) -> None:
    """The points of one rank are the front of what the ranks before them left over."""
    points, signs = drawn
    ranks = pareto_ranks(points, signs)
    left = list(range(len(points)))
    for rank in range(max(ranks, default=-1) + 1):
        front = [left[at] for at in pareto_front([points[position] for position in left], signs)]
        assert [position for position in left if ranks[position] == rank] == front
        left = [position for position in left if position not in front]
    assert left == []


@settings(deadline=None)
@given(points_and_signs(most=6), st.integers(0, MOST))
def test_hypervolume_is_the_number_of_dominated_cells(drawn: tuple[Points, tuple[int, ...]], level: int) -> None:
    """On a grid the volume is the number of cells that at least one point dominates, in one to five objectives."""
    points, signs = drawn
    reference = [level if sign > 0 else MOST - level for sign in signs]
    assert hypervolume(points, reference, signs) == pytest.approx(counted_volume(points, reference, signs))


@settings(deadline=None)
@given(points_and_signs(most=8))
def test_only_the_front_has_volume(drawn: tuple[Points, tuple[int, ...]]) -> None:
    """Dominated and repeated points, and the order of all of them, change nothing."""
    points, signs = drawn
    reference = [-1 if sign > 0 else MOST + 1 for sign in signs]
    front = [points[at] for at in pareto_front(points, signs)]
    whole = hypervolume(points, reference, signs)
    assert hypervolume([*reversed(front), *front], reference, signs) == pytest.approx(whole)


def test_points_that_are_not_better_than_the_reference_count_nothing() -> None:
    """A point beyond the reference in one objective adds nothing, however good it is in the others."""
    assert hypervolume([(0.9, 200.0), (0.5, 50.0)], (0.0, 100.0), (1, -1)) == pytest.approx(0.5 * 50.0)
    assert hypervolume([(0.9, 100.0)], (0.0, 100.0), (1, -1)) == 0.0
    assert hypervolume([], (0.0, 100.0), (1, -1)) == 0.0


def test_the_hypervolume_of_known_fronts() -> None:
    """Boxes of three and four objectives, worked out by hand."""
    assert hypervolume([(1, 2, 3)], (0, 0, 0), (1, 1, 1)) == 6.0
    assert hypervolume([(2, 1, 1), (1, 2, 1), (1, 1, 2)], (0, 0, 0), (1, 1, 1)) == 4.0
    assert hypervolume([(2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2)], (0, 0, 0, 0), (1, 1, 1, 1)) == 5.0


@settings(deadline=None)
@given(points_and_signs())
def test_a_front_that_grows_point_by_point_is_that_of_all(drawn: tuple[Points, tuple[int, ...]]) -> None:
    """After each point it is the front of those so far, and says whether the point is in it."""
    points, signs = drawn
    front = Front(signs)
    for number, point in enumerate(points):
        inside = front.add(number, point)
        expected = pareto_front(points[: number + 1], signs)
        assert front.numbers == expected
        assert len(front) == len(expected)
        assert (number in front) == inside == (number in expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_points_that_are_not_finite_are_refused(value: float) -> None:
    """A front of NaN or infinities means nothing, so that it is refused."""
    with pytest.raises(ValueError, match="must be finite"):
        pareto_front([(value, 1.0)], (1, 1))


def test_points_of_another_length_are_refused() -> None:
    """Each point has one number per objective."""
    with pytest.raises(ValueError, match="shorter"):
        pareto_front([(1.0, 2.0, 3.0)], (1, 1))
    with pytest.raises(ValueError, match="longer"):
        dominates((1.0,), (1.0, 2.0), (1,))
