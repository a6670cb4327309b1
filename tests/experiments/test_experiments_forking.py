"""Runs that begin with the journal of another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sweep_kit import SPACE, essence, run, sweep

from metta_sweep import Choice, MemoryStore, Optimizer, Suggestion, SweepResult, Trial, Uniform
from metta_sweep.clock import wall_time
from metta_sweep.core.seeds import unit_floats
from metta_sweep.errors import DefinitionChanged
from metta_sweep.experiments.read_back import read_sweep
from metta_sweep.optimizers import EvolutionOptimizer, OptunaOptimizer, RandomOptimizer, SobolOptimizer
from metta_sweep.records import RunRow
from metta_sweep.schedulers import IterationScheduler

SEARCH: dict[str, Callable[[], dict[str, Any]]] = {
    "random": lambda: {"optimizer": RandomOptimizer(SPACE)},
    "evolution": lambda: {"optimizer": EvolutionOptimizer(SPACE, population_size=4)},
    "TPE": lambda: {"optimizer": OptunaOptimizer(SPACE, sampler="TPE")},
    "sobol": lambda: {"optimizer": SobolOptimizer(SPACE)},
    "ucb": lambda: {
        "search_space": {"x": Uniform(0, 1), "arm": Choice(["a", "b"])},
        "scheduler": IterationScheduler(branch_by="arm"),
    },
}


def forked(store: MemoryStore, source: str = "first", name: str = "second") -> None:
    """A fork of the one run under the name of the other."""
    row = store.find_run(source)
    assert row is not None
    store.fork_run(row.run_id, RunRow(f"id-of-{name}", name, wall_time()))


def read(store: MemoryStore, name: str) -> SweepResult:
    """The result of a run, read back from its store."""
    row = store.find_run(name)
    assert row is not None
    return read_sweep(store, row)


@pytest.mark.parametrize("search", SEARCH)
def test_a_fork_goes_on_as_its_source_would_have(search: str) -> None:
    """With the same settings: its trials are those of one run that was never forked. The source stays as it was."""
    store = MemoryStore()
    kept = run(sweep(name="first", store=store, **SEARCH[search]()), 6)
    forked(store)
    fork = run(sweep(name="second", store=store, **SEARCH[search]()), 12)
    whole = run(sweep(name="whole", store=MemoryStore(), **SEARCH[search]()), 12)
    assert essence(fork) == essence(whole)
    assert essence(run(sweep(name="first", store=store, **SEARCH[search]()), 6)) == essence(kept)


class Remembering(Optimizer):
    """Notes what it is told, and suggests by its index."""

    def __init__(self, step: float = 0.1) -> None:
        self.step = step
        self.told: list[tuple[str, float]] = []

    def suggest(self, n: int, index: int = 0) -> list[Suggestion]:
        """A function of its setting and the index."""
        return [
            Suggestion(params={"x": self.step * (number % 9) + unit_floats(7, number, 1)[0] / 100})
            for number in range(index, index + n)
        ]

    def observe(self, trial: Trial, result: float) -> None:
        """Remember."""
        self.told.append((trial.id, result))


def test_a_fork_may_have_other_settings() -> None:
    """Its optimizer knows what became of the trials before, and suggests what comes after by its own settings."""
    store = MemoryStore()
    first = run(sweep(name="first", optimizer=Remembering(0.1), store=store), 3)
    forked(store)
    fork = run(sweep(name="second", optimizer=Remembering(0.01), store=store), 5)
    assert essence(fork)[:3] == essence(first)
    assert [round(trial.params["x"], 2) <= 0.06 for trial in fork.trials] == [True, False, False, True, True]
    assert isinstance(fork.optimizer, Remembering)
    assert fork.optimizer.told == [(trial.id, trial.score) for trial in fork.trials]


OTHER: dict[str, Callable[[], dict[str, Any]]] = {
    **SEARCH,
    "evolution": lambda: {"optimizer": EvolutionOptimizer(SPACE, population_size=6, mutation_scale=0.5)},
    "TPE": lambda: {"optimizer": OptunaOptimizer(SPACE, sampler="CMA-ES")},
}


@pytest.mark.parametrize("after", [name for name in OTHER if name != "ucb"])
@pytest.mark.parametrize("before", [name for name in SEARCH if name != "ucb"])
def test_any_optimizer_takes_over_from_any_other(before: str, after: str) -> None:
    """And a fork that is taken up again and again ends with the same trials as one that is not."""
    store = MemoryStore()
    run(sweep(name="first", store=store, **SEARCH[before]()), 6)
    for name in ("at once", "in turns"):
        forked(store, name=name.replace(" ", "-"))
    at_once = run(sweep(name="at-once", store=store, **OTHER[after]()), 12)
    for budget in (7, 10):
        run(sweep(name="in-turns", store=store, **OTHER[after]()), budget)
    in_turns = run(sweep(name="in-turns", store=store, **OTHER[after]()), 12)
    assert essence(in_turns) == essence(at_once)
    assert len({trial.params["x"] for trial in at_once.trials}) == 12


def test_once_it_has_begun_a_fork_is_what_it_is() -> None:
    """Another definition is refused then, as for any run."""
    store = MemoryStore()
    run(sweep(name="first", optimizer=Remembering(0.1), store=store), 3)
    forked(store)
    run(sweep(name="second", optimizer=Remembering(0.01), store=store), 4)
    with pytest.raises(DefinitionChanged, match=r"optimizer\.step: kept 0\.01, given 0\.1"):
        run(sweep(name="second", optimizer=Remembering(0.1), store=store), 5)


def test_forks_of_forks_change_their_settings_again() -> None:
    """Each goes on by its own settings; one that keeps them goes on exactly."""
    store = MemoryStore()
    run(sweep(name="first", optimizer=Remembering(0.1), store=store), 3)
    forked(store)
    run(sweep(name="second", optimizer=EvolutionOptimizer(SPACE, population_size=4), store=store), 6)
    forked(store, "second", "third")
    third = run(sweep(name="third", optimizer=EvolutionOptimizer(SPACE, population_size=4), store=store), 10)
    going_on = run(sweep(name="second", optimizer=EvolutionOptimizer(SPACE, population_size=4), store=store), 10)
    assert essence(third) == essence(going_on)
    forked(store, "third", "fourth")
    assert len(run(sweep(name="fourth", optimizer=Remembering(0.1), store=store), 12).trials) == 12


def test_what_the_source_has_used_is_no_spend_of_the_fork() -> None:
    """So that spends may be added up; its budget is a total all the same."""

    def result_of(name: str, budget: int) -> SweepResult:
        return run(sweep(name=name, optimizer=RandomOptimizer(SPACE), store=store), budget)

    store = MemoryStore()
    first = result_of("first", 3)
    forked(store)
    second = result_of("second", 5)
    assert (first.spend.trials, first.spend.seconds) == (3, 3.0)
    assert (second.spend.trials, second.spend.seconds, len(second.trials)) == (2, 2.0, 5)
    assert result_of("second", 5).spend == second.spend
    assert read(store, "second").spend == second.spend
    assert result_of("second", 6).spend.trials == 3
    assert (read(store, "first").spend, read(store, "second").spend.trials) == (first.spend, 3)
    forked(store, "second", "third")
    assert read(store, "third").spend == (0, 0.0, 0.0)
    assert len(read(store, "third").trials) == 6
