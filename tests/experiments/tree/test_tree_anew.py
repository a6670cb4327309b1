"""A stage that runs again since it reads other values: what was done inside it for the old ones is not taken for the new ones."""

from __future__ import annotations

from typing import Any

import pytest
from dying import DieAt, Died

from metta_sweep import Experiment, MemoryStore, Pipeline, SweepExperiment, Uniform
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
