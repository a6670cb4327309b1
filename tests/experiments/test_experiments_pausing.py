"""Trials that pause, go on, take another's place or are complete."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from metta_sweep.core.budget import Budget
from metta_sweep.core.distributions import Uniform
from metta_sweep.core.events import Dispatch, Draw, Event, Paused, Pick, Result, Resume, Score
from metta_sweep.core.goal import Goal
from metta_sweep.core.trial import Report, Trial, TrialState, Verdict
from metta_sweep.errors import ExecutorError, SchedulerError, SuggestionError
from metta_sweep.executors import Capabilities, LocalExecutor, SimulatedExecutor
from metta_sweep.executors.context import TrialContext
from metta_sweep.experiments import SweepExperiment, SweepResult
from metta_sweep.experiments.fold import SweepState
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.schedulers import Offer, Scheduler
from metta_sweep.testing import run_virtual


class InTurn(Scheduler):
    """Pauses each trial after every third step, and lets all go on in turn; complete at step 9."""

    default_slots = 1
    needs_pauses = True
    bounds_itself = True

    def __init__(self) -> None:
        self._paused: dict[str, Paused] = {}

    def apply(self, event: Event) -> None:
        """Remember who is paused."""
        if isinstance(event, Paused):
            self._paused[event.trial_id] = event
        elif isinstance(event, Resume | Score):
            self._paused.pop(event.trial_id, None)

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Every third step."""
        if report.step >= 9:
            return Verdict.COMPLETE
        return Verdict.PAUSE if report.step % 3 == 0 else Verdict.CONTINUE

    def pick(self, offer: Offer) -> None:
        """New ones first, then those that waited longest."""
        while offer.free and (waiting := offer.next()) is not None:
            offer.pick(waiting)
        for trial_id in list(self._paused):
            if offer.idle:
                self.go_on(offer, trial_id)

    def go_on(self, offer: Offer, trial_id: str) -> None:
        """As it was."""
        offer.resume(trial_id, why="its turn")


class Exploits(InTurn):
    """Whoever goes on takes the place of trial 1, with other parameters."""

    def __init__(self) -> None:
        super().__init__()
        self._last: Paused | None = None

    def apply(self, event: Event) -> None:
        """Remember the last pause of trial 1."""
        super().apply(event)
        if isinstance(event, Paused) and event.trial_id == "1":
            self._last = event

    def go_on(self, offer: Offer, trial_id: str) -> None:
        """From the last pause of trial 1."""
        offer.resume(trial_id, source=self._last, params={"x": 100})


class GivesUp(InTurn):
    """Ends paused trials: trial 0 as complete, the others as stopped."""

    def go_on(self, offer: Offer, trial_id: str) -> None:
        """It does not."""
        offer.end(trial_id, complete=trial_id == "0", why="enough")


seen: list[tuple[int, int]] = []


def counts(trial: TrialContext) -> Iterator[dict[str, Any]]:
    """Yields its step; goes on where it was."""
    for step in range(trial.resume_step + 1, 100):
        seen.append((trial.params["x"], step))
        yield {"step": step, "score": float(trial.params["x"] + step)}


def begins_anew(trial: TrialContext) -> Iterator[float]:
    """Counts from 1 on every attempt."""
    for step in range(1, 100):
        yield float(trial.params["x"] + step)


def run(scheduler: Scheduler, objective: Any = counts, trials: int = 2, **options: Any) -> SweepResult:
    """A sweep over a queue, in memory."""
    seen.clear()
    experiment = SweepExperiment(
        objective=objective,
        optimizer=SuggestionQueue([{"x": 10 * number} for number in range(trials)]),
        scheduler=scheduler,
        store="memory",
        seed=1,
        **options,
    )
    return run_virtual(experiment.arun())


def kinds(results: SweepResult) -> list[tuple[str, str | None]]:
    """Starts, pauses and ends of trials."""
    return [(event.kind, event.trial_id) for event in results.trace if event.kind in ("dispatch", "pause", "resume", "result")]


def test_paused_trials_go_on_where_they_were() -> None:
    """A pause frees the slot for another; each step is made once, and a complete trial has the metrics of its last report."""
    results = run(InTurn())

    assert seen == [(x, step) for low in (1, 4, 7) for x in (0, 10) for step in range(low, low + 3)]
    assert [(trial.state, trial.score, trial.attempt, trial.reason) for trial in results.trials] == [
        (TrialState.COMPLETED, 9.0, 3, "complete"),
        (TrialState.COMPLETED, 19.0, 3, "complete"),
    ]
    assert next(event.explanation for event in results.trace if event.kind == "resume") == "goes on after step 3: its turn"


