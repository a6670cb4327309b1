"""What users read first must work: the examples, and the code of the README."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from dying import DieAt, Died

from metta_sweep import LocalExecutor, MemoryStore, SweepExperiment, compare
from metta_sweep.clock import crash_points

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))


def load(path: Path) -> ModuleType:
    """Import an example, not as the main module."""
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def readme_blocks() -> list[CodeType]:
    """The README's code, compiled as a notebook's cells."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return [
        compile(block, f"README.md, block {number}", "exec", flags, dont_inherit=True) for number, block in enumerate(blocks, 1)
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_can_be_imported_and_says_what_it_is(path: Path) -> None:
    """Importing an example runs nothing, and its first line tells what it shows."""
    assert load(path).__doc__


@pytest.mark.filterwarnings("default")  # scikit-learn changes the process's filters in three threads at once: "error" would hit any
def test_the_digits_example_finds_good_models() -> None:
    """A few trials of examples/digits.py: every kind of model is tried, and the best one reads most digits."""
    experiment = load(ROOT / "examples/digits.py").experiment
    assert isinstance(experiment, SweepExperiment)
    results = experiment.run(budget=6)
    assert len(results.trials) == 6
    assert set(results.branches) == {"logistic", "svm", "forest"}
    assert [trial.error for trial in results.trials] == [None] * 6
    assert results.best_score is not None
    assert results.best_score > 0.85
    assert str(results.stop_reason) == "budget_trials"
    assert "svm" in results.summary()


def test_the_comparison_example_answers_its_question() -> None:
    """Seven pairs of short runs of examples/compare.py: Bayesian optimization is found better than random search."""
    module = load(ROOT / "examples/compare.py")
    sides = {"bayesian": module.bayesian, "random": module.random}
    comparison = compare(sides, repeats=7, budget=20, problems={"branin": module.branin}, seed=0)
    assert comparison.winner == "bayesian"
    assert "bayesian is better than random: median best score" in comparison.summary()


def test_the_custom_strategies_decide_as_before_after_a_restart() -> None:
    """Killed after some of its records, the sweep of examples/custom_strategies.py stops the same trials at the same steps."""
    module = load(ROOT / "examples/custom_strategies.py")

    def begin(store: MemoryStore) -> list[Any]:
        experiment = SweepExperiment(
            name="it",
            objective=module.train,
            optimizer=module.MyOptimizer(),
            scheduler=module.MyScheduler(),
            executor=LocalExecutor(gpus=1),
            slots=1,
            seed=0,
            store=store,
        )
        return [(trial.id, str(trial.state), trial.score) for trial in experiment.run(budget=12).trials]

    never = DieAt(0)
    with crash_points(never):
        whole = begin(MemoryStore())
    assert {state for _, state, _ in whole} == {"completed", "stopped"}
    for occurrence in range(40, never.seen, never.seen // 5):
        store = MemoryStore()
        with crash_points(DieAt(occurrence)), pytest.raises(Died):
            begin(store)
        assert begin(store) == whole


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_as_a_script(path: Path) -> None:
    """Each example runs to its end in a fresh interpreter, without a warning or anything else on standard error."""
    command = [sys.executable, "-W", "error", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_the_code_of_the_readme_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's blocks run from first to last: those with await in an event loop, the others outside of one."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for block in readme_blocks():
        pending = eval(block, namespace)
        if inspect.iscoroutine(pending):
            asyncio.run(pending)
    assert namespace["results"].best_params["model"] == "deep"
    assert namespace["report"].triggers == ["a"]
    assert namespace["output"].verdict == "best 1.00"
    printed = [line.rstrip() for line in f"{capsys.readouterr().out}\n{namespace['plan'].describe()}".splitlines()]
    assert any("max_experiments" in line for line in printed)
    shown = re.findall(r"^```text\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert [line for block in shown for line in block.splitlines() if line.rstrip() not in printed] == []
