"""Optimizers one after another: quasi-random points first, say, then a model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never

from metta_sweep.core.numbers import check_flag, check_int
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.seeds import derive_seed
from metta_sweep.core.trial import Report, Suggestion, Trial, TrialState
from metta_sweep.errors import OptimizerError, refuse_unknown
from metta_sweep.optimizers.earlier import check_earlier
from metta_sweep.optimizers.member import Member, NewPoints, common_space, common_support
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.optimizers.phase import Phase, checked_phases, names_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from metta_sweep.core.distributions import Distribution
    from metta_sweep.core.setup import Setup

__all__ = ["Phases"]


class _Step:
    """A phase of one run: its optimizer, and what has become of its trials."""

    def __init__(self, phase: Phase, member: Member) -> None:
        self.phase = phase
        self.member = member
        self.given = 0
        """Trials that it suggested."""
        self.failed = 0
        self.observed = 0
        self.fresh = 0
        """Trials that it suggested in this call."""

    @property
    def left(self) -> int | None:
        """How many it is still to suggest; None for any number."""
        trials = self.phase.trials
        return None if trials is None else max(0, trials - self.given + self.failed)

    @property
    def unobserved(self) -> int:
        """How many results the next phase still waits for."""
        return max(0, self.phase.min_observed - self.observed)

    def in_flight(self, pending: Sequence[Trial] | None) -> int:
        """How many of its trials run, or are about to; where it is told of none, those that it knows no end of."""
        if pending is None:
            return self.given - self.failed - self.observed
        # a paused one may never go on, and what waits for it would wait for ever
        return self.fresh + sum(1 for trial in pending if trial.state is not TrialState.PAUSED and self.member.owns(trial))


class Phases(Optimizer):
    """Optimizers one after another, as generation steps of Ax.

    A phase ends when its ``trials`` were suggested and ``min_observed`` of them have results; until then nothing is suggested and
    slots stay idle. When none of them runs any more and results are still missing (they failed, were cut, or are paused), the phase
    makes up for them. A phase whose optimizer has nothing more ends, too. Every phase is told of all trials, so that a model begins
    with what the phases before it have found. Origins are ``name/origin``.

    Args:
        phases: the phases, in order. All but the last one have ``trials``. With ``trials`` in the last one, the search ends there.
        search_space: a mapping of names to distributions, or a model class; None: that of its optimizers, or the sweep's.
        seed: a whole number; None: derived from the sweep's seed.
        duplicates: whether parameters may be suggested that a phase has suggested before. Those of a ``SuggestionQueue`` always
            may.

    Raises:
        OptimizerError: there is no phase, one before the last has no end, or two have different search spaces.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        search_space: Mapping[str, Distribution] | type[BaseModel] | SearchSpace | None = None,
        seed: int | None = None,
        *,
        duplicates: bool = False,
        **unknown: Never,
    ) -> None:
        refuse_unknown("Phases", unknown, ("phases", "search_space", "seed", "duplicates"))
        self.phases = checked_phases(phases)
        named = dict(zip(names_of(self.phases), self.phases, strict=True))
        own = None if search_space is None else SearchSpace.of(search_space)
        self.search_space = common_space({name: phase.optimizer for name, phase in named.items()}, "Phases", own)
        if seed is not None:
            seed = check_int(seed, "Phases(seed=)", OptimizerError, remedy="Leave it out to take the sweep's")
        self.seed = seed
        self.duplicates = check_flag(duplicates, "Phases(duplicates=)", OptimizerError, remedy="Leave it out")
        self.supports = common_support(phase.optimizer for phase in self.phases)
        self.needs_search_space = any(phase.optimizer.needs_search_space for phase in self.phases)
        self.slow = any(phase.optimizer.slow for phase in self.phases)
        # kept apart from what for_run fills in, which is no setting of this optimizer
        self._settings: dict[str, Any] = {} if own is None else {"search_space": own.describe()}
        if seed is not None:
            self._settings["seed"] = seed
        self._steps = [_Step(phase, Member(name, phase.optimizer)) for name, phase in named.items()]
        self._position = 0
        self._points: NewPoints | None = None

    @property
    def phase(self) -> str:
        """The name of the phase that made the last suggestion; of the first one, before any."""
        return self._steps[self._position].member.name

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """The optimizers by the names of their phases: of the optimizer of a run, what they have learned with them."""
        return {step.member.name: step.member.optimizer for step in self._steps}

    @property
    def remaining(self) -> int | None:
        """0 when nothing is left to suggest; None before, since what is left does not come all at once."""
        last = self._steps[-1]
        ended = self._position == len(self._steps) - 1 and (last.left == 0 or last.member.remaining == 0)
        return 0 if ended or (self._points is not None and self._points.used_up()) else None

    @property
    def bounds_itself(self) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the last phase ends."""
        last = self._steps[-1]
        return last.phase.trials is not None or last.member.ends

    def suggest(self, n: int, pending: Sequence[Trial] | None = None, fixed: Mapping[str, Any] | None = None) -> list[Suggestion]:
        """Up to ``n`` suggestions of the phase that it is in, and of the next one where that may begin."""
        if fixed and self.search_space is not None:
            fixed = self.search_space.check_fixed(fixed)
        self._make_points()
        self.waiting_for = None
        for step in self._steps:
            step.fresh = 0
        found: list[Suggestion] = []
        position = self._position
        while len(found) < n:
            step = self._steps[position]
            given = self._ask(step, n - len(found), pending, fixed)
            found += given
            if given:
                self._position = position
            elif self.waiting_for is None and position + 1 < len(self._steps):
                position += 1
            else:
                break
        return found

    def observe(self, trial: Trial, result: Any) -> None:
        """Tell all phases of a completed trial."""
        for step in self._steps:
            step.observed += step.member.owns(trial)
            step.member.observe(trial, result)

    def failed(self, trial: Trial) -> None:
        """Tell all phases of a failed trial: a model need not go there, whoever did."""
        for step in self._steps:
            step.failed += step.member.owns(trial)
            step.member.failed(trial)

    def stopped(self, trial: Trial) -> None:
        """Tell the phase that suggested it; it counts as observed."""
        for step in self._steps:
            if step.member.owns(trial):
                step.observed += 1
                step.member.stopped(trial)

    def reported(self, trial: Trial, report: Report) -> None:
        """Tell the phase that suggested it."""
        for step in self._steps:
            if step.member.owns(trial):
                step.member.reported(trial, report)

    def warm_start(self, trials: Iterable[Trial]) -> None:
        """Tell all phases of trials of earlier experiments: they are none of any of them.

        Raises:
            OptimizerError: one is no trial, does not fit the search space, or has completed without a score.
        """
        earlier = check_earlier(trials, self.search_space, self._several, f"{type(self).__name__}.warm_start(trials)")
        self._make_points()
        if self._points is not None:
            self._points.add(earlier)
        for step in self._steps:
            step.member.warm_start(earlier)

    def for_run(self, setup: Setup) -> Phases:
        """A new one with new optimizers and no history; what was left out comes from the sweep."""
        fresh = copy.copy(self)
        fresh.fill_in(setup)
        fresh._begin(setup)  # noqa: SLF001 - its own class
        return fresh

    def describe(self) -> dict[str, Any]:
        """Its class and settings, and the phases in their order."""
        return {
            "class": type(self).__qualname__,
            "duplicates": self.duplicates,
            **self._settings,
            "phases": [
                {
                    "name": step.member.name,
                    "trials": step.phase.trials,
                    "min_observed": step.phase.min_observed,
                    "max_parallel": step.phase.max_parallel,
                    "optimizer": step.phase.optimizer.describe(),
                }
                for step in self._steps
            ],
        }

    # -- pieces ----------------------------------------------------------------------------------------------------------------

    def _make_points(self) -> None:
        if self._points is None and self.search_space is not None and not self.duplicates:
            self._points = NewPoints(self.search_space, self.seed or 0)

    def _begin(self, setup: Setup) -> None:
        seed = self.seed or 0
        self._steps = [
            _Step(step.phase, step.member.for_run(self.search_space, derive_seed(seed, step.member.name), setup))
            for step in self._steps
        ]
        self._position = 0
        self._points = None

    def _ask(self, step: _Step, n: int, pending: Sequence[Trial] | None, fixed: Mapping[str, Any] | None) -> list[Suggestion]:
        """What a phase suggests now. Nothing and no ``waiting_for``: it is over."""
        allowed = self._allowed(step, pending)
        if allowed == 0:
            return []
        wanted = n if allowed is None else min(n, allowed)
        given = step.member.ask(wanted, pending or (), fixed, self._points)
        if not given and step.member.left(self._points) != 0 and step.in_flight(pending):
            self.waiting_for = step.member.why_none
        step.given += len(given)
        step.fresh += len(given)
        return given

    def _allowed(self, step: _Step, pending: Sequence[Trial] | None) -> int | None:
        """How many trials of a phase may be added now; None for any number."""
        name, limit, in_flight = step.member.name, step.phase.max_parallel, step.in_flight(pending)
        left = step.left
        if left == 0 and step.unobserved:
            if in_flight:
                self.waiting_for = self._waiting(step)
                return 0
            left = step.unobserved
        if left == 0 or limit is None:
            return left
        free = limit - in_flight
        if free < 1:
            self.waiting_for = f"the phase {name!r} runs at most {limit} at once"
        return max(0, free if left is None else min(left, free))

    def _waiting(self, step: _Step) -> str:
        after = self._steps.index(step) + 1
        name = self._steps[after].member.name if after < len(self._steps) else step.member.name
        results = "result" if step.phase.min_observed == 1 else "results"
        return f"the phase {name!r} needs {step.phase.min_observed} {results}, has {step.observed}"
