"""What holds for every sweep, whatever its trials do and however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from sweep_kit import essence, queue, sweep

from metta_sweep import (
    Budget,
    FailurePolicy,
    MemoryStore,
    Report,
    Scheduler,
    StopReason,
    SweepResult,
    Trial,
    TrialContext,
    TrialState,
)
from metta_sweep.clock import crash_points
from metta_sweep.core.events import Dispatch, Draw, Error, Event, Pick, Prune, Reported, Result, Score, Stop, Wait
from metta_sweep.core.trial import TERMINAL_STATES, Verdict
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.recorder import SweepRecorder
from metta_sweep.schedulers import FIFOScheduler, IterationScheduler
from metta_sweep.testing import deterministic_expander
from metta_sweep.testing.virtual import run_virtual


class Setting(NamedTuple):
    """One sweep, drawn at random."""

    seed: int
    slots: int
    branches: str
    trials: int | None
    seconds: float | None
    retries: int
    backoff: float
    tolerated: float
    scheduler: str
    reports: bool
    interrupt: float | None
    steady: bool = False
    """Whether a trial that fails fails on every attempt."""


SETTINGS = st.builds(
    Setting,
    seed=st.integers(0, 10_000),
    slots=st.integers(1, 5),
    branches=st.text("abc", max_size=12),
    trials=st.none() | st.integers(0, 15),
    seconds=st.none() | st.sampled_from([0.0, 0.5, 2.0, 5.0, 30.0]),
    retries=st.integers(0, 2),
    backoff=st.sampled_from([0.0, 0.4, 3.0]),
    tolerated=st.sampled_from([0.2, 1.0]),
    scheduler=st.sampled_from(["fifo", "ucb", "ucb with follow-ups", "stops"]),
    reports=st.booleans(),
    interrupt=st.none() | st.sampled_from([0.0, 0.7, 3.0]),
)


class StopsSome(Scheduler):
    """Stops what reports little."""

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Below 0.2."""
        value = report.metrics["score"]
        return Verdict.STOP if isinstance(value, float) and value < 0.2 else Verdict.CONTINUE


SCHEDULERS: dict[str, Any] = {
    "fifo": FIFOScheduler,
    "ucb": lambda: IterationScheduler(prune_floor=0.3, prune_after_runs=2),
    "ucb with follow-ups": lambda: IterationScheduler(expander=deterministic_expander, expand_threshold=0.8),
    "stops": StopsSome,
}


def objective_of(setting: Setting) -> Any:
    """A trial function that takes a while, and fails now and then."""

    def unlucky(trial: TrialContext) -> bool:
        return (trial.seed + (0 if setting.steady else trial.attempt)) % 4 == 0

    async def plain(trial: TrialContext) -> float:
        await asyncio.sleep(trial.rng.choice([0.0, 0.3, 1.0, 1.0, 4.0]))
        if unlucky(trial):
            raise ValueError("no luck")
        return trial.rng.random()

    async def reporting(trial: TrialContext) -> AsyncIterator[float]:
        for _ in range(3):
            await asyncio.sleep(trial.rng.choice([0.0, 0.3, 1.0]))
            yield trial.rng.random()
            if unlucky(trial):
                raise ValueError("no luck")

    return reporting if setting.reports else plain


def make(setting: Setting, store: MemoryStore) -> Any:
    """The sweep of a setting."""
    return sweep(
        objective_of(setting),
        optimizer=queue(*setting.branches),
        scheduler=SCHEDULERS[setting.scheduler](),
        slots=setting.slots,
        seed=setting.seed,
        failures=FailurePolicy(retries=setting.retries, backoff=setting.backoff, tolerated_rate=setting.tolerated, min_failed=2),
        store=store,
        name="it",
    )


async def run(setting: Setting, store: MemoryStore) -> SweepResult:
    """Run it, interrupted if the setting says so."""
    experiment = make(setting, store)
    async with experiment.open(Budget(setting.trials, setting.seconds)) as opened:
        if setting.interrupt is not None:
            asyncio.get_running_loop().call_later(setting.interrupt, opened.interrupt)
        await experiment.build().run(sweep=opened, recorder=opened.recorder, strict_hooks=True)
        return opened.result()  # type: ignore[no-any-return]


