"""Composed experiments inside other experiments: as bases of a meta-experiment, stages, and trial functions."""

from __future__ import annotations

from functools import partial
from typing import Any

from nesting_kit import bowl, kept_runs

from metta_sweep import (
    CurriculumExperiment,
    Experiment,
    HybridExperiment,
    Integer,
    MemoryStore,
    MetaExperiment,
    OptimizerOptimizer,
    Permutation,
    Pipeline,
    SweepExperiment,
    TrialState,
    Uniform,
)
from metta_sweep.optimizers import EvolutionOptimizer, RandomOptimizer

SPACE = {"x": Uniform(-1.0, 1.0)}


def make_sweep(task: str) -> SweepExperiment:
    """The sweep of a task: its best x is a tenth of the length of its name."""
    return SweepExperiment(objective=partial(bowl, best=len(task) / 10), search_space=SPACE, slots=1)


def hybrid(**settings: Any) -> HybridExperiment:
    """A small one that needs no library."""
    return HybridExperiment(
        objective=bowl,
        search_space=SPACE,
        **{"explore": 4, "model": 3, "refine": (2, 2), "validate": 2, "candidates": 1, "modeler": EvolutionOptimizer(), **settings},
    )


class Evolving(OptimizerOptimizer):
    """Searches how far the children of an evolution are from their parents."""

    config_space = {"mutation_scale": Uniform(0.01, 1.0)}  # noqa: RUF012

    def create_optimizer(self, mutation_scale: float) -> EvolutionOptimizer:
        """An evolution."""
        return EvolutionOptimizer(mutation_scale=mutation_scale)


def test_the_sequence_of_a_curriculum_is_searched() -> None:
    """A meta-experiment tries orders of the tasks: each copy runs them in its own order."""
    base = CurriculumExperiment(tasks=["a", "bbb", "ccccc"], sweep=make_sweep, budget_per_task=3, transfer=True)
    orders = {"tasks": Permutation(["a", "bbb", "ccccc"])}
    result = MetaExperiment(base=base, search_space=orders, slots=1, seed=1, store="memory").run(budget=3)
    assert result.states == {TrialState.COMPLETED: 3}
    for trial, address in zip(result.trials, result.children, strict=True):
        copy: Any = result.children[address]
        assert [done["task"] for done in copy["history"]] == trial.params["tasks"]
        assert copy["best_score"] == trial.score
    assert base.tasks == ["a", "bbb", "ccccc"]


def test_the_resources_of_a_hybrid_are_searched() -> None:
    """How much each phase gets, as options of the copies."""
    base = hybrid()
    search_space = {"explore": Integer(2, 6), "validate": Integer(1, 3)}
    result = MetaExperiment(base=base, search_space=search_space, slots=1, seed=1, store="memory").run(budget=3)
    for trial, address in zip(result.trials, result.children, strict=True):
        copy: Any = result.children[address]
        assert len(copy["exploration_results"]) == trial.params["explore"]
        assert len(next(iter(copy["validation_scores"].values()))["scores"]) == trial.params["validate"]


def test_an_optimizer_of_optimizers_is_optimized() -> None:
    """Four levels: a meta-experiment over rounds of sweeps of trials."""
    store = MemoryStore()
    base = Evolving(objective=bowl, search_space=SPACE, meta_optimizer=RandomOptimizer(), rounds=2, budget=3)
    meta = MetaExperiment(
        name="meta", base=base, search_space={"budget": Integer(2, 4)}, score="best_performance", slots=1, seed=1, store=store
    )
    result = meta.run(budget=2)
    assert result.states == {TrialState.COMPLETED: 2}
    names = kept_runs(store, "meta")
    assert "meta/trial[1]>Evolving/rounds[1]/test_optimizer>SweepExperiment" in names
    assert len(names) == 2 + 2 * 2


def test_as_stages_of_a_pipeline() -> None:
    """What their last stage provides flows on, and their sweeps lie under the stage."""

    class Both(Experiment):
        def pipeline(self) -> Pipeline:
            tuner = Evolving(objective=bowl, search_space=SPACE, meta_optimizer=RandomOptimizer(), rounds=2, budget=3)
            return (
                Pipeline()
                .stage("search", hybrid())
                .stage("tune", tuner)
                .stage("tell", lambda best_score, best_performance: max(best_score, best_performance))
                .through(best=float)
            )

    store = MemoryStore()
    result = Both(name="both", seed=1, store=store).run()
    assert result.best == max(result.best_score, result.best_performance)
    assert "both/search>HybridExperiment/refine>SweepExperiment" in kept_runs(store, "both")
    assert list(result.children) == ["search>HybridExperiment", "tune>Evolving"]


def test_as_trial_functions() -> None:
    """A function of the parameters returns one that has not been run: the trial runs it, and the goal says what counts."""
    store = MemoryStore()

    def searched(explore: int) -> HybridExperiment:
        return hybrid(explore=explore)

    outer = SweepExperiment(
        name="outer",
        objective=searched,
        search_space={"explore": Integer(2, 5)},
        goal={"best_score": "maximize"},
        slots=1,
        seed=1,
        store=store,
    )
    result = outer.run(budget=2)
    copies: list[Any] = [result.children[address] for address in result.children]
    assert [trial.score for trial in result.trials] == [copy["best_score"] for copy in copies]
    assert "outer/trial[1]>HybridExperiment/validate>SweepExperiment" in kept_runs(store, "outer")
