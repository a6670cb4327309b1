"""A named comparison goes on where it was: after a death, and with more repeats."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from comparison_kit import comparison, essence, identity, side, template, two
from comparison_script import found_in
from dying import DieAt, Died

from metta_sweep import Budget, MemoryStore
from metta_sweep.clock import crash_points
from metta_sweep.errors import DefinitionChanged
from metta_sweep.experiments import ComparisonExperiment
from metta_sweep.optimizers import SobolOptimizer
from metta_sweep.store import open_reader
from metta_sweep.testing import run_virtual

ROOT = Path(__file__).resolve().parents[3]
MORE_THAN_ALL = 1000
SCRIPT = Path(__file__).with_name("comparison_script.py")


def test_a_comparison_goes_on_after_a_death_at_any_moment() -> None:
    """Died after some record, in the middle of a run or between two, it ends as if it had not."""
    never = DieAt(0)
    with crash_points(never):
        whole = essence(comparison(name="c", repeats=2))
    assert never.seen > 50
    for occurrence in range(1, never.seen, 5):
        store = MemoryStore()
        with crash_points(DieAt(occurrence)), pytest.raises(Died):
            comparison(name="c", repeats=2, store=store)
        assert essence(comparison(name="c", repeats=2, store=store)) == whole
        assert len(list(store.runs())) == 5


@pytest.mark.slow
def test_a_comparison_that_is_killed_goes_on(tmp_path: Path) -> None:
    """Killed with -9 in the middle of a run, it loses nothing, counts nothing twice, and finds what it would have found."""
    assert _killed_and_ended(tmp_path, (17,)) == found_in(MemoryStore())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_comparison_that_is_killed_often_goes_on(tmp_path: Path) -> None:
    """The same with twelve deaths, one after the other, at moments of all kinds."""
    random = Random(0)
    assert _killed_and_ended(tmp_path, [random.randint(1, 9) for _ in range(12)]) == found_in(MemoryStore())


def _killed_and_ended(folder: Path, deaths: Sequence[int]) -> dict[str, Any]:
    """What it found, after each process but the last was killed when it had begun so many trials. All is kept once."""
    path, out = folder / "killed.db", folder / "found.json"
    for count in (*deaths, MORE_THAN_ALL):
        with subprocess.Popen(
            [sys.executable, str(SCRIPT), str(path), str(out)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            begun = sum(1 for _ in islice(process.stdout, count))
            if begun == count:
                process.send_signal(signal.SIGKILL)
        assert (process.returncode == 0) == (begun < count)
    with open_reader(path) as reader:
        assert len(list(reader.runs())) == 13
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def test_more_repeats_add_to_those_that_there_are() -> None:
    """With more repeats it goes on with the next pairs; with fewer, it tells of the first ones."""
    store = MemoryStore()
    few = comparison(name="c", repeats=6, store=store)
    more = comparison(name="c", repeats=8, store=store)
    assert essence(more)[:12] == essence(few)
    assert len(more.runs) == 16
    assert more.results is not None
    assert more.results.added == 4
    again = comparison(name="c", repeats=6, store=store)
    assert essence(again) == essence(few)
    assert essence(comparison(name="c", repeats=8)) == essence(more)


def test_a_budget_of_the_whole_ends_it_early() -> None:
    """A cap on runs leaves pairs out, and only whole pairs are compared; without the cap it goes on."""
    experiment = ComparisonExperiment(experiments=two(), repeats=6, budget=2, name="c", store=MemoryStore(), seed=0)
    early = run_virtual(experiment.arun(Budget(trials=7)))
    assert (len(early.runs), early.pairs[0].pairs) == (7, 3)
    assert "7 of 12 runs came to their end" in early.summary()
    assert run_virtual(experiment.arun()).pairs[0].pairs == 6


@pytest.mark.parametrize("ended", [1, 3, 5])
def test_a_comparison_goes_on_whatever_order_its_sides_and_problems_are_written_in(ended: int) -> None:
    """Broken off between two runs, it goes on where sides and problems are turned around: no run is done twice or left out."""
    problems = {"one": identity, "two": identity}
    sides = {"a": template(), "b": template()}
    whole = essence(comparison(sides, problems=problems, name="c", repeats=2))
    store = MemoryStore()
    ComparisonExperiment(experiments=sides, problems=problems, repeats=2, budget=3, name="c", seed=0, store=store).run(budget=ended)
    turned = [dict(reversed(given.items())) for given in (sides, problems)]
    found = comparison(turned[0], problems=turned[1], name="c", repeats=2, store=store)
    assert sorted(essence(found)) == sorted(whole)
    assert found.sides == ("b", "a")
    assert found.problems == ("two", "one")


def test_another_comparison_under_the_name_is_refused() -> None:
    """A side, a budget or a score that is not the same makes another comparison, and the difference is shown."""
    store = MemoryStore()
    comparison(name="c", store=store, repeats=6)
    other = {"a": side(), "b": side(SobolOptimizer())}
    with pytest.raises(DefinitionChanged, match=r"optimizer.experiments.b.optimizer.class: kept 'Ran.*', given 'Sobol"):
        comparison(other, name="c", store=store, repeats=6)
    with pytest.raises(DefinitionChanged, match=r"budget.trials: kept 3, given 4"):
        comparison(name="c", store=store, repeats=6, budget=4)
    with pytest.raises(DefinitionChanged, match=r"score: kept 'best_score', given 'spend.seconds'"):
        comparison(name="c", store=store, repeats=6, score="spend.seconds", goal="maximize")
