"""Hooks on the four stages of a sweep."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from sweep_kit import essence, events, events_kept, kinds, queue, rewards, run, sweep

from metta_sweep import MemoryStore, Optimizer, Retry, Scheduler, StopReason, Suggestion, TrialContext, hooks
from metta_sweep.core.events import Draw
from metta_sweep.errors import GateError, StageTimeout, SuggestionError
from metta_sweep.experiments import FannedOut, Happened, Picked, Scored, SweepRun
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.schedulers.scheduler import Offer
from metta_sweep.testing.virtual import run_virtual

STAGES: dict[str, Any] = {"pick": Picked, "dispatch": Happened, "score": Scored, "fan_out": FannedOut}


def test_observers_see_input_and_output_of_each_stage() -> None:
    """Before gets what the stage reads, after its output, metrics its output as a dict."""
    seen: dict[str, list[Any]] = {stage: [] for stage in STAGES}
    watch = {stage: hooks(before=outputs.append, after=outputs.append, metrics=outputs.append) for stage, outputs in seen.items()}
    run(sweep(hooks=watch), 2)
    for stage, contract in STAGES.items():
        before, after, metrics = seen[stage][:3]
        assert isinstance(before, SweepRun) or isinstance(before.sweep, SweepRun)
        assert isinstance(after, contract)
        assert set(metrics) == set(contract._fields)


def test_what_an_observer_sees_has_happened() -> None:
    """After is called when the output has been recorded and applied; before, when it has not been made."""
    seen: list[tuple[str, int]] = []
    opened: list[SweepRun] = []

    def look(when: str) -> Any:
        return lambda _: seen.append((when, sum(opened[0].state.ended.values())))

    async def main() -> None:
        experiment = sweep(hooks={"score": hooks(before=look("before"), after=look("after"))})
        async with experiment.open(2) as current:
            opened.append(current)
            await experiment.build().run(sweep=current, recorder=current.recorder)

    run_virtual(main())
    changes = [(before[1], after[1]) for before, after in zip(seen[::2], seen[1::2], strict=True) if before[1] != after[1]]
    assert changes == [(0, 1), (1, 2)]


def test_an_error_in_an_observer_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the run goes on."""

    def broken(scored: Scored) -> None:
        raise RuntimeError("cannot look")

    with caplog.at_level(logging.WARNING, logger="metta_sweep"):
        result = run(sweep(hooks={"score": hooks(after=broken)}), 2)
    assert essence(result) == essence(run(sweep(), 2))
    assert "cannot look" in caplog.text


async def _later(picked: Picked) -> None:
    await asyncio.sleep(1.0)


def test_an_observer_may_be_async() -> None:
    """It is awaited."""
    assert run(sweep(hooks={"pick": hooks(after=_later)}), 1).spend.seconds >= 2.0


def test_a_gate_refuses_an_output_before_it_is_kept() -> None:
    """Validate returning False ends the run with a GateError; what it refused is not in the journal, the rest is."""
    store = MemoryStore()

    def at_most_one(picked: Picked) -> bool:
        return not any(event.kind == "pick" and getattr(event, "number", 0) >= 1 for event in picked.picks)

    settings: dict[str, Any] = {"store": store, "name": "it"}
    with pytest.raises(GateError, match="'pick'"):
        run(sweep(hooks={"pick": hooks(validate=at_most_one)}, **settings), 3)
    row = store.find_run("it")
    assert row is not None
    assert [trial.number for trial in store.trial_rows(row.run_id)] == [0]
    assert essence(run(sweep(**settings), 3)) == essence(run(sweep(), 3))


class Counting(Optimizer):
    """Counts how often it is asked; each suggestion is another."""

    def __init__(self) -> None:
        self.asked = 0

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """The next numbers."""
        self.asked += n
        return [{"i": self.asked - n + number} for number in range(n)]


async def constant(trial: TrialContext) -> float:
    """One."""
    await asyncio.sleep(1.0)
    return 1.0


def test_a_retry_of_pick_asks_the_optimizer_once() -> None:
    """What was drawn before the failure is reused: no suggestion is lost, none is drawn twice."""
    failures = iter([True, True, False, True, False, False, False])

    def refuse_now_and_then(picked: Picked) -> bool:
        return not picked.picks or not next(failures, False)

    result = run(sweep(constant, optimizer=Counting(), hooks={"pick": hooks(validate=refuse_now_and_then, retry=5)}), 3)
    assert [trial.params["i"] for trial in result.trials] == [0, 1, 2]
    assert isinstance(result.optimizer, Counting)
    assert result.optimizer.asked == 3
    assert [event.suggestion for event in events(result, Draw)] == [0, 1, 2]


class Flaky(Scheduler):
    """Draws, and then fails, every other time."""

    def __init__(self) -> None:
        self.picks = 0

    def pick(self, offer: Offer) -> None:
        """Fails after it has looked at a suggestion."""
        self.picks += 1
        offer.next()
        if self.picks % 2:
            raise ConnectionError("try again")
        super().pick(offer)


def test_a_scheduler_that_fails_after_drawing_is_asked_again() -> None:
    """The failed attempt changed nothing, and its suggestions are there for the next."""
    flaky = {"pick": hooks(retry=Retry(retries=1, backoff=2.0, on=ConnectionError))}
    result = run(sweep(constant, optimizer=Counting(), scheduler=Flaky(), hooks=flaky), 2)
    assert [trial.params["i"] for trial in result.trials] == [0, 1]
    assert result.spend.seconds >= 6.0


