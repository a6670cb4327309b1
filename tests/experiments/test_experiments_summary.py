"""The summary of a result reads no more than it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metta_sweep import SweepExperiment, Trial, Uniform


class CountedTrials(list[Trial]):
    """Trials that count how often they are read from the first to the last."""

    reads = 0

    def __iter__(self) -> Iterator[Trial]:
        self.reads += 1
        return super().__iter__()


def test_a_summary_reads_each_trial_once() -> None:
    """The best of them, the failures, and their sums are found on one way: in a file, each trial is a row that is checked."""

    def train(x: float) -> float:
        if x < 0.3:
            raise ValueError("too small")
        return x

    result = SweepExperiment(objective=train, search_space={"x": Uniform(0, 1)}, store="memory", seed=1).run(budget=30)
    before = result.summary()
    trials = CountedTrials(result.trials)
    as_any: Any = result
    as_any.trials = trials
    scored = sorted((trial for trial in list(trials) if trial.score is not None), key=lambda trial: -(trial.score or 0.0))
    trials.reads = 0
    assert result.summary() == before
    assert trials.reads == 1
    lines = before.splitlines()
    assert [line.split()[0] for line in lines if "completed" in line] == [trial.id for trial in scored[:10]]
    assert f"... and {len(scored) - 10} more" in lines
    assert f"failed  {30 - len(scored)} of 30 trials" in before
