"""Named fields: parameters get what they name, in any order, and nothing of it is a false alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metta_sweep.pipeline import Context, Pipeline, StageContext, fields, hooks, ref


@dataclass(frozen=True)
class Task:
    """A learning task."""

    name: str


async def suggest(task_names: list[str]) -> list[dict[str, float]]:
    """Something to try for each task."""
    return [{"lr": 0.1} for _ in task_names]


def train(n_trials: int, trials: list[dict[str, float]], context: StageContext) -> dict[str, float]:
    """The constant comes first, an earlier field second, the context last."""
    return {f"{context.address} {n}": trial["lr"] for n, trial in enumerate(trials[:n_trials])}


def judge(results: dict[str, float], task_names: list[str], floor: float = 0.0) -> bool:
    """Reads fields of two stages."""
    return max(results.values(), default=floor) > floor and bool(task_names)


def whole(context: Context) -> int:
    """Takes the whole context."""
    return len(context.task_names)


def next_task(task_names: list[str], task_idx: int) -> dict[str, Any]:
    """Two named fields at once."""
    return {"current_task": Task(task_names[task_idx]), "task_idx": task_idx + 1}


def refine(init_from: dict[str, float]) -> float:
    """Gets an earlier field under another name."""
    return sum(init_from.values())


watched = hooks(after=lambda d: repr(d), retry=2)

whole_chain = (
    Pipeline(task_names=list[str])
    .stage("suggest", suggest)
    .through(trials=list[dict[str, float]], validate=lambda d: len(d) > 0, timeout=300)
    .stage("train", train, n_trials=50)
    .through(results=dict[str, float], **watched)
    .stage("judge", judge)
    .stage("whole", whole)
    .stage("refine", refine, init_from=ref("results"))
    .loop_while(lambda ctx: ctx.task_idx < len(ctx.task_names), carry={"task_idx": 0}, max_iterations=100)
    .stage("next_task", next_task)
    .through(current_task=Task, task_idx=int)
    .end_loop()
    .with_global_hooks(before=lambda stage, data: repr(stage), profile=True)
)
no_inputs = Pipeline().stage("tasks", lambda: ["a"]).through(fields(timeout=list[str], retry=int | None))
no_inputs = Pipeline().stage("tasks", lambda: ["a"]).through(list[str], **(watched if no_inputs else hooks(retry=1)))


def prefix(pipeline: Pipeline) -> Pipeline:
    """A pipeline without parameters is one of any type."""
    return pipeline.stage("suggest", suggest).through(trials=list[dict[str, float]])


continued = prefix(Pipeline(task_names=list[str])).stage("train", train).through(dict[str, float], n_trials=3)

PIPELINES: list[Pipeline] = [whole_chain, no_inputs, continued]
