"""Maps: over a field, of functions and of pipelines, in named-field pipelines and after a chain."""

from __future__ import annotations

from pydantic import BaseModel

from metta_sweep.pipeline import Pipeline, StageContext


class Plans(BaseModel):
    """What is to be tried."""

    trials: list[float]


class Result(BaseModel):
    """What one of them gave."""

    score: float


def plan(seed: int) -> Plans:
    """Makes the items."""
    return Plans(trials=[0.1] * seed)


async def train(trial: float, scale: float = 1.0) -> Result:
    """The item, and a constant."""
    return Result(score=trial * scale)


def train_seeded(trial: float, seed: int, context: StageContext) -> float:
    """The item, a field and the context."""
    return trial + seed + context.attempt


def total(results: list[Result]) -> float:
    """Reads what was gathered."""
    return sum(result.score for result in results)


gathered = (
    Pipeline(seed=int)
    .stage("plan", plan)
    .map("train", train, over="trials", into="results", limit=8, scale=2.0)
    .through(Result, retry=3, validate=lambda result: result.score >= 0)
    .stage("total", total)
)
collected = (
    Pipeline(seed=int)
    .stage("plan", plan)
    .map("seeded", train_seeded, over="trials", on_item_error="collect")
    .through(float)
    .stage("count", lambda seeded: len(seeded))
    .through(int)
)
of_pipelines = (
    Pipeline(seed=int).stage("plan", plan).map("train", Pipeline(trial=float).stage("fit", train), over="trials", into="results")
)
after_a_chain = Pipeline(Plans).map("train", train, over="trials", into="results").stage("total", total)

PIPELINES: list[Pipeline] = [gathered, collected, of_pipelines, after_a_chain]
