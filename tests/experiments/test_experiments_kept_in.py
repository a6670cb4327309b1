"""An experiment in another store than its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from metta_sweep import MemoryStore, SweepExperiment, Uniform
from metta_sweep.errors import StoreError


def sweep(**settings: object) -> SweepExperiment:
    """A sweep called ``here``."""
    return SweepExperiment(name="here", objective=lambda x: x, search_space={"x": Uniform(0, 1)}, **settings)  # type: ignore[arg-type]


def test_a_copy_is_kept_elsewhere(tmp_path: Path) -> None:
    """The original keeps its store, and what one has run the other knows nothing of."""
    own, other = MemoryStore(), tmp_path / "other.db"
    experiment = sweep(store=own)
    moved = experiment.kept_in(other)
    moved.run(budget=2)
    assert experiment.opened_store() is own
    assert not own.runs()
    assert [row.name for row in moved.opened_store().runs()] == ["here"]
    assert len(experiment.run(budget=3).trials) == 3


def test_a_place_that_is_none_is_refused() -> None:
    """As it is for ``store=``, naming the method."""
    with pytest.raises(StoreError, match=r"kept_in\(store\).*postgres"):
        sweep().kept_in("postgres://somewhere/db")
