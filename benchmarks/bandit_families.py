"""Families of bandit problems, for meta_c_regret.py: played by sweeps, or by the scheduler's arithmetic alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from statistics import fmean
from typing import NamedTuple

from metta_sweep import Choice, Experiment, Pipeline, SweepExperiment, TrialContext
from metta_sweep.core.ucb import UcbIndex
from metta_sweep.records import Store
from metta_sweep.schedulers import IterationScheduler

__all__ = ["TRIALS", "Bandits", "Family", "played", "problem", "scheduler_with", "share"]

TRIALS = 100
"""Of each sweep."""


class Family(NamedTuple):
    """Bandit problems of one kind."""

    branches: int
    gap: float
    """By how much the best branch is better than the second, at least."""
    noise: float
    """Standard deviation of a reward around its branch's mean."""

    def __str__(self) -> str:
        return f"{self.branches} branches, gap {self.gap:g}, noise {self.noise:g}"


class Problem:
    """One bandit: the means of its branches, and the noise of its n-th trial, whichever branch that is of."""

    def __init__(self, family: Family, seed: int, trials: int) -> None:
        rng = random.Random(f"{family} {seed}")
        self.best = rng.uniform(0.6, 0.8)
        self.means = [self.best, *(rng.uniform(0.2, self.best - family.gap) for _ in range(family.branches - 1))]
        rng.shuffle(self.means)
        self.noises = [rng.gauss(0.0, family.noise) for _ in range(trials)]
        self.equal_shares = trials * (self.best - fmean(self.means))
        """The regret of equal shares for all branches."""

    def reward(self, branch: int, number: int) -> float:
        """What trial ``number`` gives on a branch, within 0 and 1."""
        return min(1.0, max(0.0, self.means[branch] + self.noises[number]))

    def regret(self, runs: Sequence[int]) -> float:
        """What was missed with so many runs of each branch."""
        return sum(count * (self.best - mean) for count, mean in zip(runs, self.means, strict=True))

    def play(self, c: float) -> float:
        """The regret of UCB1 with one slot, by its arithmetic alone."""
        index = UcbIndex[int](c)
        runs, sums = [0] * len(self.means), [0.0] * len(self.means)
        for branch in range(len(runs)):
            index.set(branch, 0, 0, 0.0, branch)
        for number in range(len(self.noises)):
            best = index.best()
            if best is None:
                raise RuntimeError("every branch is open")
            branch = best.arm
            runs[branch] += 1
            sums[branch] += self.reward(branch, number)
            index.set(branch, runs[branch], 0, sums[branch], branch)
        return self.regret(runs)

    async def sweep(self, scheduler: IterationScheduler) -> float:
        """The regret of a real sweep."""

        async def pull(trial: TrialContext) -> float:
            return self.reward(int(trial.branch or 0), trial.number)

        names = [str(branch) for branch in range(len(self.means))]
        sweep = SweepExperiment(objective=pull, search_space={"branch": Choice(names)}, scheduler=scheduler, slots=1, seed=0)
        result = await sweep.run(budget=len(self.noises))
        return self.regret([result.branches[name].runs for name in names])


@cache
def problem(family: Family, seed: int, trials: int) -> Problem:
    """The problem of a family with this seed."""
    return Problem(family, seed, trials)


def scheduler_with(c: float) -> IterationScheduler:
    """UCB1, which gives up no branch."""
    return IterationScheduler(c=c, branch_by="branch", paper_threshold=None, prune_floor=None)


def played(families: Sequence[Family], seeds: Sequence[int], c: float, trials: int = TRIALS) -> list[float]:
    """The regrets on problems of families, without any sweep."""
    return [problem(family, seed, trials).play(c) for family in families for seed in seeds]


def share(families: Sequence[Family], regrets: Sequence[float], seeds: Sequence[int], trials: int = TRIALS) -> float:
    """The mean share of regret: of each family all regrets together, divided by what equal shares would have missed."""
    each = iter(regrets)
    return fmean(
        sum(next(each) for _ in seeds) / sum(problem(family, seed, trials).equal_shares for seed in seeds) for family in families
    )


class Bandits(Experiment):
    """Plays problems of some families, each with one sweep. Its result has ``regrets``, and their mean ``share``.

    Args:
        families: which; each counts as much as the others.
        problems: how many of each.
        scheduler: of the sweeps.
        first_seed: of the first problem of each family.
        store: where the sweeps are kept, unless it runs inside another experiment.
    """

    def __init__(
        self,
        *,
        families: Sequence[Family],
        problems: int,
        scheduler: IterationScheduler,
        first_seed: int = 0,
        store: Store | None = None,
    ) -> None:
        super().__init__(seed=0, store=store)
        self.families = families
        self.problems = problems
        self.scheduler = scheduler
        self.first_seed = first_seed

    def pipeline(self) -> Pipeline:
        """One sweep per problem, one after another."""
        return (
            Pipeline()
            .stage("draw", self.draw)
            .through(drawn=list[tuple[int, int]])
            .map("play", self.play, over="drawn", into="regrets", key=_name_of, limit=1)
            .through(float)
            .stage("compare", self.compare)
            .through(share=float)
        )

    def draw(self) -> list[tuple[int, int]]:
        """The problems: families by number, and seeds."""
        return [(family, seed) for family in range(len(self.families)) for seed in self._seeds()]

    async def play(self, item: tuple[int, int]) -> float:
        """The regret of one sweep."""
        family, seed = item
        return await problem(self.families[family], seed, TRIALS).sweep(self.scheduler)

    def compare(self, regrets: list[float]) -> float:
        """The mean share of regret."""
        return share(self.families, regrets, self._seeds())

    def _seeds(self) -> range:
        return range(self.first_seed, self.first_seed + self.problems)


def _name_of(item: tuple[int, int]) -> str:
    """What a problem is called in addresses: its family's number, and its seed."""
    return "{}.{}".format(*item)
