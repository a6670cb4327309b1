"""Pipelines and types drawn at random: the build finds exactly what following every path, and looking at every value, finds."""

from __future__ import annotations

import pytest
from corpus.drawn import disagreement, draw
from corpus.drawn_types import misjudged

from metta_sweep.errors import BuildError


@pytest.mark.parametrize("start", range(0, 400, 100))
async def test_the_build_agrees_with_following_every_path(start: int) -> None:
    """No fault is missed and none is invented, in loops, branches and nested pipelines; right pipelines run, whatever is chosen."""
    assert [said for seed in range(start, start + 100) if (said := await disagreement(seed))] == []


def test_one_type_stands_for_another_as_its_values_do() -> None:
    """Of two drawn types, one fits where the other is needed exactly if each of its values does."""
    assert [said for seed in range(3000) if (said := misjudged(seed))] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_build_agrees_on_thousands() -> None:
    """The same with many more."""
    assert [said for seed in range(1000, 6000) if (said := await disagreement(seed))] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_types_stand_for_others_as_their_values_do() -> None:
    """The same with many more."""
    assert [said for seed in range(10_000, 18_000) if (said := misjudged(seed))] == []


def test_drawn_pipelines_are_right_and_wrong() -> None:
    """There are enough of both kinds, and wrong ones have one or more faults."""
    faults = [len(draw(seed).faults) for seed in range(400)]
    assert faults.count(0) > 40
    assert faults.count(1) > 40
    assert sum(count > 1 for count in faults) > 40
    with pytest.raises(BuildError):
        draw(next(seed for seed, count in enumerate(faults) if count)).pipeline.build()
