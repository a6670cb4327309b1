"""A comparison that is killed by its test, and run again until it ends. Arguments: the database, a file for what it found."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from metta_sweep import MemoryStore, SweepExperiment, Uniform, compare
from metta_sweep.optimizers import RandomOptimizer, SobolOptimizer


async def objective(x: float) -> float:
    """A few milliseconds."""
    sys.stdout.write("trial\n")
    sys.stdout.flush()
    await asyncio.sleep(0.003)
    return -((x - 0.3) ** 2)


def side(optimizer: RandomOptimizer | SobolOptimizer) -> SweepExperiment:
    """One of the two."""
    return SweepExperiment(objective=objective, search_space={"x": Uniform(0.0, 1.0)}, optimizer=optimizer, slots=1)


def found_in(store: MemoryStore | str) -> dict[str, Any]:
    """What the comparison finds, as JSON values."""
    sides = {"random": side(RandomOptimizer()), "sobol": side(SobolOptimizer())}
    found = compare(sides, repeats=6, budget=5, name="killed", seed=3, store=store)
    runs = [[run.problem, run.repeat, run.side, run.score, run.trials, run.seed] for run in found.runs]
    return {"runs": runs, "p_value": found.pairs[0].p_value}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(found_in(sys.argv[1])), encoding="utf-8")
