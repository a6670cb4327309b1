"""What every executor must do, as tests: for people who write one."""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from metta_sweep.errors import ExecutorError, IllegalTransition, ObjectiveError
from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.executor import Ended, Executor, ReportMade
from metta_sweep.testing.executor_driver import Drive, drive, refused, task_of
from metta_sweep.testing.executor_ends import ExecutorEnds
from metta_sweep.testing.executor_pauses import ExecutorPauses

__all__ = ["ExecutorConformance"]


class ExecutorConformance(ExecutorEnds, ExecutorPauses):
    """Subclass it in a test file, name the class ``Test...`` and say how an executor is made; pytest runs the rest.

    Trial functions are plain functions and generators. What an executor does not claim to do, by its ``capabilities``, is skipped.

    Example:
        ```python
        class TestMyExecutor(ExecutorConformance):
            def make_executor(self) -> Executor:
                return MyExecutor(slots=4)
        ```
    """

    def make_executor(self) -> Executor:
        """A new executor, with at least four slots, that runs nothing."""
        raise NotImplementedError

    # -- facts, and when they are forgotten ------------------------------------------------------------------------------------

    def test_a_result_is_told_once(self) -> None:
        """One terminal event with the metrics, the seconds and no error; nothing follows it."""

        async def main(it: Drive) -> None:
            it.start(task_of(3, x=0.5))
            (ended,) = await it.until_ended()
            assert (ended.trial_id, ended.attempt, ended.metrics) == ("3", 1, {"score": 0.5})
            assert (ended.error, ended.stopped) == (None, None)
            assert ended.seconds >= 0.0
            assert await it.rest() == []

        self.run(lambda trial: trial.params["x"], main)

    def test_what_is_not_acknowledged_stays(self) -> None:
        """A second look shows the same; acknowledging some leaves the others, in the order of dispatch."""

        async def main(it: Drive) -> None:
            it.start(*(task_of(number, x=float(number)) for number in (2, 0, 1)))
            seen = await it.all_seen(3)
            assert list(it.executor.peek()) == seen
            assert [event.trial_id for event in seen] == ["2", "0", "1"]
            it.executor.acknowledge(1)
            assert list(it.executor.peek()) == seen[1:]
            it.executor.acknowledge(2)
            assert list(it.executor.peek()) == []

        self.run(lambda trial: trial.params["x"], main)

    def test_an_attempt_is_started_once(self) -> None:
        """Starting it again does nothing before its end is acknowledged, whether it runs or has ended."""
        calls: list[str] = []

        def counted(trial: TrialContext) -> float:
            calls.append(trial.address)
            return 1.0

        async def main(it: Drive) -> None:
            it.start(task_of(), task_of())
            await it.all_seen(1)
            it.start(task_of())
            assert len(await it.until_ended()) == 1
            assert await it.rest() == []
            it.start(task_of(attempt=2))
            (ended,) = await it.until_ended()
            assert (ended.attempt, calls) == (2, ["trial[0]", "trial[0]#2"])

        self.run(counted, main)

    def test_two_attempts_of_a_trial_never_run_at_once(self) -> None:
        """The second is refused while the first one runs, and may start when that has ended."""

        async def main(it: Drive) -> None:
            it.start(task_of())
            with refused(IllegalTransition):
                it.start(task_of(attempt=2))
            it.executor.stop("0", "interrupt", 100 * it.epoch)
            (ended,) = await it.until_ended()
            assert ended.attempt == 1

        self.run(None, main)

    def test_the_trial_sees_its_task(self) -> None:
        """Parameters, seed, attempt, number, limits and the step after which it goes on."""

        def tells(trial: TrialContext) -> dict[str, float]:
            limit = trial.resources.time_limit or 0.0
            return {"x": trial.params["x"], "seed": trial.seed, "number": trial.number, "limit": limit, "step": trial.resume_step}

        async def main(it: Drive) -> None:
            it.start(task_of(7, time_limit=3600.0, x=2.0))
            (ended,) = await it.until_ended()
            assert ended.metrics == {"x": 2.0, "seed": 107.0, "number": 7.0, "limit": 3600.0, "step": 0.0}

        self.run(tells, main)

    # -- reports ---------------------------------------------------------------------------------------------------------------

    def test_reports_come_in_order_before_the_end(self) -> None:
        """With their steps and metrics; a generator that tells no steps is counted from 1; its last metrics are its result."""
        self.needs("streams")

        def three(trial: TrialContext) -> Iterator[float]:
            yield from (0.5, 0.25, 0.125)

        async def main(it: Drive) -> None:
            it.start(task_of())
            (ended,) = await it.until_ended()
            reports = [(event.step, event.metrics) for event in it.events if isinstance(event, ReportMade)]
            assert reports == [(1, {"score": 0.5}), (2, {"score": 0.25}), (3, {"score": 0.125})]
            assert it.events[-1] is ended
            assert ended.metrics == {"score": 0.125}

        self.run(three, main)

    def test_a_function_may_report(self) -> None:
        """Its reports come before its result, which is what it returns."""
        self.needs("streams")

        def reports(trial: TrialContext) -> float:
            trial.report(5, loss=0.5)
            trial.report(9, loss=0.25)
            return 4.0

        async def main(it: Drive) -> None:
            it.start(task_of())
            (ended,) = await it.until_ended()
            assert [(event.step, event.metrics) for event in it.events[:-1] if isinstance(event, ReportMade)] == [
                (5, {"loss": 0.5}),
                (9, {"loss": 0.25}),
            ]
            assert ended.metrics == {"score": 4.0}

        self.run(reports, main)

    def test_a_generator_waits_for_its_verdict(self) -> None:
        """Nothing comes after a report before it is answered; the answer to another report, or for another trial, is none."""
        self.needs("streams")

        async def main(it: Drive) -> None:
            it.start(task_of())
            first = await it.until_report()
            it.executor.answer("0", first.step + 1)
            it.executor.answer("1", first.step)
            assert await it.rest() == []
            it.executor.answer("0", first.step)
            assert (await it.until_report()).step == first.step + 1

        self.run(None, main)

    # -- waiting ---------------------------------------------------------------------------------------------------------------

    def test_waiting_ends_at_its_time(self) -> None:
        """Though nothing happened; not before."""

        async def main(it: Drive) -> None:
            until = it.now() + 2 * it.epoch
            await it.executor.wait(until)
            assert it.now() >= until * 0.999
            assert list(it.executor.peek()) == []

        self.run(None, main)

    def test_waiting_ends_when_there_is_something(self) -> None:
        """At once where it is there already, however late it may wait."""

        async def main(it: Drive) -> None:
            it.start(task_of(x=1.0))
            await it.all_seen(1)
            before = it.now()
            await it.executor.wait(before + 3600.0)
            assert it.now() < before + 3600.0

        self.run(lambda trial: trial.params["x"], main)

    def test_waiting_ends_when_it_is_woken(self) -> None:
        """By the event loop's thread and by another one; nothing need have happened."""

        async def main(it: Drive) -> None:
            loop = asyncio.get_running_loop()
            loop.call_soon(it.executor.wake)
            await it.executor.wait()
            loop.run_in_executor(None, it.executor.wake)
            await it.executor.wait()
            assert list(it.executor.peek()) == []

        self.run(None, main)

    # -- its life --------------------------------------------------------------------------------------------------------------

    def test_leaving_ends_what_runs(self) -> None:
        """Each attempt has its one terminal event, and tells that it was interrupted."""
        self.needs("stops")

        async def main(it: Drive) -> None:
            it.start(task_of(0), task_of(1))
            await it.until_report()

        ends = [event for event in self.run(None, main).executor.peek() if isinstance(event, Ended)]
        assert sorted((ended.trial_id, ended.stopped) for ended in ends) == [("0", "interrupt"), ("1", "interrupt")]

    def test_it_serves_one_run_at_a_time(self) -> None:
        """While it is open it cannot be prepared or entered again, and a check changes nothing; afterwards it serves the next."""
        executor = self.make_executor()

        async def first(it: Drive) -> None:
            with refused(ExecutorError):
                executor.prepare(it.epochs, None)
            with refused(ExecutorError):
                await executor.__aenter__()
            executor.check(lambda trial: 2.0, None)
            it.start(task_of())
            (ended,) = await it.until_ended()
            assert ended.metrics == {"score": 1.0}

        async def second(it: Drive) -> None:
            it.start(task_of())
            (ended,) = await it.until_ended()
            assert ended.metrics == {"score": 2.0}

        self.run(lambda trial: 1.0, first, executor)
        self.run(lambda trial: 2.0, second, executor)

    def test_what_cannot_be_called_is_refused(self) -> None:
        """By the check and by the preparation, before anything runs."""
        executor = self.make_executor()
        for refuse in (executor.check, executor.prepare):
            with refused(ObjectiveError):
                refuse("train", None)

    def test_it_is_of_no_use_unprepared_or_closed(self) -> None:
        """It cannot be entered before it has a trial function, and starts nothing when it is not open."""
        executor = self.make_executor()

        async def unprepared() -> None:
            with refused(ExecutorError):
                await executor.__aenter__()
            executor.prepare(lambda trial: 1.0, None)
            with refused(ExecutorError):
                executor.start(task_of())

        drive(unprepared())

    def test_it_says_how_much_it_can_do(self) -> None:
        """Slots are None or at least 1; when all has ended no slot is held, and it can start more."""

        async def main(it: Drive) -> None:
            it.start(*(task_of(number) for number in range(4)))
            await it.until_ended(4)
            assert (it.executor.leaked_slots, it.executor.exhausted()) == (0, None)
            assert it.executor.slots is None or it.executor.slots >= 1

        self.run(lambda trial: 1.0, main)
