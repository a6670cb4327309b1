"""Checkpoints are removed when the journal needs them no more, and not before."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from metta_sweep.core.events import Dispatch, Draw, Event, Paused, Pick, Result, Resume, Score
from metta_sweep.errors import IllegalTransition
from metta_sweep.executors import LocalExecutor, TrialContext
from metta_sweep.experiments import SweepExperiment
from metta_sweep.experiments.outputs import Happened, Picked, Scored
from metta_sweep.optimizers import SuggestionQueue
from metta_sweep.testing import run_virtual

FIRST, SECOND = "1" * 64, "2" * 64


class Tells(LocalExecutor):
    """Remembers what it was told to keep."""

    def __init__(self, folder: Path) -> None:
        super().__init__(checkpoint_dir=folder)
        self.told: list[set[str]] = []

    def keep_only(self, checkpoints: Collection[str]) -> None:
        """Remember it."""
        self.told.append(set(checkpoints))
        super().keep_only(checkpoints)


def counts(trial: TrialContext) -> Iterator[float]:
    """Counts from where it was."""
    yield from map(float, range(trial.resume_step + 1, 9))


def told_after(folder: Path, *, fails: bool) -> list[set[str]]:
    """What the executor was told of a trial that pauses twice; the record of its second pause may fail at its end."""
    executor = Tells(folder)
    experiment = SweepExperiment(objective=counts, optimizer=SuggestionQueue([{}]), executor=executor, seed=1, store="memory")
    wrong: tuple[Event, ...] = (Dispatch("9", None, 1),) if fails else ()

    async def run() -> None:
        async with experiment.open() as opened:
            recorder = opened.recorder
            recorder.record("sweep[0]/pick", Picked((Draw(0, {}), Pick(0, "0", 0))), None)
            recorder.record("sweep[0]/dispatch", Happened((Dispatch("0", None, 1), Paused("0", None, 1, 1, 0.0, FIRST))), None)
            recorder.flush()
            recorder.record("sweep[1]/pick", Picked((Resume("0", None, 1, FIRST),)), None)
            recorder.record("sweep[1]/dispatch", Happened((Dispatch("0", None, 2),)), None)
            recorder.record("sweep[2]/dispatch", Happened((Paused("0", None, 2, 2, 0.0, SECOND), *wrong)), None)

    if fails:
        with pytest.raises(IllegalTransition):
            run_virtual(run())
    else:
        run_virtual(run())
    return executor.told


def test_nothing_is_removed_after_a_record_that_was_not_kept(tmp_path: Path) -> None:
    """The state has taken a pause that the journal does not tell of: the checkpoint of the one before is needed."""
    assert told_after(tmp_path, fails=False) == [{FIRST}, {SECOND}]
    assert told_after(tmp_path, fails=True) == [{FIRST}]


def test_the_last_checkpoint_goes_with_the_score(tmp_path: Path) -> None:
    """A commit between the last result and its score does not leave it for ever."""
    executor = Tells(tmp_path)
    experiment = SweepExperiment(objective=counts, optimizer=SuggestionQueue([{}]), executor=executor, seed=1, store="memory")

    async def run() -> None:
        async with experiment.open() as opened:
            recorder = opened.recorder
            recorder.record("sweep[0]/pick", Picked((Draw(0, {}), Pick(0, "0", 0))), None)
            recorder.record("sweep[0]/dispatch", Happened((Dispatch("0", None, 1), Paused("0", None, 1, 1, 0.0, FIRST))), None)
            recorder.record("sweep[1]/pick", Picked((Resume("0", None, 1, FIRST),)), None)
            ended = Result("0", None, 2, {"score": 1.0}, 0.0)
            recorder.record("sweep[1]/dispatch", Happened((Dispatch("0", None, 2), ended)), None)
            recorder.flush()
            recorder.record("sweep[1]/score", Scored((Score("0", None, 1.0, 1.0, 1, 1.0, best=True),)), None)

    run_virtual(run())
    assert executor.told == [{FIRST}, set()]
