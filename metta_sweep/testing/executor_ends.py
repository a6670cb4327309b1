"""How attempts must end, whatever the executor: stopped, cut, failed or by themselves."""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.executor import StopCause
from metta_sweep.testing.executor_driver import Drive, ExecutorCase, task_of

__all__ = ["ExecutorEnds"]

CAUSES: Final[tuple[StopCause, ...]] = ("verdict", "complete", "deadline", "interrupt")


class ExecutorEnds(ExecutorCase):
    """One part of ``ExecutorConformance``."""

    def test_a_trial_can_be_stopped_at_a_report(self) -> None:
        """For each cause the one terminal event tells it, without metrics; what the trial function cleans up with has run."""
        self.needs("stops")
        cleaned: list[str] = []

        def cleans(trial: TrialContext) -> Iterator[float]:
            try:
                while True:
                    yield 1.0
            finally:
                cleaned.append(trial.id)

        async def main(it: Drive) -> None:
            for number, cause in enumerate(CAUSES):
                it.start(task_of(number))
                await it.until_report()
                it.executor.stop(str(number), cause, 100 * it.epoch)
                (ended,) = await it.until_ended()
                assert (ended.stopped, ended.metrics, ended.error) == (cause, None, None)
            assert cleaned == [str(number) for number in range(len(CAUSES))]
            assert await it.rest() == []

        self.run(cleans, main)

    def test_a_trial_without_grace_ends_at_once(self) -> None:
        """In the midst of an epoch too; its terminal event comes all the same, and only one."""
        self.needs("stops")

        async def main(it: Drive) -> None:
            it.start(task_of())
            it.executor.stop("0", "deadline", 0.0)
            (ended,) = await it.until_ended()
            assert (ended.stopped, ended.metrics, ended.error) == ("deadline", None, None)
            assert await it.rest() == []

        self.run(None, main)

    def test_what_ends_by_itself_within_its_grace_has_its_result(self) -> None:
        """A function that returns in time was not stopped; stopping what has ended does nothing."""
        self.needs("stops")

        drives: list[Drive] = []

        def one_epoch(trial: TrialContext) -> float:
            drives[0].work()
            return 2.0

        async def main(it: Drive) -> None:
            drives.append(it)
            it.start(task_of())
            it.executor.stop("0", "deadline", 1000 * it.epoch)
            (ended,) = await it.until_ended()
            assert (ended.metrics, ended.stopped) == ({"score": 2.0}, None)
            it.executor.stop("0", "deadline", 0.0)
            assert await it.rest() == []

        self.run(one_epoch, main)

    def test_the_first_cause_counts(self) -> None:
        """A trial that is asked to end twice tells why it was asked first."""
        self.needs("stops")

        async def main(it: Drive) -> None:
            it.start(task_of())
            it.executor.stop("0", "interrupt", 100 * it.epoch)
            it.executor.stop("0", "deadline", 100 * it.epoch)
            (ended,) = await it.until_ended()
            assert ended.stopped == "interrupt"

        self.run(None, main)

    def test_errors_are_data(self) -> None:
        """What a trial raises, returns wrongly or yields wrongly is the error of its attempt: type, message, traceback."""

        def wrong(trial: TrialContext) -> Any:
            kind = trial.params["kind"]
            if kind == "raises":
                raise ValueError("broken")
            if kind == "exits":
                raise SystemExit("gone")
            return None if kind == "nothing" else float("nan")

        async def main(it: Drive) -> None:
            kinds = ["raises", "exits", "nothing", "nan"]
            it.start(*(task_of(number, kind=kind) for number, kind in enumerate(kinds)))
            ends = {ended.trial_id: ended for ended in await it.until_ended(4)}
            errors = [ends[str(number)].error for number in range(4)]
            assert [ended.metrics for ended in ends.values()] == [None] * 4
            metric_error = "metta_sweep.errors.MetricError"
            assert [error and error.type for error in errors[::2]] == ["ValueError", metric_error]
            assert all(errors)
            assert "SystemExit" in f"{errors[1]}"
            first = errors[0]
            assert first is not None
            assert first.message == "broken"
            assert "in wrong" in first.traceback

        self.run(wrong, main)

    def test_an_error_after_reports_ends_the_attempt(self) -> None:
        """The reports came, and then the error; a retry is another attempt and begins anew."""

        def fails_once(trial: TrialContext) -> Iterator[float]:
            yield 1.0
            if trial.attempt == 1:
                raise RuntimeError("lost")
            yield 2.0

        async def main(it: Drive) -> None:
            it.start(task_of())
            (first,) = await it.until_ended()
            it.start(task_of(attempt=2))
            (second,) = await it.until_ended()
            assert first.error is not None
            assert (first.error.type, first.metrics) == ("RuntimeError", None)
            assert (second.error, second.metrics) == (None, {"score": 2.0})

        self.run(fails_once, main)

    def test_metadata_come_with_the_end(self) -> None:
        """As plain JSON; what is none is the trial's error."""

        def notes(trial: TrialContext) -> float:
            trial.metadata["layers"] = (1, 2) if trial.number == 0 else object()
            return 1.0

        async def main(it: Drive) -> None:
            it.start(task_of(0), task_of(1))
            ends = {ended.trial_id: ended for ended in await it.until_ended(2)}
            assert ends["0"].metadata == {"layers": [1, 2]}
            assert ends["1"].error is not None
            assert "not JSON" in ends["1"].error.message

        self.run(notes, main)

    def test_a_time_limit_ends_an_attempt(self) -> None:
        """With an error that says so, once; what takes less time is not cut."""

        async def main(it: Drive) -> None:
            it.start(task_of(0, time_limit=3.5 * it.epoch), task_of(1, time_limit=1e6 * it.epoch))
            (ended,) = await it.until_ended()
            assert (ended.trial_id, ended.metrics, ended.stopped) == ("0", None, None)
            assert ended.error is not None
            assert ended.error.type == "metta_sweep.errors.TrialTimeout"
            assert "time limit" in ended.error.message
            assert ended.seconds >= 3.5 * it.epoch * 0.999
            assert (await it.until_report()).trial_id == "1"

        self.run(None, main)
