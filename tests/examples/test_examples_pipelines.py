"""The pipeline examples: each one run as a script, and what it prints judged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "pipelines"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each example printed: they run side by side, in an empty folder that must stay empty."""
    folder = tmp_path_factory.mktemp("here")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    children = {
        name: subprocess.Popen(
            [sys.executable, "-W", "error", str(FOLDER / f"{name}.py")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
        )
        for name in NAMES
    }
    told = {name: child.communicate() for name, child in children.items()}
    assert {name: (children[name].returncode, errors) for name, (_, errors) in told.items()} == dict.fromkeys(NAMES, (0, ""))
    assert list(folder.iterdir()) == []
    return {name: output for name, (output, _) in told.items()}


def test_every_example_is_judged() -> None:
    """A new example needs a test here."""
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in NAMES if f'printed["{name}"]' not in here] == []


def test_basic(printed: dict[str, str]) -> None:
    """The table, a result, and both faults of a wrong wiring with their remedies."""
    text = printed["basic"]
    assert "train         trials: list[Trial] <- suggest      results: dict[str, float]" in text
    assert "trial-2 is best, with 1.00; 4 trials" in text
    assert "the pipeline has 2 faults" in text
    assert "Did you mean 'results'?" in text
    assert "'suggest' provides 'trials' as list[Trial]" in text


def test_contracts_and_hooks(printed: dict[str, str]) -> None:
    """Two attempts fail and are retried; the second run evaluates nothing again."""
    text = printed["contracts_and_hooks"]
    assert text.count("another follows at once: ConnectionError") == 2
    assert text.count("trial-2 scores 1.00") == 2
    assert text.endswith("4 attempts to train, 1 evaluation\n")


def test_advanced_hooks(printed: dict[str, str]) -> None:
    """Sets of hooks, global ones for every stage, figures, and an alert that replaces nothing."""
    text = printed["advanced_hooks"]
    assert "[train] starting with n, data" in text
    assert "the dashboard got [{'loss': 0.4567, 'steps': 5}]" in text
    assert "{'load.complete': 1, 'train.complete': 1, 'report.complete': 1}" in text
    assert re.search(r"^train +1 ", text, flags=re.MULTILINE)
    assert "It failed for good: the connection was lost" in text
    assert "the team was told: ['ConnectionError: the connection was lost']" in text


def test_conditional_hooks(printed: dict[str, str]) -> None:
    """The same stages under either set."""
    text = printed["conditional_hooks"]
    assert "hooks of 'train': metrics, checkpoint, retry 3, timeout 60s" in text
    assert "hooks of 'train': before, after, validate" in text
    assert "Input: Context(learning_rate=0.3)" in text
    assert "and the gate refuses: a loss of 79.21 makes no sense" in text


def test_checkpoint_kill_resume(printed: dict[str, str]) -> None:
    """Every stage ran once, but for the one that was killed; the second resume runs nothing."""
    text = printed["checkpoint_kill_resume"]
    killed, again = text.split("Taken up again:")
    assert "exit code -9" in killed
    ran = re.findall(r"^  (\S+) runs$", killed, flags=re.MULTILINE)
    resumed = re.findall(r"^  (\S+) runs$", again, flags=re.MULTILINE)
    assert ran == ["load_data", *(f"epochs[{epoch}]/train" for epoch in range(4))]
    assert resumed == [*(f"epochs[{epoch}]/train" for epoch in range(3, 6)), "evaluate"]
    assert re.findall(r"score (\S+)", again) == ["2.9039", "2.9039,"]


def test_control_flow(printed: dict[str, str]) -> None:
    """A failed item is data, the branch goes its way, the replaced stage counts, the drawing is there."""
    text = printed["control_flow"]
    assert "train[item=2]/fit: failed: ArithmeticError: the loss is not finite" in text
    assert "choose: goes the way 'then'" in text
    assert "chosen: model-3\nfailed: item 2, with ArithmeticError: the loss is not finite" in text
    assert "with a guess instead of training: model-1" in text
    assert "\nflowchart TD\n" in text


def test_three_typings(printed: dict[str, str]) -> None:
    """The same result by named fields and through models, and the state that a loop ends with."""
    assert printed["three_typings"] == "named fields: 2.0\nchain of models: 2.0\nstate model: 2.000 after 20 rounds\n"
