"""A pipeline in its simplest form: stages, and between them contracts that say what flows.

Shows the table of what flows where, a run, and what happens when two stages do not fit: all faults are told before anything runs.
Run it with ``python examples/pipelines/basic.py``; it takes no time.
"""

import asyncio

from pydantic import BaseModel

from metta_sweep import Pipeline
from metta_sweep.errors import BuildError


class Trial(BaseModel):
    """One configuration that is to be tried."""

    name: str
    learning_rate: float


async def get_suggestions(n: int) -> list[Trial]:
    return [Trial(name=f"trial-{i}", learning_rate=0.1 / 2**i) for i in range(n)]


async def run_training(trials: list[Trial]) -> dict[str, float]:
    """The score of each trial: best at a learning rate of 0.025."""
    return {trial.name: round(1.0 - abs(trial.learning_rate - 0.025) * 10, 3) for trial in trials}


async def update_model(results: dict[str, float]) -> str:
    best = max(results, key=lambda name: results[name])
    return f"{best} is best, with {results[best]:.2f}"


pipeline = (
    Pipeline(n=int)
    .stage("suggest", get_suggestions)
    .through(trials=list[Trial])  # the contract: the next stage gets trials
    .stage("train", run_training)
    .through(results=dict[str, float])  # the contract: the next stage gets results
    .stage("update", update_model)  # without one: what its annotation says, named like the stage
)


async def count_results(result: dict[str, float]) -> int:
    return len(result)


async def count_trials(trials: list[str]) -> int:
    return len(trials)


def wrong() -> str:
    """Two mistakes: a misspelt field, and a wrong type. Both are told at once."""
    try:
        pipeline.stage("count_results", count_results).stage("count_trials", count_trials).build()
    except BuildError as error:
        return str(error)
    return "no fault"


if __name__ == "__main__":
    plan = pipeline.build()
    print(plan.describe())
    result = asyncio.run(plan.run(n=4))
    print(f"\n{result.update}; {len(result.trials)} trials, {result.results}")
    print(f"\nWith two wrong stages, {wrong()}")
