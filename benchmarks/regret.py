"""What seeing runs in flight is worth: cumulative regret on Bernoulli bandits, for pickers and for numbers of slots.

Each branch gives 1 with its own probability, drawn anew in each repeat, and 0 otherwise; regret is what was missed by not always
running the best one, added up over 1,000 trials. Trials end in the order in which they began, one at a time, so that with 64 slots
each pick lacks the results of the 63 before it. All pickers meet the same branches and the same luck: the n-th trial of a branch
gives the same to all. The pickers are driven directly, without a sweep; one row is checked against real sweeps on a virtual clock.

Run it with ``python benchmarks/regret.py [--quick]``; it takes about five minutes on one core, a tenth of it with ``--quick``.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from math import sqrt
from statistics import fmean, stdev
from time import perf_counter
from typing import Protocol

from tables import machine, print_table

from metta_sweep import Choice, SweepExperiment, TrialContext
from metta_sweep.core.bandit import Best, ucb_score
from metta_sweep.core.discounted import DiscountedArms, DiscountedIndex
from metta_sweep.core.round_robin import FewestPulls
from metta_sweep.core.ucb import UcbIndex
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.testing import run_virtual

__all__ = ["POLICIES", "Luck", "play", "textbook"]

TRIALS = 1000
C = sqrt(2)


class Index(Protocol):
    """What is driven."""

    def set(self, arm: int, runs: int, pending: int, reward_sum: float, order: int, open: bool = True) -> None:  # noqa: A002
        """Say what a branch is like."""

    def best(self) -> Best[int] | None:
        """The branch to run next."""


class Luck:
    """The probabilities of branches, and what the n-th trial of each gives."""

    def __init__(self, branches: int, seed: int) -> None:
        rng = random.Random(seed)
        self.means = [rng.random() for _ in range(branches)]
        self._rngs = [random.Random(rng.getrandbits(64)) for _ in range(branches)]
        self._drawn: list[list[float]] = [[] for _ in range(branches)]

    def reward(self, branch: int, number: int) -> float:
        """What trial ``number`` of a branch gives, 0.0 or 1.0."""
        drawn = self._drawn[branch]
        while len(drawn) <= number:
            drawn.append(1.0 if self._rngs[branch].random() < self.means[branch] else 0.0)
        return drawn[number]


POLICIES: dict[str, tuple[Callable[[], Index], bool]] = {
    "pending-aware": (lambda: UcbIndex(C), True),
    "naive": (lambda: UcbIndex(C), False),
    "pessimistic": (lambda: UcbIndex(C, "pessimistic"), True),
    "greedy": (lambda: UcbIndex(0.0), True),
    "discounted": (lambda: DiscountedIndex(DiscountedArms(0.95, 1.0)), True),
    "round robin": (FewestPulls, True),
}
"""Each with whether it is told of runs in flight."""


def play(name: str, luck: Luck, slots: int, trials: int = TRIALS) -> list[int]:
    """The branches that a policy picks."""
    make, sees_pending = POLICIES[name]
    index = make()
    learn: Callable[[int, float], None] | None = getattr(index, "learn", None)
    branches = len(luck.means)
    runs, pending, started, sums = [0] * branches, [0] * branches, [0] * branches, [0.0] * branches
    for branch in range(branches):
        index.set(branch, 0, 0, 0.0, branch)
    flying: deque[tuple[int, float]] = deque()
    picks: list[int] = []

    def tell(branch: int) -> None:
        index.set(branch, runs[branch], pending[branch] if sees_pending else 0, sums[branch], branch)

    while len(picks) < trials:
        if len(flying) == slots:
            branch, reward = flying.popleft()
            pending[branch] -= 1
            runs[branch] += 1
            sums[branch] += reward
            if learn is not None:
                learn(branch, reward)
            tell(branch)
        best = index.best()
        if best is None:
            raise RuntimeError("every branch is open")
        branch = best.arm
        picks.append(branch)
        flying.append((branch, luck.reward(branch, started[branch])))
        started[branch] += 1
        pending[branch] += 1
        tell(branch)
    return picks


def textbook(luck: Luck, trials: int = TRIALS) -> list[int]:
    """UCB1 with one slot, by a plain scan of its formula."""
    branches = range(len(luck.means))
    runs, sums, picks = [0 for _ in branches], [0.0 for _ in branches], list[int]()
    for total in range(trials):
        scores = [ucb_score(sums[b] / runs[b], runs[b], total, C) if runs[b] else float("inf") for b in branches]
        branch = max(branches, key=lambda b: (scores[b], sums[b] / runs[b] if runs[b] else 0.0, -b))
        picks.append(branch)
        sums[branch] += luck.reward(branch, runs[branch])
        runs[branch] += 1
    return picks


def swept(luck: Luck, slots: int, trials: int) -> list[int]:
    """The branches that a real sweep picks, on a virtual clock: trials end in the order in which they began, one at a time."""
    counts = [0] * len(luck.means)

    async def objective(trial: TrialContext) -> float:
        branch = int(trial.branch or "0")
        number, counts[branch] = counts[branch], counts[branch] + 1
        await asyncio.sleep((trial.number + 1) / slots if trial.number < slots else 1.0)
        return luck.reward(branch, number)

    space = {"branch": Choice([str(branch) for branch in range(len(luck.means))])}
    scheduler = IterationScheduler(branch_by="branch", paper_threshold=None, prune_floor=None)
    experiment = SweepExperiment(objective=objective, search_space=space, scheduler=scheduler, slots=slots, seed=0, store="memory")
    result = run_virtual(experiment.arun(trials))
    return [int(trial.branch or "0") for trial in result.trials]


def regret(luck: Luck, picks: Sequence[int]) -> float:
    """What was missed."""
    best = max(luck.means)
    return sum(best - luck.means[branch] for branch in picks)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval."""
    return fmean(values), 1.96 * stdev(values) / sqrt(len(values))


