"""Meta-experiments in steps: copies that are judged on their way, and populations whose members fork each other's journals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from meta_kit import base, meta, run, worth

from metta_sweep import (
    Budget,
    Integer,
    MemoryStore,
    MetaExperiment,
    SqliteStore,
    SweepResult,
    TrialContext,
    TrialState,
    Uniform,
    Variants,
)
from metta_sweep.clock import crash_points
from metta_sweep.core.events import Pick, Reported, Resume
from metta_sweep.errors import InvalidInput
from metta_sweep.experiments.codec import decode_trial
from metta_sweep.optimizers import EvolutionOptimizer, GridOptimizer, RandomOptimizer, SuggestionQueue
from metta_sweep.records import RunRow, Store
from metta_sweep.schedulers import (
    ASHAScheduler,
    DiscountedUCB,
    FIFOScheduler,
    IterationScheduler,
    MedianStoppingScheduler,
    PBTScheduler,
    SynchronousBatchScheduler,
)

C = {"scheduler.c": Uniform(0.0, 4.0)}
RATE = {"optimizer.mutation_scale": Uniform(0.1, 1.0), **C}


def sweeping() -> Any:
    """A base whose optimizer learns."""
    return base(optimizer=EvolutionOptimizer(population_size=4))


def population(store: Store, **settings: Any) -> Any:
    """Four members, four steps each, of five trials."""
    scheduler = PBTScheduler(population_size=4, num_generations=4)
    return meta(**{"name": "pop", "base": sweeping(), "search_space": RATE, "optimizer": scheduler, "store": store, **settings})


def reports(result: SweepResult) -> list[tuple[str, int, Any]]:
    """What was reported, by trial and step."""
    return [(event.trial_id, event.step, event.metrics) for event in result.trace if isinstance(event, Reported)]


def runs_of(store: Store) -> dict[str, RunRow]:
    """The children, by what follows the name of the whole."""
    return {row.name.partition("/")[2]: row for row in store.runs() if row.name is not None and "/" in row.name}


def trials_in(store: Store, row: RunRow) -> list[Any]:
    """The trials of a run, as they must be in every fork of it."""
    found = [decode_trial(trial) for trial in store.trial_rows(row.run_id)]
    return [(trial.id, trial.params, trial.score) for trial in found]


# -- steps of one copy -------------------------------------------------------------------------------------------------------------


def test_steps_add_the_budget_again_and_again() -> None:
    """One child per trial, which goes on; each step reports its score so far."""
    store = MemoryStore()
    result = run(meta(name="m", search_space=C, steps=3, base_budget=2, score="spend.trials", store=store), 2)
    assert reports(result) == [(trial, step, {"score": 2.0 * step}) for trial in "01" for step in (1, 2, 3)]
    assert [trial.score for trial in result.trials] == [6.0, 6.0]
    assert list(runs_of(store)) == ["trial[0]>SweepExperiment", "trial[1]>SweepExperiment"]


@pytest.mark.parametrize("mode", ["stopping", "promotion"])
def test_successive_halving_over_the_budget_of_copies(mode: Any) -> None:
    """Poor copies are stopped, or wait, after a few trials; no budget is spent twice when they go on."""
    store = MemoryStore()
    scheduler = ASHAScheduler(max_epochs=4, grace_period=1, reduction_factor=2, mode=mode)
    made = meta(name="m", search_space=C, scheduler=scheduler, base_budget=3, store=store)
    result = run(made, 8)
    steps = [trial.last_report.step for trial in result.trials if trial.last_report is not None]
    assert min(steps) == 1
    assert max(steps) == 4
    children = runs_of(store)
    assert [len(trials_in(store, children[f"trial[{trial.id}]>SweepExperiment"])) for trial in result.trials] == [
        3 * step for step in steps
    ]


def test_budgets_that_are_searched_are_what_a_step_adds() -> None:
    """Of each trial its own."""
    made = meta(search_space={"budget.trials": Integer(1, 3)}, base_budget=None, steps=2, score="spend.trials")
    result = run(made, 3)
    assert [trial.score for trial in result.trials] == [2 * trial.params["budget.trials"] for trial in result.trials]


def test_steps_need_a_budget_and_an_end() -> None:
    """Both are told when the experiment is made."""
    with pytest.raises(InvalidInput, match=r"MetaExperiment\(base_budget=\): .*Write base_budget=10, say"):
        meta(search_space=C, scheduler=ASHAScheduler(max_epochs=30), base_budget=None)
    with pytest.raises(
        InvalidInput, match=r"MetaExperiment\(steps=\): MedianStoppingScheduler does not say how many.*Write steps=10"
    ):
        meta(search_space=C, scheduler=MedianStoppingScheduler())
    with pytest.raises(InvalidInput, match=r"MetaExperiment\(steps=\): .*found 0"):
        meta(search_space=C, steps=0)
    assert meta(search_space=C, scheduler=MedianStoppingScheduler(max_epochs=3)).steps is None


# -- populations -------------------------------------------------------------------------------------------------------------------


def test_a_population_of_experiments() -> None:
    """Each step is a child that begins with the journal of the step before, of whoever it was, and adds its budget."""
    store = MemoryStore()
    result = run(population(store))
    children = runs_of(store)
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETED] * 4
    assert len(children) == 16
    names = {row.run_id: name for name, row in children.items()}
    taken = 0
    for name, row in children.items():
        step = int(name.partition(">SweepExperiment-")[2].partition("-")[0])
        assert len(trials_in(store, row)) == 5 * step
        if step == 1:
            assert row.forked_from is None
            continue
        assert row.forked_from is not None
        source = children[names[row.forked_from]]
        assert trials_in(store, row)[: 5 * (step - 1)] == trials_in(store, source)
        taken += names[row.forked_from].partition(">")[0] != name.partition(">")[0]
    resumed = [event for event in result.trace if isinstance(event, Resume) and event.source is not None]
    assert taken == len(resumed) > 0


def test_members_go_on_under_the_settings_that_they_have_then() -> None:
    """What the definition of a fork says is what was suggested for that step."""
    store = MemoryStore()
    result = run(population(store))
    last = {event.trial_id: event.params for event in result.trace if isinstance(event, Resume) and event.params is not None}
    assert last
    for trial in result.trials:
        row = store.find_run(str(trial.metadata["run"]))
        assert row is not None
        *_, note = store.records(row.run_id, kind="start")
        definition = json.loads(note.payload)["definition"]
        assert definition["scheduler"]["c"] == trial.params["scheduler.c"]
        assert definition["optimizer"]["mutation_scale"] == trial.params["optimizer.mutation_scale"]


def test_no_spend_is_counted_twice() -> None:
    """Each child counts what it added itself."""
    store = MemoryStore()
    result = run(population(store, score="spend.trials"))
    assert {report[2]["score"] for report in reports(result)} == {5.0}


def test_a_population_may_change_its_optimizers() -> None:
    """Which optimizer goes on is a setting as any other."""
    optimizers = Variants(evolution=EvolutionOptimizer(population_size=4), random=RandomOptimizer(), grid=GridOptimizer())
    scheduler = PBTScheduler(population_size=4, num_generations=4, resample_probability=1.0)
    result = run(population(MemoryStore(), search_space={"optimizer": optimizers}, optimizer=scheduler))
    changed = {event.params["optimizer"] for event in result.trace if isinstance(event, Resume) and event.params is not None}
    assert len(changed) > 1
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETED] * 4


def test_first_settings_may_come_from_an_optimizer() -> None:
    """With the population as scheduler."""
    first = [{"scheduler.c": float(number), "optimizer.mutation_scale": 0.5} for number in range(4)]
    made = population(MemoryStore(), optimizer=SuggestionQueue(first), scheduler=PBTScheduler(population_size=4, num_generations=2))
    result = run(made)
    assert [event.number for event in result.trace if isinstance(event, Pick)] == [0, 1, 2, 3]


async def curve(trial: TrialContext) -> float | None:
    """Three reports."""
    for step in (1, 2, 3):
        trial.report(step, score=trial.params["x"] * step / 3)
        if trial.should_stop:
            return None
    return float(trial.params["x"])


def test_any_scheduler_takes_over_from_any_other() -> None:
    """Members change their schedulers as they go on, those that stop and pause trials too."""
    halving: dict[str, Any] = {"max_epochs": 3, "grace_period": 1, "reduction_factor": 2}
    schedulers = Variants(
        fifo=FIFOScheduler(),
        ucb=IterationScheduler(branch_by="arm"),
        discounted=IterationScheduler(branch_by="arm", picker=DiscountedUCB()),
        pausing=ASHAScheduler(**halving),
        stopping=ASHAScheduler(**halving, mode="stopping"),
        median=MedianStoppingScheduler(),
        batches=SynchronousBatchScheduler(batch_size=2),
    )
    scheduler = PBTScheduler(population_size=8, num_generations=4, resample_probability=1.0)
    made = population(
        MemoryStore(),
        base=base(objective=curve, scheduler=None),
        search_space={"scheduler": schedulers},
        optimizer=scheduler,
        base_budget=4,
    )
    result = run(made)
    assert [trial.error for trial in result.trials] == [None] * 8
    changed = [event for event in result.trace if isinstance(event, Resume) and event.params is not None]
    assert len(changed) > 3


def test_populations_of_meta_experiments() -> None:
    """Three levels: what ran inside a copy is not run again in its forks."""
    store = MemoryStore()
    inner = MetaExperiment(base=sweeping(), search_space=["scheduler.c"], base_budget=3, slots=1)
    scheduler = PBTScheduler(population_size=2, num_generations=2)
    made = population(store, base=inner, search_space={"base.optimizer.mutation_scale": Uniform(0.1, 1.0)}, optimizer=scheduler)
    result = run(made)
    copies = [name for name in runs_of(store) if "/" not in name]
    leaves = [name for name in runs_of(store) if "/" in name]
    assert (len(copies), len(leaves)) == (4, 4 * 5)
    assert {trial.state for trial in result.trials} == {TrialState.COMPLETED}


async def costly(x: float, arm: str) -> dict[str, float]:
    """Half of a unit for each trial."""
    return {"score": await worth(x, arm), "cost": 0.5}


def test_costs_add_up_over_steps_and_forks() -> None:
    """Each trial of each copy is paid for once; the budget of the whole is one over all of them."""
    costly_base = base(objective=costly, optimizer=EvolutionOptimizer(population_size=4), metric="score")
    store = MemoryStore()
    result = run(population(store, base=costly_base, score="best_score"))
    assert result.spend.cost == 0.5 * 4 * 4 * 5
    capped = run(population(MemoryStore(), base=costly_base, score="best_score"), Budget(cost=10.0))
    assert capped.stop_reason == "budget_cost"
    assert 10.0 <= capped.spend.cost < 12.0


class Crash(BaseException):
    """The death of the process."""


@contextmanager
def dying_at(point: str, occurrence: int) -> Iterator[list[int]]:
    """Raise at one passage of a crash point, and at whatever is passed after it: a dead process does nothing more."""
    seen = [0]

    def die(name: str) -> None:
        seen[0] += name == point
        if 0 < occurrence <= seen[0]:
            raise Crash(f"{point}, occurrence {occurrence}")

    with crash_points(die):
        yield seen


def tree_of(store: Store) -> dict[str, Any]:
    """What a crash must not change: the trials of every child."""
    return {name: trials_in(store, row) for name, row in runs_of(store).items()}


def essence(result: SweepResult) -> list[Any]:
    """What a crash must not change of the members."""
    return [(trial.id, trial.state, trial.params, trial.score) for trial in result.trials]


def three(store: Store) -> SweepResult:
    """A population of three members, with three steps each."""
    return run(population(store, optimizer=PBTScheduler(population_size=3, num_generations=3), base_budget=2))


@pytest.mark.parametrize(
    ("point", "deaths"),
    [
        ("append.before", 3),
        *(
            pytest.param(point, 12, marks=pytest.mark.slow)
            for point in ("record.after", "append.before", "append.after", "checkpoint.kept", "checkpoint.restore", "fold.after")
        ),
    ],
)
def test_a_population_that_dies_goes_on_as_if_nothing_had_happened(point: str, deaths: int) -> None:
    """Wherever it dies: a fork is there or not, the same members take the same places, and every child has the same trials."""
    whole = MemoryStore()
    with dying_at(point, 0) as passages:
        expected = essence(three(whole))
    assert passages[0] > 0
    for occurrence in range(1, passages[0] + 1, max(1, passages[0] // deaths)):
        store = MemoryStore()
        with dying_at(point, occurrence), pytest.raises(Crash):
            three(store)
        assert essence(three(store)) == expected, f"died at {point} number {occurrence}"
        assert tree_of(store) == tree_of(whole)


def test_a_fork_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """In a file: a process that dies within the copying leaves nothing of it."""
    whole = MemoryStore()
    expected = essence(three(whole))
    for occurrence in (3,):
        store = SqliteStore(tmp_path / f"{occurrence}.db")
        with dying_at("fork.copied", occurrence), pytest.raises(Crash):
            three(store)
        forks = [row for row in store.runs() if row.forked_from is not None]
        assert len(forks) == occurrence - 1
        assert essence(three(store)) == expected
        assert tree_of(store) == tree_of(whole)
        store.close()


def test_a_budget_of_a_population_adds_up_over_its_steps() -> None:
    """Caps in seconds too; what has no cap stays without."""
    store = MemoryStore()
    made = population(store, base_budget=Budget(trials=2, seconds=60.0))
    run(made)
    noted: dict[str, Any] = {}
    for name, row in runs_of(store).items():
        *_, note = store.records(row.run_id, kind="start")
        noted[name] = json.loads(note.payload)["budget"]
    for name, budget in noted.items():
        step = int(name.partition(">SweepExperiment-")[2].partition("-")[0])
        assert budget == {"trials": 2 * step, "seconds": 60.0 * step, "cost": None}
