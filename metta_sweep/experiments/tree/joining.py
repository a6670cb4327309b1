"""How an experiment takes its place in the tree when it is run, and what becomes of its parent when it ends."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from metta_sweep.core.budget import Budget
from metta_sweep.core.seeds import seed_of_32_bits
from metta_sweep.errors import Interrupted, NestingError
from metta_sweep.executors import TrialContext
from metta_sweep.experiments.tree.anew import count_aside
from metta_sweep.experiments.tree.node import Node, Runs, check_depth, enclosing
from metta_sweep.here import here
from metta_sweep.pipeline.running.run import Scope
from metta_sweep.records import Store
from metta_sweep.store.places import file_of

__all__ = ["derived_seed", "earlier_attempts_ended", "joined", "leftovers_ended", "opened", "tell_cut", "tell_parent", "why_ending"]

logger: Final = logging.getLogger("metta_sweep")


@contextmanager
def joined(
    owner: object,
    name: str | None,
    open_store: Callable[[], Store],
    *,
    own_store: object = None,
    slots: int | None = None,
    takes_slots: bool = True,
    counts_trials: bool = False,
) -> Iterator[Node]:
    """An experiment in its place: inside the trial or stage that the caller runs in, or at the root.

    Whoever opens its run says so by ``opened``.

    Raises:
        ChildClash: another one has that place.
        NestingError: it would be too deep.
    """
    kind = type(owner).__name__
    parent, place = enclosing(), here.get()
    check_depth(parent, kind)
    if parent is not None and parent.loop is not asyncio.get_running_loop():
        raise NestingError(
            f"{kind}.stream() or open() inside {parent.shown}",
            "this event loop is not the one that drives the tree of experiments",
            expected="run(), from any thread and loop; or stream() without async, in the thread of a trial",
            remedy=f"Write {kind}(...).run()",
        )
    if parent is None:
        place = None
    elif not parent.root:
        parent.root = f"{parent.kind}-{os.urandom(4).hex()}"
    node = Node(
        kind,
        name,
        parent,
        place,
        open_store,
        slots=slots,
        takes_slots=takes_slots,
        counts_trials=counts_trials,
    )
    try:
        if parent is not None:
            parent.claim(node.address, owner, place)
            if own_store is not None and not _is_at(parent.store, own_store):
                told = "%s runs inside %s, and is kept where that is: its own store= is not used"
                logger.warning(told, node.address, parent.shown)
        yield node
    finally:
        node.over = True
        node.slots.close()
        if parent is not None:
            parent.left(node)


def _is_at(store: Store, place: object) -> bool:
    """Whether that is the place of a store, or the store itself."""
    path = getattr(store, "path", None)
    if path is None or not isinstance(place, str | os.PathLike):
        return place is store
    return place != "memory" and file_of(place, "store") == path


def derived_seed(node: Node) -> int:
    """The seed of a child that was given none, of 32 bits: a function of its parent's and of its address inside it."""
    parent = node.parent
    if parent is None:
        raise ValueError("a root has no parent to take its seed from")
    within = node.address[len(parent.address) :].removeprefix("/")
    return seed_of_32_bits(parent.seed, within)


async def leftovers_ended(node: Node) -> None:
    """End what was started inside an experiment and left behind by the trial that started it: it does not outlive its parent."""
    tasks = [child.task for child in node.children if child.task is not None and child.task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def earlier_attempts_ended(node: Node) -> None:
    """End what attempts before this one left running in its trial: it has the addresses of what runs there now.

    The attempts of a stage may share one task, so that only what ends there already is waited for.
    """
    parent = node.parent
    if parent is None:
        return
    left = [child.task for child in parent.children if child.at == node.at and child.attempt < node.attempt]
    in_trial = isinstance(node.place, TrialContext)
    current = asyncio.current_task()
    tasks = [task for task in left if task is not None and task is not current and (in_trial or task.cancelling())]
    if in_trial:
        for task in tasks:
            task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def opened(node: Node, run: Runs, budget: Budget, grace: float = 0.0) -> None:
    """The run of an experiment is open: its parent counts what it uses. It ends within ``grace`` where what is around it ends."""
    node.run, node.budget = run, budget
    if node.parent is not None:
        node.parent.joined(node)
        count_aside(node)
        ending = why_ending(node)
        if ending:
            run.end_early(ending, grace)


def why_ending(node: Node) -> str:
    """Why something around an experiment ends, its own trial included, when it begins; empty when nothing does."""
    around = node.ending()
    if around or node.parent is None or not isinstance(node.place, TrialContext) or not node.place.should_stop:
        return around
    return f"{node.at} of {node.parent.shown} is to end"


def tell_cut(node: Node) -> None:
    """An experiment had less than its own budget, since one around it is spent: the stages that ran it are not kept.

    They run again when there is more, and so does what reads them. A trial is completed with what there is.
    """
    found = node.blocker()
    inner: Node | None = node
    while found is not None and inner is not None and inner is not found[0] and isinstance(inner.place, Scope):
        inner.place.run.cuts += 1
        inner = inner.parent


def tell_parent(node: Node, error: Interrupted | None = None) -> None:
    """An experiment has ended before its time. Where something around it is the reason, there is more to come than it returns.

    The trial in which it ran has seen then that it is to end, and is not completed with what there is.

    Args:
        node: the experiment.
        error: what said so inside it.

    Raises:
        Interrupted: it ran in a stage, which must not go on with half of it.
    """
    around = why_ending(node)
    if node.parent is None or not around:
        return
    if node.parent.run is not None:
        node.parent.run.must_end()
    place = node.place
    if isinstance(place, TrialContext):
        _ = place.should_stop
    elif isinstance(place, Scope):
        error = error or Interrupted(f"{node.address} ended before its time: {around}. It goes on when {node.root} is run again.")
        place.run.broken = error
        raise error
