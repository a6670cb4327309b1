"""What the tests of simulated time share: a sweep, a journal, and schedulers."""

from __future__ import annotations

from typing import Any

from metta_sweep import Budget, MemoryStore, SweepExperiment, SweepResult, Uniform
from metta_sweep.core.events import Event, Paused, Reported, Resume, Score
from metta_sweep.core.trial import Report, Trial, Verdict
from metta_sweep.executors import PowerLaw, SimulatedExecutor, simulated
from metta_sweep.schedulers import Offer, Scheduler

SPACE = {"x": Uniform(0.0, 1.0)}
CURVE = simulated(PowerLaw(limit=lambda params: params["x"], noise=0.05), epochs=10)


class StopsHalf(Scheduler):
    """At steps 3 and 6, stops a trial whose loss is above the mean of all that came there before."""

    needs_reports = True

    def __init__(self) -> None:
        self._seen: dict[int, list[float]] = {3: [], 6: []}
        self.asked: list[int] = []
        """The steps it was asked about."""

    def for_run(self, setup: Any) -> Scheduler:
        """Itself, so that a test sees what it was asked."""
        return self

    def apply(self, event: Event) -> None:
        """Note the loss."""
        if isinstance(event, Reported) and event.step in self._seen:
            self._seen[event.step].append(Report(event.step, event.metrics).value("loss"))

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Above the mean: stop."""
        self.asked.append(report.step)
        seen = self._seen.get(report.step)
        return Verdict.STOP if seen and report.value("loss") > sum(seen) / len(seen) else Verdict.CONTINUE


class SaysWhen(StopsHalf):
    """The same, and tells at which steps."""

    def next_judged(self, trial_id: str, step: int) -> int | None:
        """3 and 6."""
        return next((level for level in self._seen if level > step), None)


class PausesOnce(Scheduler):
    """Pauses each trial at step 4, and lets it go on when nothing new is left to start."""

    needs_pauses = True
    bounds_itself = True

    def __init__(self, *, clone: bool = False) -> None:
        self._clone = clone
        self._paused: dict[str, Paused] = {}
        self._first: Paused | None = None

    def apply(self, event: Event) -> None:
        """Remember who is paused."""
        if isinstance(event, Paused):
            self._paused[event.trial_id] = event
            self._first = self._first or event
        elif isinstance(event, Resume | Score):
            self._paused.pop(event.trial_id, None)

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Step 4."""
        return Verdict.PAUSE if report.step == 4 else Verdict.CONTINUE

    def pick(self, offer: Offer) -> None:
        """New ones first."""
        while offer.free and (waiting := offer.next()) is not None:
            offer.pick(waiting)
        for trial_id in list(self._paused):
            if offer.idle:
                offer.resume(trial_id, source=self._first if self._clone and trial_id != "0" else None)


def sweep(objective: Any = CURVE, trials: int | Budget = 12, **settings: Any) -> SweepResult:
    """Run a sweep of ``x`` in simulated time: 4 slots and seed 0, unless said otherwise."""
    options = {
        name: settings.pop(name) for name in ("seconds", "startup", "failures", "stragglers", "slowdown") if name in settings
    }
    settings.setdefault("executor", SimulatedExecutor(**options))
    if "optimizer" not in settings:
        settings.setdefault("search_space", SPACE)
    if "failures_policy" in settings:
        settings["failures"] = settings.pop("failures_policy")
    given = {"objective": objective, "slots": 4, "seed": 0, "goal": "minimize", "store": MemoryStore(), **settings}
    if objective is CURVE:
        given.setdefault("metric", "loss")
    return SweepExperiment(**given).run(trials)


def payloads(result: SweepResult, store: MemoryStore) -> list[bytes]:
    """What the journal holds of events."""
    return [record.payload for record in store.records(result.run_id, kind="events")]


def essence(result: SweepResult) -> list[tuple[Any, ...]]:
    """What must not depend on slots or crashes."""
    return [(trial.id, trial.state, trial.params, trial.score) for trial in result.trials]
