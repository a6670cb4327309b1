"""What the pipeline adds to a stage: ten no-op coroutine stages, against plain ``await`` as the floor.

Run with ``python benchmarks/stages.py``. Prints medians of several repeats, in microseconds per stage, and ratios to the floor.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tables import machine

from metta_sweep.pipeline import Pipeline, Plan, StageContext

STAGES = 10
RUNS = 2_000
REPEATS = 9


class Counted(NamedTuple):
    """The output of a stage with a model as its contract."""

    total: int


async def step(count: int) -> int:
    return count


async def step_model(count: int) -> Counted:
    return Counted(count)


async def step_with_context(count: int, context: StageContext) -> int:
    return count


async def floor() -> None:
    count = 0
    for _ in range(STAGES):
        count = await step(count)


def chain(kind: str) -> Plan:
    """Ten stages of one kind."""
    pipeline = Pipeline(count=int)
    for number in range(STAGES):
        name = f"s{number}"
        if kind == "int field":
            pipeline = pipeline.stage(name, step).through(count=int)
        elif kind == "named tuple":
            pipeline = pipeline.stage(name, step_model).through(Counted)
        elif kind == "stage context":
            pipeline = pipeline.stage(name, step_with_context).through(count=int)
        elif kind == "timeout":
            pipeline = pipeline.stage(name, step).through(count=int, timeout=60)
        elif kind == "after hook":
            pipeline = pipeline.stage(name, step).through(count=int, after=lambda count: None)
        elif kind == "profile":
            pipeline = pipeline.stage(name, step).through(count=int, profile=True)
    return pipeline.build()


def loop() -> Plan:
    """Ten stages, one after another, in a loop of 100 iterations."""
    pipeline = Pipeline(count=int).loop_while(lambda ctx: ctx.turn < 100, carry={"turn": 0})
    for number in range(STAGES - 1):
        pipeline = pipeline.stage(f"s{number}", step).through(count=int)

    async def turned(turn: int) -> int:
        return turn + 1

    return pipeline.stage("turned", turned).through(turn=int).end_loop().build()


async def per_stage(once: Callable[[], Awaitable[object]], runs: int, stages: int) -> float:
    """Microseconds per stage."""
    started = time.perf_counter()
    for _ in range(runs):
        await once()
    return (time.perf_counter() - started) / (runs * stages) * 1e6


async def measure() -> dict[str, float]:
    cases: dict[str, tuple[Callable[[], Awaitable[object]], int, int]] = {"plain await": (floor, RUNS, STAGES)}
    for kind in ("int field", "named tuple", "stage context", "after hook", "profile", "timeout"):
        plan = chain(kind)
        cases[kind] = (lambda plan=plan: plan.run(count=1), RUNS, STAGES)  # type: ignore[misc]
    looped = loop()
    cases["in a loop"] = (lambda: looped.run(count=1), RUNS // 100, STAGES * 100)
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(REPEATS):
        for name, (once, runs, stages) in cases.items():
            figures[name].append(await per_stage(once, runs, stages))
    return {name: statistics.median(values) for name, values in figures.items()}


def main() -> None:
    print(machine())
    figures = asyncio.run(measure())
    base = figures["plain await"]
    targets = {"int field": 5.0, "named tuple": 5.0, "in a loop": 5.0, "timeout": 15.0}
    print(f"{'ten no-op stages':<18}{'us per stage':>14}{'x plain await':>15}   target")
    for name, value in figures.items():
        target = targets.get(name)
        verdict = "" if target is None else f"<= {target:g} us: {'met' if value <= target else 'missed'}"
        print(f"{name:<18}{value:>14.2f}{value / base:>15.1f}   {verdict}".rstrip())


if __name__ == "__main__":
    main()