async def does_not_look(trial: TrialContext) -> float:
    """Reports each second, and never asks whether it should stop."""
    for step in range(trial.resume_step + 1, 10):
        await asyncio.sleep(1)
        seen.append((trial.params["x"], step))
        trial.report(step, float(trial.params["x"] + step))
    return float(trial.params["x"] + 9)


async def swallows(trial: TrialContext) -> float:
    """The same, and does not let itself be cancelled."""
    for step in range(1, 6):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        trial.report(step, float(step))
    return 5.0


def test_a_coroutine_that_does_not_look_pauses_after_its_grace() -> None:
    """It is cancelled where it waits, and goes on later after the step that it had come to."""
    results = run(InTurn(), does_not_look, grace=0.5)

    assert seen == [(x, step) for low in (1, 4, 7) for x in (0, 10) for step in range(low, low + 3)]
    assert [(trial.state, trial.score, trial.attempt) for trial in results.trials] == [
        (TrialState.COMPLETED, 9.0, 3),
        (TrialState.COMPLETED, 19.0, 3),
    ]


def test_a_coroutine_that_cannot_be_paused_runs_to_its_end() -> None:
    """It swallows its cancellation; its slot is its own until it has ended, and it can still be cut by the deadline."""
    results = run(InTurn(), swallows, grace=0.5)

    assert [trial.score for trial in results.trials] == [5.0, 5.0]


def test_a_trial_that_begins_anew_is_not_judged_twice() -> None:
    """Steps that were reported before the pause are known; its result is the same."""
    results = run(InTurn(), begins_anew)

    steps = [event.step for event in results.trace if event.kind == "report" and event.trial_id == "0"]
    assert steps == list(range(1, 10))
    assert [trial.score for trial in results.trials] == [9.0, 19.0]


def test_a_trial_may_take_the_place_of_another() -> None:
    """It goes on after that one's step, with other parameters, and the trace tells from whom."""
    results = run(Exploits())

    assert [trial.params for trial in results.trials] == [{"x": 100}, {"x": 100}]
    assert [event.source for event in results.trace if isinstance(event, Resume)] == ["1", None, "1", None]
    assert results.best_score == 109.0


def test_paused_trials_can_be_ended() -> None:
    """One as complete, with the metrics of its last report; one as stopped, without a score."""
    results = run(GivesUp())

    assert [(trial.state, trial.score) for trial in results.trials] == [
        (TrialState.COMPLETED, 3.0),
        (TrialState.STOPPED, None),
    ]


def test_a_spent_budget_of_trials_lets_paused_ones_go_on() -> None:
    """Going on is no new trial."""
    results = run(InTurn(), trials=5, slots=2)
    capped = SweepExperiment(
        objective=counts,
        optimizer=SuggestionQueue([{"x": 10 * number} for number in range(5)]),
        scheduler=InTurn(),
        store="memory",
        slots=2,
    )

    short = run_virtual(capped.arun(2))

    assert results.spend.trials == 5
    assert (short.spend.trials, short.stop_reason) == (2, "budget_trials")
    assert [trial.state for trial in short.trials] == [TrialState.COMPLETED] * 2


def test_trials_that_stay_paused_do_not_hold_the_run() -> None:
    """When nothing runs and nothing goes on, the run is over; they are shown as paused."""

    class Forgets(InTurn):
        """Lets nobody go on."""

        def go_on(self, offer: Offer, trial_id: str) -> None:
            """No."""

    results = run(Forgets())

    assert [trial.state for trial in results.trials] == [TrialState.PAUSED] * 2
    assert [trial.last_report for trial in results.trials] == [Report(3, {"score": 3.0}), Report(3, {"score": 13.0})]
    assert results.stop_reason == "queue_empty"
    assert results.states == {TrialState.PAUSED: 2}
    assert "early   2 paused of 2 trials, before their end" in results.summary()
    assert "kept" not in results.summary()
    assert "nothing was left" not in results.summary()


