"""What it costs to run experiments inside experiments: 10,000 leaf trials over three levels, beside one flat sweep of as many.

The figures are processor time per leaf trial, on no-op coroutines, at 64 slots. ``one after another``: the two upper levels decide
one trial after another, so that each innermost sweep has all slots; ``all at once``: they fill the slots, so that each innermost
sweep has about one, and costs what a flat sweep costs at one slot, which stands beside it. Sweeps with one leaf each show what an
experiment costs besides its trials.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tables import interleaved, machine, print_table, verdict

from metta_sweep import MemoryStore, SqliteStore, SweepExperiment, Uniform
from metta_sweep.records import Store
from metta_sweep.schedulers import BatchScheduler

SPACE = {"x": Uniform(0.0, 1.0)}
SLOTS = 64


async def leaf(x: float) -> float:
    """Nothing."""
    return x


def sweep(objective: Callable[..., Any], **options: Any) -> SweepExperiment:
    """A sweep over one parameter."""
    return SweepExperiment(objective=objective, search_space=SPACE, **options)


def tree(shape: tuple[int, ...], options: Callable[[], dict[str, Any]]) -> Callable[..., Any]:
    """A trial function that runs a tree of sweeps, of so many trials on each level below it."""
    if not shape:
        return leaf
    count, below = shape[0], shape[1:]
    within = tree(below, options)
    own = options if below else dict

    async def run(x: float) -> float:
        return (await sweep(within, slots=SLOTS, **own()).run(budget=count)).best_score or x

    return run


def one_at_a_time() -> dict[str, Any]:
    """Upper levels decide one trial after another."""
    return {"scheduler": BatchScheduler(batch_size=1)}


def measured(shape: tuple[int, ...], place: str, slots: int = SLOTS, options: Callable[[], dict[str, Any]] = dict) -> float:
    """Microseconds of processor time per leaf."""
    count, below, leaves = shape[0], shape[1:], math.prod(shape)
    with tempfile.TemporaryDirectory() as folder:
        store: Store = MemoryStore() if place == "memory" else SqliteStore(Path(folder) / "nesting.db")
        own = options() if below else {}
        root = sweep(tree(below, options), slots=slots, store=store, seed=1, **own)
        began = time.process_time()
        asyncio.run(root.arun(budget=count))
        spent = time.process_time() - began
        store.close()
    return spent / leaves * 1e6


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a tenth of the leaves, to see that it runs")
    given = parser.parse_args()
    logging.getLogger("metta_sweep").setLevel(logging.ERROR)
    inner = 10 if given.small else 100
    whole, single = (10, 10, inner), (10, 10, 1)
    flat = (10 * 10 * inner,)
    print(machine())
    for place in ("memory", "sqlite"):
        found = interleaved(
            {
                "flat": lambda place=place: measured(flat, place),  # type: ignore[misc]  # the loop's variable, now
                "flat, one slot": lambda place=place: measured((flat[0] // 5,), place, 1),  # type: ignore[misc]
                "one after another": lambda place=place: measured(whole, place, options=one_at_a_time),  # type: ignore[misc]
                "all at once": lambda place=place: measured(whole, place),  # type: ignore[misc]
                "one leaf each": lambda place=place: measured(single, place, options=one_at_a_time),  # type: ignore[misc]
            },
            given.repeats,
        )
        base, slow = found["flat"], found["flat, one slot"]
        rows = [
            ("one flat sweep, 64 slots", base, 1.0, ""),
            (
                f"10 x 10 x {inner}, decided one after another",
                found["one after another"],
                found["one after another"] / base,
                verdict(found["one after another"] / base, 1.5),
            ),
            ("one flat sweep, one slot", slow, slow / base, ""),
            (
                f"10 x 10 x {inner}, all at once",
                found["all at once"],
                found["all at once"] / base,
                f"{found['all at once'] / slow:.2f} x one slot",
            ),
            ("10 x 10 x 1: one leaf in each sweep", found["one leaf each"], found["one leaf each"] / base, "apart"),
        ]
        print_table(f"processor time per leaf, {place}", ("", "us", "x flat", "target"), rows)


if __name__ == "__main__":
    main()
