"""Hooks chosen by a condition: loud ones while debugging, dependable ones in production. The stages are the same.

Run it with ``python examples/pipelines/conditional_hooks.py`` and again with ``--debug``; it takes no time.
"""

import asyncio
import sys
from typing import Any

from pydantic import BaseModel

from metta_sweep import Context, Pipeline

DEBUG = "--debug" in sys.argv


class TrainingOutput(BaseModel):
    """What training makes."""

    loss: float


def validate_debug(output: TrainingOutput) -> None:
    """A gate may return False, or raise with words."""
    if not 0 <= output.loss < 1:
        raise ValueError(f"a loss of {output.loss} makes no sense")


def show_input(data: Context) -> None:
    print(f"  Input: {data}")


debug_hooks: dict[str, Any] = {
    "before": show_input,
    "after": lambda d: print(f"  Output: {d}"),
    "validate": validate_debug,
}

production_hooks: dict[str, Any] = {
    "metrics": lambda d: print(f"  metrics: {d}"),
    "checkpoint": True,
    "retry": 3,
}


async def train(learning_rate: float) -> TrainingOutput:
    return TrainingOutput(loss=round((learning_rate - 0.1) ** 2, 4))


def pipeline(debug: bool) -> Pipeline:
    return (
        Pipeline(learning_rate=float)
        .stage("train", train)
        .through(
            TrainingOutput,
            **(debug_hooks if debug else production_hooks),
            timeout=None if debug else 60,  # None: this hook is not set
        )
        .stage("judge", lambda loss: "good" if loss < 0.01 else "poor")
        .through(verdict=str)
    )


if __name__ == "__main__":
    for debug in (True,) if DEBUG else (False, True):
        print("debugging:" if debug else "in production:")
        plan = pipeline(debug).build()
        print(f"  hooks of 'train': {', '.join(plan.describe().rows[0].hooks)}")
        result = asyncio.run(plan.run(learning_rate=0.3))
        print(f"  loss {result.loss:.2f}: {result.verdict}")
    try:
        asyncio.run(pipeline(debug=True).build().run(learning_rate=9.0))
    except ValueError as error:
        print(f"and the gate refuses: {error}")
