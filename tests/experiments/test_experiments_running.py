"""run() in both spellings, arun(), and streams."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sweep_kit import SPACE, essence, queue_of, run, sweep

from metta_sweep import Budget, MemoryStore, StopReason, SweepExperiment, SweepResult, TrialContext, TrialState
from metta_sweep.errors import NotAwaited
from metta_sweep.experiments import SweepUpdate
from metta_sweep.experiments.fold import SweepState
from metta_sweep.testing.virtual import run_virtual


def quick(x: float) -> float:
    """In no time, in a thread."""
    return x


async def instant(trial: TrialContext) -> float:
    """In no time."""
    return float(trial.number)


# -- run ---------------------------------------------------------------------------------------------------------------------------


def test_run_blocks_in_a_script() -> None:
    """Outside an event loop run() gives the result itself."""
    result = sweep(quick).run(budget=2)
    assert isinstance(result, SweepResult)
    assert len(result.trials) == 2


async def test_run_is_awaited_in_an_event_loop() -> None:
    """Inside one, `await experiment.run()` gives the same."""
    assert essence(await sweep(quick).run(budget=2)) == essence(await sweep(quick).arun(2))


async def test_nothing_runs_before_the_await() -> None:
    """An awaitable that nobody awaits has done nothing, and warns of nothing."""
    store = MemoryStore()
    pending = sweep(quick, store=store).run(budget=2)
    await asyncio.sleep(0)
    assert store.runs() == []
    assert "SweepExperiment.run" in repr(pending)


@pytest.mark.parametrize(
    ("touch", "what"),
    [
        (lambda it: it.best_params, "best_params"),
        (lambda it: it["trials"], "trials"),
        (lambda it: list(it), "iteration"),
        (lambda it: len(it), "length"),
        (lambda it: bool(it), "truth"),
    ],
)
async def test_touching_a_result_that_is_not_there_says_what_is_missing(touch: Any, what: str) -> None:
    """The error names what was touched and shows the `await` that was forgotten."""
    pending = sweep(quick).run(budget=1)
    with pytest.raises(NotAwaited, match=r"await SweepExperiment\.run") as caught:
        touch(pending)
    assert what in str(caught.value)


async def test_awaiting_twice_gives_the_same_result() -> None:
    """One run, however often it is awaited."""
    pending = sweep(instant).run(budget=2)
    first = await pending
    assert await pending is first
    assert await first is first


async def test_pending_results_can_be_gathered() -> None:
    """asyncio.gather runs two sweeps side by side."""
    one, other = await asyncio.gather(sweep(instant).run(budget=2), sweep(instant, seed=1).run(budget=3))
    assert (len(one.trials), len(other.trials)) == (2, 3)


async def test_arun_is_a_coroutine_for_task_groups() -> None:
    """The coroutine behind run()."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sweep(instant).arun(2))
    assert len(task.result().trials) == 2


def test_cancelling_the_await_cancels_the_run() -> None:
    """A run whose await is cancelled ends, leaves nothing running, and goes on where it was when it is run again."""
    store = MemoryStore()

    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await sweep(name="it", store=store).run(budget=5)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run_virtual(main()) == 1
    again = run(sweep(name="it", store=store), 5)
    assert essence(again) == essence(run(sweep(), 5))


def test_a_subclass_may_bring_its_objective() -> None:
    """A method called objective is the trial function."""

    class Square(SweepExperiment):
        def objective(self, x: float) -> float:
            return x * x

    result = Square(search_space=SPACE, slots=1, seed=0).run(budget=1)
    assert result.best_score == result.trials[0].params["x"] ** 2


def test_two_runs_of_an_unnamed_sweep_are_two_runs() -> None:
    """Without a name each run starts anew, with a seed of its own, and both are kept."""
    store = MemoryStore()
    experiment = sweep(quick, store=store, seed=None)
    one, other = experiment.run(budget=2), experiment.run(budget=2)
    assert one.run_id != other.run_id
    assert one.seed != other.seed
    assert [row.run_id for row in store.runs()] == [one.run_id, other.run_id]


# -- streams -----------------------------------------------------------------------------------------------------------------------


def test_a_stream_in_a_script() -> None:
    """One update per wait with completions, and one at the end, which holds the result."""
    updates = list(sweep(instant).stream(budget=3))
    assert [update.trials for update in updates] == [1, 2, 3, 3]
    assert [update.results is None for update in updates] == [True, True, True, False]
    last = updates[-1]
    assert last.results is not None
    assert last.results.stop_reason is StopReason.BUDGET_TRIALS
    assert last.best is not None
    assert (last.best.score, last.running, last.phase) == (2.0, (), "random")


async def test_a_stream_inside_an_event_loop() -> None:
    """The same with `async for`."""
    assert [update.trials async for update in sweep(instant).stream(budget=3)] == [1, 2, 3, 3]


