"""Experiments inside experiments: where they are, in what order they run, and that they go on where they were."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest

from metta_sweep import Experiment, FailurePolicy, MemoryStore, Pipeline, SweepExperiment, SweepResult, TrialContext, Uniform
from metta_sweep.errors import ChildClash
from metta_sweep.experiments.tree.node import MAX_DEPTH
from metta_sweep.testing.virtual import run_virtual

SPACE = {"x": Uniform(0.0, 1.0)}


def sweep(objective: Callable[..., Any], **options: Any) -> SweepExperiment:
    """A sweep over one parameter."""
    return SweepExperiment(objective=objective, search_space=SPACE, **options)


async def leaf(x: float) -> float:
    """The parameter, after a second."""
    await asyncio.sleep(1.0)
    return x


async def over_leaves(trial: TrialContext) -> float:
    """The best of three."""
    return (await sweep(leaf, name="leaves").run(budget=3)).best_score or 0.0


def in_a_thread(trial: TrialContext) -> float:
    """The same, from a worker thread."""
    return sweep(leaf, name="leaves").run(budget=3).best_score or 0.0


def names(store: MemoryStore) -> list[str | None]:
    """The runs of a store."""
    return [row.name for row in store.runs()]


def test_a_child_has_its_address_and_the_store_of_its_parent() -> None:
    """The run of an experiment in a trial is named after the root and its address; its own trials know their whole address."""
    seen: list[str] = []

    async def innermost(trial: TrialContext) -> float:
        seen.append(trial.address)
        return 1.0

    async def outer(trial: TrialContext) -> float:
        return (await sweep(innermost, name="inner").run(budget=2)).best_score or 0.0

    store = MemoryStore()
    run_virtual(sweep(outer, name="root", store=store).arun(budget=1))
    assert names(store) == ["root", "root/trial[0]>inner"]
    assert seen == ["trial[0]>inner/trial[0]", "trial[0]>inner/trial[1]"]


@pytest.mark.parametrize("objective", [over_leaves, in_a_thread])
def test_a_child_runs_from_coroutines_and_threads(objective: Callable[[TrialContext], Any]) -> None:
    """``await run()`` in a coroutine and ``run()`` in a worker thread are the same child."""
    store = MemoryStore()
    results = sweep(objective, name="root", store=store, seed=3).run(budget=2)
    assert results.best_score == max(trial.score or 0.0 for trial in results.trials)
    assert names(store) == ["root", "root/trial[0]>leaves", "root/trial[1]>leaves"]


def test_a_child_is_streamed_in_a_thread() -> None:
    """``for update in experiment.stream()`` in a worker thread of a trial is driven by the loop of that trial."""

    async def quick(x: float) -> float:
        return x

    def streams(trial: TrialContext) -> float:
        return float(sum(1 for _ in sweep(quick, name="leaves").stream(budget=2)))

    store = MemoryStore()
    assert sweep(streams, name="root", store=store).run(budget=1).best_score in (2.0, 3.0)
    assert names(store) == ["root", "root/trial[0]>leaves"]


def nested(levels: int, order: list[str]) -> Callable[[TrialContext], Any]:
    """A trial function that runs sweeps of sweeps of ..., two trials each."""

    async def objective(trial: TrialContext) -> float:
        if levels == 1:
            await asyncio.sleep(1.0)
            order.append(trial.address)
            return float(trial.params["x"])
        return (await sweep(nested(levels - 1, order), name=f"level{levels}").run(budget=2)).best_score or 0.0

    return objective


def test_five_levels_run_on_one_slot_one_leaf_after_another() -> None:
    """No deadlock: 32 leaves of a second each take 32 seconds on one slot, in the order of a recursion."""
    order: list[str] = []

    async def main() -> float:
        await sweep(nested(5, order), name="root", slots=1).arun(budget=2)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 32.0
    assert len(order) == 32
    assert order == sorted(order)


@pytest.mark.parametrize("slots", [2, 3, 8])
def test_slots_count_leaves_over_the_whole_tree(slots: int) -> None:
    """Never do more leaf trials run at once than the root has slots; and none is idle while there is work."""
    running = most = 0

    async def counted(trial: TrialContext) -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1.0)
        running -= 1
        return 1.0

    async def outer(trial: TrialContext) -> float:
        return (await sweep(counted, slots=4).run(budget=8)).best_score or 0.0

    async def main() -> float:
        await sweep(outer, name="root", slots=slots).arun(budget=4)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) <= 32 / slots + 2
    assert most == slots


def test_with_one_slot_meta_trials_are_decided_one_after_another() -> None:
    """The second trial of the root is picked when the first one, with all that it ran, has ended."""
    results = run_virtual(sweep(over_leaves, name="root", slots=1).arun(budget=2))
    kinds = [(event.kind, getattr(event, "trial_id", None)) for event in results.trace]
    assert kinds.index(("score", "0")) < kinds.index(("pick", "1"))


def test_two_alike_in_one_trial_are_refused_with_the_remedy() -> None:
    """The second one would be taken for the first when the run is resumed."""

    async def outer(trial: TrialContext) -> float:
        await sweep(leaf).run(budget=1)
        return (await sweep(leaf).run(budget=1)).best_score or 0.0

    results = run_virtual(sweep(outer, name="root").arun(budget=1))
    error = results.trials[0].error
    assert error is not None
    assert error.type.endswith(ChildClash.__name__)
    assert "trial[0]>SweepExperiment" in error.message
    assert "name='first'" in error.message


def test_the_same_experiment_goes_on_when_it_is_run_again() -> None:
    """The same object with a larger budget adds the difference; names tell others apart."""

    async def outer(trial: TrialContext) -> float:
        inner = sweep(leaf, name="inner")
        await inner.run(budget=1)
        both = await inner.run(budget=3)
        await sweep(leaf, name="other").run(budget=1)
        return float(len(both.trials))

    store = MemoryStore()
    assert run_virtual(sweep(outer, name="root", store=store).arun(budget=1)).best_score == 3.0
    assert names(store) == ["root", "root/trial[0]>inner", "root/trial[0]>other"]


def test_each_attempt_goes_on_with_what_the_one_before_ran() -> None:
    """A trial that fails after its child has ended finds it done on the next attempt."""
    ran = 0

    async def counted(x: float) -> float:
        nonlocal ran
        ran += 1
        return x

    async def outer(trial: TrialContext) -> float:
        results = await sweep(counted, name="inner").run(budget=2)
        if trial.attempt == 1:
            raise RuntimeError("after the child")
        return results.best_score or 0.0

    results = run_virtual(sweep(outer, name="root", failures=FailurePolicy(retries=1)).arun(budget=1))
    assert results.trials[0].attempt == 2
    assert ran == 2


class Rounds(Experiment):
    """Runs a sweep in each round of a loop, and one in each item of a map."""

    def pipeline(self) -> Pipeline:
        """The loop and the map."""
        return (
            Pipeline()
            .loop_while(lambda ctx: ctx.round < 2, carry={"round": 0}, name="rounds")
            .stage("solve", self.solve)
            .through(best=float)
            .stage("next", self.advance)
            .through(round=int)
            .end_loop()
            .stage("tasks", lambda: ["a", "b"])
            .through(tasks=list[str])
            .map("each", self.solve_task, over="tasks", into="found")
            .through(float)
        )

    async def advance(self, round: int) -> int:  # noqa: A002  # as the field is called
        """The next round."""
        return round + 1

    async def solve(self) -> float:
        """A sweep."""
        return (await sweep(leaf).run(budget=1)).best_score or 0.0

    async def solve_task(self, task: str) -> float:
        """A sweep for an item."""
        return (await sweep(leaf).run(budget=1)).best_score or 0.0


def test_children_in_loops_and_maps_have_addresses_of_their_own() -> None:
    """Iterations and items tell them apart; a finished run that is run again runs nothing."""
    store = MemoryStore()
    first = run_virtual(Rounds(name="root", store=store, seed=1).arun())
    expected = ["rounds[0]/solve", "rounds[1]/solve", "each[item=0]", "each[item=1]"]
    assert sorted(map(str, names(store)[1:])) == sorted(f"root/{place}>SweepExperiment" for place in expected)
    assert first.spend.trials == 4
    again = run_virtual(Rounds(name="root", store=store).arun())
    assert (again["found"], again.spend.trials, len(names(store))) == (first["found"], 4, 5)


def test_an_experiment_without_a_name_keeps_its_children_together() -> None:
    """They are named after the id that it gets, so that two runs of it do not meet."""
    store = MemoryStore()
    ids = [run_virtual(Rounds(store=store).arun()).run_id for _ in range(2)]
    assert len(set(ids)) == 2
    assert {str(name).partition("/")[0] for name in names(store)} == set(ids)


def test_seeds_follow_from_the_parent_and_the_address() -> None:
    """The same tree with the same seed is the same; siblings differ; a seed of one's own counts."""

    def seeds(seed: int) -> list[int]:
        found: list[int] = []

        async def outer(trial: TrialContext) -> float:
            results = [await sweep(leaf, name=name).run(budget=1) for name in ("a", "b")]
            results.append(await sweep(leaf, name="own", seed=7).run(budget=1))
            found.extend(result.seed for result in results)
            return 1.0

        run_virtual(sweep(outer, name="root", seed=seed, slots=1).arun(budget=2))
        return found

    first = seeds(1)
    assert first == seeds(1) != seeds(2)
    assert first[2::3] == [7, 7]
    assert len({*first[0::3], *first[1::3]}) == 4


