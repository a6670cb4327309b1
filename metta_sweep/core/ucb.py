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
from typing import Final, Generic, TypeVar

from metta_sweep.core.bandit import ArmState, Best, PendingRule, scaled, ucb_bonus
from metta_sweep.errors import SchedulerError

__all__ = ["OTHERS_LIMIT", "UcbIndex"]

A = TypeVar("A", bound=Hashable)

OTHERS_LIMIT: Final = 32
"""Up to so many open arms, a choice lists the scores of all of them."""
_SLACK: Final = 16


class _Arm(Generic[A]):
    __slots__ = ("entry", "heap", "key", "number", "open", "order", "pending", "reward_sum", "runs")

    def __init__(self, key: A, number: int) -> None:
        self.key = key
        self.number = number
        self.runs = self.pending = self.order = 0
        self.reward_sum = 0.0
        self.open = False
        self.entry: _Entry[A] | None = None
        self.heap: _Heap[A] | None = None

    def state(self) -> ArmState:
        return ArmState(self.runs, self.pending, self.reward_sum, self.order, self.open)


_Entry = tuple[float, int, int, _Arm[A]]
"""Minus the mean, the order, the arm's number (it is unique, so that arms are never compared) and the arm."""


def _order(scored: tuple[_Arm[A], float]) -> int:
    return scored[0].order


class _Heap(Generic[A]):
    """The open arms of one number of pulls. Its first entry is live whenever it is not empty."""

    __slots__ = ("entries", "home", "live", "n")

    def __init__(self, n: int, home: dict[int, _Heap[A]] | None = None) -> None:
        self.n = n
        self.home = home
        self.entries: list[_Entry[A]] = []
        self.live = 0

    def add(self, arm: _Arm[A], entry: _Entry[A]) -> None:
        entries = self.entries
        self.live += 1
        heappush(entries, entry)
        arm.entry = entry
        arm.heap = self
        if len(entries) > 2 * self.live + _SLACK:
            self.entries = [item for item in entries if item[3].entry is item]
            heapify(self.entries)

    def drop(self, arm: _Arm[A]) -> None:
        entries = self.entries
        first = entries[0] is arm.entry
        arm.entry = arm.heap = None
        self.live -= 1
        if first:
            while entries and entries[0][3].entry is not entries[0]:
                heappop(entries)


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
        self._fresh: _Heap[A] = _Heap(0)
        self._heaps: dict[int, _Heap[A]] = {}
        # Arms that have nothing but pending pulls, by their number: all of a number share one mean, which moves with every run.
        self._apart: dict[int, _Heap[A]] = {}
        self._total = 0
        self._runs = 0
        self._rewards = 0.0
        self._low = 0.0
        self._range: tuple[float, float] | None = None
        self._made = 0
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
            record = self._arms[arm] = _Arm(arm, self._made)
            self._made += 1
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
                    self._put(self._arms[key], 0, 0, 0.0, 0, False)
                    del self._arms[key]
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
        fresh = self._fresh.entries
        scores: list[tuple[_Arm[A], float]] = [(fresh[0][3], inf)] if fresh else []
        chosen = fresh[0][3] if fresh else None
        best_score, best_mean, best_bonus, best_order = inf if fresh else -inf, 0.0, 0.0, fresh[0][1] if fresh else 0
        c, span = self.c, self._range
        log_total = log(self._total) if self._total else 0.0
        for n, (minus, entry) in self._firsts().items():
            mean = -minus if span is None else scaled(-minus, *span)
            bonus = ucb_bonus(n, log_total, c)
            score = mean + bonus
            scores.append((entry[3], score))
            if score > best_score or (score == best_score and entry[1] < best_order):
                chosen, best_score, best_mean, best_bonus, best_order = entry[3], score, mean, bonus, entry[1]
        if chosen is None:  # pragma: no cover - an open arm is in one of the heaps
            return None
        if len(self._open) <= OTHERS_LIMIT:
            scores = [(arm, self._score(arm, log_total)) for arm in self._open.values()]
        # Dictionaries remember what was undone in their order; what is shown must follow from the states alone.
        scores.sort(key=_order)
        others = tuple([(arm.key, score) for arm, score in scores if arm is not chosen])
        tried = chosen.runs + chosen.pending > 0
        return Best(
            chosen.key,
            best_score,
            best_mean if tried else None,
            best_bonus if tried else None,
            chosen.runs,
            chosen.pending,
            others,
            len(self._open),
        )

    def _firsts(self) -> dict[int, tuple[float, _Entry[A]]]:
        """Of each number of pulls, minus the mean and the entry of the arm that comes first."""
        firsts = {n: (heap.entries[0][0], heap.entries[0]) for n, heap in self._heaps.items()}
        if self._apart:
            minus = -self.mean
            for n, heap in self._apart.items():
                entry = heap.entries[0]
                other = firsts.get(n)
                if other is None or (minus, entry[1]) < (other[0], other[1][1]):
                    firsts[n] = (minus, entry)
        return firsts

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

    def _put(self, arm: _Arm[A], runs: int, pending: int, reward_sum: float, order: int, is_open: bool) -> None:
        if arm.heap is not None:
            self._leave(arm, arm.heap)
        n = runs + pending
        self._total += n - arm.runs - arm.pending
        self._runs += runs - arm.runs
        self._rewards += reward_sum - arm.reward_sum
        arm.runs, arm.pending, arm.reward_sum, arm.order, arm.open = runs, pending, reward_sum, order, is_open
        if self._pessimistic:
            if pending:
                self._busy[arm.key] = arm
            else:
                self._busy.pop(arm.key, None)
        if is_open:
            self._open[arm.key] = arm
            self._enter(arm, n)
        else:
            self._open.pop(arm.key, None)

    def _enter(self, arm: _Arm[A], n: int) -> None:
        if n == 0:
            self._fresh.add(arm, (0.0, arm.order, arm.number, arm))
            return
        apart = arm.runs == 0 and not self._pessimistic
        heaps = self._apart if apart else self._heaps
        heap = heaps.get(n)
        if heap is None:
            heap = heaps[n] = _Heap(n, heaps)
        heap.add(arm, (0.0 if apart else -self._mean(arm), arm.order, arm.number, arm))

    def _leave(self, arm: _Arm[A], heap: _Heap[A]) -> None:
        heap.drop(arm)
        if not heap.live and heap.home is not None:
            del heap.home[heap.n]