def test_a_retry_of_score_counts_nothing_twice() -> None:
    """The statistics of a refused output are as if it had never been made."""
    refusals = iter([False, True, False, True, True])

    def now_and_then(scored: Scored) -> bool:
        return not scored.scores or next(refusals, True)

    gate = {"score": hooks(validate=now_and_then, retry=2)}
    experiment = sweep(rewards({"a": 0.5}), optimizer=queue(*"aaa"), scheduler=IterationScheduler(), hooks=gate)
    result = run(experiment)
    assert (result.branches["a"].runs, result.branches["a"].reward_sum) == (3, 1.5)
    assert kinds(result).count("score") == 3


def test_a_retry_of_dispatch_starts_nothing_twice() -> None:
    """The executor remembers what it started, and keeps what happened until it is recorded."""
    ran: list[str] = []
    refusals = iter([False, True, False, True, False])

    async def objective(trial: TrialContext) -> float:
        ran.append(trial.id)
        await asyncio.sleep(1.0)
        return 1.0

    def now_and_then(happened: Happened) -> bool:
        return next(refusals, True)

    result = run(sweep(objective, hooks={"dispatch": hooks(validate=now_and_then, retry=2)}), 3)
    assert ran == ["0", "1", "2"]
    assert [trial.attempt for trial in result.trials] == [1, 1, 1]
    assert kinds(result).count("dispatch") == kinds(result).count("result") == 3


def test_a_retry_of_fan_out_adds_nothing_twice() -> None:
    """Follow-ups of a refused output are made once."""
    refusals = iter([False, True])

    def now_and_then(fanned: FannedOut) -> bool:
        return not fanned.follow or next(refusals, True)

    scheduler = IterationScheduler(expander=lambda trial: [{"i": 1}] if trial.parent is None else [])
    gate = {"fan_out": hooks(validate=now_and_then, retry=2)}
    result = run(sweep(rewards({"a": 0.9}), optimizer=queue("a"), scheduler=scheduler, hooks=gate), 5)
    assert [trial.id for trial in result.trials] == ["0", "0-f1"]
    assert (result.triggers, kinds(result).count("paper.trigger")) == (["a"], 1)


def test_a_timeout_of_dispatch_covers_starting_only() -> None:
    """A trial may run for hours under a timeout of one second."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(3600.0)
        return 1.0

    result = run(sweep(objective, hooks={"dispatch": hooks(timeout=1.0)}), 2)
    assert result.stop_reason is StopReason.BUDGET_TRIALS
    assert result.spend.seconds == pytest.approx(7200.0)


def test_a_timeout_of_pick_ends_a_slow_decision() -> None:
    """A member that decides in a thread is given up at the deadline; the run ends with the error and can be resumed."""

    class Slow(Scheduler):
        slow = True

        def pick(self, offer: Offer) -> None:
            time.sleep(0.1)
            super().pick(offer)

    store = MemoryStore()
    with pytest.raises(StageTimeout, match="'pick'"):
        sweep(scheduler=Slow(), hooks={"pick": hooks(timeout=0.01)}, store=store).run(1)
    assert events_kept(store) == 0


def test_profiling_a_sweep_changes_nothing() -> None:
    """profile=True measures a stage."""
    assert essence(run(sweep(hooks={"score": hooks(profile=True)}), 2)) == essence(run(sweep(), 2))


def test_hook_sets_merge() -> None:
    """Sets of hooks are dicts, and can be put together."""
    seen: list[str] = []
    debug = hooks(before=lambda run: seen.append("before"))
    both = debug | hooks(after=lambda scored: seen.append("after"))
    run(sweep(hooks={"score": both}), 1)
    assert seen[:2] == ["before", "after"]


def test_a_retry_of_a_slow_pick_waits_for_the_thread_that_was_given_up() -> None:
    """It does not ask the optimizer beside it, and uses what that one has drawn."""
    busy: list[int] = []
    together: list[int] = []

    class SlowOnce(Scheduler):
        slow = True

        def __init__(self) -> None:
            self.calls = 0

        def pick(self, offer: Offer) -> None:
            self.calls += 1
            busy.append(1)
            together.append(len(busy))
            offer.next()
            time.sleep(0.2 if self.calls == 1 else 0.0)
            super().pick(offer)
            busy.pop()

    async def objective(trial: TrialContext) -> float:
        return 1.0

    patient = {"pick": hooks(timeout=0.15, retry=3)}
    result = sweep(objective, optimizer=Counting(), scheduler=SlowOnce(), hooks=patient).run(2)
    assert [trial.params["i"] for trial in result.trials] == [0, 1]
    assert set(together) == {1}


def test_a_retry_finds_an_id_that_its_first_attempt_drew() -> None:
    """An id that was drawn before the failure is taken after it."""

    class Twice(Optimizer):
        def __init__(self) -> None:
            self.calls = 0

        def suggest(self, n: int) -> list[Suggestion]:
            self.calls += 1
            if self.calls == 2:
                raise ConnectionError("try again")
            return [Suggestion(id="a", params={})]

    with pytest.raises(SuggestionError, match="'a' is taken"):
        run(sweep(constant, optimizer=Twice(), slots=2, hooks={"pick": hooks(retry=Retry(2, on=ConnectionError))}), 2)
