"""What an optimizer is: it says what to try."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from metta_sweep.core.described import described
from metta_sweep.core.distributions import Distribution
from metta_sweep.core.given import Remembers
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Suggestion, Trial, TrialState
from metta_sweep.errors import OptimizerError
from metta_sweep.optimizers.earlier import check_earlier
from metta_sweep.optimizers.supports import Supports

__all__ = ["Optimizer"]


class Optimizer(Remembers):
    """Says what to try. Subclass it, write ``suggest`` and, where it learns, ``observe``.

    Obligations of an implementer:

    - ``suggest(n)`` returns up to ``n`` suggestions (or plain mappings of parameters); fewer, or none, when it has no more now. A
      call that gives none must leave it as it was: such calls are not kept, and not made again at a restart.
    - No I/O, no clock, no global randomness: after a restart a fresh copy is fed the same calls in the same order (``suggest``,
      ``observe``, ...), and must then be where it was.
    - ``suggest`` may declare more keywords, and then gets them: ``index`` (how many it has suggested so far; an optimizer that
      takes it must be a function of its seed, the index and what it observed, and is not asked again at a restart), ``pending``
      (a sequence of trials in flight), ``fixed`` (parameters that its suggestions must have, such as ``{"model": "svm"}``),
      ``branch`` (one of its ``branches``, which its suggestions must belong to; None: any).

    Optional members, called or read where they exist: ``remaining`` (how many suggestions are left, for a finite one),
    ``failed(trial)``, ``stopped(trial)``, ``reported(trial, report)``, ``learn_earlier(trials)``.
    """

    search_space: SearchSpace | None = None
    """What it searches; None: the sweep's."""
    seed: int | None = None
    """None: derived from the sweep's seed."""
    supports: Supports = Supports()
    """What it can search. A sweep that asks for more is refused when it is made, with the names of optimizers that can."""
    slow: bool = False
    """Whether ``suggest`` takes long enough that it should run in a thread, while trials run on."""
    needs_search_space: bool = False
    """Whether it can suggest nothing without a search space: a sweep that has none is refused when it is made."""
    branches: tuple[str, ...] = ()
    """Names that it can be asked within, where ``suggest`` takes ``branch``: a scheduler that picks branches picks from these."""
    bounds_itself: bool = False
    """Whether it comes to an end without saying how many suggestions are ``remaining``: a sweep that is given no budget then runs
    to that end."""
    waiting_for: str | None = None
    """What it waits for, in words, when the last ``suggest`` gave fewer than it was asked for: the reason of idle slots."""
    stays_inside: bool = False
    """Whether its suggestions are ``Suggestion`` objects with plain values inside the search space by construction, so that the
    sweep need not check each. Not inherited: a class that overrides ``suggest`` vouches for itself."""

    tunable: ClassVar[Mapping[str, Distribution]] = {}
    """Options of its constructor that are worth searching, with the ranges to search them in: for experiments that tune it."""

    _several: Goal | None = None
    """The goal of the run, where it has several objectives."""

    def suggest(self, n: int) -> Sequence[Suggestion | Mapping[str, Any]]:
        """Up to ``n`` suggestions."""
        raise OptimizerError(type(self).__name__, "it has no suggest() method", remedy="Define suggest(self, n)")

    def observe(self, trial: Trial, result: Any) -> None:
        """Learn from a completed trial.

        Args:
            trial: the trial as it ended.
            result: its score in the user's units, never with its sign flipped; where the goal has several objectives, a mapping of
                their metrics to values.
        """

    def failed(self, trial: Trial) -> None:
        """Learn that a trial failed for good. Its ``error`` says how."""

    def stopped(self, trial: Trial) -> None:
        """Learn that a trial was stopped by a verdict; ``trial.last_report`` tells how far it came."""

    def reported(self, trial: Trial, report: Report) -> None:
        """Learn from a report of a running trial."""

    def warm_start(self, trials: Iterable[Trial]) -> None:
        """Learn from trials that it did not suggest: of earlier experiments, say.

        Completed ones are learned as observations, failed ones as failures, and those that a verdict stopped as stopped ones; the
        others (still running, paused, cut by a deadline) teach nothing. None of them counts as a suggestion of its own, and where
        it suggests nothing twice, it does not suggest their parameters either. All are checked before anything is learned.

        Args:
            trials: in an order of which what it has learned is a function.

        Raises:
            OptimizerError: one is no trial, has parameters that do not fit the search space, or has completed without a score.
        """
        space = None if self.search_space is None else SearchSpace.of(self.search_space)
        self.learn_earlier(check_earlier(trials, space, self._several, f"{type(self).__name__}.warm_start(trials)"))

    def learn_earlier(self, trials: Sequence[Trial]) -> None:
        """What ``warm_start`` does with trials that have been checked: by default it tells them one by one, as if they ended now.

        Override it where trials that are not one's own are learned in another way.
        """
        several = self._several
        for trial in trials:
            if trial.state is TrialState.COMPLETED:
                self.observe(trial, trial.score if several is None else several.scores(trial.metrics))
            elif trial.state is TrialState.FAILED:
                self.failed(trial)
            else:
                self.stopped(trial)

    def for_run(self, setup: Setup) -> Optimizer:
        """A new optimizer with these settings and no history, for one run. The original is never touched."""
        fresh = copy.deepcopy(self)
        fresh.fill_in(setup)
        return fresh

    def fill_in(self, setup: Setup) -> None:
        """Take from the sweep what was left out; for a ``for_run`` of one's own, on the new optimizer."""
        if self.search_space is None:
            self.search_space = setup.search_space
        if self.seed is None:
            self.seed = derive_seed(setup.seed, "optimizer")
        if setup.goal.has_several:
            self._several = setup.goal

    def describe(self) -> dict[str, Any]:
        """The settings that make this optimizer what it is, as JSON values: part of a kept run's definition.

        By default its class, and the parameters of its constructor that are attributes of it (``sigma``, or ``_sigma``).
        """
        return described(self)