def test_recursion_without_end_has_a_limit() -> None:
    """An experiment that runs its own kind for ever fails at the limit of depth, which says how it came there."""

    async def endless(trial: TrialContext) -> float:
        results = await sweep(endless, slots=1).run(budget=1)
        error = results.trials[0].error
        if error is not None:
            raise RuntimeError(error.message)
        return 1.0

    results = run_virtual(sweep(endless, name="root").arun(budget=1))
    error = results.trials[0].error
    assert error is not None
    assert f"at most {MAX_DEPTH} levels" in error.message
    assert "SweepExperiment inside SweepExperiment inside" in error.message


def test_an_interrupted_tree_goes_on_where_each_level_was() -> None:
    """What was done on every level is kept; nothing runs twice."""
    ran: list[float] = []
    store = MemoryStore()

    async def counted(x: float) -> float:
        await asyncio.sleep(1.0)
        ran.append(x)
        return x

    async def outer(trial: TrialContext) -> float:
        return (await sweep(counted, name="inner").run(budget=4)).best_score or 0.0

    async def interrupted() -> SweepResult:
        experiment = sweep(outer, name="root", store=store, seed=2, slots=1, grace=0.5)
        async with experiment.open(budget=2) as run:
            asyncio.get_running_loop().call_later(5.5, run.interrupt)
            await experiment.build().run(sweep=run, recorder=run.recorder)
            return run.result()

    first = run_virtual(interrupted())
    assert str(first.stop_reason) == "interrupted"
    assert [trial.state.value for trial in first.trials] == ["completed", "pending"]
    assert len(ran) == 5
    second = run_virtual(sweep(outer, name="root", store=store, slots=1).arun(budget=2))
    assert len(second.trials) == 2
    assert len(ran) == 8 == len(set(ran))
    whole = run_virtual(sweep(outer, name="root", seed=2, slots=1).arun(budget=2))
    assert [trial.score for trial in second.trials] == [trial.score for trial in whole.trials]


