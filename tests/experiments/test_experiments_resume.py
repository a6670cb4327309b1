"""Going on with a run in the same process: totals, definitions, and who may run it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sweep_kit import essence, events_kept, kinds, queue, queue_of, rewards, run, score_x, sweep

from metta_sweep import (
    Budget,
    FailurePolicy,
    MemoryStore,
    StopReason,
    SweepExperiment,
    SweepResult,
    TrialContext,
    TrialState,
    Uniform,
)
from metta_sweep.errors import BudgetError, DefinitionChanged, MetricError, RunInUse
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.recorder import SweepRecorder
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import FIFOScheduler, IterationScheduler
from metta_sweep.testing import deterministic_expander
from metta_sweep.testing.virtual import run_virtual


def named(store: MemoryStore, **settings: Any) -> SweepExperiment:
    """A new object for the run called it."""
    return sweep(**{"name": "it", "store": store, **settings})


def starts(store: MemoryStore) -> int:
    """How often a process took the run up."""
    row = store.find_run("it")
    return 0 if row is None else sum(record.kind == "start" for record in store.records(row.run_id))


# -- totals ------------------------------------------------------------------------------------------------------------------------


def test_budgets_are_totals() -> None:
    """A larger budget adds the difference; the trials are those of one long run."""
    store = MemoryStore()
    assert len(run(named(store), 3).trials) == 3
    again = run(named(store), 8)
    assert len(again.trials) == 8
    assert essence(again) == essence(run(sweep(), 8))
    assert len(store.runs()) == 1


@pytest.mark.parametrize("budget", [3, None, 2])
def test_the_same_budget_returns_at_once(budget: int | None) -> None:
    """The same budget, none, or a smaller one: nothing runs and nothing is written."""
    store = MemoryStore()
    first = run(named(store), 3)
    kept = events_kept(store), starts(store)
    again = run(named(store), budget)
    assert (events_kept(store), starts(store)) == kept
    assert essence(again) == essence(first)
    assert again.stop_reason is StopReason.BUDGET_TRIALS
    assert again.stop_detail == first.stop_detail
    assert again.best == first.best


def test_more_adds_so_many() -> None:
    """run(more=3) adds three to what there is."""
    store = MemoryStore()
    run(named(store), 2)
    assert len(run(named(store), more=3).trials) == 5
    assert len(run(named(store), more=1).trials) == 6
    with pytest.raises(BudgetError, match="exclude each other"):
        run(named(store), 7, more=1)


def test_a_budget_can_be_a_bigger_time() -> None:
    """Seconds are active seconds over all resumes."""
    store = MemoryStore()
    first = run(named(store, grace=0.0), Budget(seconds=2.5))
    assert first.stop_reason is StopReason.BUDGET_TIME
    assert run(named(store, grace=0.0), Budget(seconds=2.5)).spend == first.spend
    second = run(named(store, grace=0.0), Budget(seconds=6.0))
    assert second.stop_reason is StopReason.BUDGET_TIME
    assert second.spend.seconds == pytest.approx(6.0)
    assert sum(trial.state is TrialState.COMPLETED for trial in second.trials) in {5, 6}


def test_no_cap_is_more_than_any() -> None:
    """A budget of time alone takes up a run whose trials were spent."""
    store = MemoryStore()
    run(named(store), 2)
    assert len(run(named(store), Budget(seconds=1.5)).trials) == 2
    assert len(run(named(store), Budget(seconds=4.5, trials=4)).trials) == 4


def test_costs_add_up() -> None:
    """The cost of a run is that of all its trials."""

    async def objective(trial: TrialContext) -> dict[str, float]:
        return {"score": 1.0, "cost": 2.0}

    store = MemoryStore()
    run(named(store, objective=objective, metric="score"), Budget(cost=3.0))
    again = run(named(store, objective=objective, metric="score"), Budget(cost=7.0))
    assert (again.spend.cost, len(again.trials), again.stop_reason) == (8.0, 4, StopReason.BUDGET_COST)


def test_a_queue_goes_on_where_it_was() -> None:
    """Suggestions that were drawn and not picked wait in the journal."""
    store = MemoryStore()
    worth = rewards({"": 1.0})
    run(named(store, objective=worth, optimizer=queue_of(5)), 2)
    again = run(named(store, objective=worth, optimizer=queue_of(5)), 100)
    assert [trial.params["i"] for trial in again.trials] == [0, 1, 2, 3, 4]
    assert again.stop_reason is StopReason.QUEUE_EMPTY
    assert kinds(again).count("draw") == 5


# -- starting over -----------------------------------------------------------------------------------------------------------------


def test_fresh_starts_over_and_keeps_the_old_run() -> None:
    """The old run stays as it@1, the next as it@2, each with its trials."""
    store = MemoryStore()
    for count in (1, 2, 3):
        assert len(run(named(store), count, fresh=True).trials) == count
    names = {row.name: sum(1 for _ in store.trial_rows(row.run_id)) for row in store.runs()}
    assert names == {"it@1": 1, "it@2": 2, "it": 3}


def test_fresh_without_a_run_is_a_first_run() -> None:
    """There is nothing to keep."""
    store = MemoryStore()
    run(named(store), 1, fresh=True)
    assert [row.name for row in store.runs()] == ["it"]


def test_a_memory_store_by_name_is_a_new_one_each_time() -> None:
    """store="memory" keeps nothing from run to run; sharing the object does."""
    experiment = sweep(name="it", store="memory")
    assert (len(run(experiment, 2).trials), len(run(experiment, 3).trials)) == (2, 3)
    assert run(experiment, 1).trials[0].attempt == 1
    shared = sweep(name="it", store=MemoryStore())
    run(shared, 2)
    assert kinds(run(shared, 3)).count("stop") == 2


# -- what a run is -----------------------------------------------------------------------------------------------------------------


def test_another_search_space_under_the_name_is_refused() -> None:
    """The error shows what was kept and what is given, and how to go on; nothing is written."""
    store = MemoryStore()
    run(named(store), 2)
    kept = events_kept(store), starts(store)
    with pytest.raises(DefinitionChanged, match="search_space") as caught:
        run(named(store, search_space={"x": Uniform(0.0, 2.0)}), 4)
    assert "1.0" in str(caught.value)
    assert "2.0" in str(caught.value)
    assert "fresh=True" in str(caught.value)
    assert (events_kept(store), starts(store)) == kept
    assert len(run(named(store), 4).trials) == 4


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"scheduler": IterationScheduler()}, "scheduler.class"),
        ({"scheduler": FIFOScheduler(), "goal": "minimize"}, "goal.direction"),
        ({"seed": 1}, "seed"),
        ({"optimizer": RandomOptimizer(seed=4), "search_space": {"x": Uniform(0, 1)}}, "optimizer.seed"),
        ({"objective": rewards({})}, "objective"),
    ],
)
def test_every_part_of_the_definition_counts(settings: dict[str, Any], path: str) -> None:
    """Scheduler, goal, seed, optimizer and the objective's name."""
    store = MemoryStore()
    run(named(store), 1)
    with pytest.raises(DefinitionChanged, match=path):
        run(named(store, **settings), 2)


