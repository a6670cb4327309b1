"""Every strategy of the package can be a part of what is copied, and be made anew with other settings."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from meta_kit import base, meta, run

import metta_sweep.optimizers
import metta_sweep.schedulers
from metta_sweep import MemoryStore, Optimizer, Scheduler, SweepExperiment, Uniform
from metta_sweep.core.given import remade, settings_of
from metta_sweep.errors import MissingExtra
from metta_sweep.experiments.meta.options import SweepOptions
from metta_sweep.optimizers import Phase, Phases, PortfolioOptimizer, RandomOptimizer, SuggestionQueue
from metta_sweep.schedulers import BranchPicker, ContextualUCB, SuggestionPicker

SPECIAL: dict[str, Any] = {
    "ContextualUCB": lambda: ContextualUCB("x"),
    "Phases": lambda: Phases([Phase(RandomOptimizer())]),
    "PortfolioOptimizer": lambda: PortfolioOptimizer({"a": RandomOptimizer()}),
    "SuggestionQueue": lambda: SuggestionQueue([{"x": 1}]),
}
KINDS = (Optimizer, Scheduler, BranchPicker, SuggestionPicker)
STRATEGIES = [
    (name, kind)
    for room in (metta_sweep.optimizers, metta_sweep.schedulers)
    for name, kind in sorted(vars(room).items())
    if isinstance(kind, type) and issubclass(kind, KINDS) and kind not in KINDS
]


@pytest.mark.parametrize(("name", "kind"), STRATEGIES, ids=[name for name, _ in STRATEGIES])
def test_strategies_are_made_anew_as_they_are(name: str, kind: type[Any]) -> None:
    """With nothing changed, the new one has the settings of the old one."""
    try:
        made = SPECIAL.get(name, kind)()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    assert remade(made, {}).describe() == made.describe()


def test_the_options_are_those_of_sweeps() -> None:
    """But for what a meta-experiment declares itself; what type checkers see is what is there."""
    own = {"base", "objective", "search_space", "optimizer", "scheduler", "score", "base_budget", "steps", "paired", "goal"}
    assert set(SweepOptions.__annotations__) == set(settings_of(SweepExperiment)) - own


def test_children_are_called_as_their_base() -> None:
    """By its name, where it has one; results have them by their addresses."""
    store = MemoryStore()
    result = run(meta(name="outer", base=base(name="inner"), search_space={"scheduler.c": Uniform(0, 1)}, store=store), 2)
    assert [row.name for row in store.runs(under="outer")] == ["outer/trial[0]>inner", "outer/trial[1]>inner"]
    assert list(result.children) == ["trial[0]>inner", "trial[1]>inner"]
    assert result.children["trial[1]>inner"].best_score == result.trials[1].score


def test_nothing_slow_is_imported_with_it() -> None:
    """Before a meta-experiment is run."""
    slow = ("numpy", "scipy", "pydantic", "optuna")
    code = f"import sys, metta_sweep; metta_sweep.MetaExperiment; print([name for name in {slow} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
