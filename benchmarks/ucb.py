"""What one UCB pick and its updates cost among many branches, beside a plain scan and a numpy scan.

The policy itself runs first, so that the run counts are those it makes. Then ``pick + update`` is measured: the choice, the pick
event with the scores of the others, the arm's state after the pick and its state after the result.

Run it with ``python benchmarks/ucb.py [--quick]``.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from math import log, sqrt
from time import perf_counter
from typing import Any

from tables import machine

from metta_sweep.core.bandit import ucb_score
from metta_sweep.core.events import Pick
from metta_sweep.core.ucb import UcbIndex

C = sqrt(2)
TARGET_US = 25.0


class Bandit:
    """Bernoulli arms, their statistics, and the index over them."""

    def __init__(self, arms: int, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.means = [self.rng.random() for _ in range(arms)]
        self.names = [f"branch-{arm}" for arm in range(arms)]
        self.runs = [0] * arms
        self.sums = [0.0] * arms
        self.index: UcbIndex[int] = UcbIndex(C)
        for arm in range(arms):
            self.index.set(arm, 0, 0, 0.0, arm)

    def step(self) -> Pick:
        """One pick, its event, the state after the pick, the result and the state after it."""
        best = self.index.best()
        if best is None:
            raise RuntimeError
        arm = best.arm
        others: tuple[Any, ...] = best.others
        event = Pick(0, "0", 0, self.names[arm], best.score, best.mean, best.bonus, best.runs, best.pending, others, best.compared)
        self.index.set(arm, best.runs, best.pending + 1, self.sums[arm], arm)
        self.runs[arm] += 1
        self.sums[arm] += 1.0 if self.rng.random() < self.means[arm] else 0.0
        self.index.set(arm, self.runs[arm], 0, self.sums[arm], arm)
        return event


def _median_us(call: Callable[[], object], times: int, repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats):
        start = perf_counter()
        for _ in range(times):
            call()
        taken.append((perf_counter() - start) / times * 1e6)
    return statistics.median(taken)


def _plain_scan(bandit: Bandit) -> int:
    total = sum(bandit.runs)
    return max(range(len(bandit.runs)), key=lambda arm: ucb_score(bandit.sums[arm] / bandit.runs[arm], bandit.runs[arm], total, C))


def _numpy_scan(bandit: Bandit) -> Callable[[], int] | None:
    try:
        import numpy as np
    except ImportError:
        return None
    runs, sums = np.array(bandit.runs, dtype=float), np.array(bandit.sums)

    def scan() -> int:
        return int(np.argmax(sums / runs + C * np.sqrt(log(runs.sum()) / runs)))

    return scan


def main() -> None:
    """Run the policy, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a tenth of the branches and runs")
    quick = parser.parse_args().quick
    arms, runs = (10_000, 100_000) if quick else (100_000, 1_000_000)
    print(machine())
    bandit = Bandit(arms)
    start = perf_counter()
    for _ in range(runs):
        bandit.step()
    policy = perf_counter() - start
    ours = _median_us(bandit.step, 20_000)
    counts = len(set(bandit.runs))
    plain = _median_us(lambda: _plain_scan(bandit), 1, 3)
    scan = _numpy_scan(bandit)
    arrays = None if scan is None else _median_us(scan, 20)
    print(f"UCB among {arms:,} branches after {runs:,} runs by the policy itself ({policy:.1f} s, {counts} different run counts)")
    verdict = "met" if ours <= TARGET_US else "missed"
    print(f"  {'pick + update, pick event included':38} {ours:12.1f} us   target <= {TARGET_US:g} us: {verdict}")
    print(f"  {'plain scan, choice only':38} {plain:12.1f} us   {plain / ours:8.0f} x")
    if arrays is None:
        print(f"  {'numpy scan, choice only':38} {'not installed':>12}")
    else:
        print(f"  {'numpy scan, choice only':38} {arrays:12.1f} us   {arrays / ours:8.0f} x")


if __name__ == "__main__":
    main()
