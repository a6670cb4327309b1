"""Whole pipelines as users write them: the chain of the documentation, and every message that it can give."""

# ruff: noqa: D102  # stages; each test says what it shows
from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from metta_sweep.errors import BuildError
from metta_sweep.pipeline import Pipeline, fields, hooks, ref


class Task(BaseModel):
    """A learning task."""

    name: str
    difficulty: float


class SuggestionOutput(BaseModel):
    """What the optimizer proposes."""

    trials: list[dict[str, float]]


class MyExperiment:
    """The documentation's experiment, with what its stages do filled in."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def generate_suggestions(self, task_names: list[str]) -> SuggestionOutput:
        return SuggestionOutput(trials=[{"lr": 0.1 * n} for n, _ in enumerate(task_names)])

    def train_models(self, trials: list[dict[str, float]], n_trials: int) -> dict[str, float]:
        return {str(n): trial["lr"] for n, trial in enumerate(trials[:n_trials])}

    def handle_failure(self, error: Exception) -> None:
        self.log.append(f"failed: {error}")

    async def get_next_task(self, task_names: list[str], task_idx: int) -> dict[str, Any]:
        return {"current_task": Task(name=task_names[task_idx], difficulty=task_idx), "task_idx": task_idx + 1}

    def pipeline(self) -> Pipeline:
        return (
            Pipeline(task_names=list[str])
            .stage("suggest", self.generate_suggestions)
            .through(
                SuggestionOutput,
                after=lambda d: self.log.append(f"suggested {len(d.trials)}"),
                validate=lambda d: len(d.trials) > 0,
                checkpoint=True,
                timeout=300,
            )
            .stage("train", self.train_models, n_trials=50)
            .through(results=dict[str, float], retry=3, on_error=self.handle_failure)
            .loop_while(lambda ctx: ctx.task_idx < len(ctx.task_names), carry={"task_idx": 0}, max_iterations=100)
            .stage("next_task", self.get_next_task)
            .through(current_task=Task, task_idx=int)
            .end_loop()
            .with_global_hooks(before=lambda stage, data: self.log.append(f"[{stage}]"), profile=True)
        )


async def test_the_chain_of_the_documentation() -> None:
    """It builds without a complaint and runs."""
    experiment = MyExperiment()
    plan = experiment.pipeline().build(strict=True)
    result = await plan.run(task_names=["a", "b"])
    assert result.results == {"0": 0.0, "1": 0.1}
    assert result.current_task == Task(name="b", difficulty=1)
    assert experiment.log == ["[suggest]", "suggested 2", "[train]", "[next_task]", "[next_task]"]
    assert {stage: figures.calls for stage, figures in result.profile.items()} == {"suggest": 1, "train": 1, "loop/next_task": 2}


async def test_hook_patterns() -> None:
    """Reusable, conditional and merged hook sets, and a field that is called like a hook."""
    told: list[str] = []
    debug, production = hooks(after=lambda d: told.append("debug")), hooks(retry=2)
    for chosen in (debug, production, debug | production):

        async def measure(n: int) -> float:
            return n / 2

        plan = Pipeline(n=int).stage("measure", measure).through(fields(timeout=float), **chosen).build()
        assert (await plan.run(n=3)).timeout == 1.5
    assert told == ["debug", "debug"]


async def test_results_of_one_phase_start_the_next() -> None:
    """``ref`` hands an earlier result to a later phase under the name that it has there."""

    async def explore() -> list[float]:
        return [1.0, 2.0]

    async def refine(init_from: list[float], population: int) -> float:
        return max(init_from) * population

    pipeline = Pipeline().stage("explore", explore).through(exploration_results=list[float])
    good = pipeline.stage("refine", refine, init_from=ref("exploration_results"), population=3)
    assert (await good.build(strict=True).run()).refine == 6.0
    with pytest.raises(BuildError, match="Did you mean 'exploration_results'"):
        pipeline.stage("refine", refine, init_from=ref("exploration_result"), population=3).build()
    with pytest.raises(BuildError, match=r"provides list\[float\], needs int|provides 'exploration_results' as list\[float\]"):
        pipeline.stage("refine", refine, init_from=[], population=ref("exploration_results")).build()
