"""What makes a kept run the one that it is: kind, class, options of strategies, the trial function and its code."""

from __future__ import annotations

import functools
import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sweep_kit import run, sweep

from metta_sweep import Experiment, MemoryStore, Optimizer, Pipeline
from metta_sweep.core.setup import Setup
from metta_sweep.errors import DefinitionChanged, OptimizerError
from metta_sweep.experiments.definition import provenance
from metta_sweep.schedulers import IterationScheduler
from metta_sweep.store import open_store


class Steps(Optimizer):
    """Has two options."""

    def __init__(self, sigma: float, sizes: tuple[int, ...] = (1, 2)) -> None:
        self.sigma = sigma
        self.sizes = sizes

    def suggest(self, n: int) -> list[dict[str, Any]]:
        """The middle."""
        return [{"x": 0.5}] * n


class Wider(IterationScheduler):
    """Has one option more than its parent."""

    def __init__(self, breadth: int, **options: Any) -> None:
        super().__init__(**options)
        self.breadth = breadth


class One(Experiment):
    """Makes 1."""

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline().stage("one", lambda: 1).through(one=int)


class Two(One):
    """Another class."""


def starts(store: Any) -> list[dict[str, Any]]:
    """The notes of all starts."""
    return [json.loads(record.payload) for row in store.runs() for record in store.records(row.run_id, kind="start")]


# -- kinds and classes -------------------------------------------------------------------------------------------------------------


def test_a_sweep_under_the_name_of_another_experiment_is_refused() -> None:
    """And the other way round; the run that is kept stays as it is, and goes on."""
    store = MemoryStore()
    One(name="e", store=store).run()
    with pytest.raises(DefinitionChanged, match="kind: kept 'experiment', given 'sweep'"):
        run(sweep(name="e", store=store), 2)
    assert One(name="e", store=store).run().one == 1
    run(sweep(name="s", store=store), 2)
    with pytest.raises(DefinitionChanged, match="kind: kept 'sweep', given 'experiment'"):
        One(name="s", store=store).run()
    assert len(run(sweep(name="s", store=store), 3).trials) == 3
    assert len(store.runs()) == 2


def test_another_class_under_the_name_is_refused() -> None:
    """The error shows both, and how to start over."""
    store = MemoryStore()
    One(name="e", store=store).run()
    with pytest.raises(DefinitionChanged, match="class: kept 'One', given 'Two'") as caught:
        Two(name="e", store=store).run()
    assert "start over with run(fresh=True)" in str(caught.value)
    Two(name="e", store=store).run(fresh=True)


async def test_a_pipeline_by_hand_is_no_sweep() -> None:
    """Names are shared by all that a store keeps."""
    store = MemoryStore()
    plan = One().build()
    await plan.run(name="p", store=store)
    with pytest.raises(DefinitionChanged, match="kind: kept 'pipeline', given 'sweep'"):
        await sweep(name="p", store=store).arun(1)
    await sweep(name="s", store=store).arun(1)
    with pytest.raises(DefinitionChanged, match="kind: kept 'sweep', given 'pipeline'"):
        await plan.run(name="s", store=store)
    await plan.run(name="p", store=store)


# -- strategies --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "given", "shown"),
    [
        ({"optimizer": Steps(1.0)}, {"optimizer": Steps(5.0)}, r"optimizer\.sigma: kept 1\.0, given 5\.0"),
        ({"scheduler": Wider(1)}, {"scheduler": Wider(2)}, r"scheduler\.breadth: kept 1, given 2"),
    ],
)
def test_options_of_custom_strategies_are_part_of_it(kept: dict[str, Any], given: dict[str, Any], shown: str) -> None:
    """Trials of one option never mix with those of another under one name."""
    store = MemoryStore()
    run(sweep(name="it", store=store, **kept), 1)
    with pytest.raises(DefinitionChanged, match=shown):
        run(sweep(name="it", store=store, **given), 2)
    assert len(run(sweep(name="it", store=store, **kept), 2).trials) == 2