def _row(branches: int, slots: int, repeats: int) -> tuple[list[object], bool]:
    found: dict[str, list[float]] = {name: [] for name in POLICIES}
    same = True
    for seed in range(repeats):
        luck = Luck(branches, seed)
        for name in POLICIES:
            picks = play(name, luck, slots)
            found[name].append(regret(luck, picks))
            if slots == 1 and name == "pending-aware":
                same = same and picks == textbook(luck)
    gain, width = interval([naive - aware for naive, aware in zip(found["naive"], found["pending-aware"], strict=True)])
    if slots == 1:
        passed, verdict = same, "equals textbook UCB1" if same else "DIFFERS FROM TEXTBOOK UCB1"
    elif branches == 2:
        passed = gain + width >= 0
        verdict = "no worse" if passed else "WORSE"
    else:
        passed = gain - width > 0
        verdict = "better" if passed else "NOT BETTER"
    means = [fmean(found[name]) for name in POLICIES]
    label = f"{branches} branches, {slots} " + ("slots" if slots > 1 else "slot")
    return [label, *means, f"{gain:+.1f} ± {width:.1f}", verdict], passed


def main() -> int:
    """Play, compare, print; returns 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats")
    parser.add_argument("--repeats", type=int, default=200, help="how many sets of branches, 200 by default")
    given = parser.parse_args()
    repeats = max(2, given.repeats // 10 if given.quick else given.repeats)
    print(machine())
    began = perf_counter()
    rows, passed = [], True
    for branches in (2, 10, 100):
        for slots in (1, 8, 64):
            row, met = _row(branches, slots, repeats)
            rows.append(row)
            passed = passed and met
    title = f"Cumulative regret over {TRIALS:,} trials, mean of {repeats} sets of branches ({perf_counter() - began:.0f} s)"
    print_table(title, ["", *POLICIES, "naive - aware, 95 %", ""], rows)
    checked = [(branches, slots) for branches in (2, 10) for slots in (1, 8, 64)]
    same = all(swept(Luck(b, 7), s, 200) == play("pending-aware", Luck(b, 7), s, 200) for b, s in checked)
    print(f"\nReal sweeps of 200 trials (2 and 10 branches; 1, 8, 64 slots) pick {'the same' if same else 'SOMETHING ELSE'}.")
    print("\nAll targets met." if passed and same else "\nA target is missed.")
    return 0 if passed and same else 1


if __name__ == "__main__":
    raise SystemExit(main())
