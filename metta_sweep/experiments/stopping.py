"""When a run ends, and why: the first of the exact reasons that applies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metta_sweep.core.budget import StopReason

if TYPE_CHECKING:
    from metta_sweep.experiments.sweep_run import SweepRun

__all__ = ["Barrier", "barrier", "why_over"]

Barrier = tuple[StopReason, str]
"""Why nothing new may start: the reason, and the numbers behind it."""


def barrier(run: SweepRun) -> Barrier | None:
    """The first reason for which nothing new may start now; None when something may."""
    state, budget = run.state, run.budget
    if run.interrupted:
        return StopReason.INTERRUPTED, run.why_interrupted
    if run.failures.exceeded(state.failed, state.dispatched):
        rate = run.failures.tolerated_rate
        return StopReason.FAILURE_RATE, f"{state.failed} of {state.dispatched} trials failed, more than the tolerated {rate:.0%}"
    limit = budget.seconds
    if limit is not None and state.cut:
        return StopReason.BUDGET_TIME, f"the deadline of {limit:g} s cut running trials"
    spent = _spent(run)
    if limit is not None and run.late() and (state.to_start or (spent is None and run.may_have_more())):
        return StopReason.BUDGET_TIME, f"{run.active_seconds():.3g} of {limit:g} s are over, and there was more to start"
    return spent


def _spent(run: SweepRun) -> Barrier | None:
    state, budget = run.state, run.budget
    if budget.trials is not None and state.picked >= budget.trials:
        return StopReason.BUDGET_TRIALS, f"{state.picked} of {budget.trials} trials{run.budget_note}"
    if budget.cost is not None and (cost := state.cost + run.node.cost_inside()) >= budget.cost:
        return StopReason.BUDGET_COST, f"a cost of {cost:g} of {budget.cost:g} is spent"
    around = None if run.node.parent is None else run.node.blocked()
    if around is not None:
        return around
    done = run.scheduler.finished()
    if run.scheduler.all_pruned:
        return StopReason.ALL_BRANCHES_PRUNED, done or "every branch fell below the floor"
    if done is not None:
        return StopReason.STOPPED_BY_SCHEDULER, done
    return None


def why_over(run: SweepRun, idle_why: str, *, asked: bool) -> Barrier:
    """The reason when nothing is in flight and nothing was picked, though something was allowed to start."""
    state = run.state
    exhausted = run.executor.exhausted()
    if run.scheduler.all_pruned:
        return StopReason.ALL_BRANCHES_PRUNED, "every branch fell below the floor"
    if state.pool:
        return StopReason.STOPPED_BY_SCHEDULER, idle_why or f"it picked none of the {len(state.pool)} suggestions that wait"
    if exhausted is not None:
        return StopReason.EXECUTOR_EXHAUSTED, exhausted
    if not asked and run.strategies.remaining() != 0:
        return StopReason.STOPPED_BY_SCHEDULER, idle_why or "it picked nothing, and asked the optimizer for nothing"
    if run.draws_a_queue:
        return StopReason.QUEUE_EMPTY, f"all {state.suggested} suggestions were run"
    return StopReason.OPTIMIZER_EXHAUSTED, idle_why or f"the optimizer had {state.drawn} suggestions and no more"
