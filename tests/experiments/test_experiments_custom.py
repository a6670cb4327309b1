"""Optimizers, schedulers and trial functions of users, as they write them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import pytest
from sweep_kit import SPACE, events, queue, queue_of, run, score_x, sweep

from metta_sweep import (
    Budget,
    Choice,
    FailurePolicy,
    MemoryStore,
    Optimizer,
    Report,
    Resources,
    Scheduler,
    StopReason,
    Suggestion,
    SweepResult,
    Trial,
    TrialContext,
    TrialState,
    Uniform,
    Verdict,
)
from metta_sweep.core.events import Draw, Pick, Score, Stop
from metta_sweep.core.setup import Setup
from metta_sweep.errors import OptimizerError, SchedulerError, SuggestionError
from metta_sweep.experiments.offer import MAX_DRAWS_FOR_BRANCH
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.schedulers.scheduler import Offer

# -- an optimizer with only suggest and observe ------------------------------------------------------------------------------------


class MyOptimizer(Optimizer):
    """As in the documentation: proposes, and learns from results."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []

    def suggest(self, n: int) -> list[Suggestion]:
        """Between what it has seen."""
        return [Suggestion(params={"x": 0.5 / (1 + len(self.seen))}) for _ in range(n)]

    def observe(self, trial: Trial, result: float) -> None:
        """Remember."""
        self.seen.append((trial.id, result))


def test_an_optimizer_with_only_suggest_and_observe() -> None:
    """It is asked for the free slots, and told each score in the user's units."""
    original = MyOptimizer()
    result = run(sweep(optimizer=original), 3)
    assert [trial.score for trial in result.trials] == [0.5, 0.25, 0.5 / 3]
    assert isinstance(result.optimizer, MyOptimizer)
    assert result.optimizer.seen == [("0", 0.5), ("1", 0.25), ("2", 0.5 / 3)]
    assert original.seen == []


def test_an_optimizer_sees_scores_as_they_are_when_minimizing() -> None:
    """Never with their sign flipped."""
    result = run(sweep(optimizer=MyOptimizer(), goal="minimize"), 2)
    assert isinstance(result.optimizer, MyOptimizer)
    assert [score for _, score in result.optimizer.seen] == [0.5, 0.25]