@pytest.mark.parametrize("spelled", ["run in a thread of asyncio", "asyncio.run", "arun in a loop of its own"])
def test_a_tree_has_one_event_loop(spelled: str) -> None:
    """Whatever thread or loop an experiment inside a trial is run from, the loop of the tree drives it."""
    loops: set[int] = set()

    async def quick(x: float) -> float:
        loops.add(id(asyncio.get_running_loop()))
        return x

    def inner() -> float:
        return sweep(quick, name="inner").run(budget=2).best_score or 0.0

    async def in_asyncios_thread(trial: TrialContext) -> float:
        return await asyncio.to_thread(inner)

    def in_a_loop(trial: TrialContext) -> float:
        async def main() -> float:
            inside = sweep(quick, name="inner")
            results = await (inside.arun(budget=2) if spelled.startswith("arun") else inside.run(budget=2))
            return results.best_score or 0.0

        return asyncio.run(main())

    store = MemoryStore()
    objective = in_asyncios_thread if spelled.startswith("run") else in_a_loop
    results = sweep(objective, name="root", store=store).run(budget=2)
    assert results.states == {"completed": 2}
    assert sorted(map(str, names(store))) == ["root", "root/trial[0]>inner", "root/trial[1]>inner"]
    assert len(loops) == 1


def test_what_outlives_its_experiment_is_a_root() -> None:
    """A thread that a trial left behind runs experiments of its own once the tree is over."""
    kept: list[contextvars.Context] = []

    async def outer(trial: TrialContext) -> float:
        kept.append(contextvars.copy_context())
        return 1.0

    async def quick(x: float) -> float:
        return x

    store = MemoryStore()
    sweep(outer, name="root", store=store).run(budget=1)
    other = MemoryStore()
    kept[0].run(lambda: sweep(quick, name="later", store=other).run(budget=1))
    assert names(other) == ["later"]
