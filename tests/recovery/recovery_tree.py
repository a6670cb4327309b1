"""Experiments on three levels, the innermost trials with reports; the process dies where it is told to.

Arguments: the database, the kind, slots, where to die (``commit.after:3``: at its third passage; empty: nowhere), and seconds
that each report of a leaf takes longer, or nothing. It prints
``started`` before it opens anything, and a line after each leaf trial.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from recovery_process import dies_at

from metta_sweep import Budget, Experiment, FailurePolicy, Pipeline, SweepExperiment, TrialContext, Uniform
from metta_sweep.clock import crash_points
from metta_sweep.records import Store

NAME = "tree"
SPACE = {"x": Uniform(0, 1)}
LEAVES = 5
DELAY = float(sys.argv[5]) if len(sys.argv) == 6 and __name__ == "__main__" else 0.0
SWEEPS = 3
ROOTS = 2


async def leaf(trial: TrialContext) -> dict[str, float]:
    """Reports, and gives what depends on its parameters and seed alone, with what it cost."""
    for step in range(1, 3):
        await asyncio.sleep(DELAY + trial.seed % 3 / 2000)
        trial.report(step, score=trial.params["x"] * step)
    if trial.seed % 7 == 0:
        raise ValueError("unlucky")
    print(trial.address, flush=True)  # noqa: T201  # the parent listens
    return {"score": trial.params["x"] + trial.rng.random(), "cost": 1.5}


def sweep(objective: Any, budget_name: str | None = None, **options: Any) -> SweepExperiment:
    """A sweep over one parameter, which goes on whatever fails."""
    return SweepExperiment(
        name=budget_name,
        objective=objective,
        search_space=SPACE,
        failures=FailurePolicy(tolerated_rate=1),
        metric="score",
        **options,
    )


async def middle(trial: TrialContext) -> float:
    """A sweep of leaves."""
    results = await sweep(leaf, "leaves").run(budget=LEAVES)
    return results.best_score or 0.0


def in_a_thread(trial: TrialContext) -> float:
    """The same, from a worker thread."""
    return sweep(leaf, "leaves").run(budget=LEAVES).best_score or 0.0


class Tasks(Experiment):
    """Two sweeps of sweeps, one after the other, in a loop."""

    def pipeline(self) -> Pipeline:
        """The loop."""
        return (
            Pipeline()
            .loop_while(lambda ctx: ctx.task < ROOTS, carry={"task": 0}, name="tasks")
            .stage("solve", self.solve)
            .through(best=float)
            .stage("next", self.advance)
            .through(task=int)
            .end_loop()
        )

    async def solve(self, task: int) -> float:
        """A sweep whose trials run sweeps."""
        return (await sweep(in_a_thread if task else middle).run(budget=SWEEPS)).best_score or 0.0

    async def advance(self, task: int) -> int:
        """The next one."""
        return task + 1


async def root(trial: TrialContext) -> float:
    """A sweep whose trials run sweeps."""
    objective = in_a_thread if trial.number else middle
    return (await sweep(objective).run(budget=SWEEPS)).best_score or 0.0


def run(store: Store | str, kind: str, slots: int) -> Any:
    """Run it, or go on with it, or read what has ended."""
    if kind == "tasks":
        return Tasks(name=NAME, seed=5, store=store, slots=slots).run(budget=Budget(cost=1000.0))
    return sweep(root, NAME, seed=5, store=store, slots=slots).run(budget=ROOTS)


if __name__ == "__main__":
    print("started", flush=True)  # noqa: T201  # the parent listens
    with crash_points(dies_at(sys.argv[4])):
        run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