def test_a_run_that_was_left_goes_on_with_its_paused_trials() -> None:
    """A second run of the same experiment, with a larger budget, takes them up where they were."""
    from metta_sweep.store import MemoryStore

    store = MemoryStore()

    def experiment() -> SweepExperiment:
        return SweepExperiment(
            name="turns",
            objective=counts,
            optimizer=SuggestionQueue([{"x": 10 * number} for number in range(4)]),
            scheduler=InTurn(),
            store=store,
            seed=1,
        )

    whole = run(InTurn(), trials=4)
    first = run_virtual(experiment().arun(2))
    second = run_virtual(experiment().arun(4))

    assert first.spend.trials == 2
    assert [(trial.id, trial.state, trial.score) for trial in second.trials] == [
        (trial.id, trial.state, trial.score) for trial in whole.trials
    ]


def test_resuming_what_is_not_paused_is_refused() -> None:
    """The error names the trial."""

    class Wrong(InTurn):
        """Resumes twice."""

        def go_on(self, offer: Offer, trial_id: str) -> None:
            """Twice."""
            super().go_on(offer, trial_id)
            super().go_on(offer, trial_id)

    with pytest.raises(SchedulerError, match="trial '0' is not paused"):
        run(Wrong())


def test_an_executor_that_keeps_no_checkpoints_is_refused() -> None:
    """When the sweep is made, naming both."""

    class Forgetful(LocalExecutor):
        capabilities = Capabilities(streams=True, stops=True, isolates=False, survives_driver=False)

    with pytest.raises(ExecutorError, match="InTurn pauses trials"):
        SweepExperiment(objective=counts, optimizer=SuggestionQueue([]), scheduler=InTurn(), executor=Forgetful())


def test_a_scheduler_that_proposes_stands_where_an_optimizer_is() -> None:
    """It becomes the scheduler; a second one is refused."""

    class Proposes(InTurn):
        """Proposes."""

        proposes = True

    experiment = SweepExperiment(optimizer=Proposes(), search_space=None)

    assert isinstance(experiment.scheduler, Proposes)
    with pytest.raises(SchedulerError, match="stands in place of the optimizer"):
        SweepExperiment(optimizer=Proposes(), scheduler=InTurn())


def test_paused_trials_may_be_queued_for_slots_that_are_not_idle() -> None:
    """What is decided of them is decided now; they start in that order as slots free."""

    class AllAtOnce(InTurn):
        """When the last one has paused, all go on."""

        def pick(self, offer: Offer) -> None:
            """New ones first."""
            while offer.free and (waiting := offer.next()) is not None:
                offer.pick(waiting)
            if offer.idle:
                for trial_id in sorted(self._paused, reverse=True):
                    offer.resume(trial_id, queue=True)

    results = run(AllAtOnce(), trials=3)

    assert [trial.score for trial in results.trials] == [9.0, 19.0, 29.0]
    assert [x for x, step in seen if step == 4] == [20, 10, 0]
    assert {(event.busy, event.free) for event in results.trace if isinstance(event, Resume)} == {(0, 1), (1, 0)}


def test_only_what_a_trial_in_flight_held_last_can_be_taken() -> None:
    """Older checkpoints are not kept: the error names the trial, and says what to forget."""

    class TakesOldOnes(Exploits):
        """Goes on from the first pause of trial 1, whatever happened to it since."""

        def apply(self, event: Event) -> None:
            """Remember the first one only."""
            InTurn.apply(self, event)
            if isinstance(event, Paused) and event.trial_id == "1" and self._last is None:
                self._last = event

    with pytest.raises(SchedulerError, match="what trial '1' held after step 3 is not kept: it goes on from step 6"):
        run(TakesOldOnes(), trials=3)


def six(trial: TrialContext) -> Iterator[dict[str, Any]]:
    """Six steps."""
    for step in range(trial.resume_step + 1, 7):
        yield {"step": step, "score": float(trial.params["x"] + step)}


async def six_awaited(trial: TrialContext) -> AsyncIterator[dict[str, Any]]:
    """Six steps."""
    for report in six(trial):
        yield report


@pytest.mark.parametrize("objective", [six, six_awaited])
@pytest.mark.parametrize("executor", [LocalExecutor, SimulatedExecutor])
def test_a_trial_that_pauses_at_its_last_step_has_completed(objective: Any, executor: Any) -> None:
    """It goes on, nothing is left to do: it ends with the metrics of the step after which it went on."""
    if executor is SimulatedExecutor and objective is six_awaited:
        pytest.skip("simulated trials are no coroutines")
    results = run(InTurn(), objective, executor=executor())

    assert [(trial.state, trial.score, trial.reason) for trial in results.trials] == [
        (TrialState.COMPLETED, 6.0, None),
        (TrialState.COMPLETED, 16.0, None),
    ]


