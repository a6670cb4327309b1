"""What runs where, and what comes back."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest
from executor_runs import events_of, next_events, outcome_of, run_to_end, task_of, told

from metta_sweep.errors import ExecutorError, IllegalTransition, ObjectiveError, UnknownOption
from metta_sweep.executors import Ended, LocalExecutor, ReportMade, TrialContext
from metta_sweep.testing.virtual import run_virtual


class Model:
    """A user's object."""

    def method(self, trial: TrialContext) -> float:
        """A sync one."""
        return float(trial.params["x"] + 1.0)

    async def coroutine_method(self, trial: TrialContext) -> float:
        """An async one."""
        return float(trial.params["x"] + 1.0)

    def __call__(self, trial: TrialContext) -> float:
        """The trial function."""
        return float(trial.params["x"] + 1.0)


class AsyncCallable:
    """A user's object whose call is a coroutine."""

    async def __call__(self, trial: TrialContext) -> float:
        """The trial function."""
        return float(trial.params["x"] + 1.0)


async def _coroutine(trial: TrialContext) -> float:
    return float(trial.params["x"] + 1.0)


def _function(trial: TrialContext) -> float:
    return float(trial.params["x"] + 1.0)


def _with_offset(offset: float, trial: TrialContext) -> float:
    return float(trial.params["x"] + offset)


def _gives_coroutine(trial: TrialContext) -> Awaitable[float]:
    return _coroutine(trial)


def _generator(trial: TrialContext) -> Iterator[float]:
    yield 0.5
    yield trial.params["x"] + 1.0


async def _async_generator(trial: TrialContext) -> AsyncIterator[float]:
    yield 0.5
    yield trial.params["x"] + 1.0


@pytest.mark.parametrize(
    "objective",
    [
        pytest.param(_coroutine, id="coroutine"),
        pytest.param(_function, id="function"),
        pytest.param(Model().method, id="bound method"),
        pytest.param(Model().coroutine_method, id="bound _coroutine method"),
        pytest.param(Model(), id="callable object"),
        pytest.param(AsyncCallable(), id="async callable object"),
        pytest.param(lambda trial: trial.params["x"] + 1.0, id="lambda"),
        pytest.param(lambda trial: _coroutine(trial), id="lambda that gives a coroutine"),
        pytest.param(lambda trial: _async_generator(trial), id="lambda that gives an async generator"),
        pytest.param(functools.partial(_with_offset, 1.0), id="partial"),
        pytest.param(functools.partial(_coroutine), id="partial of a coroutine"),
        pytest.param(_gives_coroutine, id="function that gives a coroutine"),
        pytest.param(_generator, id="generator"),
        pytest.param(_async_generator, id="async generator"),
    ],
)
def test_every_kind_of_function_runs(objective: Any) -> None:
    """Whatever can be called with a trial gives its metric."""
    ended = outcome_of(objective, task_of(x=2.0))

    assert ended.error is None
    assert ended.metrics == {"score": 3.0}
    assert (ended.trial_id, ended.attempt, ended.stopped, ended.metadata) == ("0", 1, None, None)


def test_seconds_are_those_of_the_event_loop() -> None:
    """A trial that sleeps for an hour took an hour of virtual time."""

    async def slow(trial: TrialContext) -> float:
        await asyncio.sleep(3600)
        return 1.0

    assert outcome_of(slow).seconds == pytest.approx(3600)


def test_errors_are_data() -> None:
    """An exception becomes its type, message and traceback, which begins at the trial function."""

    async def fails(trial: TrialContext) -> float:
        raise ValueError("bad lr")

    ended = outcome_of(fails)

    assert ended.metrics is None
    assert ended.error is not None
    assert (ended.error.type, ended.error.message) == ("ValueError", "bad lr")
    assert "in fails" in ended.error.traceback
    assert "metta_sweep/executors" not in ended.error.traceback


def test_errors_in_threads_are_data() -> None:
    """The same for a function in a thread, whatever it raises."""

    def exits(trial: TrialContext) -> float:
        sys.exit(3)

    assert "SystemExit(3)" in told(outcome_of(exits))


def test_exit_of_a_coroutine_is_an_error_of_the_trial() -> None:
    """A _coroutine that exits fails its trial, not the sweep."""

    async def exits(trial: TrialContext) -> float:
        sys.exit(3)

    assert told(outcome_of(exits)) == "SystemExit: 3"


