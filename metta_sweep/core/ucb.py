"""The exact UCB choice among many arms, without looking at all of them.

Arms with the same number of pulls share their bonus, so the best of them is the one with the highest mean, and there are at most
about ``sqrt(2 * total)`` different numbers. Each number has a heap of its arms. When an arm changes its old entry is left in
place, stale, and dropped when it comes to the top or when stale entries outgrow the live ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from heapq import heapify, heappop, heappush
from math import inf, isfinite, log
from operator import attrgetter
from typing import Final, Generic, TypeVar

from metta_sweep.core.bandit import ArmState, Best, PendingRule, scaled, ucb_bonus
from metta_sweep.errors import SchedulerError

__all__ = ["OTHERS_LIMIT", "UcbIndex"]

A = TypeVar("A", bound=Hashable)

OTHERS_LIMIT: Final = 32
"""Up to so many open arms, a choice lists the scores of all of them."""
_SLACK: Final = 16
_ORDER: Final = attrgetter("order")


_Entry = tuple[float, int, int]
"""Minus the mean, the order, and the arm's number. Plain numbers, so that the garbage collector need not look at them."""


class _Heap:
    """The open arms of one number of pulls. Its first entry is live whenever it is not empty."""

    __slots__ = ("entries", "home", "live", "n")

    def __init__(self, n: int, home: dict[int, _Heap] | None) -> None:
        self.n = n
        self.home = home
        self.entries: list[_Entry] = []
        self.live = 0


class _Arm(Generic[A]):
    __slots__ = ("heap", "key", "number", "open", "order", "pending", "reward_sum", "runs")

    def __init__(self, key: A, number: int) -> None:
        self.key = key
        self.number = number
        self.runs = self.pending = self.order = 0
        self.reward_sum = 0.0
        self.open = False
        self.heap: _Heap | None = None

    def state(self) -> ArmState:
        return ArmState(self.runs, self.pending, self.reward_sum, self.order, self.open)


