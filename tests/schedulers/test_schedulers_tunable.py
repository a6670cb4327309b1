"""What schedulers and pickers declare as worth searching can be searched."""

from __future__ import annotations

import inspect
from typing import Any, Final

import pytest

from metta_sweep import schedulers
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.schedulers import BranchPicker, ContextualUCB, FIFOScheduler, RoundRobin, Scheduler, SuggestionPicker

Kind = type[Scheduler] | type[BranchPicker] | type[SuggestionPicker]

MANDATORY: Final[dict[Kind, dict[str, Any]]] = {ContextualUCB: {"buckets": "layers"}}
"""What constructors need beside."""
FIXED: Final[tuple[Kind, ...]] = (Scheduler, FIFOScheduler, RoundRobin, BranchPicker, SuggestionPicker)
"""Those with nothing of their own worth searching."""
ALL: Final[list[Kind]] = [
    member
    for member in (getattr(schedulers, name) for name in schedulers.__all__)
    if isinstance(member, type) and issubclass(member, Scheduler | BranchPicker | SuggestionPicker)
]
TUNABLE: Final = [kind for kind in ALL if kind.tunable]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_scheduler_with_options_worth_searching_declares_them(kind: Kind) -> None:
    """Declared options are parameters of the constructor; a list of classes says which have none."""
    assert set(kind.tunable) <= set(inspect.signature(kind).parameters)
    assert bool(kind.tunable) == (kind not in FIXED)


@pytest.mark.parametrize("kind", TUNABLE, ids=lambda kind: kind.__name__)
def test_a_scheduler_takes_what_its_ranges_give(kind: Kind) -> None:
    """Five draws of each range, both ends of it, and joint draws are taken, and shown by describe()."""
    space = SearchSpace(kind.tunable)
    ends = [space.sample([u] * len(space.names)) for u in (0.0, 1.0 - 2.0**-53)]
    for params in [*ends, *(space.sample_at(0, index) for index in range(5))]:
        for options in [*({name: value} for name, value in params.items()), params]:
            described = kind(**MANDATORY.get(kind, {}), **options).describe()
            assert {name: described[name] for name in options} == options


@pytest.mark.parametrize("kind", TUNABLE, ids=lambda kind: kind.__name__)
def test_the_default_of_a_scheduler_lies_in_its_range(kind: Kind) -> None:
    """A search of what is declared can find what its author chose."""
    described = kind(**MANDATORY.get(kind, {})).describe()
    assert all(distribution.contains(described[name]) for name, distribution in kind.tunable.items())
