"""What optimizers declare as worth searching can be searched."""

from __future__ import annotations

import inspect
from typing import Any, Final

import pytest

from metta_sweep import optimizers
from metta_sweep.core.search_space import SearchSpace
from metta_sweep.errors import MissingExtra
from metta_sweep.optimizers import Optimizer, Phase, Phases, PortfolioOptimizer, RandomOptimizer, SuggestionQueue

MANDATORY: Final[dict[type[Optimizer], dict[str, Any]]] = {
    PortfolioOptimizer: {"optimizers": {"random": RandomOptimizer()}},
    Phases: {"phases": [Phase(RandomOptimizer())]},
    SuggestionQueue: {"suggestions": [{"x": 1}]},
}
"""What constructors need beside."""
FIXED: Final = (Optimizer, RandomOptimizer, Phases, SuggestionQueue)
"""Those with nothing of their own worth searching."""
ALL: Final = [
    member
    for member in (getattr(optimizers, name) for name in optimizers.__all__)
    if isinstance(member, type) and issubclass(member, Optimizer)
]


def made(kind: type[Optimizer], options: dict[str, Any]) -> Optimizer:
    """One with these options."""
    try:
        return kind(**MANDATORY.get(kind, {}), **options)
    except MissingExtra as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_optimizer_with_options_worth_searching_declares_them(kind: type[Optimizer]) -> None:
    """Declared options are parameters of the constructor; a list of classes says which have none."""
    assert set(kind.tunable) <= set(inspect.signature(kind).parameters)
    assert bool(kind.tunable) == (kind not in FIXED)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.tunable], ids=lambda kind: kind.__name__)
def test_an_optimizer_takes_what_its_ranges_give(kind: type[Optimizer]) -> None:
    """Five draws of each range, both ends of it, and joint draws are taken, and shown by describe()."""
    space = SearchSpace(kind.tunable)
    ends = [space.sample([u] * len(space.names)) for u in (0.0, 1.0 - 2.0**-53)]
    for params in [*ends, *(space.sample_at(0, index) for index in range(5))]:
        for options in [*({name: value} for name, value in params.items()), params]:
            described = made(kind, options).describe()
            assert {name: described[name] for name in options} == options


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.tunable], ids=lambda kind: kind.__name__)
def test_the_default_of_an_optimizer_lies_in_its_range(kind: type[Optimizer]) -> None:
    """A search of what is declared can find what its author chose."""
    described = made(kind, {}).describe()
    assert all(distribution.contains(described[name]) for name, distribution in kind.tunable.items())