def test_settings_of_a_scheduler_count() -> None:
    """The same class with another c is another experiment; the error names c."""
    store = MemoryStore()
    run(named(store, scheduler=IterationScheduler(c=1.0)), 1)
    with pytest.raises(DefinitionChanged, match=r"scheduler\.c: kept 1\.0, given 0\.5"):
        run(named(store, scheduler=IterationScheduler(c=0.5)), 2)


def test_budget_slots_hooks_and_failures_are_no_part_of_it() -> None:
    """How much runs at once, and what looks on, may change between resumes."""
    store = MemoryStore()
    run(named(store), 2)
    changed = named(store, slots=3, failures=FailurePolicy(retries=3), hooks={"pick": {"after": lambda picked: None}}, grace=2.0)
    assert len(run(changed, 6).trials) == 6


def test_a_seed_is_drawn_once_and_kept() -> None:
    """A run without a seed draws one, and goes on with it; giving that one, or any, later matches."""
    store = MemoryStore()
    first = run(named(store, seed=None), 2)
    again = run(named(store, seed=None), 4)
    assert again.seed == first.seed
    assert essence(again) == essence(run(sweep(seed=first.seed), 4))
    assert run(named(store, seed=first.seed + 1), 5).seed == first.seed


def test_mending_the_objective_is_why_people_resume() -> None:
    """A function of the same name with other code is the same experiment."""

    def make(broken: bool) -> Any:
        async def objective(trial: TrialContext) -> float:
            if broken:
                raise ValueError("a bug")
            return 1.0

        return objective

    store = MemoryStore()
    policy = FailurePolicy(min_failed=2, tolerated_rate=0.0)
    assert run(named(store, objective=make(broken=True), failures=policy), 5).stop_reason is StopReason.FAILURE_RATE
    again = run(named(store, objective=make(broken=False), failures=policy), 5)
    assert again.stop_reason is StopReason.BUDGET_TRIALS
    assert [trial.state.value for trial in again.trials] == ["failed", "failed", "completed", "completed", "completed"]


