"""What pausing must keep, whatever the executor: the trial's files, exactly, for it and for those that take its place."""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

from collections.abc import Iterator

from metta_sweep.executors.context import TrialContext
from metta_sweep.executors.executor import Ended
from metta_sweep.testing.executor_driver import Drive, ExecutorCase, task_of

__all__ = ["ExecutorPauses"]


def counts(trial: TrialContext) -> Iterator[dict[str, float]]:
    """Keeps in a file how far it has come, adds ``x`` at each step, and is over at step 6."""
    file = trial.checkpoint_dir / "deep" / "sum.txt"
    file.parent.mkdir(exist_ok=True)
    step, total = (float(word) for word in file.read_text().split()) if file.exists() else (0.0, 0.0)
    for now in range(int(step) + 1, 7):
        total += trial.params["x"]
        file.write_text(f"{now} {total}")
        yield {"step": now, "total": total}


class ExecutorPauses(ExecutorCase):
    """One part of ``ExecutorConformance``."""

    async def _paused_at(self, it: Drive, step: int) -> Ended:
        """Answer reports up to that step of the one trial that runs, and pause it there."""
        while (report := await it.until_report()).step < step:
            it.executor.answer(report.trial_id, report.step)
        it.executor.stop(report.trial_id, "pause", 100 * it.epoch)
        (ended,) = await it.until_ended()
        return ended

    def test_a_paused_trial_goes_on_where_it_was(self) -> None:
        """Its end tells the pause and a checkpoint; the next attempt finds what was kept, and comes to the same result."""
        self.needs("pauses")

        async def main(it: Drive) -> None:
            it.start(task_of(x=1.0))
            paused = await self._paused_at(it, 2)
            assert (paused.stopped, paused.metrics, paused.error) == ("pause", None, None)
            assert isinstance(paused.checkpoint, str)
            it.start(task_of(attempt=2, resume_step=2, checkpoint=paused.checkpoint, x=1.0))
            assert (await it.until_report()).step == 3
            it.executor.answer("0", 3)
            (ended,) = await it.until_ended()
            assert (ended.attempt, ended.metrics) == (2, {"total": 6.0})

        self.run(counts, main)

    def test_a_paused_trial_frees_what_it_held(self) -> None:
        """Another one runs to its end meanwhile."""
        self.needs("pauses")

        async def main(it: Drive) -> None:
            it.start(task_of(0, x=1.0))
            paused = await self._paused_at(it, 2)
            it.start(task_of(1, x=2.0))
            (other,) = await it.until_ended()
            it.start(task_of(0, attempt=2, resume_step=2, checkpoint=paused.checkpoint, x=1.0))
            (first,) = await it.until_ended()
            assert (other.metrics, first.metrics) == ({"total": 12.0}, {"total": 6.0})

        self.run(counts, main)

    def test_a_trial_may_go_on_from_another_ones_checkpoint(self) -> None:
        """It finds the files of that one as they were at the pause, with parameters of its own; later writes are not shared."""
        self.needs("pauses")

        async def main(it: Drive) -> None:
            it.start(task_of(0, x=1.0))
            source = await self._paused_at(it, 3)
            it.start(task_of(1, x=50.0))
            await self._paused_at(it, 1)
            it.start(task_of(1, attempt=2, resume_step=3, checkpoint=source.checkpoint, x=10.0))
            (clone,) = await it.until_ended()
            it.start(task_of(0, attempt=2, resume_step=3, checkpoint=source.checkpoint, x=1.0))
            (first,) = await it.until_ended()
            assert clone.metrics == {"total": 3.0 + 30.0}
            assert first.metrics == {"total": 6.0}

        self.run(counts, main)

    def test_an_attempt_that_went_wrong_begins_at_the_pause_again(self) -> None:
        """What it wrote after the pause is gone."""
        self.needs("pauses")

        async def main(it: Drive) -> None:
            it.start(task_of(x=1.0))
            paused = await self._paused_at(it, 2)
            it.start(task_of(attempt=2, resume_step=2, checkpoint=paused.checkpoint, x=1.0))
            await it.until_report()
            it.executor.stop("0", "interrupt", 100 * it.epoch)
            await it.until_ended()
            it.start(task_of(attempt=3, resume_step=2, checkpoint=paused.checkpoint, x=1.0))
            assert (await it.until_report()).step == 3
            it.executor.stop("0", "interrupt", 100 * it.epoch)
            await it.until_ended()

        self.run(counts, main)

    def test_a_checkpoint_outlives_the_executor(self) -> None:
        """Another one, for the same run and place, goes on from it: so does a process that takes the run up."""
        self.needs("pauses")
        kept: list[str | None] = []

        async def first(it: Drive) -> None:
            it.start(task_of(x=1.0))
            kept.append((await self._paused_at(it, 2)).checkpoint)

        async def second(it: Drive) -> None:
            it.start(task_of(attempt=2, resume_step=2, checkpoint=kept[0], x=1.0))
            assert (await it.until_report()).step == 3
            it.executor.answer("0", 3)
            (ended,) = await it.until_ended()
            assert ended.metrics == {"total": 6.0}

        self.run(counts, first)
        self.run(counts, second)
