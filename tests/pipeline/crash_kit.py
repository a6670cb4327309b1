"""A pipeline of every kind of part, whose stages tell when they are done; as a script, a kept run of it that may be killed.

``python crash_kit.py <store> <log> [<address> <moment>]`` prints the result as JSON.
"""

# ruff: noqa: D102  # stages; the pipeline says what they are for
from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Literal, cast

from metta_sweep.pipeline import Pipeline, PipelineResult, StageContext
from metta_sweep.records import Store
from metta_sweep.store.sql.store import SqliteStore
from metta_sweep.testing import crash_at

__all__ = ["PLACES", "STAGES", "Steps", "run_it", "summary"]

_ITEMS = [f"{place}[item={item}]" for place in ("train",) for item in range(3)]
_LOOPS = ["loop[0]/odd/then/shrink", "loop[1]/odd/otherwise/add", "loop[2]/odd/then/shrink"]
STAGES = {
    "load",
    *(f"{item}/{stage}" for item in _ITEMS for stage in ("fit", "score")),
    *(f"rate[item={item}]" for item in range(4)),
    *(f"loop[{turn}]/turn" for turn in range(3)),
    *_LOOPS,
    *(f"refine/steps[{step}]/step" for step in range(2)),
    "refine/deep/settle",
    "refine/refined",
    "choose/otherwise/name",
    "choose/otherwise/rates[item=0]",
    "choose/otherwise/rates[item=1]",
    "total",
}
"""Every address at which a function of a stage runs."""
PLACES = STAGES | {*_ITEMS, "refine", "refine/deep"}
"""Every address at which something is recorded: the functions, and the pipelines that are stages or items."""


class Steps:
    """The stages. Each says at its end where it ran.

    Args:
        done: told the address of each execution that came to its end.
    """

    def __init__(self, done: Callable[[str], None]) -> None:
        self._done = done

    async def load(self, n: int, stage: StageContext) -> list[int]:
        self._done(stage.address)
        return list(range(1, n + 1))

    async def fit(self, item: int, stage: StageContext) -> int:
        await asyncio.sleep(0)
        if item == 2 and stage.attempt == 1:
            raise ConnectionError("the first attempt of the second item never succeeds")
        self._done(stage.address)
        return item * 10

    async def score(self, fitted: int, stage: StageContext) -> float:
        await asyncio.sleep(0)
        self._done(stage.address)
        return fitted + 0.5

    async def rate(self, loss: float, stage: StageContext) -> float:
        await asyncio.sleep(0)
        self._done(stage.address)
        return loss * 2

    async def turn(self, turn: int, stage: StageContext) -> int:
        self._done(stage.address)
        return turn + 1

    async def shrink(self, best: float, stage: StageContext) -> float:
        self._done(stage.address)
        return best / 2

    def add(self, best: float, turn: int, stage: StageContext) -> float:
        self._done(stage.address)
        return best + turn

    async def step(self, steps: int, stage: StageContext) -> int:
        self._done(stage.address)
        return steps + 1

    async def settle(self, steps: int, stage: StageContext) -> int:
        self._done(stage.address)
        return steps * 100

    async def refined(self, best: float, settled: int, stage: StageContext) -> float:
        self._done(stage.address)
        return best + settled

    async def name(self, best: float, stage: StageContext) -> list[str]:
        self._done(stage.address)
        return [f"{best:g}", "end"]

    async def rated(self, word: str, stage: StageContext) -> int:
        self._done(stage.address)
        return len(word)

    async def total(self, rate: list[float], best: float, stage: StageContext) -> float:
        self._done(stage.address)
        return sum(rate) + best

    def pipeline(self) -> Any:
        """Maps over a pipeline with a retry and over a function, a loop with a branch, nested pipelines, a branch with a map."""
        item = Pipeline(item=int).stage("fit", self.fit).through(fitted=int, retry=2).stage("score", self.score)
        deep = Pipeline(steps=int).stage("settle", self.settle).through(settled=int)
        refine = (
            Pipeline(best=float)
            .loop_while(lambda ctx: ctx.steps < 2, carry={"steps": 0}, name="steps")
            .stage("step", self.step)
            .through(steps=int)
            .end_loop()
            .stage("deep", deep)
            .stage("refined", self.refined)
            .through(best=float)
        )
        shrink = Pipeline().stage("shrink", self.shrink).through(best=float)
        add = Pipeline().stage("add", self.add).through(best=float)
        rates = Pipeline().stage("name", self.name).through(words=list[str]).map("rates", self.rated, over="words")
        return (
            Pipeline(n=int)
            .stage("load", self.load)
            .through(items=list[int])
            .map("train", item, over="items", into="losses", limit=2)
            .stage("more", lambda losses: [*losses, 1.0])
            .through(losses=list[float], checkpoint=False)
            .map("rate", self.rate, over="losses", limit=3)
            .loop_while(lambda ctx: ctx.turn < 3, carry={"turn": 0, "best": 8.0})
            .stage("turn", self.turn)
            .branch(lambda ctx: ctx.turn % 2 == 1, shrink, add, name="odd")
            .end_loop()
            .stage("refine", refine)
            .through(best=float, retry=1)
            .branch(lambda ctx: ctx.best < 0, shrink, rates, name="choose")
            .stage("total", self.total)
        )


async def run_it(store: Store, done: Callable[[str], None]) -> PipelineResult:
    """The kept run, from its beginning or from where it was."""
    return cast("PipelineResult", await Steps(done).pipeline().build().run(name="kept", store=store, n=3))


def summary(result: PipelineResult) -> dict[str, Any]:
    """What a run left behind."""
    return dict(result.context)


def main(where: str, log: str, address: str = "", moment: str = "before") -> None:
    def done(place: str) -> None:
        with Path(log).open("a") as file:
            file.write(f"{place}\n")

    crash = crash_at(address, cast("Literal['before', 'after']", moment), kill=True) if address else nullcontext()
    with crash, closing(SqliteStore(where)) as store:
        sys.stdout.write(json.dumps(summary(asyncio.run(run_it(store, done)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
