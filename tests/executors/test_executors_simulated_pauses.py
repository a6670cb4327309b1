"""Verdicts in simulated time: which reports are judged, and trials that pause and go on."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simulated_kit import CURVE, PausesOnce, SaysWhen, StopsHalf, essence, payloads, sweep

from metta_sweep import LocalExecutor, MemoryStore, TrialContext
from metta_sweep.core.events import Paused, Reported
from metta_sweep.core.trial import Report, Trial, TrialState, Verdict
from metta_sweep.executors import SimulatedExecutor
from metta_sweep.experiments.judging import next_judged_of
from metta_sweep.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperbandScheduler,
    IterationScheduler,
    MedianStoppingScheduler,
    PBTScheduler,
    Scheduler,
    SynchronousBatchScheduler,
)


def quick(params: dict[str, Any], step: int) -> float:
    """Another time for each trial, so that no two reports come at once."""
    return 1.0 + float(params["x"])


# -- which reports are judged ----------------------------------------------------------------------------------------------------


def test_telling_when_it_judges_changes_no_decision() -> None:
    """The same trials, reports and times, in fewer turns; it is asked about the steps that it named, and no others."""
    every, named = StopsHalf(), SaysWhen()
    stores = MemoryStore(), MemoryStore()
    first = sweep(trials=60, scheduler=every, seconds=quick, store=stores[0])
    second = sweep(trials=60, scheduler=named, seconds=quick, store=stores[1])

    assert essence(first) == essence(second)
    assert [trial.seconds for trial in first.trials] == [trial.seconds for trial in second.trials]
    assert {trial.state for trial in first.trials} == {TrialState.COMPLETED, TrialState.STOPPED}
    reports = [[event[:5] for event in result.trace if isinstance(event, Reported)] for result in (first, second)]
    assert reports[0] == reports[1]
    assert len(payloads(second, stores[1])) < 0.7 * len(payloads(first, stores[0]))
    assert (set(every.asked), set(named.asked)) == (set(range(1, 11)), {3, 6})


def asked_of_all(scheduler: Scheduler) -> Scheduler:
    """The same scheduler, which is asked about every report whatever it says."""
    kind = type(scheduler)

    def judge(self: Any, trial: Trial, report: Report) -> Verdict:
        return kind.judge(self, trial, report)

    every = copy.copy(scheduler)
    every.__class__ = type(kind.__name__, (kind,), {"judge": judge})
    assert next_judged_of(every) is None
    return every


@pytest.mark.parametrize(
    "scheduler",
    [
        ASHAScheduler(max_epochs=10, grace_period=1),
        ASHAScheduler(max_epochs=10, grace_period=1, brackets=2),
        ASHAScheduler(max_epochs=9, grace_period=2, mode="stopping"),
        ASHAScheduler(max_epochs=9, grace_period=1, reduction_factor=2, rule="ray"),
        HyperbandScheduler(max_epochs=9),
        MedianStoppingScheduler(grace_period=3),
        PBTScheduler(population_size=6, num_generations=3, epochs_per_generation=3),
    ],
    ids=lambda scheduler: f"{type(scheduler).__name__}-{getattr(scheduler, 'rule', '')}",
)
def test_every_scheduler_tells_the_truth_on_when_it_judges(scheduler: Scheduler) -> None:
    """Asked about every report, each decides the same of the same trials at the same times."""
    assert next_judged_of(scheduler) is not None
    trials = 6 if isinstance(scheduler, PBTScheduler) else 30
    told, every = (sweep(trials=trials, scheduler=one, seconds=quick) for one in (scheduler, asked_of_all(scheduler)))

    assert essence(told) == essence(every)
    assert told.spend == every.spend
    assert [trial.last_report for trial in told.trials] == [trial.last_report for trial in every.trials]


def test_real_trials_are_judged_at_the_same_reports() -> None:
    """The local executor asks no more and no less."""
    local, simulated_one = SaysWhen(), SaysWhen()
    results = [
        sweep(trials=12, slots=1, scheduler=local, executor=LocalExecutor()),
        sweep(trials=12, slots=1, scheduler=simulated_one),
    ]

    assert essence(results[0]) == essence(results[1])
    assert local.asked == simulated_one.asked
    assert set(local.asked) == {3, 6}


class Skips(SaysWhen):
    """Judges at 3 and 6."""


def leaps(x: float) -> Iterator[dict[str, float]]:
    """Reports that skip levels."""
    for step in (2, 5, 9, 20):
        yield {"step": step, "loss": x}


def test_a_report_past_a_level_is_judged() -> None:
    """The first one at or past it, and no further one of the same level."""
    scheduler = Skips()
    sweep(leaps, 2, scheduler=scheduler, metric="loss", slots=1)

    assert scheduler.asked == [5, 9, 5, 9]


def test_who_judges_otherwise_than_its_parent_is_asked_of_every_report() -> None:
    """A class that overrides ``judge`` or ``should_stop`` inherits no word on when; one that overrides both words is believed."""

    class Patient(SaysWhen):
        """Stops at step 5, which its parent does not judge."""

        def judge(self, trial: Trial, report: Report) -> Verdict:
            """Step 5."""
            return Verdict.STOP if report.step == 5 else Verdict.CONTINUE

    class Knows(Patient):
        """And says so."""

        def next_judged(self, trial_id: str, step: int) -> int | None:
            """5."""
            return 5 if step < 5 else None

    result = sweep(trials=3, scheduler=Patient())
    assert [trial.last_report.step for trial in result.trials if trial.last_report] == [5, 5, 5]
    assert next_judged_of(Patient()) is None
    told = next_judged_of(Knows())
    assert told is not None
    assert (told("0", -1), told("0", 5)) == (5, None)


def test_schedulers_that_judge_nothing_are_asked_of_nothing() -> None:
    """Unless they take note of reports by themselves."""

    class Listens(Scheduler):
        """Takes note."""

        def apply(self, event: object) -> None:
            """Of anything."""

    told = next_judged_of(FIFOScheduler())
    assert told is not None
    assert told("0", 3) is None
    assert next_judged_of(Listens()) is None
    for scheduler in (IterationScheduler(), SynchronousBatchScheduler()):
        told = next_judged_of(scheduler)
        assert told is not None
        assert told("0", 3) is None


# -- pauses ----------------------------------------------------------------------------------------------------------------------


def test_a_paused_generator_goes_on_where_it_was() -> None:
    """It is called once, though it knows nothing of checkpoints; the pause costs nothing, start-up is paid again."""
    calls: list[str] = []

    def ordinary(trial: TrialContext) -> Iterator[float]:
        calls.append(trial.id)
        for step in range(6):
            yield trial.params["x"] + step

    result = sweep(ordinary, 5, scheduler=PausesOnce(), slots=2, startup=0.5)

    assert calls == ["0", "1", "2", "3", "4"]
    assert {(trial.state, trial.attempt, trial.seconds) for trial in result.trials} == {(TrialState.COMPLETED, 2, 2.5)}
    assert [trial.score for trial in result.trials] == [trial.params["x"] + 5 for trial in result.trials]


def test_a_clone_is_called_anew() -> None:
    """With the step of the one whose place it takes; a curve needs no more."""
    anew: list[tuple[str, int]] = []

    def notes(trial: TrialContext) -> Iterator[dict[str, Any]]:
        anew.append((trial.id, trial.resume_step))
        yield from CURVE(trial)

    result = sweep(notes, 3, scheduler=PausesOnce(clone=True), slots=3, metric="loss")

    assert anew == [("0", 0), ("1", 0), ("2", 0), ("1", 4), ("2", 4)]
    assert [event.step for event in result.trace if isinstance(event, Reported) and event.trial_id == "2"] == list(range(1, 11))


def test_another_process_goes_on_from_the_pause() -> None:
    """A new executor, and the journal of a run that was left while trials were paused: the same trials."""
    store = MemoryStore()

    class Waits(PausesOnce):
        """Lets nobody go on."""

        def pick(self, offer: Any) -> None:
            """New ones only."""
            Scheduler.pick(self, offer)

    first = sweep(trials=4, scheduler=Waits(), store=store, slots=1)
    assert [trial.state for trial in first.trials] == [TrialState.PAUSED] * 4
    name = "curves"
    whole = sweep(trials=6, scheduler=PausesOnce(), slots=1)
    kept = MemoryStore()
    sweep(trials=4, scheduler=PausesOnce(), store=kept, slots=1, name=name)
    second = sweep(trials=6, scheduler=PausesOnce(), store=kept, slots=1, name=name)

    assert essence(second) == essence(whole)


def test_what_pauses_where_it_cleans_up_wrongly_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    """A generator that raises when the run ends it after its pause harms nobody."""

    def raises(x: float) -> Iterator[float]:
        try:
            while True:
                yield x
        finally:
            raise RuntimeError("cleaning up")

    class Waits(PausesOnce):
        """Lets nobody go on."""

        def pick(self, offer: Any) -> None:
            """New ones only."""
            Scheduler.pick(self, offer)

    result = sweep(raises, 2, scheduler=Waits())

    assert [trial.state for trial in result.trials] == [TrialState.PAUSED] * 2
    assert "was ended after a pause" in caplog.text


def test_files_of_a_pause_that_is_not_needed_any_more_are_removed(tmp_path: Path) -> None:
    """When all trials have ended, no checkpoint is left."""

    def writes(trial: TrialContext) -> Iterator[float]:
        for step in range(trial.resume_step + 1, 7):
            (trial.checkpoint_dir / "step").write_text(f"{trial.id} {step}")
            yield float(step)

    result = sweep(writes, 5, scheduler=PausesOnce(), executor=SimulatedExecutor(checkpoint_dir=tmp_path))

    checkpoints = [event.checkpoint for event in result.trace if isinstance(event, Paused)]
    assert len({name.rpartition("|")[2] for name in checkpoints if name}) == 5
    assert list(tmp_path.rglob("contents/*/*")) + list(tmp_path.rglob("manifests/*")) == []


# -- a killed process ------------------------------------------------------------------------------------------------------------

TRIALS = 400
SCRIPT = f"""
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from simulated_kit import PausesOnce, sweep
from metta_sweep.clock import crash_points
left = int(sys.argv[3])
def kills(name):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
with crash_points(kills):
    sweep(trials={TRIALS}, scheduler=PausesOnce(), slots=1, name="curves", store=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_change_no_trial(tmp_path: Path) -> None:
    """SIGKILL at the n-th crash point, for many n; what is resumed has the trials of a run that was never killed."""
    path = tmp_path / "killed.db"
    kit = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": str(kit.parents[1])}
    ends = [
        subprocess.run([sys.executable, "-c", SCRIPT, str(path), str(kit), str(41 * turn)], env=env, capture_output=True).returncode
        for turn in range(2, 14)
    ]
    resumed = sweep(trials=TRIALS, scheduler=PausesOnce(), slots=1, name="curves", store=str(path))

    assert ends == [-signal.SIGKILL] * 12
    assert essence(resumed) == essence(sweep(trials=TRIALS, scheduler=PausesOnce(), slots=1))