class TakesTheEnd(Exploits):
    """After step 6 all take the place of trial 1, when that one is there."""

    def pick(self, offer: Offer) -> None:
        """Those at step 6 wait for all."""
        while offer.free and (waiting := offer.next()) is not None:
            offer.pick(waiting)
        ends = [paused for paused in self._paused.values() if paused.step == 6]
        for trial_id, paused in list(self._paused.items()):
            if offer.idle and (paused.step == 3 or len(ends) == 2):
                self.go_on(offer, trial_id)

    def go_on(self, offer: Offer, trial_id: str) -> None:
        """As it was, up to step 3."""
        offer.resume(trial_id, source=None if self._paused[trial_id].step == 3 else self._last)


def test_a_clone_of_the_last_step_has_what_was_reported_there() -> None:
    """It takes the place of a trial that was at its last step: its score is that of the state that it took."""
    results = run(TakesTheEnd(), six, slots=2)

    assert {trial.score for trial in results.trials} == {16.0}
    assert results.trials[0].last_report == Report(6, {"score": 16.0})


@pytest.mark.parametrize("how", ["lost", "left", "interrupted"])
def test_what_ran_when_a_process_ended_runs_first_in_the_next(how: str) -> None:
    """Trials that were queued behind it go on behind it: so with one slot the order is that of a run that nobody ended."""
    state = SweepState(Goal())
    for number in range(3):
        name = str(number)
        state.apply(Draw(number, {}))
        state.apply(Pick(number, name, number))
        state.apply(Dispatch(name, None, 1))
        state.apply(Paused(name, None, 1, 1, 0.0))
    for name in "012":
        state.apply(Resume(name, None, 1))
    state.apply(Dispatch("0", None, 2))
    if how == "interrupted":
        state.apply(Result("0", None, 2, {}, 0.0, "interrupt"))
    if how != "lost":
        state.left()
    state.started()

    assert list(state.to_start) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"params": "abc"}, "Offer.resume.params: a str is no mapping of parameters"),
        ({"params": {"x": float("nan")}}, r"Offer.resume.params\['x'\]: the value is not a finite number"),
        ({"params": {"x": object()}}, r"Offer.resume.params\['x'\]"),
        ({"params": {3: 1}}, "the name of a parameter must be a string"),
        ({"source": "1"}, "it is no pause of a trial"),
    ],
)
def test_what_a_trial_cannot_go_on_with_is_refused(options: dict[str, Any], words: str) -> None:
    """Before it is recorded: what was read back would be something else."""

    class Wrong(InTurn):
        def go_on(self, offer: Offer, trial_id: str) -> None:
            offer.resume(trial_id, **options)

    with pytest.raises((SuggestionError, SchedulerError), match=words):
        run(Wrong())


def test_parameters_to_go_on_with_are_plain() -> None:
    """A tuple becomes a list before the trial sees it, as it will be when it is read back."""
    found: list[Any] = []

    class Lists(InTurn):
        def go_on(self, offer: Offer, trial_id: str) -> None:
            offer.resume(trial_id, params={"x": 0, "sizes": (1, 2)})

    def notes(trial: TrialContext) -> Iterator[dict[str, Any]]:
        found.append(trial.params.get("sizes"))
        yield from counts(trial)

    run(Lists(), notes, 1)
    assert found == [None, [1, 2], [1, 2]]


def test_a_scheduler_that_judges_reports_warns_once_of_trials_without_any(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing would ever be stopped early, and nothing would say so."""

    class Judges(Scheduler):
        """Judges reports."""

        needs_reports = True

    results = run(Judges(), lambda x: float(x))

    assert results.best_score == 10.0
    (record,) = caplog.records
    # they run in threads: any of them may be the first to end
    assert "completed without a report, and Judges judges reports" in record.getMessage()


def test_an_executor_of_so_many_slots_has_them_used() -> None:
    """Unless the sweep or the scheduler says otherwise."""

    def slots(**options: Any) -> int:
        return SweepExperiment(objective=counts, optimizer=SuggestionQueue([]), executor=LocalExecutor(slots=8), **options).slots

    assert (slots(), slots(slots=5), slots(slots=20), slots(scheduler=InTurn())) == (8, 5, 8, 1)


def test_a_budget_without_a_cap_is_none() -> None:
    """It would never end: it is as if none were given."""
    experiment = SweepExperiment(objective=lambda x: x, search_space={"x": Uniform(0, 1)}, store="memory")

    assert run_virtual(experiment.arun(Budget())).stop_detail.startswith("100 of 100 trials")
