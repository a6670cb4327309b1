"""Opening a run: find it in the store or make it, fold its journal, put strategies and executor to work, and let go in the end."""

from __future__ import annotations

import os
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

from metta_sweep.clock import wall_time
from metta_sweep.core.budget import Budget, StopReason
from metta_sweep.core.events import Stop
from metta_sweep.core.seeds import draw_seed
from metta_sweep.core.setup import Setup
from metta_sweep.errors import BudgetError, StoreError, message_of
from metta_sweep.executors.executor import has_own_time
from metta_sweep.experiments.blueprint import Blueprint
from metta_sweep.experiments.definition import check_same_definition, provenance, warn_of_changed_code
from metta_sweep.experiments.fold import SweepState
from metta_sweep.experiments.forking import Fork, begun_fork, new_fork
from metta_sweep.experiments.recorder import SweepRecorder
from metta_sweep.experiments.signals import attached
from metta_sweep.experiments.start_note import StartNote, read_start
from metta_sweep.experiments.stores import files_beside, say_where
from metta_sweep.experiments.strategies import Strategies, branches_of
from metta_sweep.experiments.stream import left_runs_ended
from metta_sweep.experiments.sweep_run import SweepRun
from metta_sweep.experiments.tree.anew import begins_anew, question_of, reads_of, sweep_begins_anew
from metta_sweep.experiments.tree.joining import (
    derived_seed,
    earlier_attempts_ended,
    joined,
    leftovers_ended,
    opened,
    tell_cut,
    tell_parent,
)
from metta_sweep.experiments.tree.node import Node, enclosing
from metta_sweep.experiments.tree.suspects import events_inside
from metta_sweep.experiments.warm_start import WarmStart, kept_or_given
from metta_sweep.pipeline.keeping.recording import keep_aside
from metta_sweep.pipeline.running.main_guard import refuse_while_main_loads
from metta_sweep.records import RunRow, Store

__all__ = ["DEFAULT_TRIALS", "open_run"]

DEFAULT_TRIALS = 100
"""The budget of a sweep that was given none and does not bound itself."""


@asynccontextmanager
async def open_run(
    plan: Blueprint, open_store: Callable[[], Store], budget: Budget | None, more: int | None, *, fresh: bool
) -> AsyncIterator[SweepRun]:
    """An open run, inside the trial or stage that the caller runs in, if there is one.

    One that has ended, and that the budget adds nothing to, is opened without an executor and starts nothing.
    """
    refuse_while_main_loads("a run")
    await left_runs_ended()
    state = SweepState(plan.goal)
    async with AsyncExitStack() as stack:
        node = stack.enter_context(_joined(plan, open_store))
        await earlier_attempts_ended(node)
        store = node.store
        if node.parent is not None:
            plan = plan._replace(name=node.name, seed=derived_seed(node) if plan.seed is None else plan.seed)
        drawn = plan.seed if plan.seed is not None else draw_seed()
        row, strategies = _take(
            plan, store, drawn, state, stack, fresh=begins_anew(node, fresh or _has_another_question(plan, store, node))
        )
        if node.parent is None:
            node.root = row.name or row.run_id
            say_where(store, row)
        else:
            say_where(store, store.find_run(node.root) or RunRow(node.root, None, row.created))
        last = _last_start(store, row.run_id)
        fork = None if last is None else _checked(plan, store, row, last)
        seed = last.seed if last is not None else drawn
        if strategies is None:
            warm = kept_or_given(plan.warm_start, store, row.run_id, begun=last is not None)
            strategies = _strategies(plan, seed, state, warm)
        recorder = SweepRecorder(store, row.run_id, state)
        recorder.strategies = strategies
        recorder.prefix = node.address
        fork = recorder.replay(fork)
        node.seed, node.run_id = seed, row.run_id
        for address, spend in recorder.children.items():
            node.know(address, spend)
        kept_stop = state.stop
        _check_unspent(more, last, recorder)
        given = _budget(budget, more, last, state, strategies)
        run = SweepRun(
            plan,
            node=node,
            store=store,
            run_id=row.run_id,
            seed=seed,
            state=state,
            strategies=strategies,
            recorder=recorder,
            budget=given,
            budget_note=_note(budget, more, last, given),
        )
        opened(node, run, given, run.grace)
        stack.push_async_callback(leftovers_ended, node)
        if kept_stop is None or more is not None or _goes_on(kept_stop, given, last) or _was_cut(kept_stop, run):
            plan.executor.prepare(plan.objective, plan.search_space, run_id=row.run_id, root=files_beside(store))
            await stack.enter_async_context(plan.executor)
            run.attend()
            warm_start = plan.warm_start.payload if plan.warm_start is not None and last is None else None
            recorder.note_start(_start_note(plan, seed, given, fork, node, in_file=files_beside(store) is not None), warm_start)
            _note_headway(run)
            stack.enter_context(_left(run))
        if node.parent is None:
            stack.enter_context(attached(run))
        yield run
        if state.stop is not None and _had_less(state.stop, run):
            tell_cut(node)
    if state.stop is not None and state.stop.reason == StopReason.INTERRUPTED:
        tell_parent(node)


