"""A population of sweeps that fork each other's journals; the process dies where it is told to.

Arguments: the database, slots, where to die (``fork.copied:3``: at its third passage; empty: nowhere). It prints ``started`` before
it opens anything, and a line after each leaf trial.
"""

from __future__ import annotations

import asyncio
import sys

from recovery_process import dies_at

from metta_sweep import MetaExperiment, SweepExperiment, SweepResult, TrialContext, Uniform
from metta_sweep.clock import crash_points
from metta_sweep.optimizers import EvolutionOptimizer
from metta_sweep.records import Store
from metta_sweep.schedulers import PBTScheduler

NAME = "population"
MEMBERS, STEPS, TRIALS = 3, 3, 4


async def leaf(trial: TrialContext) -> dict[str, float]:
    """Depends on its parameters and seed alone, and costs something."""
    await asyncio.sleep(trial.seed % 3 / 2000)
    print(trial.address, flush=True)  # noqa: T201  # the parent listens
    return {"score": trial.params["x"] + trial.rng.random(), "cost": 1.5}


def run(store: Store | str, slots: int) -> SweepResult:
    """Run it, or go on with it, or read what has ended."""
    base = SweepExperiment(
        objective=leaf,
        search_space={"x": Uniform(0, 1)},
        optimizer=EvolutionOptimizer(population_size=3),
        metric="score",
        slots=1,
    )
    population = MetaExperiment(
        name=NAME,
        base=base,
        search_space={"optimizer.mutation_scale": Uniform(0.1, 1.0)},
        optimizer=PBTScheduler(population_size=MEMBERS, num_generations=STEPS),
        base_budget=TRIALS,
        slots=slots,
        seed=3,
        store=store,
    )
    return population.run()


if __name__ == "__main__":
    print("started", flush=True)  # noqa: T201  # the parent listens
    with crash_points(dies_at(sys.argv[3])):
        run(sys.argv[1], int(sys.argv[2]))
