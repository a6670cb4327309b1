"""A stage that runs again since it reads other values: what was done inside it for the old ones is not taken for the new ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dying import DieAt, Died

from metta_sweep import Budget, Experiment, MemoryStore, Pipeline, SweepExperiment, SweepResult, Uniform
from metta_sweep.clock import crash_points


class Shifted(Experiment):
    """Searches a function that depends on an input of its stage."""

    def __init__(self, trials: int = 3, *, in_space: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.trials = trials
        self.in_space = in_space

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline(shift=float).stage("fit", self.fit, trials=self.trials).through(best=float)

    async def fit(self, shift: float, trials: int) -> float:
        """The best score."""

        async def shifted(x: float) -> float:
            return x + shift

        async def plain(x: float) -> float:
            return x

        space = Uniform(shift, shift + 1.0) if self.in_space else Uniform(0.0, 1.0)
        objective = plain if self.in_space else shifted
        sweep = SweepExperiment(objective=objective, search_space={"x": space}, slots=1)
        score = (await sweep.run(budget=trials)).best_score
        assert score is not None
        return score


def names(store: MemoryStore) -> list[str]:
    """The runs inside the experiment."""
    return sorted(str(row.name) for row in store.runs(under="it"))


@pytest.mark.parametrize("in_space", [False, True])
def test_other_values_begin_the_sweep_anew(in_space: bool) -> None:
    """In what the trial function closes over, or in what is searched: the old trials stay beside it."""
    store = MemoryStore()
    for shift in (0.0, 5.0):
        best = Shifted(in_space=in_space, name="it", store=store, seed=1).run(shift=shift).best
        assert shift < best < shift + 1
    assert names(store) == ["it/fit>SweepExperiment", "it/fit>SweepExperiment@1"]


def test_what_was_cut_for_other_values_is_not_gone_on_with() -> None:
    """It died in the middle of the sweep, with nothing recorded of the stage, and is run again with another input."""
    store = MemoryStore()
    with crash_points(DieAt(6)), pytest.raises(Died):
        Shifted(name="it", store=store, seed=1).run(shift=0.0)
    assert Shifted(name="it", store=store, seed=1).run(shift=5.0).best > 5
    assert names(store) == ["it/fit>SweepExperiment", "it/fit>SweepExperiment@1"]


def test_the_same_values_go_on() -> None:
    """Died in the middle, and run again as it was: the sweep goes on."""
    store = MemoryStore()
    whole = Shifted(name="it", store=MemoryStore(), seed=1).run(shift=5.0).best
    with crash_points(DieAt(6)), pytest.raises(Died):
        Shifted(name="it", store=store, seed=1).run(shift=5.0)
    assert Shifted(name="it", store=store, seed=1).run(shift=5.0).best == whole
    assert names(store) == ["it/fit>SweepExperiment"]


def test_a_larger_budget_goes_on() -> None:
    """The stage reads another number of trials, and the sweep is what it was: it does the ones that are missing."""
    store = MemoryStore()
    before = Shifted(3, name="it", store=store, seed=1).run(shift=0.0)
    after = Shifted(8, name="it", store=store, seed=1).run(shift=0.0)
    assert (before.spend.trials, after.spend.trials) == (3, 8)
    assert names(store) == ["it/fit>SweepExperiment"]


class Rated(SweepExperiment):
    """A sweep whose trial function reads an attribute of the sweep."""

    search_space = {"x": Uniform(0.0, 1.0)}  # noqa: RUF012
    slots = 1

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate

    async def objective(self, x: float) -> float:
        """What it reads is no part of its definition."""
        return x + self.rate


class Inner(Experiment):
    """An experiment without inputs, which runs what it was made with."""

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(**options)
        self.made = [rate]

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline().stage("search", self.search).through(found=float)

    async def search(self) -> float:
        """The best score of its sweep."""
        score = (await Rated(self.made[0]).run(budget=3)).best_score
        assert score is not None
        return score


class Outer(Experiment):
    """Makes an experiment of an input of its stage."""

    def __init__(self, kind: type[Rated | Inner], **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def pipeline(self) -> Pipeline:
        """One stage."""
        return Pipeline(rate=float).stage("fit", self.fit).through(best=float)

    async def fit(self, rate: float) -> float:
        """What it found."""
        if self.kind is Rated:
            return float((await Rated(rate).run(budget=3)).best_score or 0.0)
        return float((await Inner(rate).run()).found)


@pytest.mark.parametrize("kind", [Rated, Inner])
def test_what_an_experiment_was_made_with_counts(kind: type[Rated | Inner]) -> None:
    """Where its content cannot be seen, or it has stages, it begins anew whenever the stage around it reads other values."""
    store = MemoryStore()
    for rate in (0.0, 5.0, 5.0):
        assert rate < Outer(kind, name="it", store=store, seed=1).run(rate=rate).best < rate + 1
    assert [name for name in names(store) if name.endswith("@1")] == [f"it/fit>{kind.__name__}@1"]
    assert not [name for name in names(store) if name.endswith("@2")]


async def costly(x: float) -> dict[str, float]:
    """The parameter, at a cost of 1, after a moment in which the journal is committed."""
    await asyncio.sleep(0.001)
    return {"score": x, "cost": 1.0}


def costly_sweep() -> SweepExperiment:
    """What runs inside."""
    return SweepExperiment(objective=costly, search_space={"x": Uniform(0.0, 1.0)}, slots=1, metric="score", name="inner")


class Costly(Experiment):
    """Runs it in a stage."""

    def pipeline(self) -> Pipeline:
        """One stage, which reads an input."""
        return Pipeline(rate=float).stage("fit", self.fit).through(best=float)

    async def fit(self, rate: float) -> float:
        """The best score, less the rate."""
        score = (await costly_sweep().run(budget=3, fresh=True)).best_score
        assert score is not None
        return score - rate


def test_what_a_sweep_cost_before_it_began_anew_is_spent() -> None:
    """In a trial, within one run and over several: what is kept aside counts in what it ran in, exactly, and caps it."""
    store = MemoryStore()

    async def outer(x: float) -> float:
        inner = costly_sweep()
        await inner.run(budget=3)
        for _ in range(2):
            await inner.run(budget=3, fresh=True)
        return x

    def run(cost: float) -> SweepResult:
        options: dict[str, Any] = {"objective": outer, "search_space": {"x": Uniform(0.0, 1.0)}, "slots": 1, "store": store}
        return SweepExperiment(**options, name="root").run(budget=Budget(trials=2, cost=cost))

    assert run(9.0).spend.cost == 9.0
    again = run(30.0)
    assert (again.spend.trials, again.spend.cost) == (2, 18.0)
    kept = sum(result.spend.cost for result in again.children.values())
    assert kept == 18.0


def test_what_it_cost_counts_in_experiments_of_stages_too() -> None:
    """A stage runs again with other values, and what is inside it begins anew: both times are paid."""
    store = MemoryStore()
    costs = [Costly(name="it", store=store, seed=1).run(rate=rate).spend.cost for rate in (0.0, 1.0, 1.0)]
    assert costs == [3.0, 6.0, 6.0]


def test_what_was_cut_before_it_began_anew_is_spent() -> None:
    """It died in the middle of the sweep, before that told anybody what it had used."""
    store = MemoryStore()
    with crash_points(DieAt(8)), pytest.raises(Died):
        Costly(name="it", store=store, seed=1).run(rate=0.0)
    result = Costly(name="it", store=store, seed=1).run(rate=0.0)
    before = result.children["fit>inner@1"].spend.cost
    assert 0 < before < 3
    assert result.spend.cost == 3.0 + before