def test_a_run_that_still_fails_is_stopped_again() -> None:
    """The failure rate is counted anew after each such stop."""
    store = MemoryStore()

    async def objective(trial: TrialContext) -> float:
        raise ValueError("a bug")

    policy = FailurePolicy(min_failed=2, tolerated_rate=0.0)
    for count in (2, 4, 6):
        result = run(named(store, objective=objective, failures=policy), 20)
        assert (result.stop_reason, len(result.trials)) == (StopReason.FAILURE_RATE, count)


def test_an_error_of_reward_loses_no_result() -> None:
    """The result is a plain fact in the journal: when reward= is mended, the run goes on from there and runs no trial again."""

    def make(broken: bool) -> Any:
        def reward(trial: Any) -> float:
            return float("nan") if broken else 0.5

        return reward

    ran: list[str] = []

    async def objective(trial: TrialContext) -> float:
        ran.append(trial.id)
        return 1.0

    store = MemoryStore()
    with pytest.raises(MetricError, match="reward"):
        run(named(store, objective=objective, scheduler=IterationScheduler(reward=make(broken=True))), 3)
    result = run(named(store, objective=objective, scheduler=IterationScheduler(reward=make(broken=False))), 3)
    assert ran == ["0", "1", "2"]
    assert [event.reward for event in result.trace if event.kind == "score"] == [0.5] * 3


# -- one process at a time ---------------------------------------------------------------------------------------------------------


def test_a_second_start_is_refused_at_once() -> None:
    """While a run is open nobody else runs it; afterwards anybody may."""

    async def main() -> SweepResult:
        store = MemoryStore()
        first = asyncio.create_task(named(store).arun(4))
        await asyncio.sleep(1.5)
        with pytest.raises(RunInUse, match="'it'"):
            await named(store).arun(4)
        with pytest.raises(RunInUse):
            await named(store).arun(4, fresh=True)
        assert len((await first).trials) == 4
        return await named(store).arun(6)

    assert len(run_virtual(main()).trials) == 6


def test_a_run_that_failed_lets_go() -> None:
    """An exception out of a run releases it."""

    class Broken(FIFOScheduler):
        def __init__(self) -> None:
            self.broken = True

        def pick(self, offer: Any) -> None:
            raise RuntimeError("no idea what to pick")

    store = MemoryStore()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no idea"):
            run(named(store, scheduler=Broken()), 2)


# -- the state is a fold -----------------------------------------------------------------------------------------------------------


def view(state: SweepState) -> tuple[Any, ...]:
    """Everything of a state that decides."""
    return (
        state.branch_stats(),
        {index: draw[:-2] for index, draw in state.pool.items()},
        (state.suggested, state.drawn, state.picked, state.dispatched, state.failed, state.phase, state.cost),
        (state.explicit_ids, state.ended, state.best, state.triggers, state.waiting_why, state.cut),
        {name: (live.state, live.attempt, live.failures, live.reports) for name, live in state.live.items()},
        (list(state.to_start), list(state.running), list(state.unscored)),
        None if state.stop is None else state.stop[:-2],
    )


async def lively(trial: TrialContext) -> float:
    """Reports, fails now and then, and is as good as its branch."""
    await asyncio.sleep(0.5 + trial.rng.random())
    trial.report(1, trial.rng.random())
    await asyncio.sleep(trial.rng.random())
    if trial.rng.random() < 0.3:
        raise ValueError("no luck")
    return {"a": 0.8, "b": 0.5, "c": 0.1}[trial.branch or "a"] + 0.1 * trial.rng.random()


@pytest.mark.parametrize("seed", range(12))
def test_folding_the_journal_gives_the_live_state(seed: int) -> None:
    """At the end of runs with retries, prunings, follow-ups and cuts, a fold of what was kept equals what was there."""

    async def main() -> None:
        store = MemoryStore()
        experiment = sweep(
            lively,
            optimizer=queue(*"aabbccabcabc"),
            scheduler=IterationScheduler(expander=deterministic_expander, paper_threshold=0.75),
            slots=1 + seed % 4,
            seed=seed,
            store=store,
            failures=FailurePolicy(retries=seed % 3, backoff=0.3, tolerated_rate=1),
            grace=0.2,
        )
        budget = Budget(trials=25, seconds=8.0 if seed % 2 else None)
        async with experiment.open(budget) as opened:
            await experiment.build().run(sweep=opened, recorder=opened.recorder)
            opened.recorder.flush()
            state = SweepState(opened.goal)
            SweepRecorder(store, opened.run_id, state).replay()
            assert view(state) == view(opened.state)
            assert state.picked > 5

    run_virtual(main())


