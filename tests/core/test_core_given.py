"""What an object was made with, and another one made like it."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any, Never

import pytest

from metta_sweep import Budget, FailurePolicy, Spend
from metta_sweep.core.given import Remembers, given_to, remade, settings_of, takes_any
from metta_sweep.optimizers import Phase, RandomOptimizer


class Scaled(Remembers):
    """Keeps something else than it was given."""

    def __init__(self, scale: float = 1.0, name: str | None = None, **unknown: Never) -> None:
        if scale <= 0:
            raise ValueError("a scale is positive")
        self.doubled = 2 * scale


class Passing(Scaled):
    """Passes on what it does not name."""

    def __init__(self, extra: int, **options: Any) -> None:
        super().__init__(**options)
        self.extra = extra


class Plain(Remembers):
    """Takes nothing."""


class Open(Remembers):
    """Takes any keyword."""

    def __init__(self, **options: Any) -> None:
        self.options = options


def test_another_one_is_made_of_what_the_first_was_given() -> None:
    """Whatever it keeps of it; changes win, and are checked by the constructor."""
    first = Passing(3, scale=5.0)
    second = remade(first, {"scale": 7.0})
    assert (second.extra, second.doubled, first.doubled) == (3, 14.0, 10.0)
    with pytest.raises(ValueError, match="positive"):
        remade(first, {"scale": -1.0})


def test_what_was_given_by_position_is_known_by_name() -> None:
    """As the signature says."""
    assert given_to(Scaled(2.0, "a")) == {"scale": 2.0, "name": "a"}


def test_copies_remember_too() -> None:
    """Shallow, deep and pickled ones; a deep copy shares what is only read."""
    first = Open(data=[1, 2])
    assert given_to(copy.copy(first)) == given_to(pickle.loads(pickle.dumps(first))) == {"data": [1, 2]}  # our own
    deep = given_to(copy.deepcopy(first))
    assert deep is not None
    assert deep["data"] is first.options["data"]


def test_classes_without_a_constructor_refuse_arguments() -> None:
    """As they did before they remembered."""
    with pytest.raises(TypeError, match=r"Plain\(\) takes no arguments"):
        Plain(3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert isinstance(remade(Plain(), {}), Plain)


def test_signatures_stay_those_of_the_constructors() -> None:
    """For whoever looks at the class."""
    assert list(inspect.signature(Passing).parameters) == ["extra", "options"]


def test_settings_are_those_that_the_constructor_takes() -> None:
    """With those of its bases where it passes keywords on; ``**unknown: Never`` takes none."""
    assert settings_of(Passing(1)) == ("extra", "scale", "name")
    assert settings_of(Scaled()) == ("scale", "name")
    assert (takes_any(Open()), takes_any(Passing(1)), takes_any(Scaled()), takes_any(Plain())) == (True, True, False, False)


def test_frozen_nouns_are_remade_from_their_attributes() -> None:
    """They keep what their constructors take, under the same names."""
    assert remade(Budget(10, seconds=2.0), {"trials": 20}) == Budget(20, 2.0)
    assert remade(FailurePolicy(retries=1), {"min_failed": 2}) == FailurePolicy(retries=1, min_failed=2)


def test_named_tuples_and_classes_with_a_new_of_their_own_are_remade_too() -> None:
    """What tells their parameters is their constructor, where they have one."""
    assert remade(Spend(1, 2.0, 3.0), {"cost": 4.0}) == Spend(1, 2.0, 4.0)
    phase = Phase(RandomOptimizer(), trials=3)
    assert remade(phase, {"trials": 5}) == Phase(phase.optimizer, trials=5)


def test_what_cannot_be_known_is_said() -> None:
    """Of an object that neither remembers nor keeps what it was given."""

    class Forgets:
        """Keeps nothing."""

        def __init__(self, size: int) -> None: ...

    assert given_to(Forgets(3)) is None
    with pytest.raises(LookupError, match="Forgets"):
        remade(Forgets(3), {})
