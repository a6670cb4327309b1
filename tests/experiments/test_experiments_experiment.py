"""The base of all experiments: a pipeline with a name, a store and a seed."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from metta_sweep import Experiment, MemoryStore, Pipeline, StageContext, SweepExperiment, Uniform
from metta_sweep.errors import BuildError, DefinitionChanged, InvalidInput, InvalidName, NotAwaited, StoreError, UnknownOption


class Draws(Experiment):
    """Draws a number from the seed of its stage."""

    def pipeline(self) -> Pipeline:
        """One stage."""

        def draw(stage: StageContext) -> float:
            return stage.rng.random()

        return Pipeline().stage("draw", draw).through(drawn=float)


class Sum(Experiment):
    """Adds its inputs, and counts how often it did."""

    def __init__(self, calls: list[int], **settings: Any) -> None:
        super().__init__(**settings)
        self.calls = calls

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline(a=int, b=int).stage("add", self.add).through(total=int)

    def add(self, a: int, b: int) -> int:
        """The sum."""
        self.calls.append(a)
        return a + b


def test_run_in_a_script() -> None:
    """run() blocks and returns the fields of the pipeline."""
    assert Sum([]).run(a=1, b=2).total == 3


async def test_run_in_an_event_loop() -> None:
    """`await run()`, and an error when the await is forgotten."""
    assert (await Sum([]).run(a=1, b=2)).total == 3
    with pytest.raises(NotAwaited, match=r"await Sum\.run\(\)"):
        Sum([]).run(a=1, b=2).total
    assert (await Sum([]).arun(a=2, b=2)).total == 4


def test_a_named_experiment_is_kept() -> None:
    """Run again with the same inputs, its stages are reused; with other inputs they run."""
    calls: list[int] = []
    store = MemoryStore()
    for a in (1, 1, 5):
        assert Sum(calls, name="sum", store=store).run(a=a, b=2).total == a + 2
    assert calls == [1, 5]


def test_an_unnamed_experiment_is_not_kept() -> None:
    """It runs each time."""
    calls: list[int] = []
    experiment = Sum(calls)
    experiment.run(a=1, b=2)
    experiment.run(a=1, b=2)
    assert calls == [1, 1]


def test_a_seed_decides() -> None:
    """The same seed gives the same numbers; without one each run draws its own."""
    assert Draws(seed=4).run().drawn == Draws(seed=4).run().drawn
    assert Draws(seed=4).run().drawn != Draws(seed=5).run().drawn
    unseeded = Draws()
    assert unseeded.run().drawn != unseeded.run().drawn


def test_an_experiment_without_a_pipeline() -> None:
    """The error says what to define."""
    with pytest.raises(InvalidInput, match=r"Define pipeline\(self\)"):
        Experiment().run()


@pytest.mark.parametrize("made", [None, "a text"])
def test_a_pipeline_method_that_returns_none(made: Any) -> None:
    """A forgotten return is one error that names the class and says what to write."""

    class Forgot(Experiment):
        def pipeline(self) -> Any:
            return made

    with pytest.raises(InvalidInput, match=rf"^Forgot\.pipeline\(\): it returns no pipeline; found {made!r}.*Return"):
        Forgot().run()


def test_a_pipeline_method_may_return_a_plan() -> None:
    """What is built already is run as it is."""

    class Planned(Experiment):
        def pipeline(self) -> Any:
            return Draws().build()

    assert Planned(seed=3).run().drawn == Draws(seed=3).run().drawn


def test_faults_of_the_pipeline_come_before_anything_runs() -> None:
    """build() and run() raise them all at once."""

    class Faulty(Experiment):
        def pipeline(self) -> Pipeline:
            def one(missing: int) -> int:
                return missing

            def two(gone: int) -> int:
                return gone

            return Pipeline().stage("one", one).through(one=int).stage("two", two).through(two=int)

    with pytest.raises(BuildError) as caught:
        Faulty().build()
    assert {fault.stage for fault in caught.value.faults} == {"one", "two"}


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"name": "a b"}, InvalidName, r"Draws\(name=\)"),
        ({"name": 3}, InvalidName, r"Draws\(name=\)"),
        ({"seed": -1}, InvalidInput, r"Draws\(seed=\)"),
        ({"seed": 1.5}, InvalidInput, r"Draws\(seed=\)"),
        ({"store": 3}, StoreError, r"Draws\(store=\)"),
    ],
)
def test_bad_settings(settings: dict[str, Any], error: type[InvalidInput], says: str) -> None:
    """Name, seed and store are checked as they are given, and named with the class."""
    with pytest.raises(error, match=says):
        Draws(**settings)


def test_options_that_it_does_not_take() -> None:
    """A misspelt one gets a did-you-mean, one without a name says how to write it."""
    with pytest.raises(UnknownOption, match=r"unknown option 'nam'.*Did you mean 'name'"):
        Draws(nam="it")  # type: ignore[arg-type]
    with pytest.raises(UnknownOption, match=r"by name; found 'it'.*Write Draws\(name='first'\)"):
        Draws("it")  # type: ignore[arg-type]


def test_attributes_of_the_class_are_checked() -> None:
    """Name and seed may be said by the class; a bad one is refused as the constructor's would be."""

    class Named(Draws):
        name = "drawn"
        seed = 4

    class Bad(Draws):
        name = "a b"

    assert Named(store=MemoryStore()).run().drawn == Draws(name="other", store=MemoryStore(), seed=4).run().drawn
    assert Named(name="mine").name == "mine"
    with pytest.raises(InvalidName, match=r"Bad\(name=\)"):
        Bad()


