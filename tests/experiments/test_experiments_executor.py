"""Sweeps and their executors: sharing one, slots that are held, files of trials, and errors that are no failures."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sweep_kit import run, score_x, sweep

from metta_sweep import Budget, FailurePolicy, LocalExecutor, MemoryStore, StopReason, TrialContext
from metta_sweep.core.trial import TrialState
from metta_sweep.errors import ExecutorError, MetricError
from metta_sweep.testing.virtual import run_virtual

METRIC_ERROR = "metta_sweep.errors.MetricError"


async def _two(trial: TrialContext) -> float:
    return 2.0


def test_defining_a_sweep_changes_no_running_one() -> None:
    """A second sweep on a shared executor may be defined while the first one runs; the first keeps its trial function."""
    executor = LocalExecutor()

    async def main() -> list[float | None]:
        first = sweep(score_x, executor=executor)
        running = asyncio.create_task(first.arun(4))
        await asyncio.sleep(1.5)
        sweep(_two, executor=executor)
        return [trial.score for trial in (await running).trials]

    scores = run_virtual(main())
    assert len(scores) == 4
    assert 2.0 not in scores


def test_a_sweep_on_an_executor_in_use_is_refused_before_it_starts() -> None:
    """The error says so, its run has no record of a start, and the sweep that runs is not disturbed."""
    executor, store = LocalExecutor(), MemoryStore()

    async def main() -> tuple[list[float | None], list[Any]]:
        running = asyncio.create_task(sweep(score_x, executor=executor).arun(4))
        await asyncio.sleep(1.5)
        with pytest.raises(ExecutorError, match="in use by another run"):
            await sweep(_two, executor=executor, store=store).arun(4)
        kept = [record for row in store.runs() for record in store.records(row.run_id)]
        return [trial.score for trial in (await running).trials], kept

    scores, kept = run_virtual(main())
    assert (2.0 in scores, kept) == (False, [])


class _Unreachable(LocalExecutor):
    """An executor that cannot be opened."""

    async def __aenter__(self) -> Any:
        raise ExecutorError("_Unreachable", "nobody answers")


def test_a_start_is_noted_when_the_executor_is_open() -> None:
    """An executor that refuses to open leaves no record of a start."""
    store = MemoryStore()
    with pytest.raises(ExecutorError, match="nobody answers"):
        run(sweep(executor=_Unreachable(), store=store), 1)

    assert [record for row in store.runs() for record in store.records(row.run_id)] == []


def test_a_slot_that_an_earlier_run_holds_is_waited_for() -> None:
    """A thread that outlived its run keeps its slot; the next run, in a loop of its own, starts as soon as it ends."""
    gate = threading.Event()
    executor = LocalExecutor(slots=1)

    def hangs_at_first(trial: TrialContext) -> float:
        gate.wait(10)
        return 1.0

    experiment = sweep(hangs_at_first, executor=executor, grace=0.0)
    first = experiment.run(Budget(seconds=0.02))
    held = executor.leaked_slots
    threading.Timer(0.02, gate.set).start()
    second = asyncio.run(asyncio.wait_for(experiment.arun(2), 10))

    assert (first.stop_reason, held) == (StopReason.BUDGET_TIME, 1)
    assert (second.stop_reason, len(second.trials), executor.leaked_slots) == (StopReason.BUDGET_TRIALS, 2, 0)


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_cleaning_up_at_the_deadline_is_no_failure(grace: float) -> None:
    """Trials that raise as the deadline ends them were stopped: no failure, no failure rate."""

    async def fails(trial: TrialContext) -> float:
        try:
            while not trial.should_stop:  # noqa: ASYNC110  # what users do
                await asyncio.sleep(0.5)
        finally:
            raise RuntimeError("cleaning up")

    result = run(sweep(fails, slots=2, grace=grace, failures=FailurePolicy(min_failed=1)), Budget(seconds=3.2))

    assert result.stop_reason is StopReason.BUDGET_TIME
    assert [trial.state for trial in result.trials] == [TrialState.STOPPED] * 2
    assert [trial.metadata for trial in result.trials] == [{"error": "RuntimeError: cleaning up"}] * 2


def test_runs_share_no_files(tmp_path: Path) -> None:
    """Two runs with one directory given do not see the files of each other's trials."""

    def leaves(trial: TrialContext) -> float:
        there = (trial.checkpoint_dir / "model").exists()
        (trial.checkpoint_dir / "model").write_text("weights")
        return float(there)

    scores = [sweep(leaves, executor=LocalExecutor(checkpoint_dir=tmp_path)).run(2).trials for _ in range(2)]

    assert [trial.score for trials in scores for trial in trials] == [0.0] * 4


def test_an_attempt_after_a_resume_finds_its_files(tmp_path: Path) -> None:
    """Files of a run that is kept lie beside its store, at the same place for each attempt of a trial."""
    seen: list[Path] = []

    async def objective(trial: TrialContext) -> float:
        seen.append(trial.checkpoint_dir)
        if len(seen) == 1:
            await asyncio.sleep(1000)
        return 1.0

    def again() -> Any:
        return sweep(objective, name="kept", store=tmp_path / "sweeps.db")

    async def main() -> None:
        cut = asyncio.create_task(again().arun(1))
        await asyncio.sleep(1)
        cut.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cut
        await again().arun(1)

    run_virtual(main())
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert seen[0].parent.parent == tmp_path / "sweeps.db-checkpoints"


@pytest.mark.parametrize("returned", [{"loss": 0.1}, {"accuracy": float("nan")}])
def test_a_wrong_metric_is_final(returned: dict[str, float]) -> None:
    """A result that is no metric, or not the one that the goal names, is not asked for again; both errors have one name."""
    calls: list[int] = []

    async def objective(trial: TrialContext) -> dict[str, float]:
        calls.append(trial.attempt)
        return {"accuracy": 0.5} if trial.number == 0 else returned

    result = run(sweep(objective, goal={"accuracy": "maximize"}, failures=FailurePolicy(retries=3)), 2)

    error = result.trials[1].error
    assert error is not None
    assert (calls, error.type) == ([1, 1], METRIC_ERROR)
    assert f"{MetricError.__module__}.{MetricError.__qualname__}" == METRIC_ERROR
