"""A store with experiments inside experiments, made once for the tests that look at it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from metta_sweep import Experiment, Pipeline, SweepExperiment, Uniform
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.records import RunRow
from metta_sweep.store import SqliteStore

SPACE = {"x": Uniform(0, 1)}
GOAL = {"score": "maximize"}


async def leaf(x: float) -> dict[str, float]:
    """Worth its parameter, for a cost."""
    return {"score": x, "cost": 0.5}


async def middle(x: float) -> float:
    """A trial that runs a sweep without a name."""
    results = await SweepExperiment(objective=leaf, search_space=SPACE, goal=GOAL, slots=1).run(budget=3)
    assert results.best_score is not None
    return results.best_score


async def outer(params: dict[str, float]) -> float:
    """A trial that runs a named sweep of such trials; one whose parameter is small fails before."""
    if params["x"] < 0.2:
        raise ValueError("too small")
    results = await SweepExperiment(name="middle", objective=middle, search_space=SPACE, slots=1).run(budget=2)
    assert results.best_score is not None
    return results.best_score


class Curriculum(Experiment):
    """A pipeline that runs a sweep in each turn of its loop."""

    def pipeline(self) -> Pipeline:
        """Its loop."""
        return (
            Pipeline()
            .loop_while(lambda ctx: ctx.task < 2, carry={"task": 0}, name="tasks")
            .stage("optimize", self.optimize)
            .through(task=int)
            .end_loop()
        )

    async def optimize(self, task: int) -> int:
        """One turn."""
        await SweepExperiment(objective=leaf, search_space=SPACE, goal=GOAL, slots=1).run(budget=2)
        return task + 1


def fill(path: Path) -> None:
    """Run what the tests look at: ``meta``, ``cur``, a pipeline without a name, and a fork."""

    async def run() -> None:
        with SqliteStore(path) as store:
            queue = SuggestionQueue([{"x": 0.5}, {"x": 0.1}, {"x": 0.9}])
            await SweepExperiment(name="meta", objective=outer, optimizer=queue, seed=3, slots=1, store=store).arun()
            await Curriculum(name="cur", store=store, seed=1).arun()
            await Curriculum(store=store, seed=1).arun()
            source = store.find_run("meta/trial[0]>middle")
            assert source is not None
            store.fork_run(source.run_id, RunRow("forked", "meta/trial[9]>middle", 1.0))

    asyncio.run(run())
