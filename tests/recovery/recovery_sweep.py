"""A sweep that keeps a witness of what it was told, and dies where it is told to.

Arguments: the database, the witness file, the setup, slots, trials, where to die (``commit.after:3``: at its third passage; empty:
nowhere). It prints ``started`` before it opens anything, and a line after each line of the witness.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from recovery_process import dies_at

from metta_sweep import Choice, FailurePolicy, Optimizer, Suggestion, SweepExperiment, Trial, TrialContext, Uniform
from metta_sweep.clock import crash_points
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.outputs import Scored
from metta_sweep.optimizers import RandomOptimizer, SuggestionQueue
from metta_sweep.pipeline import hooks
from metta_sweep.records import Store
from metta_sweep.schedulers import FIFOScheduler, IterationScheduler

NAME = "killed"
MODELS = {"model": Choice({"a": {"x": Uniform(0, 1)}, "b": {"x": Uniform(0, 1)}, "c": {}})}


async def objective(trial: TrialContext) -> float:
    """A function of the trial's parameters and seed alone, within 4 ms. Some trials fail once, some always."""
    await asyncio.sleep(trial.seed % 5 / 1000)
    if trial.seed % 7 == 0 or (trial.seed % 5 == 0 and trial.attempt == 1):
        raise ValueError("unlucky")
    return float(0.5 * trial.params.get("x", 0.4) + 0.5 * trial.rng.random())


def expander(trial: Trial) -> list[Suggestion]:
    """One follow-up."""
    return [Suggestion(params={"parent": trial.id})]


class Climber(Optimizer):
    """Draws from its own generator, near the best of what it was told."""

    def __init__(self) -> None:
        self.random = Random(5)
        self.best = (float("-inf"), 0.5)
        self.told = 0

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """Near the best, less and less."""
        width = 1.0 / (1 + self.told)
        return [{"x": min(1.0, max(0.0, self.best[1] + width * (self.random.random() - 0.5)))} for _ in range(n)]

    def observe(self, trial: Trial, result: float) -> None:
        """Remember the best."""
        self.told += 1
        self.best = max(self.best, (result, trial.params["x"]))


def _queue() -> SuggestionQueue:
    return SuggestionQueue([Suggestion(branch="abc"[number % 3], params={"i": number}) for number in range(40)])


SETUPS: dict[str, Callable[[], dict[str, Any]]] = {
    "random": lambda: {"search_space": {"x": Uniform(0, 1)}, "optimizer": RandomOptimizer(), "scheduler": FIFOScheduler()},
    "branches": lambda: {
        "search_space": MODELS,
        "optimizer": RandomOptimizer(),
        "scheduler": IterationScheduler(branch_by="model", paper_threshold=0.5, prune_floor=0.3),
    },
    "queue": lambda: {
        "optimizer": _queue(),
        "scheduler": IterationScheduler(expander=expander, paper_threshold=0.45, prune_floor=0.2, prune_after_runs=4),
    },
    "climber": lambda: {"optimizer": Climber()},
}


class Witnessed(SweepExperiment):
    """Its updates tell of all trials that were scored in this process."""

    def __init__(self, setup: str, store: Store | str, slots: int) -> None:
        self.scored: list[tuple[str, float | None]] = []
        super().__init__(
            name=NAME,
            objective=objective,
            slots=slots,
            seed=3,
            store=store,
            failures=FailurePolicy(retries=1, tolerated_rate=1),
            hooks={"score": hooks(after=self._note)},
            **SETUPS[setup](),
        )

    def report_results(self, state: SweepState) -> list[tuple[str, float | None]]:
        """Ids and scores, in order."""
        return list(self.scored)

    def _note(self, output: Scored) -> None:
        self.scored += [(event.trial_id, event.score) for event in output.events if event.kind == "score"]


def main(path: str, witness: str, setup: str, slots: str, trials: str, die_at: str) -> None:
    """Run it to its end, or to its own."""
    print("started", flush=True)  # noqa: T201  # the parent listens
    with crash_points(dies_at(die_at)), Path(witness).open("ab", buffering=0) as seen:
        told = 0
        for update in Witnessed(setup, path, int(slots)).stream(budget=int(trials)):
            line = {"trials": update.trials, "scored": update.report[told:], "best": update.best and update.best.score}
            told = len(update.report)
            seen.write(json.dumps(line).encode() + b"\n")
            os.fsync(seen.fileno())
            print(update.trials, flush=True)  # noqa: T201  # the parent listens


if __name__ == "__main__":
    main(*sys.argv[1:])