class Auditor:
    """Follows a trace with simple means of its own."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.pool: dict[int, Draw] = {}
        self.picked: list[str] = []
        self.running: dict[str, int] = {}
        self.attempts: dict[str, int] = {}
        self.ended: dict[str, Event] = {}
        self.scored: list[str] = []
        self.pruned: set[str | None] = set()
        self.stopped = False

    def follow(self, event: Event) -> None:
        """Check one event against those before it."""
        assert not self.stopped
        match event:
            case Draw():
                assert event.suggestion not in self.pool
                self.pool[event.suggestion] = event
            case Pick():
                assert (event.branch in self.pruned, event.number) == (False, len(self.picked))
                assert 0 < event.free <= self.setting.slots
                del self.pool[event.suggestion]
                self.picked.append(event.trial_id)
            case Dispatch():
                assert event.trial_id in self.picked
                assert event.attempt == self.attempts.get(event.trial_id, 0) + 1
                self.attempts[event.trial_id] = self.running[event.trial_id] = event.attempt
                assert len(self.running) <= self.setting.slots
            case Reported():
                assert self.running[event.trial_id] == event.attempt
            case Result() | Error():
                assert self.running.pop(event.trial_id) == event.attempt
                if isinstance(event, Result) and event.stopped == "interrupt":
                    pass  # it waits for the run to be taken up again
                elif isinstance(event, Result) or event.final:
                    self.ended[event.trial_id] = event
                    assert event.attempt <= 1 + self.setting.retries
            case Score():
                assert event.trial_id in self.ended
                assert event.trial_id not in self.scored
                self.scored.append(event.trial_id)
            case Prune():
                self.pruned.add(event.branch)
                self.pool = {number: draw for number, draw in self.pool.items() if draw.branch != event.branch}
            case Stop(trial_id=None):
                self.stopped = True
            case Wait():
                assert 0 < event.free <= self.setting.slots
            case _:
                pass


def check(setting: Setting, result: SweepResult) -> None:
    """What the trace and the result must agree on."""
    auditor = Auditor(setting)
    for number, event in enumerate(result.trace):
        assert event.seq == number
        auditor.follow(event)
    assert auditor.stopped
    assert not auditor.running
    assert [trial.id for trial in result.trials] == auditor.picked
    assert setting.trials is None or len(result.trials) <= setting.trials
    over = {trial.id for trial in result.trials if trial.state in TERMINAL_STATES}
    assert over == set(auditor.ended) == set(auditor.scored)
    for trial in result.trials:
        assert (trial.score is not None) == (trial.state is TrialState.COMPLETED)
        assert (trial.error is not None and trial.state is TrialState.FAILED) or trial.state is not TrialState.FAILED
        assert trial.attempt == auditor.attempts.get(trial.id, 0)
    scores = [trial.score for trial in result.trials if trial.score is not None]
    assert result.best_score == (max(scores) if scores else None)
    assert sum(stats.completed + stats.failed for stats in result.branches.values()) == sum(
        trial.state in {TrialState.COMPLETED, TrialState.FAILED} for trial in result.trials
    )
    assert {name for name, stats in result.branches.items() if stats.pruned} == auditor.pruned
    if len(over) < len(result.trials):
        assert result.stop_reason in {StopReason.INTERRUPTED, StopReason.BUDGET_TIME, StopReason.FAILURE_RATE}


@settings(max_examples=150, deadline=None)
@given(SETTINGS)
def test_every_trace_is_a_story_that_can_have_happened(setting: Setting) -> None:
    """Order of events, slots, attempts, budgets, scores and statistics; and a fold of the journal is the state of the run."""

    async def main() -> None:
        store = MemoryStore()
        result = await run(setting, store)
        check(setting, result)
        state = SweepState(result.goal)
        SweepRecorder(store, result.run_id, state).replay()
        assert {name: stats for name, stats in state.branch_stats().items() if name is not None} == result.branches
        assert (state.picked, state.best, state.triggers) == (len(result.trials), result.best, result.triggers)

    run_virtual(main())


@settings(max_examples=60, deadline=None)
@given(SETTINGS)
def test_what_was_stopped_goes_on_to_its_end(setting: Setting) -> None:
    """However a run stopped: without caps it goes on, every trial ends, and nothing that had ended changes."""

    async def main() -> None:
        store = MemoryStore()
        first = await run(setting, store)
        before = {trial.id: trial for trial in first.trials if trial.state in TERMINAL_STATES}
        free = setting._replace(trials=40, seconds=None, interrupt=None, tolerated=1.0)
        second = await run(free, store)
        assert [trial.id for trial in second.trials][: len(first.trials)] == [trial.id for trial in first.trials]
        assert all(trial.state in TERMINAL_STATES for trial in second.trials)
        assert {trial.id: trial for trial in second.trials if trial.id in before} == before
        assert sorted(event.trial_id for event in second.trace if isinstance(event, Score)) == sorted(
            trial.id for trial in second.trials
        )
        kept = len(second.trace)
        assert len((await run(free, store)).trace) == kept

    run_virtual(main())


class Crash(BaseException):
    """The death of the process."""


@settings(max_examples=60, deadline=None)
@given(SETTINGS, st.integers(1, 60))
def test_a_run_that_dies_goes_on_to_its_end(setting: Setting, moment: int) -> None:
    """Whenever it dies: what was committed stays, every trial ends once, the budget holds, and nothing is scored twice."""
    passed = 0

    def die(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed >= moment:
            raise Crash(name)

    store = MemoryStore()
    trials = 20 if setting.trials is None else setting.trials
    calm = setting._replace(interrupt=None, seconds=None, tolerated=1.0, trials=trials, steady=True)
    with crash_points(die), suppress(Crash):
        run_virtual(run(calm, store))
    before = {row for kept in store.runs() for row in store.trial_rows(kept.run_id)}
    result = run_virtual(run(calm, store))
    assert before <= set(store.trial_rows(result.run_id))
    assert all(trial.state in TERMINAL_STATES for trial in result.trials)
    assert len(result.trials) <= trials
    scored = [event.trial_id for event in result.trace if isinstance(event, Score)]
    assert sorted(scored) == sorted(trial.id for trial in result.trials)
    uninterrupted = run_virtual(run(calm, MemoryStore()))
    if calm.slots == 1:
        assert essence(result) == essence(uninterrupted)
    elif not calm.scheduler.startswith("ucb"):
        assert {trial.id for trial in result.trials} == {trial.id for trial in uninterrupted.trials}
