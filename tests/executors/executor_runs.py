"""Runs trial functions through the local executor, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metta_sweep.core.resources import Resources
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.core.trial import Trial
from metta_sweep.executors import Ended, LocalExecutor, ReportMade, TrialEvent, TrialTask
from metta_sweep.testing.virtual import run_virtual


def task_of(number: int = 0, *, attempt: int = 1, time_limit: float | None = None, **params: Any) -> TrialTask:
    """A task of a trial."""
    trial = Trial(id=str(number), number=number, params=params, attempt=attempt)
    return TrialTask(trial, 100 + number, Resources(time_limit=time_limit), f"trial[{number}]")


async def next_events(executor: LocalExecutor, until: float | None = None) -> list[TrialEvent]:
    """Wait, peek and acknowledge."""
    await executor.wait(until)
    events = list(executor.peek())
    executor.acknowledge(len(events))
    return events


async def run_to_end(executor: LocalExecutor, count: int = 1) -> list[TrialEvent]:
    """All events up to ``count`` terminal ones; each report is answered with going on."""
    events: list[TrialEvent] = []
    while sum(isinstance(event, Ended) for event in events) < count:
        for event in await next_events(executor):
            events.append(event)
            if isinstance(event, ReportMade):
                executor.answer(event.trial_id, event.step)
    return events


def outcome_of(objective: Any, *tasks: TrialTask, space: SearchSpace | None = None) -> Ended:
    """The terminal event of one task (by default of a trial without parameters), on a virtual clock."""
    last = events_of(objective, *(tasks or (task_of(),)), space=space)[-1]
    assert isinstance(last, Ended)
    return last


def events_of(objective: Any, *tasks: TrialTask, space: SearchSpace | None = None) -> list[TrialEvent]:
    """All events of some tasks, on a virtual clock."""

    async def main() -> list[TrialEvent]:
        executor = LocalExecutor()
        executor.prepare(objective, space)
        async with executor:
            for task in tasks:
                executor.start(task)
            return await run_to_end(executor, len(tasks))

    return run_virtual(main())


def told(ended: Ended) -> str:
    """The error of a terminal event, as text."""
    assert ended.error is not None
    return f"{ended.error.type}: {ended.error.message}"


Objective = Callable[..., Any]