def test_name_and_seed_stay_as_they_are() -> None:
    """What was checked when it was made cannot be changed afterwards; other attributes can."""
    experiment = Sum([], name="sum")
    with pytest.raises(AttributeError, match=r"Sum\.seed cannot be set to 'x'.*Sum\(seed=\.\.\.\)"):
        experiment.seed = "x"  # type: ignore[assignment]
    experiment.calls = [1]
    assert copy.deepcopy(experiment).name == "sum"


def test_a_named_experiment_tells_what_its_resume_would_do() -> None:
    """Before anything runs; one without a name says why there is nothing to tell, a sweep what resumes it instead."""
    calls: list[int] = []
    store = MemoryStore()
    named = Sum(calls, name="sum", store=store)
    assert [row.verdict for row in named.plan_resume(a=1, b=2).rows] == ["new"]
    named.run(a=1, b=2)
    assert [row.verdict for row in named.plan_resume(a=1, b=2).rows] == ["reuse"]
    assert str(named.plan_resume(a=2, b=2)).splitlines()[2:] == ["add      add    rerun    changed since: a", "sum: 1 to run again"]
    assert calls == [1]
    with pytest.raises(InvalidInput, match=r"without a name is not kept.*Sum\(name='first'\)"):
        Sum([]).plan_resume(a=1, b=2)
    with pytest.raises(DefinitionChanged):
        Draws(name="sum", store=store).plan_resume()
    with pytest.raises(InvalidInput, match=r"a sweep is resumed from its journal.*Call run\(\)"):
        SweepExperiment(search_space={"x": Uniform(0, 1)}, name="sweep", store=store).plan_resume()


def test_looking_at_a_resume_makes_no_store(tmp_path: Path) -> None:
    """Where nothing is kept yet everything is new, and no file appears; a kept run is read, by a path as by the variable."""
    named = Sum([], name="sum", store=tmp_path / "runs.db")
    assert [row.verdict for row in named.plan_resume(a=1, b=2).rows] == ["new"]
    assert list(tmp_path.iterdir()) == []
    named.run(a=1, b=2)
    assert [row.verdict for row in named.plan_resume(a=1, b=2).rows] == ["reuse"]
    copied = tmp_path / "elsewhere"
    copied.mkdir()
    for file in tmp_path.glob("runs.db*"):
        shutil.copy(file, copied)
    before = {file.name: file.read_bytes() for file in copied.glob("*.db")}
    assert [row.verdict for row in Sum([], name="sum", store=copied / "runs.db").plan_resume(a=1, b=2).rows] == ["reuse"]
    assert {file.name: file.read_bytes() for file in copied.glob("*.db")} == before
    with pytest.raises(StoreError, match="there is no such file"):
        Sum([], name="sum", store=tmp_path / "none" / "runs.db").plan_resume(a=1, b=2)
