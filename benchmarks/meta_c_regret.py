"""Meta-optimizing ``c``: which exploration weight should the iteration scheduler have, and is what was found any good elsewhere?

A problem is a bandit: some branches, one of which is better than all others by a gap at least, and noise around their means. A
family is a number of branches, a gap and a noise; its problems differ in their means and in their luck. Three levels of
experiments search: the outermost tries values of ``c``, each of its trials plays all problems of its families, and each of these
plays is a sweep of 100 trials. All values of ``c`` meet the same problems with the same luck. What is minimized is the share of
regret: what was missed by not always running the best branch, divided by what equal shares for all branches would have missed.

What is found is compared with the best of 41 constants, evenly spread in the logarithm over the same range, on the problems of the
search and on fresh ones of the same families; and with ``sqrt(2)`` on families that the search has never seen. Whatever the search
played is played again by the scheduler's arithmetic alone, without any sweep, and must come out the same; that is how the grid and
the fresh problems are played, too, in a small part of the time.

Run it with ``python benchmarks/meta_c_regret.py [--quick]``; it takes about six minutes on one core, a tenth with ``--quick``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from functools import cache
from math import sqrt
from pathlib import Path
from statistics import fmean
from time import process_time
from typing import NamedTuple

from bandit_families import TRIALS, Bandits, Family, played, problem, scheduler_with, share
from regret import interval
from tables import machine, print_table

from metta_sweep import LogUniform, MemoryStore, MetaExperiment
from metta_sweep.optimizers import BayesianOptimizer, GridOptimizer, Phase, Phases

__all__ = ["Found", "search"]

TRAINING = (Family(3, 0.15, 0.3), Family(8, 0.1, 0.2), Family(20, 0.05, 0.1))
HELD_OUT = (Family(2, 0.1, 0.2), Family(5, 0.2, 0.4), Family(12, 0.12, 0.15), Family(40, 0.08, 0.25))
FRESH, HELD_OUT_SEEDS = 1_000_000, 2_000_000
"""The first seeds of fresh problems and of those of held-out families."""
SPREAD, EVALUATIONS = 5, 10
"""Values of ``c`` that are spread evenly over its range, and how many in all: a model chooses the others."""
LOW, HIGH = 0.02, 2.0
GRID = [LOW * (HIGH / LOW) ** (step / 40) for step in range(41)]
WITHIN, SPEND = 1.05, 0.25


class Found(NamedTuple):
    """What a search found."""

    c: float
    share: float
    spend: int
    """Trials of all its sweeps."""
    tried: list[tuple[float, float]]
    """Values of ``c``, and their shares of regret."""


class Sizes(NamedTuple):
    """How many problems of each family."""

    searched: int
    fresh: int
    held_out: int


class Best(NamedTuple):
    """The best constant of the grid."""

    c: float
    share: float


def search(families: Sequence[Family], problems: int, evaluations: int, store: Path | str) -> Found:
    """Search ``c`` on problems of families: experiments on three levels."""
    meta = MetaExperiment(
        base=Bandits(families=families, problems=problems, scheduler=scheduler_with(sqrt(2))),
        search_space={"scheduler.c": LogUniform(LOW, HIGH)},
        optimizer=Phases([Phase(GridOptimizer(resolution=SPREAD), trials=SPREAD), Phase(BayesianOptimizer(initial_trials=SPREAD))]),
        score=lambda result: {"share": result.share, "trials": result.spend.trials},
        goal={"share": "minimize"},
        slots=1,
        seed=0,
        store=store,
    )
    result = meta.run(budget=evaluations)
    tried = [(float(trial.params["scheduler.c"]), trial.score) for trial in result.trials if trial.score is not None]
    c, least = min(tried, key=lambda pair: pair[1])
    return Found(c, least, sum(int(trial.value("trials")) for trial in result.trials), tried)


@cache
def grid_of(family: Family, first_seed: int, problems: int) -> tuple[float, ...]:
    """The share of regret of each constant of the grid on problems of one family."""
    seeds = range(first_seed, first_seed + problems)
    return tuple(share([family], played([family], seeds, c), seeds) for c in GRID)


def best_of_grid(families: Sequence[Family], first_seed: int, problems: int) -> Best:
    """The best constant of the grid on problems of families."""
    shares = [fmean(each) for each in zip(*(grid_of(family, first_seed, problems) for family in families), strict=True)]
    return Best(GRID[shares.index(min(shares))], min(shares))


def _searched(label: str, families: Sequence[Family], sizes: Sizes, store: Path) -> tuple[list[object], Found, bool]:
    began = process_time()
    found = search(families, sizes.searched, EVALUATIONS, store)
    seconds = process_time() - began
    seeds, fresh = range(sizes.searched), range(FRESH, FRESH + sizes.fresh)
    best = best_of_grid(families, 0, sizes.searched)
    ratio = found.share / best.share
    again = share(families, played(families, fresh, found.c), fresh) / best_of_grid(families, FRESH, sizes.fresh).share
    spend = found.spend / (len(GRID) * len(families) * sizes.searched * TRIALS)
    same = all(share(families, played(families, seeds, c), seeds) == value for c, value in found.tried)
    good = same and max(ratio, again) <= WITHIN and spend <= SPEND
    text = ("met" if good else "MISSED") if same else "DIFFERS WHEN PLAYED AGAIN"
    row = [label, f"{found.c:.3f}", f"{found.share:.3f}", f"{best.c:.3f}", f"{best.share:.3f}"]
    return [*row, f"{ratio - 1:+.1%}", f"{again - 1:+.1%}", found.spend, f"{spend:.1%}", seconds, text], found, good


def _held_out(family: Family, c: float, problems: int) -> tuple[list[object], bool]:
    """What a constant is worth on a family that was not searched on, in real sweeps."""

    def swept(value: float) -> list[float]:
        scheduler, kept = scheduler_with(value), MemoryStore()
        bandits = Bandits(families=[family], problems=problems, scheduler=scheduler, first_seed=HELD_OUT_SEEDS, store=kept)
        regrets: list[float] = bandits.run().regrets
        return regrets

    best = best_of_grid([family], HELD_OUT_SEEDS, problems)
    equal = fmean(problem(family, seed, TRIALS).equal_shares for seed in range(HELD_OUT_SEEDS, HELD_OUT_SEEDS + problems))
    row, good = _compared(str(family), swept(sqrt(2)), swept(c))
    return [*row[:-1], best.share * equal, f"{best.c:.3f}", row[-1]], good


def _longer(family: Family, c: float, problems: int) -> tuple[list[object], bool]:
    """The same in ten times as many trials, without sweeps."""
    seeds = range(HELD_OUT_SEEDS, HELD_OUT_SEEDS + problems)
    textbook, ours = (played([family], seeds, value, 10 * TRIALS) for value in (sqrt(2), c))
    return _compared(str(family), textbook, ours)


def _compared(label: str, textbook: Sequence[float], ours: Sequence[float]) -> tuple[list[object], bool]:
    gain, width = interval([before - after for before, after in zip(textbook, ours, strict=True)])
    better = gain - width > 0
    return [label, fmean(textbook), fmean(ours), f"{gain:+.1f} ± {width:.1f}", "better" if better else "NOT BETTER"], better


def main() -> int:
    """Search, compare, print; returns 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a tenth of the problems: targets may be missed")
    parser.add_argument("--problems", type=int, default=150, help="how many of each family are searched on, 150 by default")
    given = parser.parse_args()
    problems = max(3, given.problems // 10 if given.quick else given.problems)
    sizes = Sizes(problems, 3 * problems, 30 if given.quick else 100)
    print(machine())
    sets: dict[str, Sequence[Family]] = {"all three": TRAINING, **{str(family): [family] for family in TRAINING}}
    rows, found, passed = [], [], True
    with tempfile.TemporaryDirectory() as directory:
        for number, (label, families) in enumerate(sets.items()):
            row, each, good = _searched(label, families, sizes, Path(directory) / f"{number}.db")
            rows.append(row)
            found.append(each)
            passed = passed and good
    header = ["searched on", "c", "share", "best of 41", "share", "beside", "on fresh ones", "trials", "of the grid's", "CPU s", ""]
    print_table(f"{EVALUATIONS} values of c on {problems} problems of each family, sweeps of {TRIALS} trials", header, rows)
    c = found[0].c
    checked = [_held_out(family, c, sizes.held_out) for family in HELD_OUT]
    header = ["", "sqrt(2)", f"c = {c:.3f}", "missed less, 95 %", "best of 41", "which is", ""]
    title = f"Regret of {TRIALS} trials on families that were not searched on, mean of {sizes.held_out} problems each"
    print_table(title, header, [row for row, _ in checked])
    longer = [_longer(family, c, sizes.held_out) for family in HELD_OUT]
    print_table(f"The same, {10 * TRIALS} trials", [*header[:4], ""], [row for row, _ in longer])
    passed = passed and all(good for _, good in checked)
    before, after = (fmean(float(str(row[column])) for row, _ in checked) for column in (1, 2))
    print(f"\nThe search took {found[0].spend:,} trials; a sweep of {TRIALS} on families that it has not seen misses {after:.1f}")
    print(f"where it would miss {before:.1f} with sqrt(2).")
    print("\nAll targets met." if passed else "\nA target is missed.")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
