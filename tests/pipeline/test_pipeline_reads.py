"""What predicates and hooks read, from their code objects."""

# stages and helpers; each test says what it shows
from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import pytest

from metta_sweep.pipeline.reads import reads_of

limit: list[int] = []


def test_direct_reads() -> None:
    """Attributes that are always read, in order, each once."""
    reads = reads_of(lambda ctx: ctx.index < len(ctx.tasks) and ctx.index >= 0)
    assert reads is not None
    assert reads[:3] == (("index", "tasks"), (), False)
    assert reads.pure


def test_reads_under_a_condition() -> None:
    """What comes after a condition is read only sometimes."""
    reads = reads_of(lambda ctx: ctx.last is None or ctx.score > 0)
    assert reads is not None
    assert (reads.always, reads.sometimes) == (("last",), ("score",))


def test_reads_in_comprehensions() -> None:
    """Comprehensions are looked into."""
    reads = reads_of(lambda d: [d.scale for _ in d.trials])
    assert reads is not None
    assert (reads.always, reads.sometimes, reads.escapes) == (("trials",), ("scale",), False)


@pytest.mark.parametrize(
    "fn",
    [
        lambda d: len(d),
        lambda d: d["n"],
        lambda d: vars(d),
        lambda d: f"{d}",
        lambda d: (d := 3) + d,
        lambda d: [d],
        lambda d: [d for _ in d.n],
    ],
)
def test_escapes(fn: Callable[[Any], Any]) -> None:
    """Everything else that is done with the parameter is an escape."""
    reads = reads_of(fn)
    assert reads is not None
    assert reads.escapes


def test_purity() -> None:
    """A function that looks elsewhere, or deeper, may change its mind by itself."""
    clock = reads_of(lambda ctx: time.time() < ctx.deadline)
    elsewhere = reads_of(lambda ctx: len(limit) < ctx.n)
    deeper = reads_of(lambda ctx: ctx.queue.empty())
    assert clock is not None
    assert not clock.pure
    assert elsewhere is not None
    assert not elsewhere.pure
    assert deeper is not None
    assert deeper.deep


def test_other_callables_say_nothing() -> None:
    """Partials, builtins and objects have no code that names their parameter."""
    assert reads_of(functools.partial(lambda a, b: a, 1)) is None
    assert reads_of(len) is None
