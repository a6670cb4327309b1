"""Small sweeps on a virtual clock, for the conformance of schedulers: learning curves, runs that end in the midst, journals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from random import Random
from typing import Any, Final

from metta_sweep.core.budget import Budget
from metta_sweep.core.distributions import Choice, Uniform
from metta_sweep.core.events import Draw, Event, Paused, Pick, Resume, Score, Stop
from metta_sweep.core.failures import FailurePolicy
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments import SweepExperiment, SweepResult
from metta_sweep.records import Record, RunRow, TrialRow
from metta_sweep.schedulers.scheduler import Scheduler
from metta_sweep.store import MemoryStore
from metta_sweep.testing.virtual import run_virtual

__all__ = ["NAME", "SPACE", "Curve", "SchedulerSweep", "Seldom", "course", "essence", "journal_prefixes"]

NAME: Final = "conformance"
SPACE: Final = {"x": Uniform(0.0, 1.0), "arm": Choice(["a", "b"])}


class Curve:
    """A trial function: noisy curves that rise, step by step, to their parameter ``x``. It goes on after ``resume_step``.

    Args:
        epochs: steps of a whole trial.
        sign: -1 for curves that fall.
        flat: every report is the same.
        fails_below: trials with a smaller ``x`` raise at step 2.
        slow_above: trials with a larger ``x`` take 40 times as long.
    """

    def __init__(
        self, epochs: int, *, sign: float = 1.0, flat: bool = False, fails_below: float = 0.0, slow_above: float = 1.0
    ) -> None:
        self.epochs = epochs
        self.sign = sign
        self.flat = flat
        self.fails_below = fails_below
        self.slow_above = slow_above
        self.running = 0
        self.most = 0
        """The most attempts that ran at once."""

    async def __call__(self, trial: TrialContext) -> AsyncIterator[dict[str, Any]]:
        """One yield per step."""
        x = trial.params["x"]
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for step in range(trial.resume_step + 1, self.epochs + 1):
                await asyncio.sleep((1.0 + 0.5 * x) * (40.0 if x > self.slow_above else 1.0))
                if x < self.fails_below and step == 2:
                    raise ValueError("diverged")
                yield {"step": step, "score": self.value(x, trial.seed, step)}
        finally:
            self.running -= 1

    def value(self, x: float, seed: int, step: int) -> float:
        """The metric at a step."""
        if self.flat:
            return self.sign * 0.5
        noise = Random(seed + step).random() - 0.5  # noqa: S311  # curves, not secrets
        return self.sign * min(1.0, max(0.0, x * (1.0 - 0.7**step) + 0.05 * noise))


class Seldom:
    """A trial function that reports a curve at every fourth step, and at the last one.

    Args:
        epochs: steps of a whole trial.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def __call__(self, trial: TrialContext) -> Iterator[dict[str, Any]]:
        """One yield per report."""
        curve = Curve(self.epochs)
        for step in range(trial.resume_step + 1, self.epochs + 1):
            if step % 4 == 0 or step == self.epochs:
                yield {"step": step, "score": curve.value(trial.params["x"], trial.seed, step)}


class SchedulerSweep:
    """Makes the same sweep again and again, each time with a new scheduler."""

    def __init__(self, make: Callable[[], Scheduler], *, trials: int, epochs: int) -> None:
        self.make = make
        self.trials = trials
        self.epochs = epochs

    def experiment(
        self,
        objective: Any = None,
        *,
        slots: int = 1,
        store: MemoryStore | None = None,
        scheduler: Scheduler | None = None,
        **options: Any,
    ) -> SweepExperiment:
        """A named sweep in a store of its own."""
        member = self.make() if scheduler is None else scheduler
        key = "optimizer" if member.proposes else "scheduler"
        return SweepExperiment(
            **{
                "name": NAME,
                "objective": Curve(self.epochs) if objective is None else objective,
                "search_space": SPACE,
                "store": MemoryStore() if store is None else store,
                "slots": slots,
                "seed": 11,
                "failures": FailurePolicy(tolerated_rate=1.0),
                key: member,
                **options,
            }
        )

    def run(self, objective: Any = None, *, budget: int | Budget | None = None, **options: Any) -> SweepResult:
        """Run one to its end."""
        return run_virtual(self.experiment(objective, **options).arun(self.budget(budget)))

    def budget(self, given: int | Budget | None = None) -> int | Budget:
        """The number of trials, unless something else is said."""
        return self.trials if given is None else given

    def interrupted(self, store: MemoryStore, seconds: float) -> None:
        """Run, and ask the run to end after so many seconds, as Ctrl-C does."""
        experiment = self.experiment(store=store)

        async def run() -> None:
            async with experiment.open(self.budget()) as opened:
                asyncio.get_running_loop().call_later(seconds, opened.interrupt)
                await experiment.build().run(sweep=opened, recorder=opened.recorder)

        run_virtual(run())


def journal_prefixes(store: MemoryStore, most: int) -> Iterator[tuple[int, MemoryStore]]:
    """Stores as a crash would have left them: after each record of the one run in ``store``, or after ``most`` of them."""
    row = store.runs()[0]
    records = list(store.records(row.run_id))
    rows = {trial.id: trial for trial in store.trial_rows(row.run_id)}
    stride = max(1, -(-(len(records) - 1) // most))
    for count in range(1, len(records), stride):
        yield count, _truncated(row, records[:count], rows)


def _truncated(row: RunRow, records: list[Record], rows: dict[str, TrialRow]) -> MemoryStore:
    from metta_sweep.experiments.codec import decode_events

    ended = [
        rows[event.trial_id]
        for record in records
        if record.kind == "events"
        for event in decode_events(record)
        if isinstance(event, Score)
    ]
    copy = MemoryStore()
    copy.begin_run(row)
    copy.append(row.run_id, records, ended)
    copy.release(row.run_id)
    return copy


def essence(result: SweepResult) -> list[tuple[Any, ...]]:
    """What a crash must not change of the trials."""
    return [(trial.id, trial.branch, trial.state, trial.params, trial.score, trial.reason) for trial in result.trials]


def course(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    """What was decided, in order: starts, verdicts, pauses and resumes. What is decided again after a crash counts once."""
    found: dict[tuple[Any, ...], None] = {}
    for event in events:
        if isinstance(event, Draw):
            found[("draw", event.suggestion, repr(event.params))] = None
        elif isinstance(event, Pick):
            found[("pick", event.trial_id, event.suggestion)] = None
        elif isinstance(event, Stop) and event.trial_id is not None:
            found[("verdict", event.trial_id, event.reason, event.step)] = None
        elif isinstance(event, Paused):
            found[("pause", event.trial_id, event.step)] = None
        elif isinstance(event, Resume):
            found[("resume", event.trial_id, event.step, event.source, repr(event.params))] = None
    return list(found)