def test_an_exception_of_any_kind_ends_the_attempt() -> None:
    """What is derived from BaseException alone, as the outcomes of test libraries are, fails the trial and holds up nothing."""

    class Outcome(BaseException):
        pass

    async def fails(trial: TrialContext) -> float:
        raise Outcome("skipped")

    assert told(outcome_of(fails)).endswith("Outcome: skipped")


@pytest.mark.parametrize("value", [None, "0.5", True, {}, float("nan"), {"a": {"b": 1.0}}])
def test_what_is_no_metric_is_an_error(value: Any) -> None:
    """A return value that is no metric fails the trial, and the message names the attempt."""
    text = told(outcome_of(lambda trial: value))

    assert text.startswith("metta_sweep.errors.MetricError: trial[0]")


def test_an_exception_that_cannot_be_shown_is_still_an_error() -> None:
    """A broken ``__str__`` of an exception does not lose the terminal event."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    async def fails(trial: TrialContext) -> float:
        raise Broken

    assert "its message cannot be made" in told(outcome_of(fails))


def test_a_cancellation_inside_a_trial_is_its_error() -> None:
    """A _coroutine that cancels itself leaves a terminal event."""

    async def cancels(trial: TrialContext) -> float:
        raise asyncio.CancelledError("odd")

    assert told(outcome_of(cancels)) == "asyncio.exceptions.CancelledError: odd"


def test_metadata_is_kept() -> None:
    """What a trial puts into its metadata comes with its end, as plain JSON."""

    async def noted(trial: TrialContext) -> float:
        trial.metadata["layers"] = (1, 2)
        return 1.0

    assert outcome_of(noted).metadata == {"layers": [1, 2]}


def test_metadata_that_is_not_json_fails_the_trial() -> None:
    """The error names the key, and what was found."""

    async def noted(trial: TrialContext) -> float:
        trial.metadata["model"] = object()
        return 1.0

    ended = outcome_of(noted)

    assert "trial.metadata['model']" in told(ended)
    assert "found a object" in told(ended)
    assert ended.metrics is None


def test_completions_of_one_tick_come_in_order_of_dispatch() -> None:
    """Whatever order trials end in within a tick, they are seen as they were started."""

    async def main() -> list[str]:
        gates = [asyncio.get_running_loop().create_future() for _ in range(4)]

        async def waits(trial: TrialContext) -> float:
            await gates[trial.number]
            return 1.0

        executor = LocalExecutor()
        executor.prepare(waits)
        async with executor:
            for number in range(4):
                executor.start(task_of(number))
            await asyncio.sleep(0)
            for gate in reversed(gates):
                gate.set_result(None)
            return [event.trial_id for event in await next_events(executor)]

    assert run_virtual(main()) == ["0", "1", "2", "3"]


def test_starting_again_does_nothing_until_the_end_is_acknowledged() -> None:
    """A retried dispatch starts no attempt twice; a later attempt of the trial starts after the first is acknowledged."""

    async def main() -> list[int]:
        runs: list[int] = []

        async def counted(trial: TrialContext) -> float:
            runs.append(trial.attempt)
            return 1.0

        executor = LocalExecutor()
        executor.prepare(counted)
        async with executor:
            executor.start(task_of())
            executor.start(task_of())
            await executor.wait()
            executor.start(task_of())
            await next_events(executor)
            executor.start(task_of(attempt=2))
            await run_to_end(executor)
            return runs

    assert run_virtual(main()) == [1, 2]


def test_two_attempts_of_a_trial_never_run_at_once() -> None:
    """Starting a second attempt while the first runs is refused."""

    async def main() -> None:
        async def waits(trial: TrialContext) -> float:
            await asyncio.sleep(1)
            return 1.0

        executor = LocalExecutor()
        executor.prepare(waits)
        async with executor:
            executor.start(task_of())
            with pytest.raises(IllegalTransition, match="still runs"):
                executor.start(task_of(attempt=2))

    run_virtual(main())


def test_functions_run_in_threads_beside_each_other() -> None:
    """Three sync trials overlap."""
    together = threading.Barrier(3, timeout=10)

    def meets(trial: TrialContext) -> float:
        together.wait()
        return 1.0

    events = events_of(meets, *(task_of(number) for number in range(3)))

    assert all(isinstance(event, Ended) and event.error is None for event in events)


def test_a_thousand_trials_at_once() -> None:
    """Many slots are one event loop's work."""

    async def slow(trial: TrialContext) -> float:
        await asyncio.sleep(1 + trial.number % 7)
        return float(trial.number)

    events = events_of(slow, *(task_of(number) for number in range(1000)))

    assert sorted(event.trial_id for event in events if isinstance(event, Ended) and event.metrics) == sorted(map(str, range(1000)))


