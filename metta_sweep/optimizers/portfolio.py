"""Several optimizers side by side, each a branch: the scheduler finds out which of them is worth its trials."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Never

from metta_sweep.address import check_name
from metta_sweep.core.distributions import Choice, Distribution
from metta_sweep.core.numbers import check_flag, check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.trial import Report, Suggestion, Trial
from metta_sweep.errors import OptimizerError, a_kind, did_you_mean, refuse_unknown
from metta_sweep.optimizers.earlier import check_earlier
from metta_sweep.optimizers.member import Member, NewPoints, check_member, common_space, common_support
from metta_sweep.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from metta_sweep.core.setup import Setup

__all__ = ["PortfolioOptimizer"]


class PortfolioOptimizer(Optimizer):
    """Several optimizers, which take turns, or are branches that a scheduler picks from.

    With an ``IterationScheduler`` that has no ``branch_by`` each member is a branch: the scheduler picks the member with the
    highest UCB score, and it is asked. With any other scheduler they take turns. Suggestions belong to the branch of their member's
    name, so that ``results.branches`` compares the members either way, and their origin is ``name/origin``.

    A member that has nothing to suggest is passed over. Failed, stopped and reported trials are told to the member that suggested
    them, completed ones to all.

    Args:
        optimizers: the members by name. They are copied for each run; seeds that they leave out differ by name.
        search_space: a mapping of names to distributions, or a model class; None: that of its members, or the sweep's.
        seed: a whole number; None: derived from the sweep's seed.
        share: whether a member is told of the completed (and pending) trials of the others, too: by ``warm_start([trial])`` where
            it has that method, else by ``observe``.
        duplicates: whether parameters may be suggested that a member has suggested before. Those of a ``SuggestionQueue`` always
            may.

    Raises:
        OptimizerError: a member is no optimizer, there is none, or two have different search spaces.
        InvalidName: the name of a member can be no branch.
    """

    tunable: ClassVar[Mapping[str, Distribution]] = {
        "share": Choice([True, False]),
    }

    def __init__(
        self,
        optimizers: Mapping[str, Optimizer],
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        seed: int | None = None,
        *,
        share: bool = True,
        duplicates: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown("PortfolioOptimizer", unknown, ("optimizers", "search_space", "seed", "share", "duplicates"))
        members = _checked_members(optimizers)
        own = None if search_space is None else SearchSpace.of(search_space)
        self.search_space = common_space(members, "PortfolioOptimizer", own)
        if seed is not None:
            seed = check_int(seed, "PortfolioOptimizer(seed=)", OptimizerError, remedy="Leave it out to take the sweep's")
        self.seed = seed
        self.share = check_flag(share, "PortfolioOptimizer(share=)", OptimizerError, remedy="Leave it out")
        self.duplicates = check_flag(duplicates, "PortfolioOptimizer(duplicates=)", OptimizerError, remedy="Leave it out")
        self.branches = tuple(members)
        self.supports = common_support(members.values())
        self.needs_search_space = any(member.needs_search_space for member in members.values())
        self.slow = any(member.slow for member in members.values())
        # kept apart from what for_run fills in, which is no setting of this optimizer
        self._settings: dict[str, Any] = {} if own is None else {"search_space": own.describe()}
        if seed is not None:
            self._settings["seed"] = seed
        self._members = {name: Member(name, optimizer) for name, optimizer in members.items()}
        self._turn = 0
        self._points: NewPoints | None = None

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """The members by name: of the optimizer of a run, what they have learned with them."""
        return {name: member.optimizer for name, member in self._members.items()}

    @property
    def remaining(self) -> int | None:
        """How many suggestions are left, when all members know; 0 when a finite space is used up."""
        left = [member.left(self._points) for member in self._members.values()]
        known = [count for count in left if count is not None]
        return sum(known) if len(known) == len(left) else None

    @property
    def bounds_itself(self) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether all members come to an end."""
        return all(member.ends for member in self._members.values())

    def suggest(
        self,
        n: int,
        pending: Sequence[Trial] = (),
        fixed: Mapping[str, Any] | None = None,
        branch: str | None = None,
    ) -> list[Suggestion]:
        """Up to ``n`` suggestions: of the member ``branch``, else of the members in turn.

        Raises:
            OptimizerError: there is no such member.
        """
        if fixed and self.search_space is not None:
            fixed = self.search_space.check_fixed(fixed)
        self._make_points()
        self.waiting_for = None
        if branch is not None:
            member = self._member(branch)
            found = self._ask(member, n, pending, fixed)
            if not found and self.remaining != 0:
                self.waiting_for = member.why_none
            return found
        return self._in_turn(n, pending, fixed)

    def observe(self, trial: Trial, result: Any) -> None:
        """Tell the members, or the one that suggested it only, of a completed trial."""
        for member in self._members.values():
            if self.share or member.owns(trial):
                member.observe(trial, result)

    def failed(self, trial: Trial) -> None:
        """Tell the member that suggested it."""
        self._tell_owner(trial, lambda member: member.failed(trial))

    def stopped(self, trial: Trial) -> None:
        """Tell the member that suggested it."""
        self._tell_owner(trial, lambda member: member.stopped(trial))

    def reported(self, trial: Trial, report: Report) -> None:
        """Tell the member that suggested it."""
        self._tell_owner(trial, lambda member: member.reported(trial, report))

    def warm_start(self, trials: Iterable[Trial]) -> None:
        """Tell all members of trials of earlier experiments: they are none of any of them.

        Raises:
            OptimizerError: one is no trial, does not fit the search space, or has completed without a score.
        """
        earlier = check_earlier(trials, self.search_space, self._several, f"{type(self).__name__}.warm_start(trials)")
        self._make_points()
        if self._points is not None:
            self._points.add(earlier)
        for member in self._members.values():
            member.warm_start(earlier)

    def for_run(self, setup: Setup) -> PortfolioOptimizer:
        """A new one with new members and no history; what was left out comes from the sweep."""
        fresh = copy.copy(self)
        fresh.fill_in(setup)
        seed = fresh.seed or 0
        fresh._members = {  # noqa: SLF001 - its own class
            name: member.for_run(fresh.search_space, derive_seed(seed, name), setup) for name, member in self._members.items()
        }
        fresh._turn = 0  # noqa: SLF001
        fresh._points = None  # noqa: SLF001
        return fresh

    def describe(self) -> dict[str, Any]:
        """Its class and settings, and those of its members by name, in their order."""
        return {
            "class": type(self).__qualname__,
            "share": self.share,
            "duplicates": self.duplicates,
            **self._settings,
            "optimizers": [{"name": name, **member.optimizer.describe()} for name, member in self._members.items()],
        }

    # -- pieces ----------------------------------------------------------------------------------------------------------------

    def _make_points(self) -> None:
        if self._points is None and self.search_space is not None and not self.duplicates:
            self._points = NewPoints(self.search_space, self.seed or 0)

    def _in_turn(self, n: int, pending: Sequence[Trial], fixed: Mapping[str, Any] | None) -> list[Suggestion]:
        """One of each member in turn; a member that gives fewer than its share leaves the rest to the others."""
        turns = list(self._members.values())
        turns = turns[self._turn :] + turns[: self._turn]
        if fixed:
            # those that cannot would be asked in vain
            turns = [member for member in turns if member.takes_fixed] or turns
        found: list[Suggestion] = []
        while turns and len(found) < n:
            missing = n - len(found)
            shares = {member.name: len(range(place, missing, len(turns))) for place, member in enumerate(turns)}
            given: dict[str, list[Suggestion]] = {}
            for member in turns:
                if shares[member.name]:
                    given[member.name] = self._ask(member, shares[member.name], pending, fixed)
            longest = max(map(len, given.values()))
            found += [items[place] for place in range(longest) for items in given.values() if place < len(items)]
            turns = [member for member in turns if len(given.get(member.name, ())) >= shares[member.name]]
        if found:
            last = str(found[-1].branch)
            self._turn = (self.branches.index(last) + 1) % len(self.branches)
        if len(found) < n and self.remaining != 0:
            self.waiting_for = "; ".join(member.why_none for member in self._members.values())
        return found

    def _ask(self, member: Member, n: int, pending: Sequence[Trial], fixed: Mapping[str, Any] | None) -> list[Suggestion]:
        shown = pending if self.share else [trial for trial in pending if member.owns(trial)]
        return [_of_branch(item, member.name) for item in member.ask(n, shown, fixed, self._points)]

    def _tell_owner(self, trial: Trial, tell: Callable[[Member], None]) -> None:
        for member in self._members.values():
            if member.owns(trial):
                tell(member)

    def _member(self, name: str) -> Member:
        member = self._members.get(name)
        if member is None:
            guess = did_you_mean(name, self.branches)
            raise OptimizerError(
                "PortfolioOptimizer.suggest(branch=)",
                f"it has no member {name!r}",
                found=name,
                expected="one of " + ", ".join(self.branches),
                remedy=f"Did you mean {guess!r}?" if guess else None,
            )
        return member


def _of_branch(suggestion: Suggestion, branch: str) -> Suggestion:
    return Suggestion(params=suggestion.params, branch=branch, id=suggestion.id, origin=suggestion.origin, parent=suggestion.parent)


def _checked_members(optimizers: object) -> dict[str, Optimizer]:
    where = "PortfolioOptimizer(optimizers)"
    if not isinstance(optimizers, Mapping):
        raise OptimizerError(
            where,
            f"{a_kind(optimizers)} is no mapping of names to optimizers",
            found=optimizers,
            expected="{'tpe': OptunaOptimizer(), 'random': RandomOptimizer()}, say",
            remedy="Give each optimizer a name",
        )
    if not optimizers:
        raise OptimizerError(where, "it has no members", found=optimizers, expected="at least one optimizer", remedy="Add one")
    return {
        check_name(name, where): check_member(optimizer, f"PortfolioOptimizer({{{name!r}: ...}})")
        for name, optimizer in optimizers.items()
    }
