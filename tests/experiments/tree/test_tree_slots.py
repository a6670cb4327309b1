"""Tokens of a tree of experiments."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from metta_sweep.experiments.tree.slots import Lease, Slots


def test_a_waiting_trial_hands_its_token_down() -> None:
    """With one slot, the experiment inside the trial runs one trial, and the trial has its token back afterwards."""
    root = Slots(1)
    assert root.hold(1) == 1
    child = Slots(None, root, Lease())
    assert child.hold(3) == 1
    grandchild = Slots(None, child, Lease())
    assert grandchild.hold(2) == 1
    grandchild.close()
    child.close()
    assert (root.used, root.hold(1)) == (1, 1)


def test_nobody_else_gets_a_lent_token() -> None:
    """What a trial lends serves what runs inside it, and not the experiment inside its neighbour."""
    root = Slots(2)
    root.hold(2)
    first, second = Slots(None, root, Lease()), Slots(None, root, Lease())
    assert first.hold(0) == 0
    assert second.hold(2) == 1


def test_free_tokens_are_for_whoever_asks_first() -> None:
    """What nobody holds may be taken by any experiment in the tree, and is handed on when it comes back."""
    woken: list[str] = []
    root = Slots(4)
    root.hold(2)
    first = Slots(None, root, Lease(), lambda: woken.append("first"))
    second = Slots(None, root, Lease(), lambda: woken.append("second"))
    assert first.hold(5, 5) == 3
    assert second.hold(3, 3) == 1
    assert second.short
    assert first.hold(1, 1) == 1
    assert woken == ["second"]
    assert second.hold(3, 3) == 3
    assert not second.short


def test_an_experiment_may_bound_what_is_below_it() -> None:
    """Its own slots hold for all that runs inside it, whatever is free around it."""
    root = Slots(10)
    root.hold(1)
    middle = Slots(2, root, Lease())
    middle.hold(1)
    inner = Slots(None, middle, Lease())
    assert inner.hold(5) == 2


def test_two_experiments_of_one_trial_share_its_token() -> None:
    """A trial that runs two at once lends its one token; it has it back when both have ended."""
    root, lease = Slots(1), Lease()
    root.hold(1)
    one, other = Slots(None, root, lease), Slots(None, root, lease)
    assert (one.hold(1), other.hold(1, 1)) == (1, 0)
    one.close()
    assert other.hold(1) == 1
    assert lease.users == 1
    other.close()
    assert (lease.users, lease.free) == (0, False)


@given(seed=st.integers(0, 2**32), cap=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_there_are_never_more_leaves_than_slots(seed: int, cap: int) -> None:
    """Whatever begins, ends and asks: running leaf trials never exceed the slots, nobody starves, and all tokens come back."""
    random = Random(seed)
    root = Slots(cap)
    tree: list[tuple[Slots, Slots | None]] = [(root, None)]
    waiting: dict[Slots, int] = {}

    def leaves() -> int:
        return sum(slots.held for slots, _ in tree) - sum(waiting.values())

    for _ in range(80):
        slots, parent = random.choice(tree)
        free = slots.held - waiting.get(slots, 0)
        move = random.random()
        if move < 0.3 and free:
            child = Slots(random.choice([None, None, 1, 2]), slots, Lease())
            waiting[slots] = waiting.get(slots, 0) + 1
            tree.append((child, slots))
            assert child.hold(1) == 1, "a trial that waits has a token to hand down"
        elif move < 0.5 and parent is not None and not waiting.get(slots):
            slots.close()
            tree.remove((slots, parent))
            waiting[parent] -= 1
        else:
            least = waiting.get(slots, 0)
            wish = least + random.randrange(4)
            room = slots.room()
            assert slots.hold(wish, wish) == (wish if room is None else min(wish, room))
            slots.hold(least + random.randrange(4), least + random.randrange(4))
        assert leaves() <= cap
        assert all(0 <= slots.used <= (slots.cap or cap) for slots, _ in tree)
    for slots, _ in reversed(tree):
        slots.close()
    assert root.used == 0
