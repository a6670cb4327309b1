"""One experiment that runs, and its place in the tree of experiments that run inside each other."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

from metta_sweep.address import child as child_address
from metta_sweep.address import join
from metta_sweep.core.budget import Budget, Spend, StopReason
from metta_sweep.errors import ChildClash, NestingError
from metta_sweep.experiments.tree.slots import Lease, Slots
from metta_sweep.here import Place, here
from metta_sweep.records import Store

__all__ = ["MAX_DEPTH", "Node", "Runs", "enclosing", "inside"]

MAX_DEPTH: Final = 32
"""How many experiments may run inside each other."""

_node: Final[ContextVar[Node | None]] = ContextVar("metta_sweep_node", default=None)


class Runs(Protocol):
    """The run of an experiment, as the tree sees it."""

    def own_spend(self) -> Spend:
        """What it has used, without what ran inside it."""
        ...

    def end_early(self, why: str, grace: float) -> None:
        """Something around it ends: start nothing more, and end what runs within ``grace`` seconds. Called on the event loop."""

    def ends_early(self) -> str:
        """Why it ends before its time, by itself or since something around it does; empty while it does not."""
        ...

    def must_end(self) -> None:
        """Something inside it ended since it is to end: ask what runs in it to end now, if that has not been done."""

    def busy(self) -> int:
        """How many trials of its own run."""
        ...

    def child_ended(self, address: str, spend: Spend) -> None:
        """Keep what an experiment inside it has used, over all the times it was run."""


class Node:
    """A running experiment in the tree.

    Args:
        kind: the name of its class.
        name: what it was called; None: nothing.
        parent: the experiment that it runs inside; None for the root.
        place: the trial or stage of the parent in which it runs.
        open_store: gives the store of the tree, for a root.
        slots: how many leaf trials may run at once in it and below; None: as many as those around it allow.
        takes_slots: whether its trials take tokens: simulated ones do not.
        counts_trials: whether the trials of the sweeps inside it count as its own, since it has none.
    """

    def __init__(
        self,
        kind: str,
        name: str | None,
        parent: Node | None,
        place: Place | None,
        open_store: Callable[[], Store],
        *,
        slots: int | None = None,
        takes_slots: bool = True,
        counts_trials: bool = False,
    ) -> None:
        self.kind = kind
        self.parent = parent
        self.place = place
        self.at = "" if place is None else place.place
        """The address of its place, within its parent."""
        self.attempt = 1 if place is None else place.attempt
        """The attempt of its place in which it runs."""
        self.depth: int = 1 if parent is None else parent.depth + 1
        self.address: str = "" if parent is None else child_address(join(parent.address, self.at), name or kind)
        """Its address in the tree; empty for the root."""
        self.root: str = (name or "") if parent is None else parent.root
        """The name, or else the id, of the root's run."""
        self.counts_trials = counts_trials
        self.takes_slots = takes_slots
        self.kept = True
        """Whether its run is kept in the store of the tree, so that it goes on there."""
        self.seed = 0
        self.run_id = ""
        self.aside = ""
        """The id of its run before, where it begins anew inside another one."""
        self.budget = Budget()
        self.run: Runs | None = None
        """Its run, once it is open."""
        self.loop = asyncio.get_running_loop()
        """The event loop that drives the whole tree."""
        self.over = False
        """Whether its run has been left: nothing runs inside it any more."""
        self.task = asyncio.current_task()
        """The task that drives it."""
        self.children: set[Node] = set()
        """The experiments that run inside it now."""
        self.ended: dict[str, Spend] = {}
        """What those used that ran inside it and do not run now, by their addresses."""
        self._ended_cost = 0.0
        self._ended_trials = 0
        self._open_store = open_store
        self._store: Store | None = None
        self._claims: dict[str, tuple[weakref.ref[object], int]] = {}
        self.leases: dict[str, Lease] = {}
        """The tokens of its trials that wait for experiments inside them."""
        self.slots: Slots = Slots(slots, None if parent is None else parent.slots, self._lease(), self._wake)

    def __repr__(self) -> str:
        return f"<Node {self.name!r} at depth {self.depth}>"

    @property
    def name(self) -> str:
        """The name of its run in the store: that of the root, and its address."""
        return f"{self.root}/{self.address}" if self.address else self.root

    @property
    def shares_slots(self) -> bool:
        """Whether its trials take tokens of the tree: there are others in it, and its trials are no simulated ones."""
        return self.slots.counts and self.takes_slots

    @property
    def shown(self) -> str:
        """What messages call it."""
        return self.address or self.root or self.kind

    @property
    def store(self) -> Store:
        """The store of the tree."""
        if self.parent is not None:
            return self.parent.store
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _wake(self) -> None:
        wake = getattr(self.run, "wake", None)
        if wake is not None:
            wake()

    # -- those inside it -------------------------------------------------------------------------------------------------------

    def claim(self, address: str, owner: object, place: Place | None) -> None:
        """Note that ``owner`` runs at an address. Raises ``ChildClash`` when another one ran there in the same attempt."""
        attempt = 1 if place is None else place.attempt
        known = self._claims.get(address)
        if known is not None and known[1] == attempt and known[0]() is not owner:
            kind = type(owner).__name__
            at = place.place if place is not None else self.shown
            raise ChildClash(
                f"{kind}.run() in {at}",
                "another experiment has run there under the same address, and would be taken for this one when the run is resumed",
                found=address,
                expected="experiments with different names in one trial or stage",
                remedy=f"Give each a name of its own: {kind}(name='first', ...), {kind}(name='second', ...)",
            )
        self._claims[address] = (weakref.ref(owner), attempt)

    def joined(self, child: Node) -> None:
        """An experiment runs inside it now: what it has used, it tells itself from here on."""
        self.know(child.address, Spend())
        self.children.add(child)

    def left(self, child: Node) -> None:
        """An experiment inside it does not run any more."""
        lease = self.leases.get(child.at)
        if lease is not None and not lease.users:
            del self.leases[child.at]
        if child not in self.children:
            return  # it came to nothing
        self.children.discard(child)
        self.know(child.address, child.total())
        if self.run is not None:
            self.run.child_ended(child.address, self.ended[child.address])

    def know(self, address: str, spend: Spend) -> None:
        """What an experiment inside it has used, when it does not run now."""
        before = self.ended.get(address, Spend())
        self.ended[address] = spend
        self._ended_cost += spend.cost - before.cost
        self._ended_trials += spend.trials - before.trials

    def end_children(self, why: str, grace: float, at: str | None = None) -> None:
        """Let what runs inside it end early: all, or what runs in one trial."""
        for child in list(self.children):
            if child.run is not None and (at is None or child.at == at):
                child.run.end_early(why, grace)

    def _lease(self) -> Lease | None:
        """The token of the trial that it runs inside, if that has one."""
        parent, place = self.parent, self.place
        if parent is None or place is None:
            return None
        if not parent.slots.counts:
            parent.slots.counts = True
            if parent.takes_slots and parent.run is not None:
                parent.slots.hold(parent.run.busy())
        if parent.counts_trials or not parent.takes_slots:
            return None
        return parent.leases.setdefault(self.at, Lease())

    # -- what is used ----------------------------------------------------------------------------------------------------------

    def total(self) -> Spend:
        """What it has used, with all that ran inside it."""
        own = Spend() if self.run is None else self.run.own_spend()
        trials = self._ended_trials + sum(child.total().trials for child in self.children) if self.counts_trials else own.trials
        return Spend(trials, own.seconds, own.cost + self.cost_inside())

    def cost_inside(self) -> float:
        """The cost of what ran inside it."""
        return self._ended_cost + sum(child.total().cost for child in self.children)

    def blocked(self) -> tuple[StopReason, str] | None:
        """Why what is around it lets nothing more start: a budget there is spent."""
        found = self.blocker()
        return None if found is None else found[1:]

    def blocker(self) -> tuple[Node, StopReason, str] | None:
        """The innermost experiment around it whose budget is spent, and why that lets nothing more start."""
        node, direct = self.parent, True
        while node is not None:
            budget = node.budget
            if budget.cost is not None and (cost := node.total().cost) >= budget.cost:
                return node, StopReason.BUDGET_COST, f"a cost of {cost:g} of the {budget.cost:g} of {node.shown} is spent"
            direct = direct and node.counts_trials
            if direct and budget.trials is not None and (trials := node.total().trials) >= budget.trials:
                return node, StopReason.BUDGET_TRIALS, f"{trials} of the {budget.trials} trials of {node.shown} are picked"
            node = node.parent
        return None

    def trials_left(self) -> int | None:
        """How many more trials those around it allow; None: any number."""
        left: int | None = None
        node = self.parent
        while node is not None and node.counts_trials:
            if node.budget.trials is not None:
                here_left = max(0, node.budget.trials - node.total().trials)
                left = here_left if left is None else min(left, here_left)
            node = node.parent
        return left

    def ending(self) -> str:
        """Why something around it ends; empty when nothing does."""
        node = self.parent
        while node is not None:
            why = "" if node.run is None else node.run.ends_early()
            if why:
                return why
            node = node.parent
        return ""


def enclosing() -> Node | None:
    """The experiment inside which the caller runs; None outside of all."""
    node = _node.get()
    return None if node is None or node.over else node


@contextmanager
def inside(node: Node) -> Iterator[None]:
    """What runs in the block runs inside that experiment."""
    before, place = _node.get(), here.get()
    _node.set(node)
    here.set(None)
    try:
        yield
    finally:
        _node.set(before)
        here.set(place)


def check_depth(parent: Node | None, kind: str) -> None:
    """Raise ``NestingError`` where one more experiment would be one too many."""
    if parent is None or parent.depth < MAX_DEPTH:
        return
    names: list[str] = []
    node: Node | None = parent
    while node is not None and len(names) < 3:
        names.append(node.kind)
        node = node.parent
    raise NestingError(
        f"{kind}.run()",
        f"it would run inside {parent.depth} experiments, one inside the other",
        found=" inside ".join([kind, *names, "..."]),
        expected=f"at most {MAX_DEPTH} levels",
        remedy="An experiment that runs its own kind needs an end: look at what the innermost one runs",
    )
