"""What the tests of sweeps share: quick sweeps on a virtual clock, and views of their results to compare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from metta_sweep import Budget, MemoryStore, Suggestion, SweepExperiment, SweepResult, TrialContext, Uniform
from metta_sweep.core.events import Event
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.testing.virtual import run_virtual

E = TypeVar("E", bound=Event)

SPACE = {"x": Uniform(0.0, 1.0)}


async def score_x(trial: TrialContext) -> float:
    """The parameter x, after one second."""
    await asyncio.sleep(1.0)
    return float(trial.params["x"])


def queue(*branches: str, **params: Any) -> SuggestionQueue:
    """Suggestions number 0, 1, ... of these branches, with their number as parameter ``i``."""
    return SuggestionQueue([Suggestion(branch=branch, params={"i": number, **params}) for number, branch in enumerate(branches)])


def queue_of(count: int) -> SuggestionQueue:
    """So many suggestions without branches."""
    return SuggestionQueue([{"i": number} for number in range(count)])


def rewards(by_branch: Mapping[str, float], seconds: float = 1.0) -> Callable[[TrialContext], Any]:
    """A trial function that takes some seconds and gives what its branch is worth."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(seconds)
        return by_branch[trial.branch or ""]

    return objective


def sweep(objective: Callable[..., Any] = score_x, **settings: Any) -> SweepExperiment:
    """A sweep of ``x`` with one slot and seed 0, unless said otherwise."""
    if "optimizer" not in settings:
        settings.setdefault("search_space", SPACE)
    return SweepExperiment(**{"objective": objective, "slots": 1, "seed": 0, **settings})


def run(experiment: SweepExperiment, budget: int | Budget | None = None, **options: Any) -> SweepResult:
    """Run it on a virtual clock."""
    return run_virtual(experiment.arun(budget, **options))


def events(result: SweepResult, kind: type[E]) -> list[E]:
    """The events of one kind, in order."""
    return [event for event in result.trace if isinstance(event, kind)]


def kinds(result: SweepResult) -> list[str]:
    """The kinds of all events, in order."""
    return [event.kind for event in result.trace]


def essence(result: SweepResult) -> list[tuple[Any, ...]]:
    """What a crash must not change of the trials."""
    return [(trial.id, trial.branch, trial.state, trial.params, trial.score) for trial in result.trials]


def branches_of(trials: Sequence[Any]) -> list[str | None]:
    """The branches, in order."""
    return [trial.branch for trial in trials]


def events_kept(store: MemoryStore) -> int:
    """How many events all runs of a store have."""
    return sum(store.end_of(row.run_id) for row in store.runs())
