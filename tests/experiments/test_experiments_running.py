"""run() in both spellings, arun(), and streams."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from typing import Any

import pytest
from sweep_kit import SPACE, essence, queue_of, run, score_x, sweep

from metta_sweep import (
    Budget,
    MemoryStore,
    Optimizer,
    Pipeline,
    StopReason,
    SweepExperiment,
    SweepResult,
    TrialContext,
    TrialState,
    hooks,
)
from metta_sweep.errors import NotAwaited
from metta_sweep.experiments import Picked, SweepUpdate
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
    """An awaitable that nobody awaits has done nothing; when it is dropped, a warning shows the `await` that was forgotten."""
    store = MemoryStore()
    pending = sweep(quick, store=store).run(budget=2)
    await asyncio.sleep(0)
    assert store.runs() == []
    assert "SweepExperiment.run" in repr(pending)
    with pytest.warns(RuntimeWarning, match=r"never awaited.* `await SweepExperiment\.run\(\.\.\.\)`"):
        del pending


@pytest.mark.parametrize(
    ("touch", "what"),
    [
        (lambda it: it.best_params, "best_params"),
        (lambda it: it["trials"], "trials"),
        (lambda it: list(it), "iteration"),
        (lambda it: len(it), "length"),
        (lambda it: bool(it), "truth"),
        (lambda it: float(it), "number"),
        (lambda it: int(it), "number"),
        (lambda it: f"{it:.3f}", "text"),
        (lambda it: it < 3, "comparison"),
        (lambda it: it >= 3, "comparison"),
        (lambda it: 3 in it, "search for 3"),
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


def test_cancelling_one_of_several_who_wait_leaves_the_run_to_the_others() -> None:
    """Only the last one to be cancelled ends the run."""

    async def waiting(pending: Any) -> SweepResult:
        result: SweepResult = await pending
        return result

    async def main() -> tuple[int, bool, int]:
        shared, left = sweep().run(budget=3), sweep().run(budget=3)
        one, other = asyncio.create_task(waiting(shared)), asyncio.create_task(waiting(shared))
        lonely = [asyncio.create_task(waiting(left)) for _ in range(2)]
        await asyncio.sleep(1.5)
        for task in (one, *lonely):
            task.cancel()
        await asyncio.wait([one, *lonely])
        return len((await other).trials), one.cancelled(), len(asyncio.all_tasks())

    assert run_virtual(main()) == (3, True, 1)


def test_an_error_in_a_script_comes_alone() -> None:
    """What ends run() or a stream in a script has no earlier error as its context."""

    class Broken(Optimizer):
        def suggest(self, n: int) -> list[dict[str, float]]:
            raise RuntimeError("out of ideas")

    with pytest.raises(RuntimeError, match="out of ideas") as caught:
        sweep(instant, optimizer=Broken()).run(budget=1)
    assert caught.value.__context__ is None
    with pytest.raises(RuntimeError, match="out of ideas") as caught:
        next(sweep(instant, optimizer=Broken()).stream(budget=1))
    assert caught.value.__context__ is None


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
        updates = experiment.stream(budget=6)
        assert (await anext(updates)).trials == 1
        await updates.aclose()
        assert [update async for update in updates] == []
        return len((await experiment.run(budget=1)).trials)

    assert run_virtual(main()) == 2


def test_closing_a_stream_by_a_context_manager() -> None:
    """contextlib.aclosing ends the run where its block ends, and not earlier: the loop may be left and taken up again."""

    async def main() -> list[int]:
        experiment, seen = sweep(name="it", store=MemoryStore()), []
        async with aclosing(experiment.stream(budget=6)) as updates:
            async for update in updates:
                seen.append(update.trials)
                break
            seen.append((await anext(updates)).trials)
        assert len(asyncio.all_tasks()) == 1
        return seen

    assert run_virtual(main()) == [1, 2]


def test_closing_a_stream_in_a_script() -> None:
    """The same with next(), close() and contextlib.closing."""
    experiment = sweep(instant, name="it", store=MemoryStore())
    with closing(experiment.stream(budget=6)) as updates:
        assert [next(updates).trials, next(updates).trials] == [1, 2]
    assert list(updates) == []
    assert len(experiment.run(budget=6).trials) == 6


async def test_closing_a_stream_that_did_not_begin() -> None:
    """Nothing has run, and nothing will."""
    store = MemoryStore()
    updates = sweep(store=store).stream(budget=2)
    await updates.aclose()
    assert [update async for update in updates] == []
    assert store.runs() == []


async def test_closing_a_stream_the_wrong_way() -> None:
    """Inside an event loop the error shows the other spelling."""
    updates = sweep(instant).stream(budget=2)
    await anext(updates)
    with pytest.raises(NotAwaited, match=r"await updates\.aclose\(\)"):
        updates.close()
    with pytest.raises(NotAwaited, match="await anext"):
        next(updates)
    await updates.aclose()


@pytest.mark.parametrize("again", [False, True])
def test_a_stream_waits_for_its_run_to_unwind(again: bool) -> None:
    """Whoever leaves it waits, without being busy, until all is cleaned up; a second cancellation reaches what cleans up."""
    cleaned: list[float] = []

    async def cleans_up(picked: Picked) -> None:
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            try:
                await asyncio.sleep(10)
            finally:
                cleaned.append(asyncio.get_running_loop().time())
            raise

    async def main() -> float:
        updates = sweep(hooks={"pick": hooks(after=cleans_up)}).stream(budget=2)
        first = asyncio.create_task(anext(updates))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(1)
        if again:
            first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == (2.0 if again else 11.0)
    assert cleaned == [2.0 if again else 11.0]


def test_an_error_of_a_run_that_was_left_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """There is nobody to raise it to."""

    async def fails_late(picked: Picked) -> None:
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            raise RuntimeError("cannot clean up") from None

    async def main() -> None:
        updates = sweep(hooks={"pick": hooks(validate=fails_late)}).stream(budget=2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(updates)

    run_virtual(main())
    assert "a run that nobody waits for any more ended with RuntimeError: cannot clean up" in caplog.text


def test_a_stream_leaves_global_hooks_alone() -> None:
    """A sweep whose pipeline has global hooks of its own has them in a stream as well."""
    told: list[str] = []

    class Watched(SweepExperiment):
        def pipeline(self) -> Pipeline:
            return super().pipeline().with_global_hooks(after=lambda stage, data: told.append(f"{stage}"))

    experiment = Watched(objective=instant, search_space=SPACE, slots=1, seed=0)
    experiment.run(budget=2)
    alone, told[:] = list(told), []
    list(experiment.stream(budget=2))
    assert told == alone
    assert set(told) == {"pick", "dispatch", "score", "fan_out"}


def test_a_slow_consumer_loses_nothing() -> None:
    """Every wait with completions has its update, however slowly they are read."""

    async def main() -> list[int]:
        seen = []
        async for update in sweep().stream(budget=4):
            await asyncio.sleep(10.0)
            seen.append(update.trials)
        return seen

    assert run_virtual(main()) == [1, 2, 3, 4, 4]


@pytest.mark.parametrize("objective", [score_x, instant])
def test_a_slow_consumer_holds_the_run_up(objective: Any) -> None:
    """A run is two updates ahead of its reader at most; at the deadline its trials end all the same."""

    async def main() -> list[int]:
        store, ahead = MemoryStore(), []
        async for update in sweep(objective, store=store).stream(budget=20):
            await asyncio.sleep(100.0)
            ahead.append(len(list(store.trial_rows(store.runs()[0].run_id))) - update.trials)
        return ahead

    ahead = run_virtual(main())
    assert len(ahead) == 21
    assert max(ahead) == 2


def test_the_deadline_does_not_wait_for_a_slow_consumer() -> None:
    """What runs while the consumer thinks is ended at the deadline."""

    async def long(trial: TrialContext) -> float:
        await asyncio.sleep(1.0 if trial.number < 4 else 1000.0)
        return 1.0

    async def main() -> list[float | None]:
        results = None
        async for update in sweep(long, slots=2, grace=0.0).stream(budget=Budget(seconds=20)):
            await asyncio.sleep(100.0)
            results = update.results
        assert results is not None
        return [trial.seconds for trial in results.trials]

    assert max(seconds or 0.0 for seconds in run_virtual(main())) <= 20.0


async def test_an_error_in_a_run_comes_out_of_its_stream() -> None:
    """What ends the run ends the stream. A report that fails does so at once, and loses nothing."""

    class Broken(SweepExperiment):
        def report_results(self, state: SweepState) -> str:
            if state.ended[TrialState.COMPLETED] == 2:
                raise RuntimeError("no report today")
            return "good"

    experiment = Broken(objective=instant, name="it", search_space=SPACE, slots=1, store=MemoryStore())
    updates = experiment.stream(budget=4)
    assert (await anext(updates)).trials == 1
    with pytest.raises(RuntimeError, match="no report today"):
        await anext(updates)
    assert [trial.state for trial in (await experiment.run(budget=4)).trials] == [TrialState.COMPLETED] * 4


async def test_an_update_that_cannot_be_committed_is_not_told() -> None:
    """An error of the store comes out of the stream."""

    class Full(MemoryStore):
        def append(self, run_id: str, records: Any, rows: Any = ()) -> None:
            if rows:
                raise OSError("the disk is full")
            super().append(run_id, records, rows)

    with pytest.raises(OSError, match="disk is full"):
        await anext(sweep(instant, store=Full()).stream(budget=4))


def test_the_budget_of_a_stream_is_checked_at_once() -> None:
    """A bad budget is an error of the call, not of the first update."""
    with pytest.raises(ValueError, match="budget"):
        sweep(instant).stream(budget="many")  # type: ignore[arg-type]
    assert sweep(instant).stream(Budget(trials=1)) is not None