async def test_a_stream_is_not_blocking_inside_an_event_loop() -> None:
    """`for` there would block the loop: the error shows `async for`."""
    with pytest.raises(NotAwaited, match="async for update in"):
        list(sweep(instant).stream(budget=3))


def test_what_an_update_tells_is_kept() -> None:
    """Each update comes after the commit of what it tells."""

    async def main() -> list[tuple[int, int]]:
        store = MemoryStore()
        seen = []
        async for update in sweep(slots=2, store=store).stream(budget=6):
            row = next(iter(store.runs()))
            seen.append((update.trials, len(list(store.trial_rows(row.run_id)))))
        return seen

    assert run_virtual(main()) == [(2, 2), (4, 4), (6, 6), (6, 6)]


def test_completions_of_one_tick_make_one_update() -> None:
    """Three trials that end at once are told of together, with what runs then."""

    async def main() -> list[SweepUpdate]:
        return [update async for update in sweep(slots=3).stream(budget=6)]

    assert [update.trials for update in run_virtual(main())] == [3, 6, 6]


def test_an_update_tells_what_runs() -> None:
    """Ids of the running trials."""

    async def seconds_i(trial: TrialContext) -> float:
        await asyncio.sleep(1 + trial.params["i"])
        return 1.0

    async def main() -> list[tuple[str, ...]]:
        return [update.running async for update in sweep(seconds_i, optimizer=queue_of(3), slots=3).stream()]

    assert run_virtual(main()) == [("1", "2"), ("2",), (), ()]


def test_a_stream_reports_what_the_sweep_makes_of_its_state() -> None:
    """report_results(state) of a subclass comes with each update."""

    class Counting(SweepExperiment):
        def report_results(self, state: SweepState) -> str:
            return f"{state.ended[TrialState.COMPLETED]} done"

    updates = list(Counting(objective=instant, search_space=SPACE, slots=1).stream(budget=2))
    assert [update.report for update in updates] == ["1 done", "2 done", "2 done"]


@pytest.mark.parametrize("slots", [1, 3])
def test_leaving_a_stream_early_in_a_script(slots: int) -> None:
    """The run ends in order, and goes on when it is run again."""
    experiment = sweep(instant, name="it", slots=slots, store=MemoryStore())
    for update in experiment.stream(budget=6):
        if update.trials >= 2:
            break
    result = experiment.run(budget=6)
    assert (len(result.trials), result.stop_reason) == (6, StopReason.BUDGET_TRIALS)


@pytest.mark.parametrize("slots", [1, 3])
def test_leaving_a_stream_early_inside_an_event_loop(slots: int) -> None:
    """The same with `async for`: the next run waits until the one that was left has ended."""

    async def main() -> tuple[SweepResult, int]:
        experiment = sweep(name="it", slots=slots, store=MemoryStore())
        async for update in experiment.stream(budget=6):
            if update.trials >= 2:
                break
        result = await experiment.run(budget=6)
        return result, len(asyncio.all_tasks())

    result, tasks = run_virtual(main())
    assert (len(result.trials), result.stop_reason, tasks) == (6, StopReason.BUDGET_TRIALS, 1)
    if slots == 1:
        assert essence(result) == essence(run(sweep(), 6))


def test_closing_a_stream() -> None:
    """aclose() ends the run at once."""

    async def main() -> int:
        experiment = sweep(name="it", store=MemoryStore())
        updates = aiter(experiment.stream(budget=6))
        assert (await anext(updates)).trials == 1
        await updates.aclose()  # type: ignore[attr-defined]
        return len((await experiment.run(budget=1)).trials)

    assert run_virtual(main()) == 2


def test_a_slow_consumer_loses_nothing() -> None:
    """Every wait with completions has its update, however slowly they are read."""

    async def main() -> list[int]:
        seen = []
        async for update in sweep().stream(budget=4):
            await asyncio.sleep(10.0)
            seen.append(update.trials)
        return seen

    assert run_virtual(main()) == [1, 2, 3, 4, 4]


async def test_an_error_in_a_run_comes_out_of_its_stream() -> None:
    """What ends the run ends the stream."""

    class Broken(SweepExperiment):
        def report_results(self, state: SweepState) -> str:
            raise RuntimeError("no report today")

    experiment = Broken(objective=instant, search_space=SPACE, slots=1)
    with pytest.raises(RuntimeError, match="no report today"):
        async for _ in experiment.stream(budget=2):
            pass


def test_the_budget_of_a_stream_is_checked_at_once() -> None:
    """A bad budget is an error of the call, not of the first update."""
    with pytest.raises(ValueError, match="budget"):
        sweep(instant).stream(budget="many")  # type: ignore[arg-type]
    assert sweep(instant).stream(Budget(trials=1)) is not None
