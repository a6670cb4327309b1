"""The four stages as parts: a chain composed by hand is a sweep."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sweep_kit import queue, rewards, run, sweep

from metta_sweep import MemoryStore, Pipeline, StopReason, SweepExperiment, SweepResult
from metta_sweep.experiments import FannedOut, Happened, Picked, Scored, SweepRun, dispatch, fan_out, pick, score
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing import deterministic_expander
from metta_sweep.testing.virtual import run_virtual

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/by_hand.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example, imported."""
    spec = importlib.util.spec_from_file_location("example_by_hand", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timeless(result: SweepResult) -> list[Any]:
    """The trace without times."""
    return [event._replace(seconds=0.0) if event.kind == "result" else event for event in result.trace]


def test_the_chain_of_the_example_gives_the_trace_of_run(example: ModuleType) -> None:
    """With the same seed: the same events, numbers, addresses and reasons; only times differ."""
    by_hand = run_virtual(example.run_by_hand(30))
    by_run = run_virtual(example.experiment.arun(30))
    assert timeless(by_hand) == timeless(by_run)
    assert str(by_hand.trace)[:200] == str(by_run.trace)[:200]
    assert len(by_hand.trials) == 30


def test_the_example_prints_its_trace(example: ModuleType) -> None:
    """The first lines tell why each trial was picked."""
    lines = str(run_virtual(example.run_by_hand(12)).trace).splitlines()
    assert any("ucb inf, not tried yet" in line for line in lines)
    assert any("highest of 3 branches" in line for line in lines)


def chain(*leave_out: str) -> Pipeline:
    """The research loop, as its pieces."""
    pipeline = Pipeline(sweep=SweepRun).loop_while(lambda ctx: ctx.stop_reason is None, carry={"stop_reason": None}, name="sweep")
    stages: dict[str, tuple[Any, Any]] = {
        "pick": (pick, Picked),
        "dispatch": (dispatch, Happened),
        "score": (score, Scored),
        "fan_out": (fan_out, FannedOut),
    }
    for name, (function, contract) in stages.items():
        if name not in leave_out:
            pipeline = pipeline.stage(name, function).through(contract)
    return pipeline.end_loop()


def grown(**settings: Any) -> SweepExperiment:
    """A sweep that triggers, prunes and expands."""
    scheduler = IterationScheduler(expander=deterministic_expander)
    return sweep(rewards({"a": 0.9, "b": 0.1, "c": 0.5}), optimizer=queue(*"abbbbccc"), scheduler=scheduler, slots=2, **settings)


async def by_hand(experiment: SweepExperiment, pipeline: Pipeline, budget: int) -> SweepResult:
    """Run a chain on an open run."""
    async with experiment.open(budget) as opened:
        await pipeline.build().run(sweep=opened, recorder=opened.recorder)
        return opened.result()


def test_a_chain_with_follow_ups_gives_the_trace_of_run() -> None:
    """Papers, prunings and follow-ups are those of run(), with two slots."""
    assert timeless(run_virtual(by_hand(grown(), chain(), 20))) == timeless(run(grown(), 20))


def test_a_chain_without_fan_out_decides_nothing_from_results() -> None:
    """Leaving a stage out leaves out what it does, and nothing else."""
    result = run_virtual(by_hand(grown(), chain("fan_out"), 20))
    assert (result.triggers, len(result.trials), result.stop_reason) == ([], 8, StopReason.QUEUE_EMPTY)


def test_a_chain_by_hand_is_resumed_by_run() -> None:
    """It is the same run: what the chain began, run() ends, and the other way round."""
    store = MemoryStore()
    run_virtual(by_hand(grown(name="it", store=store), chain(), 5))
    run(grown(name="it", store=store), 9)
    result = run_virtual(by_hand(grown(name="it", store=store), chain(), 12))
    assert len(result.trials) == 12
    assert [trial.attempt for trial in result.trials] == [1] * 12


def test_a_subclass_may_override_the_pipeline() -> None:
    """run() runs what pipeline() returns."""
    seen: list[int] = []

    class Watched(SweepExperiment):
        def pipeline(self) -> Pipeline:
            return (
                Pipeline(sweep=SweepRun)
                .loop_while(lambda ctx: ctx.stop_reason is None, carry={"stop_reason": None}, name="sweep")
                .stage("pick", pick)
                .through(Picked)
                .stage("look", lambda picks: seen.append(len(picks)))
                .through(None)
                .stage("dispatch", dispatch)
                .through(Happened)
                .stage("score", score)
                .through(Scored)
                .stage("fan_out", fan_out)
                .through(FannedOut)
                .end_loop()
            )

    experiment = Watched(objective=rewards({"a": 1.0}), optimizer=queue(*"aa"), slots=1, seed=0)
    assert len(run(experiment).trials) == 2
    assert sum(seen) > 4