class Answers(Optimizer):
    """Returns what a list says, call by call, and notes what it was asked."""

    def __init__(self, *answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    def suggest(self, n: int) -> Sequence[Any]:
        """The next answer."""
        self.asked.append(n)
        return self.answers.pop(0) if self.answers else []


def test_too_many_suggestions_wait_in_the_pool() -> None:
    """None is lost, and no more are asked for while some wait."""
    result = run(sweep(optimizer=Answers([{"x": number / 10} for number in range(5)]), slots=2), 5)
    assert [trial.score for trial in result.trials] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert isinstance(result.optimizer, Answers)
    assert result.optimizer.asked == [2]


def test_too_few_suggestions_leave_slots_idle() -> None:
    """It is asked again when something has happened; the idle slots have a reason."""
    result = run(sweep(optimizer=Answers([{"x": 0.1}], [], [{"x": 0.2}]), slots=3), 5)
    assert [trial.score for trial in result.trials] == [0.1, 0.2]
    assert result.stop_reason is StopReason.OPTIMIZER_EXHAUSTED
    assert "wait" in [event.kind for event in result.trace]


def test_mappings_are_suggestions() -> None:
    """A plain mapping of parameters will do, and any sequence of them."""
    result = run(sweep(optimizer=Answers(({"x": 0.1}, Suggestion(params={"x": 0.2}, id="mine"))), slots=2), 2)
    assert [(trial.id, trial.score, trial.origin) for trial in result.trials] == [("0", 0.1, "Answers"), ("mine", 0.2, "Answers")]


class Finite(Optimizer):
    """Says how many suggestions are left, rightly or not."""

    def __init__(self, left: Any, has: int = 0) -> None:
        self.remaining = left
        self.has = has

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """As many as it really has."""
        given, self.has = min(n, self.has), max(0, self.has - n)
        return [{"x": 0.5}] * given


@pytest.mark.parametrize(
    ("left", "has", "trials"), [(4, 4, 4), (9, 2, 2), (9, 0, 0), (0, 3, 3), (float("inf"), 3, 3), (None, 3, 3)]
)
def test_a_wrong_word_on_what_remains_hangs_nothing(left: Any, has: int, trials: int) -> None:
    """A finite optimizer is drawn whole; one that says that it has more than it has ends all the same."""
    result = run(sweep(optimizer=Finite(left, has)), 20)
    assert (len(result.trials), result.stop_reason) == (trials, StopReason.OPTIMIZER_EXHAUSTED)


@pytest.mark.parametrize("left", ["many", -1, 2.5, True, [3]])
def test_what_remains_must_be_a_number(left: Any) -> None:
    """The error names the optimizer and what it said."""
    with pytest.raises(OptimizerError, match=r"Finite\.remaining.*found") as caught:
        run(sweep(optimizer=Finite(left, 3)), 20)
    assert repr(left) in str(caught.value)
    assert caught.value.remedy


class AsksForAll(Optimizer):
    """Takes every keyword there is."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, tuple[str, ...], dict[str, Any] | None]] = []

    def suggest(
        self, n: int, index: int = -1, pending: Sequence[Trial] = (), fixed: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Note the call."""
        self.calls.append((n, index, tuple(trial.id for trial in pending), dict(fixed) if fixed else None))
        return [{"x": 0.5, **(fixed or {})}] * n


def test_an_optimizer_gets_the_keywords_that_it_declares() -> None:
    """Index counts its suggestions, pending are the trials in flight, fixed is the branch."""
    result = run(sweep(optimizer=AsksForAll(), slots=2), 4)
    assert isinstance(result.optimizer, AsksForAll)
    assert [call[:2] for call in result.optimizer.calls] == [(2, 0), (2, 2)]
    spaced = {"model": Choice(["a", "b"]), "x": Uniform(0, 1)}
    result = run(sweep(optimizer=AsksForAll(), search_space=spaced, scheduler=IterationScheduler(branch_by="model")), 2)
    assert isinstance(result.optimizer, AsksForAll)
    assert [call[3] for call in result.optimizer.calls] == [{"model": "a"}, {"model": "b"}]


def test_pending_trials_are_those_in_flight() -> None:
    """One slot frees while another trial runs: that one is pending."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(1 + trial.number)
        return 0.5

    result = run(sweep(objective, optimizer=AsksForAll(), slots=2), 3)
    assert isinstance(result.optimizer, AsksForAll)
    assert [call[2] for call in result.optimizer.calls] == [(), ("1",)]


class WithoutFixed(Optimizer):
    """Cannot suggest within a branch."""

    def __init__(self, *models: str) -> None:
        self.models = models
        self.made = 0

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """One model after the other."""
        self.made += n
        return [{"model": self.models[(self.made - n + number) % len(self.models)]} for number in range(n)]


async def by_model(model: str) -> float:
    """The quality of a model."""
    return {"a": 0.5, "b": 0.6, "c": 0.7}[model]


def test_an_optimizer_without_fixed_is_asked_until_the_branch_comes() -> None:
    """What was drawn meanwhile waits in the pool, and is used first when its branch is picked."""
    settings: dict[str, Any] = {
        "search_space": {"model": Choice(["a", "b", "c"])},
        "scheduler": IterationScheduler(branch_by="model"),
    }
    result = run(sweep(by_model, optimizer=WithoutFixed("c", "b", "a"), **settings), 3)
    assert [trial.branch for trial in result.trials] == ["a", "b", "c"]
    assert [event.branch for event in events(result, Draw)] == ["c", "b", "a"]


def test_a_branch_that_never_comes_is_given_up_for_this_turn() -> None:
    """At most 32 suggestions are drawn in search of it; the other branches go on."""
    settings: dict[str, Any] = {"search_space": {"model": Choice(["a", "b"])}, "scheduler": IterationScheduler(branch_by="model")}
    result = run(sweep(by_model, optimizer=WithoutFixed("b"), **settings), 2)
    assert [trial.branch for trial in result.trials] == ["b", "b"]
    first_turn = [event for event in events(result, Draw) if event.address == result.trace[0].address]
    assert len(first_turn) == MAX_DRAWS_FOR_BRANCH


class Listens(Optimizer):
    """Notes everything it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """Anything."""
        return [{"x": 0.5}] * n

    def observe(self, trial: Trial, result: Any) -> None:
        """Completed."""
        self.told.append(("observed", trial.id, result))

    def failed(self, trial: Trial) -> None:
        """Failed."""
        self.told.append(("failed", trial.id, trial.error.message if trial.error else None))

    def stopped(self, trial: Trial) -> None:
        """Stopped by a verdict."""
        self.told.append(("stopped", trial.id, trial.last_report))

    def reported(self, trial: Trial, report: Report) -> None:
        """On its way."""
        self.told.append(("reported", trial.id, report.step, report.metrics))


async def reports(trial: TrialContext) -> float:
    """Two reports, and then an end of its own kind."""
    trial.report(1, 0.1)
    trial.report(2, 0.2)
    if trial.number == 1:
        raise ValueError("no luck")
    return 0.3


def test_an_optimizer_hears_of_everything() -> None:
    """Reports one by one, also those that come with the end of their trial; completions, and failures."""
    result = run(sweep(reports, optimizer=Listens(), failures=FailurePolicy(tolerated_rate=1)), 2)
    assert isinstance(result.optimizer, Listens)
    assert result.optimizer.told == [
        ("reported", "0", 1, {"score": 0.1}),
        ("reported", "0", 2, {"score": 0.2}),
        ("observed", "0", 0.3),
        ("reported", "1", 1, {"score": 0.1}),
        ("reported", "1", 2, {"score": 0.2}),
        ("failed", "1", "no luck"),
    ]


def test_an_optimizer_hears_the_same_when_it_is_rebuilt() -> None:
    """Going on with a run replays suggestions, reports and results in their order."""
    store = MemoryStore()
    policy = FailurePolicy(tolerated_rate=1)
    first = run(sweep(reports, optimizer=Listens(), failures=policy, store=store, name="it"), 3)
    again = run(sweep(reports, optimizer=Listens(), failures=policy, store=store, name="it"), 3)
    assert isinstance(first.optimizer, Listens)
    assert isinstance(again.optimizer, Listens)
    assert again.optimizer.told == first.optimizer.told


def test_an_optimizer_takes_space_and_seed_from_the_sweep() -> None:
    """Where it was given none of its own."""

    class Knows(Optimizer):
        def suggest(self, n: int) -> list[dict[str, Any]]:
            assert self.search_space is not None
            assert self.seed is not None
            value = Random(self.seed).random()
            return [dict.fromkeys(self.search_space.names, value)] * n

    one, same, other = (run(sweep(optimizer=Knows(), search_space=SPACE, seed=seed), 1) for seed in (1, 1, 2))
    assert one.best_score == same.best_score != other.best_score


# -- a scheduler with only what differs --------------------------------------------------------------------------------------------


class StopsPoorTrials(Scheduler):
    """As in the documentation: says when to stop, and what a trial may use."""

    def should_stop(self, trial: Trial) -> bool:
        """As soon as the accuracy is too low."""
        report = trial.last_report
        return report is not None and float(report.metrics["accuracy"]) < 0.3  # type: ignore[arg-type]

    def allocate_resources(self, trial: Trial) -> Resources:
        """Odd trials get less time."""
        return Resources(time_limit=10.0 if trial.number % 2 else 60.0)


async def generator(trial: TrialContext) -> AsyncIterator[dict[str, float]]:
    """Three epochs; trial 1 gets worse."""
    for epoch in range(1, 4):
        await asyncio.sleep(1.0)
        yield {"accuracy": 0.5 - 0.2 * epoch * (trial.number == 1), "epoch": epoch}


async def reporter(trial: TrialContext) -> dict[str, float]:
    """The same with report() and should_stop."""
    accuracy = 0.0
    for epoch in range(1, 4):
        await asyncio.sleep(1.0)
        accuracy = 0.5 - 0.2 * epoch * (trial.number == 1)
        trial.report(epoch, accuracy=accuracy)
        await asyncio.sleep(0.1)
        if trial.should_stop:
            break
    return {"accuracy": accuracy}


def threaded(trial: TrialContext) -> Iterator[dict[str, float]]:
    """The same as a plain generator, in a thread."""
    for epoch in range(1, 4):
        yield {"accuracy": 0.5 - 0.2 * epoch * (trial.number == 1)}


@pytest.mark.parametrize("objective", [generator, reporter])
def test_should_stop_ends_a_trial_early(objective: Any) -> None:
    """After the second epoch of trial 1: it is STOPPED with its last report, has no score, and is a run of what it reported."""
    result = run(sweep(objective, optimizer=Listens(), scheduler=StopsPoorTrials(), metric="accuracy"), 3)
    trial = result.trials[1]
    assert [it.state for it in result.trials] == [TrialState.COMPLETED, TrialState.STOPPED, TrialState.COMPLETED]
    assert (trial.score, trial.reason) == (None, "verdict")
    assert trial.last_report is not None
    assert trial.last_report.metrics["accuracy"] == pytest.approx(0.1)
    assert [(event.trial_id, event.reason) for event in events(result, Stop) if event.trial_id] == [("1", "stop")]
    assert [event.reward for event in events(result, Score)] == [0.5, pytest.approx(0.1), 0.5]
    assert isinstance(result.optimizer, Listens)
    assert [told[:2] for told in result.optimizer.told if told[0] == "stopped"] == [("stopped", "1")]


def test_should_stop_ends_a_generator_in_a_thread() -> None:
    """Each yield waits for the verdict there, too."""
    result = sweep(threaded, optimizer=Listens(), scheduler=StopsPoorTrials(), metric="accuracy").run(3)
    assert [it.state for it in result.trials] == [TrialState.COMPLETED, TrialState.STOPPED, TrialState.COMPLETED]


def test_resources_are_given_to_each_attempt() -> None:
    """allocate_resources shows in the trial's context and in the trace; the limit holds."""
    seen: list[float | None] = []

    async def objective(trial: TrialContext) -> dict[str, float]:
        seen.append(trial.resources.time_limit)
        await asyncio.sleep(30.0)
        return {"accuracy": 1.0}

    result = run(sweep(objective, scheduler=StopsPoorTrials(), metric="accuracy", failures=FailurePolicy(tolerated_rate=1)), 2)
    assert seen == [60.0, 10.0]
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETED, TrialState.FAILED]
    assert result.trials[1].error is not None
    assert "TrialTimeout" in result.trials[1].error.type
    assert result.spend.seconds == pytest.approx(40.0)


