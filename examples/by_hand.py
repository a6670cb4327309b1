"""The four stages of a sweep, composed by hand: what ``experiment.run()`` does, written out.

A sweep is a pipeline: pick > dispatch > score > fan_out, in a loop. Its stage functions and their contracts are public, so that a
chain can be composed of them, with stages of one's own in between. Here one more stage looks on; the trace is that of ``run()``.
Run it with ``python examples/by_hand.py``; it takes no time.
"""

import asyncio

from metta_sweep import Choice, Pipeline, SweepExperiment, SweepResult, Uniform
from metta_sweep.experiments import FannedOut, Happened, Picked, Scored, SweepRun, dispatch, fan_out, pick, score
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import IterationScheduler

search_space = {"method": Choice({"steady": {"x": Uniform(0.4, 0.6)}, "risky": {"x": Uniform(0.0, 1.0)}, "poor": {}})}


async def evaluate(method: str, x: float = 0.1) -> float:
    """The quality of one configuration."""
    await asyncio.sleep(0.001)
    return x


experiment = SweepExperiment(
    name="by_hand",
    objective=evaluate,
    search_space=search_space,
    optimizer=RandomOptimizer(),
    scheduler=IterationScheduler(branch_by="method"),
    slots=1,
    seed=0,
    store="memory",
)


def count(sweep: SweepRun) -> int:
    """A stage of our own: it reads the open run, as the four do."""
    return sum(sweep.state.ended.values())


chain = (
    Pipeline(sweep=SweepRun)
    .loop_while(lambda ctx: ctx.stop_reason is None, carry={"stop_reason": None}, name="sweep")
    .stage("pick", pick)
    .through(Picked)
    .stage("dispatch", dispatch)
    .through(Happened)
    .stage("score", score)
    .through(Scored)
    .stage("fan_out", fan_out)
    .through(FannedOut)
    .stage("count", count)
    .through(ended=int)
    .end_loop()
)


async def run_by_hand(budget: int) -> SweepResult:
    """What ``experiment.arun(budget)`` does, with the chain above."""
    async with experiment.open(budget) as sweep:
        await chain.build().run(sweep=sweep, recorder=sweep.recorder, seed=sweep.seed)
        return sweep.result()


if __name__ == "__main__":
    results = asyncio.run(run_by_hand(budget=12))
    print(results.summary())
    print()
    print("\n".join(str(results.trace).splitlines()[:20]))
