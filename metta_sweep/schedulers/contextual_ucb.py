"""Contextual UCB as a picker of the iteration scheduler: a bandit for each bucket of suggestions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from math import inf
from typing import Any, ClassVar, Final, Never

from metta_sweep.core.discounted import TIE, DiscountedArms, DiscountedScore
from metta_sweep.core.distributions import Distribution, Integer, LogInteger, Uniform
from metta_sweep.core.seeds import derive_seed, unit_floats
from metta_sweep.core.setup import Setup
from metta_sweep.errors import SchedulerError, did_you_mean, refuse_unknown
from metta_sweep.schedulers.checks import check_callable, check_count, check_number
from metta_sweep.schedulers.discounted_ucb import checked_discount
from metta_sweep.schedulers.picking import SuggestionPicker
from metta_sweep.schedulers.scheduler import Waiting
from metta_sweep.schedulers.suggestion_fold import Chosen, SuggestionFold, told_of

__all__ = ["Buckets", "ContextualUCB"]

Buckets = Callable[[dict[str, Any]], Hashable]
"""The bucket of a suggestion, from its parameters."""
_WHERE: Final = "ContextualUCB(buckets=)"
_OPTIONS: Final = ("buckets", "discount", "c", "warm_up", "candidates")


class ContextualUCB(SuggestionPicker):
    """Learns for each bucket of suggestions which branch is good there, by discounted UCB.

    Which optimizer is best may depend on the size of the model, say: ``buckets=lambda params: params["layers"] > 3``. Each bucket
    has its own counts of all branches; they begin as a copy of those of all buckets together when its first trial is picked, and
    from then on every result counts for both. The next trial is a suggestion of the branch and bucket with the highest score.
    With one slot and one bucket this is the bucketed controller of pulseopt 0.3.

    Args:
        buckets: ``buckets(params)`` returns something hashable; or the name of a parameter, whose values are the buckets.
        discount: as in ``DiscountedUCB``; 1 forgets nothing.
        c: exploration weight, at least 0.
        warm_up: runs that each branch has before scores count; those before a bucket began count for it as well.
        candidates: so many suggestions wait to be chosen from, at least: they are drawn ahead of an optimizer without end, which
            suits one that does not learn (random, Sobol). What is never chosen goes on waiting: the more the choosier.

    Raises:
        SchedulerError: a setting is out of its range.
    """

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "discount": Uniform(0.8, 1.0),
        "c": Uniform(0.0, 4.0),
        "warm_up": Integer(1, 3),
        "candidates": LogInteger(8, 256),
    }

    def __init__(
        self,
        buckets: Buckets | str,
        discount: float = 0.95,
        c: float = 1.0,
        warm_up: int = 1,
        candidates: int = 64,
        **unknown: Never,
    ) -> None:
        refuse_unknown("ContextualUCB", unknown, _OPTIONS)
        if not isinstance(buckets, str):
            check_callable(_WHERE, buckets, "a function (params) -> something hashable, or the name of a parameter")
        elif not buckets:
            raise SchedulerError(_WHERE, "it is no name", found=buckets, expected="the name of a parameter, or a function (params)")
        self.buckets = buckets
        self.discount = checked_discount("ContextualUCB", discount)
        self.c = check_number("ContextualUCB(c=)", c, least=0, example=1.0)
        self.warm_up = check_count("ContextualUCB(warm_up=)", warm_up, least=0, example=1)
        self.candidates = check_count("ContextualUCB(candidates=)", candidates, example=64)

    def begin(self, setup: Setup) -> ContextualIndex:
        """The rule without history, for one run.

        Raises:
            SchedulerError: the buckets are the values of a parameter that the search space does not have.
        """
        space, name = setup.search_space, self.buckets
        if isinstance(name, str) and space is not None and name not in space.names:
            guess = did_you_mean(name, space.names)
            raise SchedulerError(
                _WHERE,
                "the search space has no such parameter",
                found=name,
                expected="one of " + ", ".join(space.names),
                remedy=f"Did you mean {guess!r}?" if guess else "Give a function (params)",
            )
        return ContextualIndex(self, derive_seed(setup.seed, "picker"))


class _Cell:
    """What is known in one bucket."""

    __slots__ = ("arms", "pending")

    def __init__(self, arms: DiscountedArms[str]) -> None:
        self.arms = arms
        self.pending: Counter[str] = Counter()


class ContextualIndex(SuggestionFold):
    """The bandit of all buckets together, and one per bucket."""

    def __init__(self, settings: ContextualUCB, seed: int) -> None:
        super().__init__(settings.candidates)
        self._settings = settings
        self._seed = seed
        self._all: DiscountedArms[str] = DiscountedArms(settings.discount, settings.c, settings.warm_up)
        self._cells: dict[Hashable, _Cell] = {}
        self._known: dict[int, Hashable] = {}
        """The buckets of suggestions that wait."""
        self._running: dict[str, tuple[Hashable, str]] = {}
        self._taken: Counter[tuple[Hashable, str]] = Counter()
        """Within an overlay: what was taken in it."""

    def choose(self, waiting: Mapping[int, Waiting]) -> Chosen | None:
        """One of the branch and bucket with the highest score; ties are drawn by the seed and the number of the pick."""
        first: dict[Hashable, dict[str, int]] = {}
        for number, item in waiting.items():
            first.setdefault(self._bucket(item), {}).setdefault(item.branch or "", number)
        tied: list[tuple[DiscountedScore, Hashable, int]] = []
        for bucket, numbers in first.items():
            for score, branch in self._leaders(bucket, list(numbers)):
                best = tied[0][0].score if tied else -inf
                if score.score > best + TIE:
                    tied.clear()
                if not tied or score.score == best or abs(score.score - best) <= TIE:
                    tied.append((score, bucket, numbers[branch]))
        if not tied:
            return None
        score, bucket, number = tied[int(unit_floats(self._seed, self.picks, 1)[0] * len(tied))]
        cells = sum(map(len, first.values()))
        return Chosen(number, *score, f"bucket {bucket!r}, highest of {cells} branches in {len(first)} buckets")

    def _leaders(self, bucket: Hashable, branches: list[str]) -> list[tuple[DiscountedScore, str]]:
        """The best branches of a bucket, and their score."""
        cell = self._cells.get(bucket)
        arms = self._all if cell is None else cell.arms
        pending = Counter() if cell is None else Counter(cell.pending)
        for (where, branch), count in self._taken.items():
            if where == bucket:
                pending[branch] += count
        scores = arms.scores(branches, pending, self.scaled)
        leaders = arms.tied(branches, scores, pending)
        return [(score, branch) for score, branch in zip(scores, branches, strict=True) if branch in leaders]

    def took(self, waiting: Waiting) -> None:
        """It is pending in its bucket."""
        self._taken[self._bucket(waiting), waiting.branch or ""] += 1

    def overlaid(self, *, begins: bool) -> None:
        """Forget what was taken."""
        self._taken.clear()

    def pulled(self, trial_id: str, waiting: Waiting) -> None:
        """It runs; a new bucket begins."""
        bucket, branch = self._bucket(waiting), waiting.branch or ""
        self._known.pop(waiting.suggestion, None)
        self._running[trial_id] = (bucket, branch)
        if bucket not in self._cells:
            self._cells[bucket] = _Cell(self._all.copy())
        self._cells[bucket].pending[branch] += 1

    def learned(self, trial_id: str, reward: float) -> None:
        """A result counts in its bucket, and in all."""
        bucket, branch = self._running.pop(trial_id)
        cell = self._cells[bucket]
        cell.pending[branch] -= 1
        cell.arms.learn(branch, reward)
        self._all.learn(branch, reward)

    def gave_up(self, trial_id: str) -> None:
        """It was cut short."""
        bucket, branch = self._running.pop(trial_id)
        self._cells[bucket].pending[branch] -= 1

    def _bucket(self, waiting: Waiting) -> Hashable:
        number = waiting.suggestion
        if number not in self._known:
            self._known[number] = self._found(waiting)
        return self._known[number]

    def _found(self, waiting: Waiting) -> Hashable:
        rule, number = self._settings.buckets, waiting.suggestion
        where = f"{_WHERE} for suggestion {number}"
        if isinstance(rule, str):
            if rule not in waiting.params:
                raise SchedulerError(
                    where, f"it has no parameter {rule!r}", found=waiting.params, remedy="Give a function (params)"
                )
            bucket: Any = waiting.params[rule]
        else:
            with told_of(_WHERE, number):
                bucket = rule(dict(waiting.params))
        try:
            hash(bucket)
        except TypeError:
            raise SchedulerError(
                where, "a bucket must be hashable", found=bucket, expected="a string, number or tuple, say"
            ) from None
        found: Hashable = bucket
        return found
