"""An optimizer and a scheduler of one's own: a few methods each, used like any other.

The optimizer climbs: it proposes points near the best one so far. The scheduler stops trials that do worse than half of the others
did at the same step; what it knows of the others it learns in ``apply``, so that it knows it again after a restart. It asks for one
GPU and at most an hour for each trial. Requests for GPUs are advisory (one warning says so) unless the executor hands some out, as
here: ``LocalExecutor(gpus=2)`` runs two trials at a time, and ``trial.devices`` tells them apart.
Run it with ``python examples/custom_strategies.py``; it takes no time.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from metta_sweep import LocalExecutor, Optimizer, Report, Resources, Scheduler, Suggestion, SweepExperiment, Trial, TrialContext
from metta_sweep.core.events import Event, Reported


class MyOptimizer(Optimizer):
    """Proposes points near the best one so far."""

    def __init__(self) -> None:
        self.best: tuple[float, float] | None = None
        self.random = random.Random(0)

    def suggest(self, n: int) -> list[Suggestion]:
        """``n`` points: anywhere first, then around the best."""
        center, width = (0.5, 0.5) if self.best is None else (self.best[1], 0.1)
        points = [min(1.0, max(0.0, center + width * self.random.uniform(-1, 1))) for _ in range(n)]
        return [Suggestion(params={"x": point}) for point in points]

    def observe(self, trial: Trial, result: float) -> None:
        """Remember the best."""
        if self.best is None or result > self.best[0]:
            self.best = (result, trial.params["x"])


class MyScheduler(Scheduler):
    """Stops what is worse than the median at the same step."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, float]] = defaultdict(dict)

    def apply(self, event: Event) -> None:
        """Take note of an event: the only place where state changes, since events are kept and told again after a restart."""
        if isinstance(event, Reported):
            self.seen[event.step][event.trial_id] = Report(event.step, event.metrics).value("score")

    def should_stop(self, trial: Trial) -> bool:
        """Whether a running trial should end; ``trial.last_report`` is its newest report."""
        report = trial.last_report
        if report is None:
            return False
        seen = self.seen[report.step]
        return len(seen) > 4 and seen[trial.id] < median(seen.values())

    def allocate_resources(self, trial: Trial) -> Resources:
        """What an attempt of the trial may use."""
        return Resources(gpus=1, time_limit=3600)


def train(trial: TrialContext) -> Iterator[float]:
    """Ten steps towards a value that is highest at x = 0.7; a real one would train on the GPU ``trial.devices[0]``."""
    best = 1.0 - (trial.params["x"] - 0.7) ** 2
    trial.metadata["gpu"] = trial.devices[0]
    for step in range(1, 11):
        yield best * (1 - 0.5**step)


experiment = SweepExperiment(
    name="custom_sweep",
    objective=train,
    optimizer=MyOptimizer(),
    scheduler=MyScheduler(),
    executor=LocalExecutor(gpus=2),
    slots=4,
    seed=0,
)

if __name__ == "__main__":
    results = experiment.run(budget=40)
    print(results.summary())
    print()
    if results.best is not None:
        print(f"best x = {results.best.params['x']:.3f}")
    print(f"GPUs used: {sorted({trial.metadata['gpu'] for trial in results.trials})}")