def test_a_tuple_is_the_list_that_it_was_kept_as() -> None:
    """What describe() returns is compared as JSON; what has no JSON form goes by its class."""

    class Tells(Steps):
        def describe(self) -> dict[str, Any]:
            return {"sizes": (1, 2), "nan": float("nan"), "object": object(), "function": print}

    store = MemoryStore()
    for count in (1, 2):
        assert len(run(sweep(name="it", store=store, optimizer=Tells(1.0)), count).trials) == count


# -- the trial function ------------------------------------------------------------------------------------------------------------


def trial_function(version: int) -> Any:
    """One name, two codes."""

    async def first(x: float) -> float:
        return x if str(x) not in {"a", "b", "c"} else 0.0

    async def second(x: float) -> float:
        return x * 2

    second.__qualname__ = first.__qualname__
    return first if version == 1 else second


def test_changed_code_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """One warning when the code of the trial function is another than in the process before; the run goes on."""
    store = MemoryStore()
    told: list[int] = []
    with caplog.at_level(logging.WARNING, "metta_sweep"):
        for count, version in enumerate((1, 1, 2, 2), start=1):
            run(sweep(trial_function(version), name="it", store=store), count)
            told.append(caplog.text.count("the code of the objective of 'it' has changed"))
    assert told == [0, 0, 1, 1]


def test_arguments_of_a_partial_count() -> None:
    """The same function with another argument is another experiment; its module is no part of the name."""

    async def objective(x: float, scale: float) -> float:
        return x * scale

    store = MemoryStore()
    run(sweep(functools.partial(objective, scale=1.0), name="it", store=store), 1)
    with pytest.raises(DefinitionChanged, match=r"objective\.keywords\.scale: kept 1\.0, given 2\.0"):
        run(sweep(functools.partial(objective, scale=2.0), name="it", store=store), 2)
    as_script = functools.partial(objective, scale=1.0)
    objective.__module__ = "__main__"
    assert len(run(sweep(as_script, name="it", store=store), 2).trials) == 2


# -- starting over -----------------------------------------------------------------------------------------------------------------


def test_starting_over_renames_nothing_when_a_strategy_refuses() -> None:
    """The old run keeps its name until the new one can begin; a first run that is refused leaves nothing."""

    class Refuses(Steps):
        def for_run(self, setup: Setup) -> Optimizer:
            raise OptimizerError("Refuses", "it is not ready")

    store = MemoryStore()
    with pytest.raises(OptimizerError):
        run(sweep(name="new", store=store, optimizer=Refuses(1.0)), 1)
    assert store.runs() == []
    run(sweep(name="it", store=store), 1)
    with pytest.raises(OptimizerError):
        run(sweep(name="it", store=store, optimizer=Refuses(1.0)), 1, fresh=True)
    assert [row.name for row in store.runs()] == ["it"]


# -- provenance --------------------------------------------------------------------------------------------------------------------


def test_a_run_in_a_file_knows_its_commit(tmp_path: Path) -> None:
    """Commit and local changes of the working directory, where there is git; a run in memory does not ask."""
    store = open_store(tmp_path / "kept.db")
    run(sweep(name="it", store=store), 1)
    (note,) = starts(store)
    store.close()
    assert set(note["provenance"]["git"] or {"commit", "dirty"}) == {"commit", "dirty"}
    memory = MemoryStore()
    run(sweep(name="it", store=memory), 1)
    assert "git" not in starts(memory)[0]["provenance"]


@pytest.mark.parametrize(
    "failure", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 1), subprocess.CalledProcessError(128, "git")]
)
def test_no_git_is_no_error(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a directory that is in no repository, nor a git that does not answer."""
    from metta_sweep.experiments.definition import _git_state

    def fails(*args: Any, **options: Any) -> Any:
        raise failure

    monkeypatch.setattr(subprocess, "run", fails)
    _git_state.cache_clear()
    assert provenance(git=True)["git"] is None
    _git_state.cache_clear()