def _joined(plan: Blueprint, open_store: Callable[[], Store]) -> AbstractContextManager[Node]:
    """Its place in the tree. The slots of a root, and those that anybody gave, bound what is below."""
    own_slots = plan.slots_given or enclosing() is None
    return joined(
        plan.owner,
        plan.name,
        open_store,
        own_store=plan.own_store,
        slots=plan.slots if own_slots else None,
        takes_slots=not has_own_time(plan.executor),
    )


def _note_headway(run: SweepRun) -> None:
    """Trials that were lost with the process before this one are no suspects where what runs inside them got on."""
    lost = events_inside(run.node, [live.id for live in run.state.to_start.values() if live.lost])
    if lost:
        run.recorder.note_headway(lost)


@contextmanager
def _left(run: SweepRun) -> Iterator[None]:
    """In the end the journal is told that the run is left, and why, where it has not come to its end."""
    try:
        yield
    except CancelledError:
        node = run.node
        run.recorder.note_end("cancelled" if node.parent is None else f"{node.at} of {node.parent.shown} was ended")
        raise
    except BaseException as error:
        run.recorder.note_end(f"{type(error).__name__}: {message_of(error)}")
        raise
    run.recorder.note_end()


def _checked(plan: Blueprint, store: Store, row: RunRow, last: StartNote) -> Fork | None:
    """The fork that the run is, if it is one. Anything but a fork that begins now must be what it was."""
    fork = begun_fork(row, last.fork)
    if row.forked_from is not None and fork is None:
        return new_fork(store, row, last.fork, last.definition, plan.definition)
    if plan.name is not None:
        check_same_definition(plan.name, last.definition, plan.definition)
        warn_of_changed_code(plan.name, last.code, plan.code)
    return fork


def _strategies(plan: Blueprint, seed: int, state: SweepState, warm: WarmStart | None) -> Strategies:
    setup = Setup(plan.search_space, plan.goal, seed, plan.slots, branches_of(plan.optimizer))
    optimizer = plan.optimizer.for_run(setup)
    if warm is not None:
        optimizer.warm_start(warm.trials())
    return Strategies(optimizer, plan.scheduler.for_run(setup), plan.search_space, state)


def _take(
    plan: Blueprint, store: Store, seed: int, state: SweepState, stack: AsyncExitStack, *, fresh: bool
) -> tuple[RunRow, Strategies | None]:
    """Become the driver of the run that has the name, or of a new one (with its strategies), until the stack is left.

    Names are looked up again when another process made or renamed a run meanwhile.
    """
    strategies: Strategies | None = None
    while True:
        found = store.find_run(plan.name) if plan.name is not None else None
        row = found
        if found is None or fresh:
            # made before anything is written or renamed: they may refuse
            strategies = strategies or _strategies(plan, seed, state, plan.warm_start)
            row = _create(plan, store, found)
        else:
            strategies = None
        if row is None:
            continue
        store.acquire(row.run_id)
        with ExitStack() as undo:
            undo.callback(store.release, row.run_id)
            named = row if plan.name is None else store.find_run(plan.name)
            if named is not None and named.run_id == row.run_id:
                stack.enter_context(undo.pop_all())
                return row, strategies


def _create(plan: Blueprint, store: Store, before: RunRow | None) -> RunRow | None:
    """A new run; None when another process was quicker. The one that had its name before keeps it with a number."""
    if before is not None:
        keep_aside(store, before)
    row = RunRow(f"{plan.label}-{os.urandom(4).hex()}", plan.name, wall_time(), plan.tags)
    try:
        store.create_run(row)
    except StoreError:
        if plan.name is None or store.find_run(plan.name) is None:
            raise
        return None
    return row


