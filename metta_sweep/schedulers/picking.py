"""How the iteration scheduler chooses: what a picker is, for one that looks at branches and for one that looks at suggestions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Protocol, runtime_checkable

from metta_sweep.core.bandit import Best, Picker
from metta_sweep.core.described import described
from metta_sweep.core.distributions import Distribution
from metta_sweep.core.events import Event
from metta_sweep.core.given import Remembers
from metta_sweep.core.setup import Setup
from metta_sweep.errors import SchedulerError
from metta_sweep.schedulers.scheduler import Offer

__all__ = ["BranchPicker", "Bystander", "Learner", "Listener", "SuggestionIndex", "SuggestionPicker", "not_open"]


@runtime_checkable
class Learner(Protocol):
    """What a picker of branches may have beside the rest: it is told of each reward, in the order of results."""

    def learn(self, arm: str, reward: float) -> None:
        """A run of the branch has ended with this reward; of a failed run, once it has one."""


@runtime_checkable
class Listener(Protocol):
    """What a picker of branches may have beside the rest: it is told of all events."""

    def apply(self, event: Event) -> None:
        """Take note of one event: the only place where its history grows."""


class BranchPicker(Remembers, ABC):
    """The settings of a rule that chooses between branches. Write your own: ``begin`` returns a ``metta_sweep.core.bandit.Picker``.

    What it returns is told of each branch by ``set``; where it is a ``Learner``, of each reward; where it is a ``Listener``, of
    each event. The settings never change, and serve any number of runs.
    """

    tunable: ClassVar[Mapping[str, Distribution]] = {}
    """Options of its constructor that are worth searching, with the ranges to search them in: for experiments that tune it."""

    @abstractmethod
    def begin(self, setup: Setup) -> Picker[str]:
        """The rule without history, for one run. Whatever it draws follows from ``setup.seed``."""

    def describe(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return described(self)


def not_open(picker: Picker[str], branch: str, known: Iterable[str]) -> SchedulerError:
    """The error for a picker that chose a branch from which nothing can be picked."""
    return SchedulerError(
        f"{type(picker).__name__}.best",
        "the branch that it chose is not open",
        found=branch,
        expected=", ".join(map(repr, known)) or "None, while no branch is open",
        remedy="Choose among those set with open=True",
    )


class SuggestionIndex(Listener, Protocol):
    """Fills slots with suggestions that wait. Its state changes in ``apply`` and ``scale`` only."""

    def fill(self, offer: Offer, note: str) -> None:
        """Pick for the free slots; ``note`` goes into the reasons."""

    def scale(self, low: float, high: float) -> None:
        """Count the reward ``low`` as 0 and ``high`` as 1."""


class SuggestionPicker(Remembers, ABC):
    """The settings of a rule that chooses between the suggestions that wait, by what they are."""

    tunable: ClassVar[Mapping[str, Distribution]] = {}
    """Options of its constructor that are worth searching, with the ranges to search them in: for experiments that tune it."""

    @abstractmethod
    def begin(self, setup: Setup) -> SuggestionIndex:
        """The rule without history, for one run. Whatever it draws follows from ``setup.seed``."""

    def describe(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return described(self)


class Bystander:
    """Stands where a picker of branches is, beside an index of suggestions: passes on the scale of rewards, and chooses nothing."""

    def __init__(self, index: SuggestionIndex) -> None:
        self._index = index

    def set(self, arm: str, runs: int, pending: int, reward_sum: float, order: int, open: bool = True) -> None:  # noqa: A002
        """Nothing to do."""

    def best(self) -> Best[str] | None:
        """None."""
        return None

    def overlay(self) -> AbstractContextManager[object]:
        """Nothing to undo."""
        return nullcontext()

    def scale(self, low: float, high: float) -> None:
        """Tell the index."""
        self._index.scale(low, high)
