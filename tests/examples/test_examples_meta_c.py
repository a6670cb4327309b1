"""The example that meta-optimizes the exploration weight: what it finds, and that every level of it is kept and goes on."""

from __future__ import annotations

import importlib.util
import sys
from math import sqrt
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import pytest
from dying import DieAt, Died

from metta_sweep import MemoryStore
from metta_sweep.clock import crash_points

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/meta_c.py"


def small(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example with few problems, whose sweeps are short."""
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("example_meta_c", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TRIALS", 20)
    monkeypatch.setattr(module, "SEARCHED", 1)
    monkeypatch.setattr(module, "CHECKED", 2)
    monkeypatch.setattr(module, "TRAINING", module.TRAINING[:2])
    monkeypatch.setattr(module, "HELD_OUT", module.HELD_OUT[:1])
    return module


def kept(store: MemoryStore) -> dict[str, list[tuple[Any, ...]]]:
    """The trials of every run in a store, by the name of the run."""
    return {
        row.name or "": [(trial.number, trial.branch, trial.state, trial.score) for trial in store.trial_rows(row.run_id)]
        for row in store.runs()
    }


def test_what_is_found_is_the_best_of_what_was_tried_and_beats_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    """All trials of all sweeps are told; on problems that were not searched, much less is missed than with sqrt(2)."""
    module = small(monkeypatch)
    monkeypatch.setattr(module, "TRIALS", 40)
    result = module.Study(name="meta-c", store=MemoryStore()).run()
    assert len(result.tried) == 10
    assert result.tried[result.c] == min(result.tried.values())
    assert result.trials == 10 * 2 * 40
    assert result.c < sqrt(2)
    assert fmean(result.found) < 0.8 * fmean(result.textbook)


def test_a_second_run_of_it_returns_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four levels are in the store under one name; run again, nothing is played and nothing is written."""
    module, store = small(monkeypatch), MemoryStore()
    first = module.Study(name="meta-c", store=store).run()
    before = kept(store)
    assert len(before) == 1 + 1 + 10 * (1 + 2) + 2 * (1 + 2)
    assert "meta-c/search>MetaExperiment/trial[9]>Bandits/play[item=1.0]>SweepExperiment" in before
    monkeypatch.setattr(module, "make_deterministic_runner", None)
    again = module.Study(name="meta-c", store=store).run()
    assert (again.c, again.tried, again.found, again.textbook) == (first.c, first.tried, first.found, first.textbook)
    assert kept(store) == before


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_killed_after_any_record_it_goes_on_in_the_sweep_it_was_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever level the last record was of, the resumed study has the same runs with the same trials as one never killed."""
    module, never, store = small(monkeypatch), DieAt(0), MemoryStore()
    with crash_points(never):
        whole = module.Study(name="meta-c", store=store).run()
    expected = kept(store)
    for occurrence in range(7, never.seen, never.seen // 12):
        store = MemoryStore()
        with crash_points(DieAt(occurrence)), pytest.raises(Died):
            module.Study(name="meta-c", store=store).run()
        assert len(kept(store)) <= len(expected)
        result = module.Study(name="meta-c", store=store).run()
        assert (result.c, result.found, result.textbook) == (whole.c, whole.found, whole.textbook)
        assert kept(store) == expected
