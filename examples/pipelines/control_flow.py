"""Maps, nested pipelines and branches, a stage that is replaced, and the run as a stream of events.

Run it with ``python examples/pipelines/control_flow.py``; it takes no time.
"""

import asyncio

from pydantic import BaseModel

from metta_sweep import ItemFailure, Pipeline
from metta_sweep.pipeline import StageFinished, event_line


class Score(BaseModel):
    """How well one model did."""

    model: str
    value: float


async def list_models(n: int) -> list[str]:
    return [f"model-{i}" for i in range(n)]


async def fit(model: str, steps: int) -> float:
    """Training, which one of the models does not survive."""
    number = int(model.removeprefix("model-"))
    if number == 2:
        raise ArithmeticError("the loss is not finite")
    return 1.0 - 1.0 / (steps + number)


async def judge(model: str, fitted: float) -> Score:
    return Score(model=model, value=round(fitted, 3))


# A pipeline like any other. As the body of a map it gets one item as its first input.
train_one = Pipeline(model=str, steps=int).stage("fit", fit).through(fitted=float).stage("judge", judge).through(Score)


async def gather(scores: list[Score | ItemFailure]) -> dict[str, float]:
    return {score.model: score.value for score in scores if isinstance(score, Score)}


def pick(table: dict[str, float]) -> str:
    return max(table, key=lambda model: table[model])


pipeline = (
    Pipeline(n=int)
    .stage("list", list_models)
    .through(models=list[str])
    .map("train", train_one, over="models", into="scores", limit=2, on_item_error="collect", steps=9)
    .stage("gather", gather)
    .through(table=dict[str, float])
    .branch(
        lambda ctx: len(ctx.table) > 2,
        then=Pipeline().stage("pick", pick).through(choice=str),
        otherwise=Pipeline().stage("give_up", lambda: "none of them").through(choice=str),
        name="choose",
    )
)


async def guess(model: str, steps: int) -> float:
    return steps / 100 if model != "model-1" else 0.99


async def main() -> None:
    plan = pipeline.build()
    print(plan.describe(), "\n")
    async with plan.stream(n=4) as events:
        async for event in events:
            if not isinstance(event, StageFinished):
                print(event_line(event))
    print(f"\nchosen: {events.result.choice}")
    for item in events.result.scores:
        if isinstance(item, ItemFailure):
            print(f"failed: item {item.index}, with {item.error}: {item.message}")

    # One inner stage replaced, by its path: the new one is checked against the same contract.
    cheap = pipeline.override("train/fit", guess).build()
    print(f"with a guess instead of training: {(await cheap.run(n=4)).choice}\n")
    print(plan.to_mermaid())


if __name__ == "__main__":
    asyncio.run(main())