def _last_start(store: Store, run_id: str) -> StartNote | None:
    """The note of the last process that took the run up."""
    found = None
    for found in store.records(run_id, kind="start"):  # noqa: B007  # the last one
        pass
    return None if found is None else read_start(run_id, found)


def _has_another_question(plan: Blueprint, store: Store, node: Node) -> bool:
    """Whether what it did before was done for other values that its stage read."""
    row = store.find_run(plan.name) if plan.name is not None and reads_of(node) else None
    if row is None:
        return False
    return sweep_begins_anew(node, _last_start(store, row.run_id), question_of(plan.objective, plan.definition))


def _start_note(plan: Blueprint, seed: int, budget: Budget, fork: Fork | None, node: Node, *, in_file: bool) -> bytes:
    from pydantic_core import to_json

    reads = reads_of(node)
    return to_json(
        {
            "version": 1,
            "seed": seed,
            "budget": {"trials": budget.trials, "seconds": budget.seconds, "cost": budget.cost},
            "slots": plan.slots,
            "definition": plan.definition,
            "code": plan.code,
            "provenance": provenance(git=in_file),
            **({} if fork is None else {"forked": fork.note()}),
            **({"reads": reads, "question": question_of(plan.objective, plan.definition)} if reads else {}),
        }
    )


def _budget(given: Budget | None, more: int | None, last: StartNote | None, state: SweepState, strategies: Strategies) -> Budget:
    """What may be spent in all: given, or so many more trials, or as before, or all that a finite optimizer has, or 100 trials."""
    if more is not None:
        if given is not None:
            raise BudgetError("run(more=)", "budget= and more= exclude each other", found=more, remedy="Give one of them")
        before = last.budget if last is not None else Budget()
        return Budget(state.picked, before.seconds, before.cost).plus(more)
    if given is not None and given != Budget():
        return given
    if last is not None:
        return last.budget
    scheduler = strategies.scheduler
    finite = strategies.remaining() is not None or getattr(strategies.optimizer, "bounds_itself", False)
    bounded = scheduler.bounds_itself or (finite and not scheduler.follows_up)
    return Budget() if bounded else Budget(trials=DEFAULT_TRIALS)


def _check_unspent(more: int | None, last: StartNote | None, recorder: SweepRecorder) -> None:
    """Refuse ``more=`` where other caps, which it does not change, let nothing be added."""
    if more is None or last is None:
        return
    state, before = recorder.state, last.budget
    over = state.stop is not None and state.stop.reason == StopReason.BUDGET_TIME
    spent = ""
    if before.seconds is not None and (over or recorder.active_before >= before.seconds):
        spent = f"{before.seconds:g} s"
    elif before.cost is not None and state.cost >= before.cost:
        spent = f"cost of {before.cost:g}"
    if spent:
        raise BudgetError(
            "run(more=)",
            f"the {spent} that the run may take are spent, so no trial would be added",
            found=more,
            remedy=f"Give the whole budget: budget=Budget(trials={state.picked + more}, ...), with more of what is spent",
        )


def _note(given: Budget | None, more: int | None, last: StartNote | None, budget: Budget) -> str:
    by_default = given is None and more is None and last is None and budget.trials is not None
    return f" (no budget was given: {DEFAULT_TRIALS} trials by default)" if by_default else ""


def _goes_on(stop: Stop, budget: Budget, last: StartNote | None) -> bool:
    """Whether a run that has ended is taken up again: after a bad end always, otherwise when the budget has grown."""
    if last is None or StopReason(stop.reason).is_bad:
        return True
    return any(
        before is not None and (now is None or now > before) for before, now in zip(_caps(last.budget), _caps(budget), strict=True)
    )


def _was_cut(stop: Stop, run: SweepRun) -> bool:
    """Whether a run had less than its own budget, since one around it was spent, which has grown by now."""
    return _had_less(stop, run) and run.node.blocked() is None


def _had_less(stop: Stop, run: SweepRun) -> bool:
    """Whether a budget was spent that is not its own."""
    budget, state = run.budget, run.state
    if stop.reason == StopReason.BUDGET_TRIALS:
        return budget.trials is None or state.picked < budget.trials
    if stop.reason == StopReason.BUDGET_COST:
        return budget.cost is None or state.cost + run.node.cost_inside() < budget.cost
    return False


def _caps(budget: Budget) -> tuple[float | None, ...]:
    return budget.trials, budget.seconds, budget.cost