class UcbIndex(Generic[A]):
    """Arms and their states; says which open arm has the highest UCB score.

    Of equal scores the arm that is earlier in the queue wins; among arms with equally many pulls a higher mean comes first even
    where rounding makes the scores equal.

    Args:
        c: exploration weight, at least 0; ``sqrt(2)`` is UCB1, 0 is greedy.
        pending: ``"mean"``: a pending pull counts as the arm's mean (for an arm that has nothing else, the mean of all runs, or 0);
            ``"pessimistic"``: it counts as 0 (as the lowest reward, once ``scale`` was called).
    """

    def __init__(self, c: float, pending: PendingRule = "mean") -> None:
        self.c = c
        self._pessimistic = pending == "pessimistic"
        self._arms: dict[A, _Arm[A]] = {}
        self._open: dict[A, _Arm[A]] = {}
        self._busy: dict[A, _Arm[A]] = {}
        self._numbered: list[_Arm[A]] = []
        self._unused: list[int] = []
        self._live: list[_Entry | None] = []
        """By an arm's number, its entry; any other entry of that number is stale."""
        self._fresh = _Heap(0, None)
        self._heaps: dict[int, _Heap] = {}
        self._apart: dict[int, _Heap] = {}
        """Arms that have nothing but pending pulls: all of a number of pulls share one mean, which moves with every run."""
        self._total = 0
        self._runs = 0
        self._rewards = 0.0
        self._low = 0.0
        self._range: tuple[float, float] | None = None
        self._undo: dict[A, ArmState | None] | None = None

    @property
    def total(self) -> int:
        """The pulls of all arms, closed ones and pending pulls included."""
        return self._total

    @property
    def mean(self) -> float:
        """The mean reward of all runs of all arms, not scaled; 0.0 without runs."""
        return self._rewards / self._runs if self._runs else 0.0

    def state(self, arm: A) -> ArmState:
        """The state that was set for an arm. Raises ``KeyError`` for an unknown one."""
        return self._arms[arm].state()

    def states(self) -> dict[A, ArmState]:
        """The states of all arms: what the index is a function of, beside its settings and scale."""
        return {key: arm.state() for key, arm in self._arms.items()}

    def set(self, arm: A, runs: int, pending: int, reward_sum: float, order: int, open: bool = True) -> None:  # noqa: A002
        """Say what an arm is like now.

        Raises:
            SchedulerError: the reward sum is not finite, which would put the arm out of order for ever.
        """
        if not isfinite(reward_sum):
            raise SchedulerError("UcbIndex.set(reward_sum=)", f"the rewards of arm {arm!r} must be finite", found=reward_sum)
        record = self._arms.get(arm)
        if self._undo is not None and arm not in self._undo:
            self._undo[arm] = None if record is None else record.state()
        if record is None:
            record = self._arms[arm] = self._new(arm)
        self._put(record, runs, pending, reward_sum, order, open)

    @contextmanager
    def overlay(self) -> Iterator[None]:
        """Within this context the index may be changed freely: at its end all that was set is undone, to the bit."""
        outer, sums = self._undo, (self._total, self._runs, self._rewards)
        undo = self._undo = {}
        try:
            yield
        finally:
            for key, state in undo.items():
                if state is None:
                    gone = self._arms.pop(key)
                    self._put(gone, 0, 0, 0.0, 0, False)
                    self._unused.append(gone.number)
                else:
                    self._put(self._arms[key], *state)
            # Sums of floats depend on their order: what was undone must leave no trace in them.
            self._total, self._runs, self._rewards = sums
            self._undo = outer

    def scale(self, low: float, high: float) -> None:
        """Count the reward ``low`` as 0 and ``high`` as 1; where they are equal every mean counts as 0.5."""
        self._range = (low, high)
        if low != self._low:
            self._low = low
            for arm in tuple(self._busy.values()):
                self._put(arm, *arm.state())

    def best(self) -> Best[A] | None:
        """The open arm with the highest score, with the scores of others; None when no arm is open."""
        if not self._open:
            return None
        c, span = self.c, self._range
        log_total = log(self._total) if self._total else 0.0
        number, best_score, best_mean, best_bonus, best_order = -1, -inf, 0.0, 0.0, 0
        scores: list[tuple[int, float]] = []
        for n, minus, entry in self._firsts():
            mean = -minus if span is None else scaled(-minus, *span)
            bonus = ucb_bonus(n, log_total, c)
            score = mean + bonus
            scores.append((entry[2], score))
            if score > best_score or (score == best_score and entry[1] < best_order):
                best_score, best_mean, best_bonus = score, mean, bonus
                _, best_order, number = entry
        fresh = self._fresh.entries
        if fresh:
            number = fresh[0][2]
            scores.append((number, inf))
        numbered = self._numbered
        arm = numbered[number]
        if len(self._open) <= OTHERS_LIMIT:
            others = self._scores(arm, log_total)
        else:
            others = tuple([(numbered[other].key, score) for other, score in scores if other != number])
        if fresh:
            return Best(arm.key, inf, None, None, 0, 0, others, len(self._open))
        return Best(arm.key, best_score, best_mean, best_bonus, arm.runs, arm.pending, others, len(self._open))

    def _firsts(self) -> list[tuple[int, float, _Entry]]:
        """Of each number of pulls: the number, minus the mean and the entry of the arm that comes first.

        In the order of numbers: dictionaries remember in theirs what was undone, and what is shown must follow from states alone.
        """
        heaps = self._heaps
        if not self._apart:
            return [(n, (entry := heaps[n].entries[0])[0], entry) for n in sorted(heaps)]
        firsts = {n: (heap.entries[0][0], heap.entries[0]) for n, heap in heaps.items()}
        minus = -self.mean
        for n, heap in self._apart.items():
            first = heap.entries[0]
            other = firsts.get(n)
            if other is None or (minus, first[1]) < (other[0], other[1][1]):
                firsts[n] = (minus, first)
        return [(n, *firsts[n]) for n in sorted(firsts)]

    def _scores(self, chosen: _Arm[A], log_total: float) -> tuple[tuple[A, float], ...]:
        """The scores of all other open arms, in queue order."""
        arms = sorted(self._open.values(), key=_ORDER) if len(self._open) > 1 else ()
        return tuple([(arm.key, self._score(arm, log_total)) for arm in arms if arm is not chosen])

    def _mean(self, arm: _Arm[A]) -> float:
        if self._pessimistic:
            return (arm.reward_sum + arm.pending * self._low) / (arm.runs + arm.pending)
        return arm.reward_sum / arm.runs if arm.runs else self.mean

    def _score(self, arm: _Arm[A], log_total: float) -> float:
        n = arm.runs + arm.pending
        if n == 0:
            return inf
        mean = self._mean(arm)
        if self._range is not None:
            mean = scaled(mean, *self._range)
        return mean + ucb_bonus(n, log_total, self.c)

    def _new(self, key: A) -> _Arm[A]:
        if self._unused:
            number = self._unused.pop()
            arm = self._numbered[number] = _Arm(key, number)
            return arm
        arm = _Arm(key, len(self._numbered))
        self._numbered.append(arm)
        self._live.append(None)
        return arm

    def _put(self, arm: _Arm[A], runs: int, pending: int, reward_sum: float, order: int, is_open: bool) -> None:
        if arm.heap is not None:
            self._leave(arm, arm.heap)
        n = runs + pending
        self._total += n - arm.runs - arm.pending
        self._runs += runs - arm.runs
        self._rewards += reward_sum - arm.reward_sum
        arm.runs, arm.pending, arm.reward_sum, arm.order = runs, pending, reward_sum, order
        if is_open != arm.open:
            arm.open = is_open
            if is_open:
                self._open[arm.key] = arm
            else:
                del self._open[arm.key]
        if self._pessimistic:
            if pending:
                self._busy[arm.key] = arm
            else:
                self._busy.pop(arm.key, None)
        if is_open:
            self._enter(arm, n)

    def _enter(self, arm: _Arm[A], n: int) -> None:
        if n == 0:
            heap, minus = self._fresh, 0.0
        else:
            apart = arm.runs == 0 and not self._pessimistic
            heaps = self._apart if apart else self._heaps
            minus = 0.0 if apart else -self._mean(arm)
            found = heaps.get(n)
            if found is None:
                found = heaps[n] = _Heap(n, heaps)
            heap = found
        entry = (minus, arm.order, arm.number)
        live = self._live
        live[arm.number] = entry
        arm.heap = heap
        heap.live += 1
        heappush(heap.entries, entry)
        if len(heap.entries) > 2 * heap.live + _SLACK:
            heap.entries = [item for item in heap.entries if live[item[2]] is item]
            heapify(heap.entries)

    def _leave(self, arm: _Arm[A], heap: _Heap) -> None:
        live, entries = self._live, heap.entries
        first = entries[0] is live[arm.number]
        live[arm.number] = None
        arm.heap = None
        heap.live -= 1
        if not heap.live:
            entries.clear()
            if heap.home is not None:
                del heap.home[heap.n]
        elif first:
            while live[entries[0][2]] is not entries[0]:
                heappop(entries)