def test_reports_come_before_the_end() -> None:
    """Reports of coroutines and of threads arrive, in order, before the terminal event."""

    async def main_coroutine(trial: TrialContext) -> float:
        trial.report(1, 0.1)
        trial.report(2, {"loss": 0.2}, accuracy=0.3)
        return 1.0

    def main_thread(trial: TrialContext) -> float:
        trial.report(1, 0.1)
        trial.report(2, {"loss": 0.2}, accuracy=0.3)
        return 1.0

    for objective in (main_coroutine, main_thread):
        *reports, last = events_of(objective, task_of())
        assert reports == [ReportMade("0", 1, 1, {"score": 0.1}), ReportMade("0", 1, 2, {"loss": 0.2, "accuracy": 0.3})]
        assert isinstance(last, Ended)


@pytest.mark.parametrize(
    ("options", "error", "found"),
    [
        ({"slots": 0}, ExecutorError, "0"),
        ({"slots": -1}, ExecutorError, "-1"),
        ({"slots": 2.5}, ExecutorError, "2.5"),
        ({"slots": "3"}, ExecutorError, "'3'"),
        ({"slots": True}, ExecutorError, "True"),
        ({"checkpoint_dir": 7}, ExecutorError, "7"),
        ({"n_jobs": 4}, UnknownOption, "Did you mean 'slots'?"),
        ({"workers": 4}, UnknownOption, "Did you mean 'slots'?"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], error: type[Exception], found: str) -> None:
    """Each bad setting of the executor gives one error with what was found."""
    with pytest.raises(error) as caught:
        LocalExecutor(**options)

    assert found in str(caught.value)


def test_it_must_be_prepared_and_open() -> None:
    """Entering without a trial _function, starting outside, and entering twice are refused."""

    async def main() -> None:
        executor = LocalExecutor()
        with pytest.raises(ExecutorError, match="no trial function"):
            async with executor:
                pass
        executor.prepare(_coroutine)
        with pytest.raises(ExecutorError, match="not open"):
            executor.start(task_of(x=1.0))
        async with executor:
            with pytest.raises(ExecutorError, match="in use"):
                await executor.__aenter__()

    run_virtual(main())


def test_it_can_be_used_again() -> None:
    """One after another, runs may share an executor."""

    async def main() -> list[Any]:
        executor = LocalExecutor(slots=2)
        scores: list[Any] = []
        for _ in range(2):
            executor.prepare(_function)
            async with executor:
                executor.start(task_of(x=1.0))
                (event,) = await run_to_end(executor)
                assert isinstance(event, Ended)
                scores.append(event.metrics)
        return scores

    assert run_virtual(main()) == [{"score": 2.0}, {"score": 2.0}]


def test_what_another_run_uses_is_not_changed() -> None:
    """While it is open it can be asked whether it could call a function, but takes no other one."""

    async def main() -> Any:
        executor = LocalExecutor()
        executor.prepare(_function)
        async with executor:
            executor.check(_coroutine)
            with pytest.raises(ObjectiveError):
                executor.check(7)
            with pytest.raises(ExecutorError, match="in use by another run"):
                executor.prepare(_coroutine, run_id="other")
            executor.start(task_of(x=1.0))
            (event,) = await run_to_end(executor)
        return event

    assert run_virtual(main()).metrics == {"score": 2.0}


def test_slots_are_counted() -> None:
    """Each attempt that runs is busy."""

    async def main() -> list[int]:
        async def waits(trial: TrialContext) -> float:
            await asyncio.sleep(1)
            return 1.0

        executor = LocalExecutor(slots=3)
        executor.prepare(waits)
        async with executor:
            busy = [executor.busy]
            executor.start(task_of(0))
            executor.start(task_of(1))
            busy.append(executor.busy)
            await run_to_end(executor, 2)
            return [*busy, executor.busy]

    assert run_virtual(main()) == [0, 2, 0]


def test_task_is_what_was_given() -> None:
    """A trial _function sees its own trial."""
    seen: list[Any] = []

    async def looks(trial: TrialContext) -> float:
        seen.extend([trial.id, trial.number, trial.attempt, trial.seed, trial.address, trial.branch])
        return trial.rng.random()

    first, second = outcome_of(looks, task_of(7)), outcome_of(looks, task_of(7))

    assert seen[:6] == ["7", 7, 1, 107, "trial[7]", None]
    assert first.metrics == second.metrics
