"""What a sweep may start, given what is around it: the slots of the tree, and the trials that budgets leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metta_sweep.experiments.sweep_run import SweepRun

__all__ = ["free_slots", "settle", "startable", "trials_left"]


def free_slots(run: SweepRun, busy: int, wished: int) -> int:
    """How many of the trials that it could start would have a slot in the tree now."""
    room = run.node.slots.room() if run.node.shares_slots else None
    return wished if room is None else max(0, min(wished, room - busy))


def startable(run: SweepRun) -> int:
    """How many of the trials that are due may start now: they have a slot of its own, and one of the tree."""
    running = len(run.state.running) + run.executor.leaked_slots
    own = run.node.slots.hold(run.busy()) if run.node.shares_slots else run.slots
    return own - running


def settle(run: SweepRun, busy: int, picked: int, wished: int = 0) -> None:
    """Hold slots for what runs and for what was picked, and let others go.

    Args:
        run: the sweep.
        busy: how many of its trials run.
        picked: how many were picked now.
        wished: how many could have been, had there been slots: it is woken when there are.
    """
    if run.node.shares_slots:
        run.node.slots.hold(busy + picked, busy + max(picked, wished))


def trials_left(run: SweepRun) -> int | None:
    """How many more trials may be picked, by its own budget and by those around it; None: any number."""
    cap, around = run.budget.trials, run.node.trials_left() if run.node.parent is not None else None
    own = None if cap is None else cap - run.state.picked
    return own if around is None else around if own is None else min(own, around)
