"""Whole sweeps on a virtual clock with an optimizer in them: what the conformance of optimizers checks from outside."""

# ruff: noqa: S101  # these are parts of tests

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from metta_sweep.clock import crash_points
from metta_sweep.core.failures import FailurePolicy
from metta_sweep.core.goal import Goal
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.trial import TERMINAL_STATES, Trial, TrialState
from metta_sweep.errors import OptimizerError
from metta_sweep.executors.context import TrialContext
from metta_sweep.optimizers.optimizer import Optimizer
from metta_sweep.store.memory import MemoryStore
from metta_sweep.testing.crashes import Crashed
from metta_sweep.testing.optimizer_spaces import worth
from metta_sweep.testing.virtual import run_virtual

__all__ = ["check_killed", "check_refused", "check_whole"]


def check_refused(optimizer: Optimizer, space: SearchSpace, goal: Goal) -> None:
    """A sweep of this space with this goal is refused when it is made, naming optimizers that would do."""
    from metta_sweep.experiments import SweepExperiment

    try:
        SweepExperiment(search_space=space, optimizer=optimizer, goal=goal, objective=_objective(space))
    except OptimizerError as refused:
        assert "Optimizers that do: " in str(refused)  # noqa: PT017  # pytest is not imported here
        return
    raise AssertionError(f"a sweep of {space!r} with {goal!r} was made")


def check_whole(optimizer: Optimizer, space: SearchSpace, trials: int, *, repeats: bool) -> None:
    """A sweep with eight slots runs whole: every trial is inside the space and ends, and no two are the same."""
    from metta_sweep.experiments import SweepExperiment

    sweep = SweepExperiment(
        search_space=space,
        optimizer=optimizer,
        objective=_objective(space),
        slots=8,
        seed=3,
        store=MemoryStore(),
        failures=FailurePolicy(tolerated_rate=1),
    )
    result = run_virtual(sweep.arun(trials))
    assert len(result.trials) == trials
    assert {trial.state for trial in result.trials} == {TrialState.COMPLETED, TrialState.FAILED}
    for trial in result.trials:
        space.check(trial.params, f"trial {trial.id}")
    if not repeats:
        assert len({str(sorted(trial.params.items())) for trial in result.trials}) == trials


def check_killed(make: Callable[[], Optimizer], space: SearchSpace, trials: int, warm_start: Sequence[Trial] = ()) -> None:
    """With one slot, a sweep that is killed and resumed again and again has the trials of one that was not.

    Its first start is given trials of earlier runs, where there are any; it keeps them.
    """
    from metta_sweep.experiments import SweepExperiment

    def run(store: MemoryStore) -> list[Any]:
        sweep = SweepExperiment(
            name="conformance",
            search_space=space,
            optimizer=make(),
            objective=_objective(space),
            slots=1,
            seed=3,
            store=store,
            failures=FailurePolicy(tolerated_rate=1),
            warm_start=warm_start,
        )
        result = run_virtual(sweep.arun(trials))
        assert [source.trials for source in result.warm_start] == [len(warm_start)] * bool(warm_start)
        assert all(trial.state in TERMINAL_STATES for trial in result.trials)
        return [(trial.id, trial.branch, trial.state, trial.params, trial.score) for trial in result.trials]

    expected = run(MemoryStore())
    store, deaths = MemoryStore(), 0
    found: list[Any] | None = None
    while found is None:
        with crash_points(_Death(after=trials)):
            try:
                found = run(store)
            except Crashed:
                deaths += 1
        assert deaths < 100, "it never ends"
    assert deaths > 0
    assert found == expected


class _Death:
    """Ends a run after so many commits; a dead process does nothing more."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self, point: str) -> None:
        if point == "record.after":
            self._left -= 1
        if self._left <= 0:
            raise Crashed(f"the run ends at {point}")


def _objective(space: SearchSpace) -> Callable[[TrialContext], Awaitable[float]]:
    """What a point is worth, after seconds that depend on the trial; one trial in seven or so fails."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(1.0 + trial.seed % 10)
        if trial.seed % 7 == 0:
            raise ValueError("it diverged")
        return worth(space, trial.params)

    return objective
