"""A named comparison goes on where it was: after a death, and with more repeats."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from comparison_kit import comparison, essence, side, two

from metta_sweep import Budget, MemoryStore
from metta_sweep.errors import DefinitionChanged
from metta_sweep.experiments import ComparisonExperiment
from metta_sweep.optimizers import SobolOptimizer
from metta_sweep.store import open_reader
from metta_sweep.testing import run_virtual

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).with_name("comparison_script.py")


def test_a_comparison_that_is_killed_goes_on(tmp_path: Path) -> None:
    """Killed with -9 twice, it loses nothing, counts nothing twice, and finds what it would have found."""
    found = [_until_done(tmp_path, "whole", ()), _until_done(tmp_path, "killed", (9, 17))]
    assert found[0] == found[1]
    assert len(found[0]["runs"]) == 12
    with open_reader(tmp_path / "killed.db") as reader:
        assert len(list(reader.runs())) == 13


def _until_done(folder: Path, name: str, deaths: tuple[int, ...]) -> dict[str, list[Any]]:
    """What it found, after it was killed at these of its lines, one after the other."""
    path, out = folder / f"{name}.db", folder / f"{name}.json"
    for lines in (*deaths, 1000):
        with subprocess.Popen(
            [sys.executable, str(SCRIPT), str(path), str(out)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            told = sum(1 for _ in zip(range(lines), process.stdout, strict=False))
            if told == lines:
                process.send_signal(signal.SIGKILL)
        assert (process.returncode == 0) == (lines == 1000)
    found: dict[str, list[Any]] = json.loads(out.read_text(encoding="utf-8"))
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
    assert "7 of 12 runs ended" in early.summary()
    assert run_virtual(experiment.arun()).pairs[0].pairs == 6


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
        comparison(name="c", store=store, repeats=6, score="spend.seconds")