@pytest.mark.parametrize("slots", [1, 3])
def test_folding_what_was_kept_so_far_gives_the_state_of_that_moment(slots: int) -> None:
    """After every stage output, not only at the end."""

    async def main() -> int:
        store = MemoryStore()
        compared = 0

        def compare(output: Any) -> None:
            nonlocal compared
            opened.recorder.flush()
            state = SweepState(opened.goal)
            SweepRecorder(store, opened.run_id, state).replay()
            assert view(state) == view(opened.state)
            compared += 1

        hooks = {stage: {"after": compare} for stage in ("pick", "dispatch", "score", "fan_out")}
        experiment = sweep(
            lively,
            optimizer=queue(*"aabbccab"),
            scheduler=IterationScheduler(expander=deterministic_expander),
            slots=slots,
            store=store,
            hooks=hooks,
            failures=FailurePolicy(retries=1, backoff=0.3, tolerated_rate=1),
        )
        async with experiment.open(12) as opened:
            await experiment.build().run(sweep=opened, recorder=opened.recorder, strict_hooks=True)
        return compared

    assert run_virtual(main()) > 50


def test_seeds_of_trials_are_the_same_on_every_attempt() -> None:
    """A retried trial sees the seed of its first attempt; trials differ."""
    seen: dict[str, set[int]] = {}

    async def objective(trial: TrialContext) -> float:
        seen.setdefault(trial.id, set()).add(trial.seed)
        if trial.attempt == 1:
            raise ValueError("no luck")
        return await score_x(trial)

    run(sweep(objective, failures=FailurePolicy(retries=1, tolerated_rate=1)), 3)
    assert [len(seeds) for seeds in seen.values()] == [1, 1, 1]
    assert len(set.union(*seen.values())) == 3


def test_a_larger_budget_does_not_forgive_failures() -> None:
    """Failures before a resume count, unless they are what the run was stopped for."""

    async def objective(trial: TrialContext) -> float:
        raise ValueError("a bug")

    store = MemoryStore()
    policy = FailurePolicy(min_failed=3, tolerated_rate=0.5)
    assert run(named(store, objective=objective, failures=policy), 2).stop_reason is StopReason.BUDGET_TRIALS
    again = run(named(store, objective=objective, failures=policy), 9)
    assert (again.stop_reason, len(again.trials)) == (StopReason.FAILURE_RATE, 3)


def test_trials_that_wait_for_a_retry_count_as_dispatched_after_a_resume() -> None:
    """The failure rate is never more than one: a trial that fails after the resume was dispatched before it."""

    async def objective(trial: TrialContext) -> float:
        await asyncio.sleep(trial.params["i"])
        if trial.params["i"] < 3:
            raise ValueError("no luck")
        return 1.0

    def experiment(rate: float) -> SweepExperiment:
        policy = FailurePolicy(retries=1, backoff=3.0, min_failed=1, tolerated_rate=rate)
        return named(store, objective=objective, optimizer=queue_of(8), slots=2, failures=policy)

    store = MemoryStore()
    first = run(experiment(0.1), 8)
    assert first.stop_reason is StopReason.FAILURE_RATE
    assert [trial.state for trial in first.trials].count(TrialState.PENDING) == 2
    result = run(experiment(1.0), 8)
    assert result.stop_reason is StopReason.BUDGET_TRIALS
    assert [trial.state.value for trial in result.trials] == ["failed"] * 3 + ["completed"] * 5


def test_a_back_off_goes_on_after_a_resume() -> None:
    """A trial that waits for its next attempt waits on: the one after it is run first, as without the resume."""
    tried: list[tuple[int, int]] = []

    async def objective(trial: TrialContext) -> float:
        tried.append((trial.number, trial.attempt))
        await asyncio.sleep(1.0)
        if trial.number == 0 and trial.attempt == 1:
            raise ValueError("no luck")
        return 1.0

    store = MemoryStore()

    def settings() -> dict[str, Any]:
        return {"objective": objective, "failures": FailurePolicy(retries=1, backoff=3.0, tolerated_rate=1)}

    async def first() -> None:
        running = asyncio.create_task(named(store, **settings()).arun(4))
        await asyncio.sleep(1.5)
        running.cancel()
        await asyncio.wait({running})

    run_virtual(first())
    assert tried == [(0, 1), (1, 1)]
    run(named(store, **settings()), 4)
    assert tried[2:] == [(1, 2), (2, 1), (3, 1), (0, 2)]
