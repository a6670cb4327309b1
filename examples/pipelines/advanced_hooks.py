"""Hooks that are used again: sets of them for a stage, and global ones that see every stage, with figures at the end.

Run it with ``python examples/pipelines/advanced_hooks.py``; it takes no time.
"""

import asyncio
import logging
import sys
from typing import Any

from pydantic import BaseModel

from metta_sweep import Pipeline, Plan, Retry, hooks

logger = logging.getLogger("example")


class TrainingOutput(BaseModel):
    """What training makes."""

    loss: float
    steps: int


class Dashboard:
    """What a tracking service would be: it takes plain numbers."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.counts: dict[str, int] = {}

    def log(self, row: dict[str, float]) -> None:
        """Take one row of figures."""
        self.rows.append(row)

    def record(self, name: str) -> None:
        """Count one occurrence."""
        self.counts[name] = self.counts.get(name, 0) + 1


dashboard = Dashboard()
alerts: list[str] = []


def alert_team(error: Exception) -> None:
    """Tells somebody. It returns None, so that the error stands."""
    alerts.append(f"{type(error).__name__}: {error}")


# Reusable sets: plain dicts will do; hooks(...) checks names and values at once, and merges with |.
production_hooks: dict[str, Any] = {
    "metrics": dashboard.log,
    "checkpoint": True,
    "retry": 3,
    "on_error": alert_team,
}
patient_hooks = hooks(retry=Retry(5, backoff=0.001, jitter=0.5, on=(ConnectionError,)), timeout=60)


async def load(n: int) -> list[float]:
    return [1.0 / (i + 1) for i in range(n)]


def trainer(failures: int) -> Plan:
    """A pipeline whose training fails a few times before it works."""
    left = [failures]

    async def train(data: list[float]) -> TrainingOutput:
        left[0] -= 1
        if left[0] >= 0:
            raise ConnectionError("the connection was lost")
        return TrainingOutput(loss=round(sum(data) / len(data), 4), steps=len(data))

    pipeline = (
        Pipeline(n=int)
        .stage("load", load)
        .through(data=list[float])
        .stage("train", train)
        .through(TrainingOutput, **(hooks(**production_hooks) | patient_hooks))
        .stage("report", lambda loss, steps: f"loss {loss:.3f} after {steps} steps")
        .through(report=str)
    )
    # Global hooks for all stages: they are the first before a stage, and the last after it.
    return pipeline.with_global_hooks(
        before=lambda stage, data: logger.info("[%s] starting with %s", stage, ", ".join(data)),
        after=lambda stage, data: dashboard.record(f"{stage}.complete"),
        profile=True,
    ).build()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)-7s %(message)s")
    logging.getLogger("metta_sweep").setLevel(logging.WARNING)
    result = asyncio.run(trainer(failures=2).run(n=5))
    print(f"\n{result.report}")
    print(f"the dashboard got {dashboard.rows} and counts {dashboard.counts}")
    print(f"\n{result.profile}")

    logging.getLogger("metta_sweep").setLevel(logging.ERROR)
    try:
        asyncio.run(trainer(failures=99).run(n=5))
    except ConnectionError as error:
        print(f"\nIt failed for good: {error} ({', '.join(error.__notes__)}); the team was told: {alerts}")
