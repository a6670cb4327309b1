"""Trials that flow through a kept pipeline: written, read back, the same."""

from __future__ import annotations

from typing import Any

import pytest

from metta_sweep import SweepExperiment, Uniform
from metta_sweep.core.trial import Report, Trial, TrialError, TrialState
from metta_sweep.errors import ContractError
from metta_sweep.pipeline import Pipeline
from metta_sweep.store import MemoryStore

FULL = Trial(
    id="kept",
    number=3,
    params={"rate": 0.1, "layers": [1, 2], "norm": None, "deep": {"on": True}},
    branch="wide",
    origin="RandomOptimizer",
    parent="2",
    index=7,
    state=TrialState.FAILED,
    attempt=2,
    reports=(Report(1, {"loss": 0.5, "accuracy": (0.5, 0.1)}),),
    metrics={"loss": 1.0, "accuracy": (0.1 + 0.2, 0.2)},
    score=1.0,
    error=TrialError("ValueError", "no", "Traceback"),
    reason="why",
    seconds=0.25,
    metadata={"notes": ["a", 1, None]},
)
EARLY = Trial(id="0", number=0, params={})


async def resumed(pipeline: Pipeline, last: list[object]) -> object:
    """What the stage ``look`` reads after the run broke there, and was begun again by another plan."""
    store = MemoryStore()

    def look(trials: object) -> int:
        last.append(trials)
        if len(last) == 1:
            raise RuntimeError("killed")
        return len(last)

    plan = pipeline.stage("look", look).through(seen=int).build()
    with pytest.raises(RuntimeError, match="killed"):
        await plan.run(name="kept", store=store)
    await plan.run(name="kept", store=store)
    return last[1]


async def test_a_list_of_trials_comes_back_as_it_was() -> None:
    """A stage whose contract is a list of trials is not run again, and what follows reads equal trials, of the same classes."""
    made: list[int] = []

    def explore() -> list[Trial]:
        made.append(1)
        return [FULL, EARLY]

    seen: list[object] = []
    back = await resumed(Pipeline().stage("explore", explore).through(trials=list[Trial]), seen)
    assert back == [FULL, EARLY] == seen[0]
    assert made == [1]
    assert isinstance(back, list)
    first = back[0]
    assert type(first.state) is TrialState
    assert type(first.reports[0]) is Report
    assert type(first.error) is TrialError
    assert first.value("accuracy") == 0.1 + 0.2
    assert first.last_report.value("accuracy") == 0.5
    assert list(first.params) == list(FULL.params)


@pytest.mark.parametrize("form", [Trial, Trial | None, dict[str, Trial], tuple[Trial, ...]])
async def test_trials_come_back_in_other_forms(form: Any) -> None:
    """One trial, an optional one, a mapping and a tuple of them are the same after a resume."""
    value = {"a": FULL} if form == dict[str, Trial] else (FULL, EARLY) if form == tuple[Trial, ...] else FULL
    pipeline = Pipeline().stage("explore", lambda: value).through(trials=form)
    assert await resumed(pipeline, []) == value


async def test_trials_of_a_sweep_are_kept_as_a_list_of_them() -> None:
    """What ``list(results.trials)`` holds goes through a kept pipeline."""

    async def explore() -> list[Trial]:
        sweep = SweepExperiment(objective=lambda x: x, search_space={"x": Uniform(0, 1)}, seed=1, store="memory")
        return list((await sweep.run(budget=3)).trials)

    seen: list[object] = []
    back = await resumed(Pipeline().stage("explore", explore).through(trials=list[Trial]), seen)
    assert back == seen[0]
    assert isinstance(back, list)
    assert [trial.state for trial in back] == [TrialState.COMPLETED] * 3


async def test_the_trials_of_a_result_are_no_list_and_the_error_says_what_to_write() -> None:
    """``results.trials`` under ``list[Trial]`` is refused: it is a view of the store; the message shows ``list(...)``."""

    async def explore() -> object:
        sweep = SweepExperiment(objective=lambda x: x, search_space={"x": Uniform(0, 1)}, seed=1, store="memory")
        return (await sweep.run(budget=3)).trials

    plan = Pipeline().stage("explore", explore).through(trials=list[Trial]).build()
    with pytest.raises(ContractError, match=r"found <3 trials> \(TrialsView\), expected a list: write list\(x\)"):
        await plan.run()