class LastFirst(Scheduler):
    """Overrides only pick."""

    def pick(self, offer: Offer) -> None:
        """The newest of what is drawn."""
        newest: Any = None
        while offer.free and (waiting := offer.next()) is not None:
            if newest is waiting:
                break
            newest = waiting
            offer.pick(waiting, why="because")


def test_a_scheduler_that_overrides_only_pick() -> None:
    """Its picks are run, with its reason in the trace."""
    result = run(sweep(score_x, scheduler=LastFirst(), slots=2), 4)
    assert len(result.trials) == 4
    assert {event.why for event in events(result, Pick)} == {"because"}


class PicksTwice(Scheduler):
    """Picks one suggestion twice."""

    def pick(self, offer: Offer) -> None:
        """Twice."""
        waiting = offer.next()
        assert waiting is not None
        offer.pick(waiting)
        offer.pick(waiting)


class PicksTooMany(Scheduler):
    """Picks more than there are slots."""

    def pick(self, offer: Offer) -> None:
        """For ever."""
        while (waiting := offer.next()) is not None:
            offer.pick(waiting)


class Maybe(Scheduler):
    """Gives no verdict."""

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Neither."""
        return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("scheduler", "says"),
    [
        (PicksTwice(), "is not waiting"),
        (PicksTooMany(), "no slot is free"),
        (Maybe(), "cannot be carried out"),
    ],
)
def test_decisions_that_cannot_be_carried_out(scheduler: Scheduler, says: str) -> None:
    """The run ends with an error that says what the scheduler did and what it may do."""

    async def objective(trial: TrialContext) -> float:
        trial.report(1, 0.5)
        await asyncio.sleep(1.0)
        return 0.5

    with pytest.raises(SchedulerError, match=says) as caught:
        run(sweep(objective, scheduler=scheduler, optimizer=queue_of(9), slots=2), 8)
    assert caught.value.remedy


def test_a_scheduler_keeps_its_own_state_per_run() -> None:
    """Each run has a copy: the one that was given learns nothing."""

    class Counts(Scheduler):
        def __init__(self) -> None:
            self.scores = 0

        def apply(self, event: Any) -> None:
            self.scores += event.kind == "score"

    original = Counts()
    store = MemoryStore()
    run(sweep(scheduler=original, store=store, name="it"), 2)
    result = run(sweep(scheduler=original, store=store, name="it"), 5)
    assert original.scores == 0
    assert isinstance(result.scheduler, Counts)
    assert result.scheduler.scores == 5


def test_strategies_are_told_what_they_serve() -> None:
    """for_run gets search space, goal, seed and slots."""
    told: list[Setup] = []

    class Asks(Scheduler):
        def for_run(self, setup: Setup) -> Scheduler:
            told.append(setup)
            return self

    run(sweep(scheduler=Asks(), goal="minimize", seed=7, slots=4), 1)
    assert (told[-1].goal.direction, told[-1].seed, told[-1].slots) == ("minimize", 7, 4)
    assert told[-1].search_space is not None


def test_a_member_that_is_slow_does_not_hold_up_the_deadline() -> None:
    """One that says so decides in a thread; trials run on, and the deadline cuts the run."""
    import time

    class Slow(Scheduler):
        slow = True

        def pick(self, offer: Offer) -> None:
            time.sleep(0.05)
            super().pick(offer)

    result: SweepResult = sweep(reports, scheduler=Slow()).run(Budget(trials=50, seconds=0.12))
    assert result.stop_reason is StopReason.BUDGET_TIME
    assert len(result.trials) < 10


# -- ids ---------------------------------------------------------------------------------------------------------------------------


def test_a_number_that_is_an_id_already_is_marked() -> None:
    """A suggestion that calls itself "1" keeps its name; the second trial is called "1-" then."""
    suggestions = [{"x": 0.1}, {"x": 0.2}, Suggestion(params={"x": 0.3}, id="1")]
    result = run(sweep(optimizer=Answers(suggestions)), 3)
    assert [trial.id for trial in result.trials] == ["0", "1-", "1"]
    assert result.trials.by_id("1").score == 0.3


def test_an_id_that_a_trial_had_is_refused() -> None:
    """Also when that trial has long ended."""
    with pytest.raises(SuggestionError, match="'0' is taken"):
        run(sweep(optimizer=Answers([{"x": 0.1}], [{"x": 0.2}], [Suggestion(params={"x": 0.3}, id="0")])), 3)


def test_an_error_of_on_trigger_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, the run goes on, and the triggers of other branches are called all the same."""
    calls: list[str | None] = []

    def on_trigger(event: Any) -> None:
        calls.append(event.branch)
        raise LookupError("no journal takes it")

    async def objective(trial: TrialContext) -> float:
        return 0.9

    result = run(sweep(objective, optimizer=queue("a", "b", "a"), scheduler=IterationScheduler(on_trigger=on_trigger), slots=2))
    assert (calls, result.triggers, len(result.trials)) == (["a", "b"], ["a", "b"], 3)
    assert caplog.text.count("on_trigger failed for branch") == 2
