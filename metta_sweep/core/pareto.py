"""Several objectives at once: what dominates what, the fronts of a set of points, and the volume that they dominate.

Points are sequences of numbers, one per objective, and ``signs`` says of each objective whether more of it is better (+1) or less
(-1), as ``Goal.sign`` does. All functions are pure, and exact but for rounding.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import isfinite
from operator import itemgetter

__all__ = ["Front", "dominates", "hypervolume", "pareto_front", "pareto_ranks"]

Point = tuple[float, ...]


def dominates(first: Sequence[float], second: Sequence[float], signs: Sequence[int]) -> bool:
    """Whether ``first`` is at least as good in every objective, and better in one. Equal points do not dominate each other."""
    better = False
    for one, other, sign in zip(first, second, signs, strict=True):
        if one == other:
            continue
        if (one > other) != (sign > 0):
            return False
        better = True
    return better


def pareto_front(values: Iterable[Sequence[float]], signs: Sequence[int]) -> list[int]:
    """Positions of the points that no other dominates, in their order; of equal points all.

    One or two objectives take ``n log n`` steps; more of them ``n`` times the size of the front.
    """
    points = [_turned(value, signs) for value in values]
    return sorted(_front(points, list(range(len(points)))))


def pareto_ranks(values: Iterable[Sequence[float]], signs: Sequence[int]) -> list[int]:
    """The front that each point is in: 0 for the Pareto front, 1 for the front of what is left without it, and so on.

    SOURCE: nondominated sorting, Deb et al. 2002 (NSGA-II).
    """
    points = [_turned(value, signs) for value in values]
    ranks = [0] * len(points)
    left = list(range(len(points)))
    rank = 0
    while left:
        front = set(_front(points, left))
        for position in front:
            ranks[position] = rank
        left = [position for position in left if position not in front]
        rank += 1
    return ranks


def hypervolume(values: Iterable[Sequence[float]], reference: Sequence[float], signs: Sequence[int]) -> float:
    """The volume of what lies between the points and a reference: the part of it that at least one of them dominates.

    It is in the product of the objectives' units, and larger for better sets. A point that is not better than the reference in
    every objective adds nothing. Exact in any number of dimensions; the time grows with about ``n ** (objectives / 2)`` to ``n **
    (objectives - 1)``, so that some hundred points of up to four objectives are done in seconds at most.

    SOURCE: one objective and two are sums; from three on the exclusive volumes of While, Bradstreet and Barone 2012 (WFG): of each
    point its box, less what the points after it dominate of the box.
    """
    origin = _turned(reference, signs)
    shifted: list[Point] = []
    for value in values:
        point = tuple([one - other for one, other in zip(_turned(value, signs), origin, strict=True)])
        if all(edge > 0 for edge in point):
            shifted.append(point)
    return _volume(_undominated(shifted))


class Front:
    """The Pareto front of points that come one after another.

    Args:
        signs: whether more of each objective is better (+1) or less (-1).
    """

    __slots__ = ("_points", "_signs")

    def __init__(self, signs: Sequence[int]) -> None:
        self._signs = tuple(signs)
        self._points: dict[int, Point] = {}

    def __len__(self) -> int:
        return len(self._points)

    def __contains__(self, number: int) -> bool:
        return number in self._points

    @property
    def numbers(self) -> list[int]:
        """The numbers of the points in the front, in their order."""
        return sorted(self._points)

    def add(self, number: int, value: Sequence[float]) -> bool:
        """Take a point with a number of its own. Whether it is in the front; takes as many steps as there are points in it."""
        point = _turned(value, self._signs)
        for other in self._points.values():
            if other != point and _covers(other, point):
                return False
        beaten = [found for found, other in self._points.items() if other != point and _covers(point, other)]
        for found in beaten:
            del self._points[found]
        self._points[number] = point
        return True


def _turned(value: Sequence[float], signs: Sequence[int]) -> Point:
    """The point with every objective to be maximized."""
    turned = tuple([float(number) if sign > 0 else -float(number) for number, sign in zip(value, signs, strict=True)])
    for number in turned:
        if not isfinite(number):
            raise ValueError(f"a point of several objectives must be finite; found {tuple(value)!r}")
    return turned


def _front(points: Sequence[Point], among: Sequence[int]) -> list[int]:
    """Which of these no other of them dominates, best first objective first."""
    # sorted so, a point is dominated by one before it or by none
    ordered = sorted(among, key=lambda position: points[position], reverse=True)
    if ordered and len(points[ordered[0]]) <= 2:
        return _front_in_the_plane(points, ordered)
    front: list[int] = []
    for position in ordered:
        point = points[position]
        if not any(_covers(points[other], point) and points[other] != point for other in front):
            front.append(position)
    return front


def _front_in_the_plane(points: Sequence[Point], ordered: Sequence[int]) -> list[int]:
    front: list[int] = []
    last: Point | None = None
    for position in ordered:
        point = points[position]
        if last is None or point == last or point[-1] > last[-1]:
            front.append(position)
            last = point
    return front


def _covers(first: Point, second: Point) -> bool:
    return all(one >= other for one, other in zip(first, second, strict=True))


def _undominated(points: Sequence[Point]) -> list[Point]:
    """The front of these points, each once, best first objective first."""
    unique = list(dict.fromkeys(points))
    return [unique[position] for position in _front(unique, range(len(unique)))]


def _volume(front: Sequence[Point]) -> float:
    """The volume between the origin and a front of positive points, sorted as ``_undominated`` gives them."""
    if not front:
        return 0.0
    dimensions = len(front[0])
    if dimensions == 1:
        return front[0][0]
    if dimensions == 2:
        return _area(front)
    if dimensions == 3:
        return _volume_by_slices(front)
    # the worst in the last objective first: what the others dominate of its box is cut most then
    ordered = sorted(front, key=lambda point: point[-1])
    total = 0.0
    for position, point in enumerate(ordered):
        after = ordered[position + 1 :]
        # those after it are at least as good in the last objective, so its box and theirs have that edge in common
        cut = _undominated([tuple(map(min, other[:-1], point[:-1])) for other in after])
        box = 1.0
        for edge in point[:-1]:
            box *= edge
        total += point[-1] * (box - _volume(cut))
    return total


def _area(front: Sequence[Point]) -> float:
    total, height = 0.0, 0.0
    for width, reach in front:
        total += width * (reach - height)
        height = reach
    return total


def _volume_by_slices(front: Sequence[Point]) -> float:
    """Slices of the third objective, from its best value down: the area of what has come so far, times its height."""
    ordered = sorted(front, key=lambda point: -point[2])
    stairs: list[tuple[float, float]] = []
    total, area = 0.0, 0.0
    for position, (width, reach, height) in enumerate(ordered):
        area += _add_step(stairs, width, reach)
        below = ordered[position + 1][2] if position + 1 < len(ordered) else 0.0
        total += area * (height - below)
    return total


def _add_step(stairs: list[tuple[float, float]], width: float, reach: float) -> float:
    """Add a rectangle to a staircase (wider steps last, which reach less high); returns the area that it adds."""
    after = bisect_right(stairs, width, key=itemgetter(0))
    low = stairs[after][1] if after < len(stairs) else 0.0
    if reach <= low:
        return 0.0
    added, right, first = 0.0, width, after
    while first and stairs[first - 1][1] <= reach:
        first -= 1
        step_width, step_reach = stairs[first]
        added += (right - step_width) * (reach - low)
        right, low = step_width, step_reach
    left = stairs[first - 1][0] if first else 0.0
    added += (right - left) * (reach - low)
    stairs[first:after] = [(width, reach)]
    return added
