"""One of several optimizers behind one: asked with what its ``suggest`` takes, and told which trials are its own."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.suggestions import check_suggestion
from metta_sweep.core.trial import Report, Suggestion, Trial
from metta_sweep.errors import OptimizerError, SuggestionError, a_kind
from metta_sweep.optimizers.earlier import fits
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.optimizers.queue import SuggestionQueue
from metta_sweep.optimizers.seen import SeenParams
from metta_sweep.optimizers.supports import Supports

if TYPE_CHECKING:
    from metta_sweep.core.setup import Setup

__all__ = ["Member", "NewPoints", "check_member", "common_space", "common_support"]

_SEPARATOR: Final = "/"
_KEYWORDS: Final = ("index", "pending", "fixed")
_ATTEMPTS: Final = 10
"""How often a member is asked again for points that another member, or it, has suggested before."""


class NewPoints:
    """What several optimizers have suggested between them, so that none of it is suggested twice.

    Args:
        space: the search space.
        seed: of the random points that stand in for what is repeated again and again.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._seen = SeenParams(space)

    def used_up(self, fixed: Mapping[str, Any] | None = None) -> bool:
        """Whether the space has no other points, of those with these parameters ``fixed``."""
        return self._seen.used_up(fixed)

    def add(self, trials: Iterable[Trial]) -> None:
        """Their parameters are not new any more."""
        for trial in trials:
            self._seen.add(trial.params)

    def of(self, suggestions: Iterable[Suggestion]) -> list[Suggestion]:
        """Those of the suggestions that are new. They are not new the next time."""
        return [item for item in suggestions if self._seen.add(item.params)]

    def another(self, fixed: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """A random new point; None when there is none."""
        seed = derive_seed(self._seed, "new", len(self._seen))
        return self._seen.draw_new(lambda number: self._space.sample_at(seed, number, fixed), fixed)


class Member:
    """An optimizer with its name among others, and how many suggestions it has made.

    The origin of its suggestions is ``name/origin``; that says whose a trial is, at any depth: a member sees its own trials with
    the origin that it gave them, and those of others with an origin that begins with ``/``.
    """

    def __init__(self, name: str, optimizer: Optimizer) -> None:
        self.name = name
        self.optimizer = optimizer
        self.made = 0
        """How many suggestions it has made."""
        self._prefix = name + _SEPARATOR
        self._is_queue = isinstance(optimizer, SuggestionQueue)
        parameters = inspect.signature(optimizer.suggest).parameters.values()
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        self._takes = frozenset(_KEYWORDS if takes_any else [parameter.name for parameter in parameters])
        warm = type(optimizer).warm_start is not Optimizer.warm_start
        self._of_others = self._warm_start if warm else optimizer.observe

    def for_run(self, space: SearchSpace | None, seed: int, setup: Setup) -> Member:
        """The same with a new optimizer, for one run with this search space and seed."""
        return Member(self.name, self.optimizer.for_run(setup._replace(search_space=space, seed=seed, branches=())))

    @property
    def takes_fixed(self) -> bool:
        """Whether it can suggest with some parameters fixed."""
        return "fixed" in self._takes

    @property
    def remaining(self) -> int | None:
        """How many suggestions it has left, where it knows."""
        left: Any = getattr(self.optimizer, "remaining", None)
        if callable(left):
            left = left()
        return None if left is None or left == float("inf") else int(left)

    def left(self, points: NewPoints | None) -> int | None:
        """The same, given that it suggests new ones of ``points`` only."""
        used_up = points is not None and not self._is_queue and points.used_up()
        return 0 if used_up else self.remaining

    @property
    def ends(self) -> bool:
        """Whether it ends by itself."""
        return self.optimizer.bounds_itself or self.remaining is not None

    @property
    def why_none(self) -> str:
        """Why it has nothing to suggest, in words."""
        return self.optimizer.waiting_for or f"{self.name!r} has nothing to suggest now"

    def owns(self, trial: Trial) -> bool:
        """Whether it suggested the trial."""
        return trial.origin is not None and trial.origin.startswith(self._prefix)

    def ask(self, n: int, pending: Sequence[Trial], fixed: Mapping[str, Any] | None, points: NewPoints | None) -> list[Suggestion]:
        """Up to ``n`` suggestions, whose origin tells of it; of ``points``, where there are any, only new ones.

        What is dropped because it is not new was suggested all the same, as far as the optimizer knows. Whoever has given anything
        gives something: a random point in the end.

        Raises:
            SuggestionError: they are none.
        """
        if points is None or self._is_queue:
            return self._asked(n, pending, fixed)
        if points.used_up(fixed):
            return []
        answer = self._asked(n, pending, fixed)
        found = points.of(answer)
        gave = bool(answer)
        for _ in range(_ATTEMPTS):
            if len(found) >= n or not answer or points.used_up(fixed):
                break
            answer = self._asked(n - len(found), pending, fixed)
            found += points.of(answer)
        if gave and not found:
            another = points.another(fixed)
            return [] if another is None else [Suggestion(params=another, origin=f"{self._prefix}random")]
        return found

    def _asked(self, n: int, pending: Sequence[Trial], fixed: Mapping[str, Any] | None) -> list[Suggestion]:
        keywords: dict[str, Any] = {}
        if "index" in self._takes:
            keywords["index"] = self.made
        if "pending" in self._takes:
            keywords["pending"] = [self._seen(trial) for trial in pending]
        if fixed and "fixed" in self._takes:
            keywords["fixed"] = dict(fixed)
        answer: Any = self.optimizer.suggest(n, **keywords)
        where = f"{type(self.optimizer).__name__} {self.name!r}"
        if answer is None or isinstance(answer, Suggestion | Mapping | str | bytes) or not isinstance(answer, Iterable):
            raise SuggestionError(
                f"{where}.suggest({n})",
                "it returned no sequence of suggestions",
                found=answer,
                expected="a list of Suggestion or of mappings of parameters",
                remedy="Return [] when there is none now",
            )
        found = [check_suggestion(value, where) for value in answer]
        self.made += len(found)
        return [replace(item, origin=self._prefix + (item.origin or type(self.optimizer).__name__)) for item in found]

    def observe(self, trial: Trial, result: Any) -> None:
        """Tell it of a completed trial: its own, or another's as one that it did not suggest."""
        if self.owns(trial):
            self.optimizer.observe(self._seen(trial), result)
        else:
            self._of_others(self._seen(trial), result)

    def failed(self, trial: Trial) -> None:
        """Tell it that a trial of its own failed."""
        self.optimizer.failed(self._seen(trial))

    def stopped(self, trial: Trial) -> None:
        """Tell it that a trial of its own was stopped."""
        self.optimizer.stopped(self._seen(trial))

    def reported(self, trial: Trial, report: Report) -> None:
        """Tell it of a report of a trial of its own."""
        self.optimizer.reported(self._seen(trial), report)

    def warm_start(self, trials: Sequence[Trial]) -> None:
        """Tell it of trials of earlier experiments: none of them is its own, whatever they are called."""
        self.optimizer.warm_start([replace(trial, origin=_SEPARATOR + (trial.origin or "")) for trial in trials])

    def _warm_start(self, trial: Trial, result: Any) -> None:
        if fits(self.optimizer.search_space, trial.params):
            self.optimizer.warm_start([trial])
        else:
            # a follow-up of a scheduler: some make use of it
            self.optimizer.observe(trial, result)

    def _seen(self, trial: Trial) -> Trial:
        origin = trial.origin or ""
        inner = origin[len(self._prefix) :] if self.owns(trial) else _SEPARATOR + origin
        return replace(trial, origin=inner)


def check_member(optimizer: Any, where: str) -> Optimizer:
    """The optimizer; refuses what is none.

    Raises:
        OptimizerError: it is no instance of ``Optimizer``.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    is_class = isinstance(optimizer, type)
    raise OptimizerError(
        where,
        "a class is no optimizer" if is_class else f"{a_kind(optimizer)} is no optimizer",
        found=optimizer,
        expected="an instance of Optimizer",
        remedy=f"Write {optimizer.__name__}()" if is_class else "Write RandomOptimizer(), say",
    )


def common_space(optimizers: Mapping[str, Optimizer], where: str, own: SearchSpace | None) -> SearchSpace | None:
    """The search space that some of them, or the one that holds them (``own``), were given; None when none was.

    Raises:
        OptimizerError: two of them have different ones.
    """
    found, owner = own, where
    for name, optimizer in optimizers.items():
        if optimizer.search_space is None:
            continue
        space = SearchSpace.of(optimizer.search_space)
        if found is not None and space != found:
            raise OptimizerError(
                where,
                f"{owner!r} and {name!r} have different search spaces",
                found=", ".join(space.names),
                expected=f"that of {owner!r}: {', '.join(found.names)}",
                remedy="Leave the search spaces out, and give one to the sweep",
            )
        found, owner = space, name
    return found


def common_support(optimizers: Iterable[Optimizer]) -> Supports:
    """What all of them can search."""
    supports = Supports()
    for optimizer in optimizers:
        own = optimizer.supports
        both = {name: _common(getattr(supports, name), getattr(own, name)) for name in Supports._fields}
        supports = Supports(**both)
    return supports


def _common(one: bool | int | None, other: bool | int | None) -> Any:
    """What both have: of limits the smaller one, None being none."""
    limits = [limit for limit in (one, other) if limit is not None]
    return min(limits, default=None)
