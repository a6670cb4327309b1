"""What holds for the local executor, whatever trials do and whenever they are stopped."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from executor_runs import next_events, run_to_end, task_of, told
from hypothesis import given, settings
from hypothesis import strategies as st

from metta_sweep.executors import Ended, LocalExecutor, ReportMade, TrialContext
from metta_sweep.executors.attempt import Attempt
from metta_sweep.testing.virtual import run_virtual


class Plan(NamedTuple):
    """What one trial does, and what is done to it."""

    start: float
    runs: float
    ends: str
    """``returns``, ``raises``, ``looks`` (at ``should_stop``), ``lingers`` (when cancelled), ``swallows`` (its cancellation)."""
    stop: float | None
    grace: float
    limit: float | None


moments = st.integers(0, 40).map(lambda tenths: tenths / 4)
plans = st.builds(
    Plan,
    start=moments,
    runs=moments,
    ends=st.sampled_from(["returns", "raises", "looks", "lingers", "swallows"]),
    stop=st.none() | moments.filter(lambda after: after > 0),
    grace=moments,
    limit=st.none() | moments.filter(lambda limit: limit > 0),
)


async def _live(plan: Plan, trial: TrialContext) -> float:
    loop = asyncio.get_running_loop()
    end = loop.time() + plan.runs
    try:
        while loop.time() < end and not (plan.ends == "looks" and trial.should_stop):
            trial.report(int(loop.time()), loss=0.5)
            await asyncio.sleep(min(0.5, end - loop.time()))
    except asyncio.CancelledError:
        if plan.ends == "lingers":
            await asyncio.sleep(5)
        if plan.ends != "swallows":
            raise
    if plan.ends == "raises":
        raise ValueError("as planned")
    return 1.0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(plans, min_size=1, max_size=8))
def test_each_attempt_ends_once(planned: list[Plan]) -> None:
    """One terminal event each, nothing after it, its fields fit together, and all slots come back."""

    async def main() -> tuple[list[Any], int]:
        async def objective(trial: TrialContext) -> float:
            return await _live(planned[trial.number], trial)

        executor, loop = LocalExecutor(slots=8), asyncio.get_running_loop()
        executor.prepare(objective)
        async with executor:
            for number, plan in enumerate(planned):
                loop.call_later(plan.start, executor.start, task_of(number, time_limit=plan.limit))
                if plan.stop is not None:
                    loop.call_later(plan.start + plan.stop, executor.stop, str(number), "verdict", plan.grace)
            events = await run_to_end(executor, len(planned))
            await asyncio.sleep(100)
            assert executor.peek() == []
            return events, executor.busy

    events, busy = run_virtual(main())

    assert busy == 0
    ends = {event.trial_id: event for event in events if isinstance(event, Ended)}
    assert Counter(event.trial_id for event in events if isinstance(event, Ended)) == {str(n): 1 for n in range(len(planned))}
    for position, event in enumerate(events):
        assert isinstance(event, Ended) or ends[event.trial_id] in events[position + 1 :]
    for number, plan in enumerate(planned):
        end = ends[str(number)]
        assert (end.error is not None) + (end.stopped is not None or end.metrics is not None) == 1
        longest = plan.runs if plan.stop is None else min(plan.runs, plan.stop + plan.grace)
        longest = longest if plan.limit is None else min(longest, plan.limit)
        assert end.seconds <= longest + 1.0 + 1e-6
        if plan.stop is None:
            assert end.stopped is None


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_time_limit_ends_a_generator_that_waits(in_thread: bool) -> None:
    """Waiting for a verdict counts as running."""

    async def yields(trial: TrialContext) -> AsyncIterator[float]:
        yield 0.5

    def yields_in_thread(trial: TrialContext) -> Any:
        yield 0.5

    async def main() -> list[Any]:
        executor = LocalExecutor()
        executor.prepare(yields_in_thread if in_thread else yields)
        async with executor:
            executor.start(task_of(time_limit=0.05))
            return [*await next_events(executor), *await next_events(executor)]

    report, ended = run_virtual(main())

    assert isinstance(report, ReportMade)
    assert "TrialTimeout" in told(ended)


def test_trials_leave_nothing_for_the_garbage_collector() -> None:
    """What an attempt was made of goes when its end is acknowledged, without a collection."""

    async def quick(trial: TrialContext) -> float:
        return 0.5

    async def fails(trial: TrialContext) -> float:
        raise ValueError(trial.id)

    async def main(objective: Any) -> None:
        executor = LocalExecutor()
        executor.prepare(objective)
        async with executor:
            for number in range(20):
                executor.start(task_of(number, time_limit=9))
            await run_to_end(executor, 20)

    gc.collect()
    gc.disable()
    try:
        for objective in (quick, fails, lambda trial: 0.5):
            run_virtual(main(objective))
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Attempt)]
    finally:
        gc.enable()


def test_importing_it_is_light() -> None:
    """Slow libraries are imported when a trial asks for what needs them."""
    slow = ("numpy", "structlog", "pydantic", "rich")
    script = f"import sys, metta_sweep.executors; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "[]\n"
