"""What ``Experiment.run()`` takes besides inputs, and how inputs may be given."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from metta_sweep import Experiment, MemoryStore, Pipeline, SweepExperiment, Uniform
from metta_sweep.errors import DefinitionChanged, InvalidInput, RunInUse


class Twice(Experiment):
    """Doubles its input, and counts how often it did."""

    def __init__(self, calls: list[int], **settings: Any) -> None:
        super().__init__(**settings)
        self.calls = calls

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline(n=int).stage("double", self.double).through(doubled=int)

    def double(self, n: int) -> int:
        """Twice as much."""
        self.calls.append(n)
        return 2 * n


@dataclass(frozen=True)
class Start:
    """The state that a pipeline begins with."""

    n: int
    rate: float = 0.5


class OfState(Experiment):
    """Its inputs are the fields of a model."""

    def pipeline(self) -> Pipeline:
        """One stage."""

        def total(start: Start) -> float:
            return start.n * start.rate

        return Pipeline(Start).stage("total", total).through(total=float)


def test_fresh_starts_over_and_keeps_the_old_run() -> None:
    """As ``name@1``, and ``name@2`` the next time; what was recorded is not used."""
    calls: list[int] = []
    store = MemoryStore()
    experiment = Twice(calls, name="twice", store=store)
    for fresh in (False, False, True, True, False):
        assert experiment.run(n=4, fresh=fresh).doubled == 8
    assert calls == [4, 4, 4]
    assert [row.name for row in store.runs()] == ["twice@1", "twice@2", "twice"]


def test_fresh_with_wrong_inputs_moves_nothing() -> None:
    """The old run keeps its name until the new one begins."""
    store = MemoryStore()
    experiment = Twice([], name="twice", store=store)
    experiment.run(n=4)
    with pytest.raises(InvalidInput, match="does not fit its type"):
        experiment.run(n="4", fresh=True)
    assert [row.name for row in store.runs()] == ["twice"]


def test_fresh_takes_a_name_from_another_class() -> None:
    """What refuses to go on says so, and ``fresh`` then works."""
    store = MemoryStore()
    OfState(name="it", store=store).run(n=1)
    with pytest.raises(DefinitionChanged, match=r"run\(fresh=True\)"):
        Twice([], name="it", store=store).run(n=1)
    assert Twice([], name="it", store=store).run(n=1, fresh=True).doubled == 2


def test_listeners_and_strict_hooks_reach_the_run() -> None:
    """Events are told to listeners; an error of an observer ends a strict run."""
    told: list[str] = []
    Twice([]).run(n=1, listeners=[lambda event: told.append(type(event).__name__)])
    assert told == ["StageStarted", "StageFinished"]

    class Observed(Twice):
        def pipeline(self) -> Pipeline:
            return super().pipeline().with_global_hooks(after=lambda stage, data: 1 / 0)

    assert Observed([]).run(n=1).doubled == 2
    with pytest.raises(ZeroDivisionError):
        Observed([]).run(n=1, strict_hooks=True)


def test_on_code_change_reaches_the_run() -> None:
    """``refuse`` raises where a recorded stage has other code now, ``rerun`` runs it; plan_resume takes the same."""

    class Changed(Twice):
        def double(self, n: int) -> int:
            self.calls.append(n)
            return n + n

    Changed.__qualname__ = Twice.__qualname__
    store = MemoryStore()
    Twice([], name="it", store=store).run(n=3)
    calls: list[int] = []
    changed = Changed(calls, name="it", store=store)
    with pytest.raises(DefinitionChanged):
        changed.run(n=3, on_code_change="refuse")
    assert changed.plan_resume(n=3, on_code_change="rerun").rows[0].verdict == "rerun"
    changed.run(n=3, on_code_change="rerun")
    assert calls == [3]


async def test_stream_tells_events_and_leaves_a_result() -> None:
    """A named one is kept: the second time its stage is reused."""
    experiment = Twice([], name="it", store=MemoryStore())
    for kinds in (["StageStarted", "StageFinished"], ["StageReused"]):
        events = experiment.stream(n=2)
        assert [type(event).__name__ async for event in events] == kinds
        assert events.result.doubled == 4


def test_an_instance_of_the_state_model_is_all_inputs() -> None:
    """As the one positional argument, and as ``inputs=``; single inputs win."""
    assert OfState().run(Start(4)).total == 2.0
    assert OfState().run(inputs=Start(4), rate=0.25).total == 1.0
    assert OfState().run({"n": 6}).total == 3.0
    with pytest.raises(InvalidInput, match=r"^OfState\.run\(inputs=\): these are no inputs; found 3; expected a mapping, or"):
        OfState().run(3)


async def test_a_plan_takes_an_instance_of_the_state_model() -> None:
    """As ``inputs=``."""
    assert (await OfState().build().run(inputs=Start(4))).total == 2.0


def test_an_input_may_be_called_like_an_option() -> None:
    """Then it is given as ``inputs=``, and the error of a missing one says so."""

    class Fresh(Experiment):
        def pipeline(self) -> Pipeline:
            def same(fresh: int) -> int:
                return fresh

            return Pipeline(fresh=int).stage("same", same).through(out=int)

    assert Fresh().run(inputs={"fresh": 5}).out == 5
    with pytest.raises(InvalidInput, match=r"Fresh\.run\(fresh=\).*Pass inputs=\{'fresh': \.\.\.\}"):
        Fresh().run()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n": 1, "m": 2}, r"^Twice\.run\(m=\): 'm' is no declared input; found 2; expected one of n\."),
        ({"n": 1, "frsh": True}, r"^Twice\.run\(frsh=\).*Did you mean 'fresh'\?"),
        ({"n": 1, "store": "a.db"}, r"^Twice\.run\(store=\): .*Write Twice\(store=\.\.\.\)\.run\(\.\.\.\)\.$"),
        ({"n": 1, "recorder": 1}, r"^Twice\.run\(recorder=\): 'recorder' is no declared input; found 1; .*Declare it"),
        ({}, r"^Twice\.run\(n=\): the input 'n' is missing"),
        ({"n": 1, "on_code_change": "ignore"}, r"^Twice\.run\(on_code_change=\): there is no such policy"),
        ({"n": 1, "listeners": print}, r"^Twice\.run\(listeners=\): listeners come as a list"),
    ],
)
def test_errors_name_the_class(given: dict[str, Any], says: str) -> None:
    """And never suggest what was written, nor what only ``Plan.run`` takes."""
    with pytest.raises(InvalidInput, match=says):
        Twice([]).run(**given)


def test_errors_of_plan_resume_name_the_class() -> None:
    """They do not speak of a plan either."""
    with pytest.raises(InvalidInput, match=r"^Twice\.plan_resume\(m=\)"):
        Twice([], name="it", store=MemoryStore()).plan_resume(n=1, m=2)


class Selfish(Experiment):
    """Runs itself in its stage."""

    def __init__(self, *, blocking: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.blocking = blocking

    def pipeline(self) -> Pipeline:
        """One stage."""

        async def awaits() -> float:
            return float((await self.run()).x)

        def blocks() -> float:
            return float(self.run().x)

        return Pipeline().stage("again", blocks if self.blocking else awaits).through(x=float)


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("name", [None, "it"])
def test_an_experiment_cannot_run_within_itself(*, blocking: bool, name: str | None) -> None:
    """One clear error instead of a recursion without end."""
    experiment = Selfish(blocking=blocking, name=name, store=MemoryStore())
    for _ in range(2):
        with pytest.raises(RunInUse, match=r"^Selfish\.run\(\): this experiment is run from within its own run\."):
            experiment.run()


async def test_one_instance_may_run_side_by_side_and_another_within() -> None:
    """Only what is within its own run is refused."""
    inner = Twice([])

    class Outer(Experiment):
        def pipeline(self) -> Pipeline:
            async def both() -> int:
                first, second = await asyncio.gather(inner.arun(n=1), inner.arun(n=2))
                return int(first.doubled + second.doubled)

            return Pipeline().stage("both", both).through(x=int)

    outer = Outer()
    assert [result.x for result in await asyncio.gather(outer.arun(), outer.arun())] == [6, 6]


def test_a_sweep_cannot_run_within_its_own_trials() -> None:
    """Its trials fail with the same error."""

    async def train(x: float) -> float:
        await sweep.arun(2)
        return x

    sweep = SweepExperiment(objective=train, search_space={"x": Uniform(0, 1)}, store="memory")
    (trial,) = sweep.run(1).trials
    assert trial.error is not None
    assert trial.error.type == "metta_sweep.errors.RunInUse"
