"""Optimizing the optimizer: which exploration weight ``c`` should the iteration scheduler have?

A problem is a bandit: branches whose rewards are noisy, one of them better than the others by some gap. Experiments on four levels
find a ``c`` that misses little on all problems of some families, and then check it on families that the search has never seen::

    study                   search, then check                            Study
      meta-experiment       tries values of c                             MetaExperiment
        bandits             plays every problem of some families          Bandits
          sweep             60 trials of one problem                      SweepExperiment

All of it is kept under one name. Kill it at any moment and start it again: it goes on in the sweep that it was in. Start it once
more when it is done, and it only prints. Run it with ``python examples/meta_c.py``; it takes about twenty seconds.
"""

import random
from math import sqrt
from statistics import fmean, stdev
from typing import Any, NamedTuple

from metta_sweep import Choice, Experiment, LogUniform, MetaExperiment, Pipeline, SweepExperiment
from metta_sweep.optimizers import BayesianOptimizer, GridOptimizer, Phase, Phases
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing import make_deterministic_runner

TRIALS = 60  # of each sweep
SEARCHED, CHECKED = 12, 30  # problems of each family


class Family(NamedTuple):
    """Bandits of one kind."""

    branches: int
    gap: float  # by how much the best branch is better than the second, at least
    noise: float  # standard deviation of rewards around their branch's mean


TRAINING = [Family(3, gap=0.15, noise=0.3), Family(8, gap=0.1, noise=0.2), Family(20, gap=0.05, noise=0.1)]
HELD_OUT = [Family(2, gap=0.1, noise=0.2), Family(5, gap=0.2, noise=0.4), Family(12, gap=0.12, noise=0.15)]


def scheduler_with(c: float) -> IterationScheduler:
    """UCB1, which gives up no branch."""
    return IterationScheduler(c=c, branch_by="branch", paper_threshold=None, prune_floor=None)


def means_of(family: Family, seed: int) -> dict[str, float]:
    """The mean reward of each branch of one problem."""
    rng = random.Random(f"{family} {seed}")
    best = rng.uniform(0.6, 0.8)
    means = [best, *(rng.uniform(0.2, best - family.gap) for _ in range(family.branches - 1))]
    rng.shuffle(means)
    return {f"b{number}": mean for number, mean in enumerate(means)}


def name_of(problem: tuple[int, int]) -> str:
    """What a problem is called in addresses: its family's number, and its seed."""
    return "{}.{}".format(*problem)


class Bandits(Experiment):
    """Plays problems of some families, one sweep each. All that play the same problems have the same luck."""

    def __init__(self, *, families: list[Family], seeds: int, scheduler: IterationScheduler, name: str | None = None) -> None:
        super().__init__(name=name, seed=0)
        self.families = families
        self.seeds = seeds
        self.scheduler = scheduler

    def pipeline(self) -> Pipeline:
        """The regret of each sweep, as a share of what equal shares for all branches would have missed; and their mean."""
        return (
            Pipeline()
            .stage("list", self.list_problems)
            .through(problems=list[tuple[int, int]])
            .map("play", self.play, over="problems", into="regrets", key=name_of, limit=1)
            .through(float)
            .stage("average", self.average)
            .through(mean=float)
        )

    def list_problems(self) -> list[tuple[int, int]]:
        """Families by number, and seeds."""
        return [(family, seed) for family in range(len(self.families)) for seed in range(self.seeds)]

    async def play(self, problem: tuple[int, int]) -> float:
        """What one sweep missed by not always running the best branch."""
        family, seed = self.families[problem[0]], problem[1]
        means = means_of(family, seed)
        sweep = SweepExperiment(
            objective=make_deterministic_runner(means, noise=family.noise, delay_ms=0, seed=seed),
            search_space={"branch": Choice(list(means))},
            scheduler=self.scheduler,
            slots=1,
        )
        result = await sweep.run(budget=TRIALS)
        best = max(means.values())
        missed = sum(result.branches[branch].runs * (best - mean) for branch, mean in means.items())
        return missed / (TRIALS * (best - fmean(means.values())))

    def average(self, regrets: list[float]) -> float:
        """Over all problems."""
        return fmean(regrets)


class Study(Experiment):
    """Searches ``c`` on some families, and plays others with what was found."""

    def pipeline(self) -> Pipeline:
        """First the one, then the other."""
        return (
            Pipeline()
            .stage("search", self.search)
            .through(c=float, tried=dict[float, float], trials=int)
            .stage("check", self.check)
            .through(found=list[float], textbook=list[float])
        )

    async def search(self) -> dict[str, Any]:
        """Ten values of ``c``, five spread evenly and five that a model suggests, each on all problems of the training families."""
        meta = MetaExperiment(
            base=Bandits(families=TRAINING, seeds=SEARCHED, scheduler=scheduler_with(sqrt(2))),
            search_space={"scheduler.c": LogUniform(0.02, 2.0)},
            optimizer=Phases([Phase(GridOptimizer(resolution=5), trials=5), Phase(BayesianOptimizer(initial_trials=5))]),
            score=lambda result: {"regret": result.mean, "trials": result.spend.trials},
            goal={"regret": "minimize"},
            slots=1,
            seed=0,
        )
        result = (await meta.run(budget=10)).raise_for_stop()
        tried = {trial.params["scheduler.c"]: trial.score for trial in result.trials if trial.score is not None}
        trials = sum(int(trial.value("trials")) for trial in result.trials)
        return {"c": min(tried, key=tried.__getitem__), "tried": tried, "trials": trials}

    async def check(self, c: float) -> dict[str, list[float]]:
        """The regrets of both on families that the search has not seen, problem by problem."""
        found = await Bandits(name="found", families=HELD_OUT, seeds=CHECKED, scheduler=scheduler_with(c)).run()
        textbook = await Bandits(name="textbook", families=HELD_OUT, seeds=CHECKED, scheduler=scheduler_with(sqrt(2))).run()
        return {"found": found.regrets, "textbook": textbook.regrets}


experiment = Study(name="meta-c")

if __name__ == "__main__":
    result = experiment.run()
    print("Regret, as a share of that of equal shares, on the families of the search:\n")
    for c, regret in sorted(result.tried.items()):
        print(f"  c = {c:5.3f}  {regret:.3f}  {'=' * round(60 * regret)}{'  found' if c == result.c else ''}")
    print(f"\nThe search took {result.trials:,} trials. On families that it has not seen, {CHECKED} problems each:\n")
    print(f"  {'':33}  sqrt(2)  c = {result.c:.3f}  difference, 95 % interval")
    for number, family in enumerate(HELD_OUT):
        part = slice(CHECKED * number, CHECKED * (number + 1))
        pairs = list(zip(result.textbook[part], result.found[part], strict=True))
        gains = [textbook - found for textbook, found in pairs]
        width = 1.96 * stdev(gains) / sqrt(len(gains))
        means = [fmean(values) for values in zip(*pairs, strict=True)]
        told = f"{family.branches} branches, gap {family.gap}, noise {family.noise}"
        print(f"  {told:33} {means[0]:8.3f} {means[1]:10.3f}  {fmean(gains):+.3f} ± {width:.3f}")
