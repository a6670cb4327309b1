"""What the tests of asynchronous successive halving share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metta_sweep.core.events import Pick, Reported
from metta_sweep.core.goal import Goal
from metta_sweep.core.setup import Setup
from metta_sweep.core.trial import Report, Trial, TrialState, Verdict
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments import SweepExperiment, SweepResult
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import ASHAScheduler
from metta_sweep.testing import run_virtual


class Told:
    """A scheduler that is told of starts and reports directly."""

    def __init__(self, scheduler: ASHAScheduler, goal: Any = "maximize", seed: int = 0) -> None:
        self.scheduler = scheduler.for_run(Setup(None, Goal.of(goal), seed, 1))
        self.trials = 0

    def start(self) -> str:
        """A new trial."""
        trial_id = str(self.trials)
        self.scheduler.apply(Pick(self.trials, trial_id, self.trials))
        self.trials += 1
        return trial_id

    def report(self, trial_id: str, step: int, value: float | None = None, **metrics: float) -> Verdict:
        """It reports; the verdict."""
        given = metrics if value is None else {"score": value, **metrics}
        self.scheduler.apply(Reported(trial_id, None, 1, step, dict(given)))
        return self.judge(trial_id, step, **given)

    def judge(self, trial_id: str, step: int, **metrics: float) -> Verdict:
        """The verdict alone."""
        report = Report(step, dict(metrics))
        trial = Trial(id=trial_id, number=int(trial_id), params={}, state=TrialState.RUNNING, attempt=1, reports=(report,))
        return self.scheduler.judge(trial, report)


def climbs(trial: TrialContext) -> Iterator[dict[str, Any]]:
    """Rises to its parameter; goes on where it was."""
    for step in range(trial.resume_step + 1, 1000):
        yield {"step": step, "score": trial.params["x"] * (1 - 0.5**step)}


def run(
    scheduler: ASHAScheduler, xs: list[float], objective: Any = climbs, budget: int | None = None, **options: Any
) -> SweepResult:
    """A sweep over these values, with one slot."""
    experiment = SweepExperiment(
        **{
            "objective": objective,
            "optimizer": SuggestionQueue([{"x": x} for x in xs]),
            "scheduler": scheduler,
            "store": "memory",
            "slots": 1,
            "seed": 1,
            **options,
        }
    )
    return run_virtual(experiment.arun(budget))
